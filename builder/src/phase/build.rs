//! A whole build: from a request to outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::store::SnapshotId;
use goldsmith_images::tree::Normalise;
use goldsmith_runtime::Network;

use super::key::{Key, KeyBuilder};
use super::paths;
use super::run::{Ground, PhaseRun, give};
use super::sandbox::HostDirectories;
use super::session::{Done, Recipe, Session};
use super::state::State;
use super::table::{PHASES, Phase, Place};
use crate::base::mirror::{self, Mirror};
use crate::base::{self, Base, Bootstrap};
use crate::block_device;
use crate::element::shipped::{self, Shipped};
use crate::element::{ElementGraph, base_yaml, resolve, scan};
use crate::error::{Failure, Kind, Result};
use crate::hook::environment::{DiskFacts, Environment};
use crate::hook::{HookTree, collect};
use crate::materialise::{jobs, outputs};
use crate::request::Request;

/// Changes whenever sandboxes begin to look different to hooks.
const SANDBOX: &str = "1";

/// What a build is made of before anything ran.
#[derive(Debug)]
pub struct Prepared {
    /// The elements.
    pub graph: ElementGraph,
    /// The hooks tree.
    pub hooks: HookTree,
    /// The partitions and file systems.
    pub disk: block_device::Plan,
    shipped: Shipped,
    base: Option<(String, base_yaml::Base)>,
}

/// Resolves elements, hooks and the disk; touches nothing but the store's shipped elements.
///
/// # Errors
///
/// When an element or a configuration file is wrong.
pub fn prepare(session: &Session, request: &Request) -> Result<Prepared> {
    let shipped = shipped::unpack(&session.store.elements())?;
    let mut search_path = request.elements_path.clone();
    if !request.no_builtin_elements {
        search_path.push(shipped.elements.clone());
    }
    let catalogue = scan(&search_path)?;
    for (name, path) in &catalogue.overridden {
        session.reporter.info(format!("element {name} of {} is overridden", path.display()));
    }
    let wanted = crate::compat::implicit_elements(request);
    let graph = resolve(&catalogue, &wanted)?;
    let base = find_base(&graph, request)?;
    let left_out: Vec<String> = base
        .iter()
        .flat_map(|(name, base)| {
            base.debian.replaces.iter().map(move |hook| format!("{name}/{hook}"))
        })
        .collect();
    let hooks = collect(&graph, &left_out)?;
    let seed = format!("{}/{}", request.arch, graph.names());
    let elements: Vec<_> =
        graph.elements.iter().map(|e| (e.name.clone(), e.path.clone())).collect();
    let disk = block_device::Plan::load(&block_device::Inputs {
        config_override: request.env.get("DIB_BLOCK_DEVICE_CONFIG").map(String::as_str),
        elements: &elements,
        arch: &request.arch,
        fs_type: &request.fs_type,
        root_label: request.root_label.as_deref(),
        journal_mib: request.journal_mib,
        seed: &seed,
        epoch: 0,
    })?;
    Ok(Prepared { graph, hooks, disk, shipped, base })
}

fn find_base(graph: &ElementGraph, request: &Request) -> Result<Option<(String, base_yaml::Base)>> {
    let mut found: Option<(String, base_yaml::Base)> = None;
    for element in &graph.elements {
        let path = element.path.join("base.yaml");
        if !path.exists() {
            continue;
        }
        if let Some((other, _)) = &found {
            let message = format!("elements {other} and {} both have a base.yaml", element.name);
            return Err(Failure::new(Kind::Configuration, message).hint("one image has one base"));
        }
        found = Some((element.name.clone(), base_yaml::read(&path, &request.env)?));
    }
    Ok(found)
}

/// Everything that phases need, once base and tools are there.
struct Build<'a> {
    session: &'a Session,
    request: &'a Request,
    prepared: &'a Prepared,
    environment: Environment,
    ground: Ground<'a>,
    facts: DiskFacts,
    tools_key: Key,
    epoch: i64,
}

