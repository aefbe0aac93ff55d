//! A whole build: from a request to outputs.

use std::collections::BTreeMap;
use std::path::Path;

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::tree::Normalise;
use goldsmith_runtime::Network;

use super::breaks;
use super::cache::{Done, Recipe};
use super::key::{Key, KeyBuilder};
use super::paths;
use super::prepare::{Prepared, hooks_base, host_directories, prepare};
use super::run::{Ground, PhaseRun, give};
use super::session::{CACHE_FULL, Session};
use super::state::State;
use super::table::{PHASES, Phase, Place};
use crate::base::mirror::{self, Mirror};
use crate::base::{self, Base, Bootstrap};
use crate::block_device;
use crate::error::{Failure, Kind, Result};
use crate::hook::environment::{DiskFacts, Environment};
use crate::materialise::{jobs, outputs};
use crate::request::{Backend, Request};

/// Changes whenever sandboxes begin to look different to hooks.
const SANDBOX: &str = "1";

/// Everything that phases need, once base and tools are there.
pub(super) struct Build<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a Request,
    pub(super) prepared: &'a Prepared,
    environment: Environment,
    pub(super) ground: Ground<'a>,
    facts: DiskFacts,
    tools_key: Key,
    epoch: i64,
    /// The whole image's, once the layout step settled it.
    size_kib: Option<u64>,
}

/// Builds what `request` asks for and returns the outputs.
///
/// # Errors
///
/// When an element is wrong, a hook fails, the host lacks something or the user interrupts.
pub fn build(session: &Session, request: &Request) -> Result<Vec<outputs::Finished>> {
    outputs::check(request)?;
    if request.backend == Backend::Loop {
        crate::materialise::loop_disk::check(session)?;
    }
    // Whatever is written, outputs excepted, is written there.
    build_checked(session, request)
        .map_err(|failure| failure.on_full_disk("the cache", session.store.root(), CACHE_FULL))
}

fn build_checked(session: &Session, request: &Request) -> Result<Vec<outputs::Finished>> {
    let prepared = prepare(session, request)?;
    super::failed::forget(session)?;
    session.sweep()?;
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
        tools_base: session.directories(&tools.done.state.mnt)?,
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
        size_kib: None,
    };
    let finished = build.run(base)?;
    // The outputs are complete and on disk; unsynced steps are missed after the next boot only.
    if let Err(error) = session.store.sync() {
        session.reporter.warn(format!("the cache could not be forced to disk: {error}"));
    }
    Ok(finished)
}

/// Hooks that configure package managers learn the mirror; it is the user's, or the host's.
fn mirror_variables(mirror: &Mirror) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("DIB_DISTRIBUTION_MIRROR".to_owned(), mirror.archive.clone()),
        ("DIB_DEBIAN_SECURITY_MIRROR".to_owned(), mirror.security.clone()),
    ])
}