/// Builds what `request` asks for and returns the outputs.
///
/// # Errors
///
/// When an element is wrong, a hook fails, the host lacks something or the user interrupts.
pub fn build(session: &Session, request: &Request) -> Result<Vec<outputs::Finished>> {
    outputs::check(request)?;
    let prepared = prepare(session, request)?;
    super::failed::forget(session)?;
    let dead = session.store.sweep().map_err(|error| super::session::store_failure(&error))?;
    super::jobs::remove(&session.identity, &dead)?;
    let bootstrap = Bootstrap::new(session, request)?;
    let mirror = mirror::choose(
        request.mirror.as_deref(),
        &request.env,
        mirror::of_host(Path::new("/etc")).as_ref(),
    );
    let tools = bootstrap.make("tools", &base::tools::archive(&mirror))?;
    let base = match &prepared.base {
        Some((_, spec)) => {
            Some(bootstrap.make("base", &base::archive(&spec.debian, request, &mirror))?)
        }
        None => None,
    };
    let epoch = request
        .env
        .get("SOURCE_DATE_EPOCH")
        .and_then(|text| text.parse().ok())
        .or(base.as_ref().map(|base| base.epoch))
        .unwrap_or(tools.epoch);
    let facts = DiskFacts {
        root_label: prepared.disk.root_label().to_owned(),
        root_fstype: prepared.disk.root_fstype().to_owned(),
        boot_label: prepared.disk.boot_label().to_owned(),
        mount_points: prepared.disk.mount_points(),
        device: prepared.disk.device().to_owned(),
        devices: prepared.disk.devices(),
        size_kib: request.image_size_kib,
    };
    let environment =
        Environment::new(request, &prepared.graph, &mirror_variables(&mirror), epoch)?;
    let host = host_directories(session, request, &prepared, &environment)?;
    let ground = Ground {
        session,
        host: &host,
        hooks_base: hooks_base(session, &prepared)?,
        tools_base: session.directories(&tools.state.mnt)?,
        empty: session.store.empty(),
    };
    let mut build = Build {
        session,
        request,
        prepared: &prepared,
        environment,
        ground,
        facts,
        tools_key: tools.key,
        epoch,
    };
    let finished = build.run(base)?;
    session.store.sync().map_err(|error| super::session::store_failure(&error))?;
    Ok(finished)
}

/// Hooks that configure package managers learn the mirror; it is the user's, or the host's.
fn mirror_variables(mirror: &Mirror) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("DIB_DISTRIBUTION_MIRROR".to_owned(), mirror.archive.clone()),
        ("DIB_DEBIAN_SECURITY_MIRROR".to_owned(), mirror.security.clone()),
    ])
}

fn host_directories(
    session: &Session,
    request: &Request,
    prepared: &Prepared,
    environment: &Environment,
) -> Result<HostDirectories> {
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the caches of hooks", &error);
    let image_cache =
        request.image_cache.clone().unwrap_or_else(|| session.store.root().join("image-create"));
    let lockfiles = session.store.root().join("lockfiles");
    for directory in [&image_cache, &lockfiles] {
        if !directory.exists() {
            fs_err::create_dir_all(directory).map_err(io)?;
            give(session, directory)?;
        }
    }
    let output = request.cwd.join(&request.output);
    let resolv_conf = fs_err::read_to_string("/etc/resolv.conf")
        .ok()
        .filter(|text| text.contains("nameserver"))
        .unwrap_or_else(|| "nameserver 8.8.8.8\n".to_owned());
    Ok(HostDirectories {
        lib: prepared.shipped.lib.clone(),
        shims: prepared.shipped.shims.clone(),
        boot_shims: prepared.shipped.boot_shims.clone(),
        elements: prepared.graph.search_path.clone(),
        image_cache,
        lockfiles,
        output: output.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf),
        files: environment.files.clone(),
        resolv_conf,
    })
}

/// The generated hooks tree, kept as a snapshot by its digest.
fn hooks_base(session: &Session, prepared: &Prepared) -> Result<PathBuf> {
    let digest = prepared.hooks.whole_digest()?;
    let key = KeyBuilder::new("hooks")
        .part("tree", digest)
        .part("shipped", &prepared.shipped.digest)
        .finish();
    let recipe = Recipe { name: "hooks".into(), key, networked: false };
    if let Some(done) = session.cached(&recipe)? {
        return first(session, &done.state.hooks);
    }
    let done = session.step(&recipe, || {
        let pending = session.pending()?;
        let to = pending.upper();
        prepared.hooks.write(&to, &prepared.shipped.lib)?;
        for entry in walkdir::WalkDir::new(&to) {
            let entry =
                entry.map_err(|error| Failure::wrap(Kind::Host, "the hooks tree", &error))?;
            give(session, entry.path())?;
        }
        let id = session.commit(pending, "hooks", Vec::new(), true)?;
        Ok(Done { state: State { hooks: vec![id], ..State::default() }, ..Done::default() })
    })?;
    first(session, &done.state.hooks)
}

fn first(session: &Session, stack: &[SnapshotId]) -> Result<PathBuf> {
    let directories = session.directories(stack)?;
    directories.into_iter().next().ok_or_else(|| Failure::new(Kind::Internal, "an empty stack"))
}

impl Build<'_> {
    fn run(&mut self, base: Option<Base>) -> Result<Vec<outputs::Finished>> {
        let (mut state, mut key) = match base {
            Some(base) => (base.state, base.key),
            None => (State::default(), KeyBuilder::new("no-base").finish()),
        };
        let mut layout = None;
        for phase in PHASES {
            if phase.directory == "block-device.d" {
                (state, key, layout) = self.seal(&state, &key)?;
            }
            (state, key) = self.phase(&phase, state, key)?;
            if phase.directory == "install.d" && !self.request.packages.is_empty() {
                (state, key) = self.extra_packages(state, key)?;
            }
        }
        self.write(&state, &key, layout)
    }

    fn phase(&self, phase: &Phase, state: State, key: Key) -> Result<(State, Key)> {
        let driver = match phase.directory {
            "extra-data.d" => Some("prepare"),
            "cleanup.d" => Some("finalise"),
            _ => None,
        };
        if driver.is_none() && self.prepared.hooks.hooks(phase.directory).is_empty() {
            return Ok((state, key));
        }
        let argv = match phase.place {
            Place::Host => {
                let mut argv =
                    vec![format!("{}/driver/host-phase", paths::LIB), phase.directory.into()];
                argv.extend(driver.map(str::to_owned));
                argv
            }
            Place::Target => vec![
                "/bin/sh".to_owned(),
                format!("{}/goldsmith-target-phase", paths::TARGET_HOOKS),
                phase.directory.to_owned(),
            ],
        };
        self.sandboxed(phase, argv, state, key)
    }

    /// `-p`: one call of the image's own package command.
    fn extra_packages(&self, state: State, key: Key) -> Result<(State, Key)> {
        let phase = Phase {
            directory: "packages",
            place: Place::Target,
            target_root: false,
            after_layout: false,
        };
        let mut argv = vec!["install-packages".to_owned()];
        argv.extend(self.request.packages.iter().cloned());
        self.sandboxed(&phase, argv, state, key)
    }

    fn sandboxed(
        &self,
        phase: &Phase,
        argv: Vec<String>,
        state: State,
        key: Key,
    ) -> Result<(State, Key)> {
        let env = self.environment.of_phase(phase, &self.facts);
        let network = if self.request.isolated { Network::None } else { Network::Host };
        let facts = self.prepared.disk.facts();
        let facts = (phase.directory == "finalise.d").then_some(facts.as_str());
        let mut next = KeyBuilder::new("phase")
            .parent(&key)
            .part("sandbox", SANDBOX)
            .part("phase", phase.directory)
            .part("argv", argv.join("\0"))
            .part("hooks", self.prepared.hooks.digest(phase.directory)?)
            .part("shipped", &self.prepared.shipped.digest)
            .part("files", &self.environment.files_digest)
            .part("network", format!("{network:?}"))
            .part("facts", facts.unwrap_or_default())
            .variables(&env);
        if phase.place == Place::Host {
            next = next.parent(&self.tools_key);
        }
        let run = PhaseRun { phase: *phase, key: next.finish(), argv, env, network, facts };
        let state = self.ground.phase(&run, &state)?;
        Ok((state, run.key))
    }

    /// Measures the tree, settles the disk's size and writes fstab: what follows sees both.
    fn seal(&mut self, state: &State, key: &Key) -> Result<(State, Key, Option<DiskLayout>)> {
        let wants_disk = self.request.types.iter().any(|kind| kind.is_disk());
        let disk = &self.prepared.disk;
        let key = KeyBuilder::new("seal")
            .parent(key)
            .part("disk", disk.digest_text())
            .part(
                "size",
                format!("{:?}/{:?}", self.request.image_size_kib, self.request.image_extra_mib),
            )
            .finish();
        let recipe = Recipe { name: "layout".into(), key: key.clone(), networked: false };
        let done = self.session.step(&recipe, || {
            let layers = self.session.directories(&state.mnt)?;
            let used = jobs::run_measure(&self.session.identity, layers)?;
            let efi =
                self.prepared.graph.elements.iter().any(|e| e.name.starts_with("block-device-efi"));
            let size = block_device::image_size_kib(
                used,
                self.request.image_size_kib,
                self.request.image_extra_mib,
                self.request.journal_mib,
                disk.root_fstype() == "ext4",
                efi,
            );
            let mut state = State { mounts: Vec::new(), ..state.clone() };
            let pending = self.session.pending()?;
            self.write_fstab(&pending.upper())?;
            self.session.push(&mut state.mnt, pending, "fstab")?;
            Ok(Done { state, data: serde_json::json!({ "size_kib": size }) })
        })?;
        let size = done.data["size_kib"].as_u64().unwrap_or_default();
        self.facts.size_kib = Some(size);
        let layout = wants_disk.then(|| disk.layout(size)).transpose()?;
        let layout = layout.map(|layout| DiskLayout { epoch: self.epoch, ..layout });
        Ok((done.state, key, layout))
    }

    /// An upper directory that holds /etc/fstab alone.
    fn write_fstab(&self, upper: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "fstab", &error);
        let etc = upper.join("etc");
        fs_err::create_dir_all(&etc).map_err(io)?;
        let file = etc.join("fstab");
        fs_err::write(&file, self.prepared.disk.fstab()).map_err(io)?;
        for (path, mode) in [(upper, 0o755), (&etc, 0o755), (&file, 0o644)] {
            fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(io)?;
            give(self.session, path)?;
        }
        Ok(())
    }

    fn write(
        &self,
        state: &State,
        key: &Key,
        layout: Option<DiskLayout>,
    ) -> Result<Vec<outputs::Finished>> {
        let rules = Normalise {
            epoch: self.epoch,
            drop: volatile(),
            empty: vec!["etc/machine-id".into(), "var/lib/dbus/machine-id".into()],
            devices: true,
        };
        let request = self.request;
        let text = serde_json::to_string(&(
            &rules,
            &layout,
            &request.types,
            &request.codec,
            &request.checksums,
        ))
        .map_err(|error| Failure::wrap(Kind::Internal, "the layout", &error))?;
        let key = KeyBuilder::new("disk")
            .parent(key)
            .part("form", text)
            .part("to", outputs::path(request, request.types[0]).as_os_str().as_encoded_bytes())
            .finish();
        let recipe = Recipe { name: "output".into(), key, networked: false };
        if request.native
            && let Some(done) = self.session.cached(&recipe)?
            && let Ok(finished) = serde_json::from_value::<Vec<outputs::Finished>>(done.data)
            && finished.iter().all(outputs::Finished::is_there)
        {
            for output in &finished {
                self.session.reporter.info(format!("{} is up to date", output.path.display()));
            }
            return Ok(finished);
        }
        let bios = match &state.boot {
            Some(id) => {
                let directory = self.session.directories(std::slice::from_ref(id))?;
                let files = block_device::boot_record::read(&directory[0])?;
                files.bios.map(|bios| (bios.boot_img, bios.core_img))
            }
            None => None,
        };
        let content = outputs::Content {
            layers: self.session.directories(&state.mnt)?,
            rules,
            bios: bios.filter(|_| self.prepared.disk.is_partitioned()),
            layout,
            extra: self.session.directories(&state.output)?,
        };
        self.session.fresh(&recipe, || {
            let finished = outputs::write(self.session, request, content)?;
            let data = serde_json::to_value(&finished)
                .map_err(|error| Failure::wrap(Kind::Internal, "outputs", &error))?;
            Ok((Done { state: state.clone(), data }, finished))
        })
    }
}

/// Files that differ from build to build and that the image makes anew.
fn volatile() -> Vec<String> {
    let mut paths = goldsmith_images::import::debian::volatile_paths();
    paths.retain(|path| !path.starts_with("var/lib/apt/lists"));
    for path in [
        "etc/resolv.conf.ORIG",
        "goldsmith",
        "var/cache/apt/archives/*.deb",
        "var/lib/apt/lists/*",
        "var/lib/systemd/catalog/database",
        "var/cache/man/*",
        "root/.cache",
        "root/.bash_history",
    ] {
        paths.push(path.to_owned());
    }
    paths
}