impl Build<'_> {
    fn run(&mut self, base: Option<Base>) -> Result<Vec<outputs::Finished>> {
        let (mut done, mut key) = match base {
            Some(base) => (base.done, base.key),
            None => (Done::default(), KeyBuilder::new("no-base").finish()),
        };
        let mut layout = None;
        for phase in PHASES {
            if phase.directory == "block-device.d" {
                (done, key, layout) = self.seal(&done, &key)?;
            }
            if let (Backend::Loop, "finalise.d", Some(layout)) =
                (self.request.backend, phase.directory, &layout)
            {
                return self.write_on_loop(&done, &key, layout);
            }
            (done, key) = self.phase(&phase, done, key)?;
            if phase.directory == "install.d" && !self.request.packages.is_empty() {
                (done, key) = self.extra_packages(done, key)?;
            }
        }
        self.write(&done, &key, layout)
    }

    fn phase(&self, phase: &Phase, before: Done, key: Key) -> Result<(Done, Key)> {
        match self.phase_run(phase, &key)? {
            Some(run) => Ok((self.ground.phase(&run, &before)?, run.key)),
            None => Ok((before, key)),
        }
    }

    /// The run of a phase that follows the result `key`, unless it has nothing to do.
    pub(super) fn phase_run(&self, phase: &Phase, key: &Key) -> Result<Option<PhaseRun<'_>>> {
        let driver = match phase.directory {
            "extra-data.d" => Some("prepare"),
            "cleanup.d" => Some("finalise"),
            _ => None,
        };
        if driver.is_none() && self.prepared.hooks.hooks(phase.directory).is_empty() {
            return Ok(None);
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
        Ok(Some(self.sandboxed(phase, argv, key)?))
    }

    /// `-p`: one call of the image's own package command.
    fn extra_packages(&self, before: Done, key: Key) -> Result<(Done, Key)> {
        let phase = Phase {
            directory: "packages",
            place: Place::Target,
            target_root: false,
            after_layout: false,
        };
        let mut argv = vec!["install-packages".to_owned()];
        argv.extend(self.request.packages.iter().cloned());
        let run = self.sandboxed(&phase, argv, &key)?;
        Ok((self.ground.phase(&run, &before)?, run.key))
    }

    fn sandboxed(&self, phase: &Phase, argv: Vec<String>, key: &Key) -> Result<PhaseRun<'_>> {
        let mut env = self.environment.of_phase(phase, &self.facts);
        let network = if self.request.isolated { Network::None } else { Network::Host };
        let facts = self.prepared.disk.facts();
        let facts = (phase.directory == "finalise.d").then_some(facts);
        let mut next = KeyBuilder::new("phase")
            .parent(key)
            .part("sandbox", SANDBOX)
            .part("phase", phase.directory)
            .part("argv", argv.join("\0"))
            .part("hooks", self.prepared.hooks.digest(phase.directory)?)
            .part("shipped", &self.prepared.shipped.digest)
            .part("files", &self.environment.files_digest)
            .part("network", format!("{network:?}"))
            .part("facts", facts.as_deref().unwrap_or_default())
            .variables(breaks::without(&env));
        if breaks::steps_in(&env, phase) {
            next = next.part("break", breaks::once());
        }
        if phase.place == Place::Host {
            next = next.parent(&self.tools_key);
        }
        // The layout step found the size out: like the tree it is the parent's result, and
        // no part of the key.
        env.extend(self.size_kib.map(|size| ("DIB_IMAGE_SIZE".to_owned(), size.to_string())));
        Ok(PhaseRun { phase: *phase, key: next.finish(), argv, env, network, facts, disk: None })
    }

    /// Measures the tree, settles the disk's size and writes fstab: what follows sees both.
    fn seal(&mut self, before: &Done, key: &Key) -> Result<(Done, Key, Option<DiskLayout>)> {
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
        let state = &before.state;
        let done = self.session.step(&recipe, before, || {
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
            let data = serde_json::json!({ "size_kib": size });
            Ok(Done { state, data, ran: true })
        })?;
        let size = done.data["size_kib"].as_u64().unwrap_or_default();
        self.size_kib = Some(size);
        let layout = wants_disk.then(|| disk.layout(size)).transpose()?;
        let layout = layout.map(|layout| DiskLayout { epoch: self.epoch, ..layout });
        Ok((done, key, layout))
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
        before: &Done,
        key: &Key,
        layout: Option<DiskLayout>,
    ) -> Result<Vec<outputs::Finished>> {
        let rules = self.rules();
        let request = self.request;
        let recipe = self.output_recipe(key, &rules)?;
        if let Some(finished) = self.up_to_date(&recipe, before)? {
            return Ok(finished);
        }
        let state = &before.state;
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
        let mut finished = Vec::new();
        self.session.fresh(&recipe, before, || {
            finished = outputs::write(self.session, request, content)?;
            let data = serde_json::to_value(&finished)
                .map_err(|error| Failure::wrap(Kind::Internal, "outputs", &error))?;
            Ok(Done { state: state.clone(), data, ran: true })
        })?;
        Ok(finished)
    }
}

impl Build<'_> {
    /// What is settled in every tree before it is written.
    pub(super) fn rules(&self) -> Normalise {
        Normalise {
            epoch: self.epoch,
            drop: volatile(),
            empty: vec!["etc/machine-id".into(), "var/lib/dbus/machine-id".into()],
            devices: true,
        }
    }

    /// Names the outputs made from the result `key`.
    pub(super) fn output_recipe(&self, key: &Key, rules: &Normalise) -> Result<Recipe> {
        let request = self.request;
        let form = (rules, &request.types, &request.codec, &request.checksums);
        let text = serde_json::to_string(&form)
            .map_err(|error| Failure::wrap(Kind::Internal, "the form of outputs", &error))?;
        let mut key = KeyBuilder::new("disk")
            .parent(key)
            .part("form", text)
            .part("to", outputs::path(request, request.types[0]).as_os_str().as_encoded_bytes());
        if request.backend != Backend::Image {
            key = key.part("backend", format!("{:?}", request.backend));
        }
        Ok(Recipe { name: "output".into(), key: key.finish(), networked: false })
    }

    /// The outputs, when they are there already and the user does not want them anew.
    pub(super) fn up_to_date(
        &self,
        recipe: &Recipe,
        before: &Done,
    ) -> Result<Option<Vec<outputs::Finished>>> {
        if self.request.native
            && let Some(done) = self.session.look_up(recipe, before)?.hit()
            && let Ok(finished) = serde_json::from_value::<Vec<outputs::Finished>>(done.data)
            && finished.iter().all(outputs::Finished::is_there)
        {
            for output in &finished {
                self.session.reporter.info(format!("{} is up to date", output.path.display()));
            }
            return Ok(Some(finished));
        }
        Ok(None)
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
