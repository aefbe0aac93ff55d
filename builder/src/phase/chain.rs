//! The steps of a build in their order, each with its key: known before anything runs.
//!
//! `build` walks the chain and `plan` shows it, so the two cannot disagree.

use std::collections::BTreeMap;

use goldsmith_images::contract;
use goldsmith_images::tree::Normalise;
use goldsmith_runtime::Network;

use super::breaks;
use super::cache::{Done, Recipe};
use super::declared::Scene;
use super::key::{Key, KeyBuilder};
use super::paths;
use super::prepare::Prepared;
use super::run::PhaseRun;
use super::session::Session;
use super::table::{PHASES, Phase, Place};
use super::volatile;
use crate::base::mirror::{self, Mirror};
use crate::base::{self, BasePlan, Bootstrap, Emulation};
use crate::element::base_yaml::Base;
use crate::error::{Failure, Kind, Result};
use crate::hook::environment::{DiskFacts, Environment};
use crate::hook::host_commands;
use crate::lock::Lock;
use crate::machine::dpkg_name;
use crate::materialise::{loop_disk, outputs, squashfs};
use crate::request::{Backend, ImageType, Request};

/// What the step of the image's base is called.
const BASE: &str = "base";

/// Changes whenever sandboxes begin to look different to hooks.
const SANDBOX: &str = "2";

/// What a build is going to do.
#[derive(Debug)]
pub struct Chain<'a> {
    /// Makes the two bases.
    pub bootstrap: Bootstrap<'a>,
    /// The Debian archives that are asked.
    pub mirror: Mirror,
    /// The tools container.
    pub tools: BasePlan,
    /// What it is, when it had to be made to know the base.
    pub tools_done: Option<Done>,
    /// The image's base, when an element asks for one.
    pub base: Option<BasePlan>,
    /// What hooks see.
    pub environment: Environment,
    /// The build's clock, in seconds since the epoch.
    pub epoch: i64,
    /// The steps after the bases; the last one writes the outputs.
    pub steps: Vec<Step>,
}

/// One step, ready to be looked up or run.
#[derive(Debug)]
pub struct Step {
    /// Its name and key.
    pub recipe: Recipe,
    /// What running it means.
    pub work: Work,
}

/// What a step does.
#[derive(Debug)]
pub enum Work {
    /// Runs a command in a sandbox.
    Phase(PhaseRun),
    /// Measures the tree, settles the disk's size and writes fstab.
    Layout,
    /// Writes the outputs.
    Output {
        /// What makes their tree the same every time.
        rules: Normalise,
        /// With the loop backend the last phases, which run on the disk itself.
        on_disk: Option<Vec<PhaseRun>>,
    },
}

impl Work {
    fn phase(self) -> Option<PhaseRun> {
        match self {
            Self::Phase(run) => Some(run),
            Self::Layout | Self::Output { .. } => None,
        }
    }
}

impl<'a> Chain<'a> {
    /// Links the steps of `request`; asks the archive for release files unless they are
    /// known for less than an hour, or the request is an isolated one.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached or does not verify, or an element cannot be read.
    pub fn new(session: &'a Session, request: &Request, prepared: &Prepared) -> Result<Self> {
        let mut bootstrap = Bootstrap::new(session, request)?;
        let lock = session.lock.as_ref();
        let request = &lock.map_or_else(|| request.clone(), |lock| lock.settled(request));
        let debian = matches!(prepared.base, Some((_, Base::Debian(_))));
        let mirror = lock.and_then(|lock| lock.mirror().cloned());
        let mirror = mirror.unwrap_or_else(|| mirror::of_request(request, debian));
        let mut commands = host_commands::packages(&prepared.hooks);
        commands.extend(request.tools_packages.iter().cloned());
        commands.extend(packages_of_outputs(request, prepared).map(str::to_owned));
        let tools = bootstrap.plan(base::tools::NAME, base::tools::archive(&mirror, &commands))?;
        let made = tools.epoch.unwrap_or_default();
        let runs = prepared.base.is_some() || prepared.containerfile;
        bootstrap.emulate(&request.arch, runs && request.tree.is_none(), &mirror)?;
        let tools_done = match prepared.containerfile {
            true => Some(bootstrap.make(&tools)?),
            false => None,
        };
        let base = match (&request.tree, &tools_done) {
            (Some(tree), _) => Some(bootstrap.plan_rootfs(tree, &request.arch, made)?),
            (None, Some(done)) => {
                let variables = mirror_variables(&mirror);
                let environment = Environment::new(request, &prepared.graph, &variables, made)?;
                let tools = (&tools.recipe.key, done);
                let wanted =
                    Scene { session, request, prepared, tools, environment }.containerfile()?;
                let arch = dpkg_name(&request.arch);
                Some(bootstrap.plan_containerfile(BASE, &wanted, arch, made)?)
            }
            (None, None) => image_base(&bootstrap, request, prepared, &mirror, made)?,
        };
        breaks::check(&request.env)?;
        let epoch = request
            .env
            .get("SOURCE_DATE_EPOCH")
            .and_then(|text| text.parse().ok())
            .or(base.as_ref().and_then(|base| base.epoch))
            .or(tools.epoch)
            .unwrap_or_default();
        let environment =
            Environment::new(request, &prepared.graph, &mirror_variables(&mirror), epoch)?;
        let mut links = Links {
            request,
            prepared,
            environment: &environment,
            facts: facts(request, prepared),
            tools: &tools.recipe.key,
            lock: lock.map(Lock::key),
            emulation: bootstrap.emulation.as_ref().map(Emulation::key),
            last: match &base {
                Some(base) => base.recipe.key.clone(),
                None => KeyBuilder::new("no-base").finish(),
            },
            steps: Vec::new(),
        };
        links.link(epoch)?;
        let steps = links.steps;
        Ok(Self { bootstrap, mirror, tools, tools_done, base, environment, epoch, steps })
    }
}

impl Chain<'_> {
    /// The build's steps in the order they run, bases first.
    pub fn recipes(&self) -> Vec<Recipe> {
        let bases = std::iter::once(&self.tools).chain(&self.base).map(|plan| &plan.recipe);
        let emulator = self.bootstrap.emulation.as_ref().and_then(Emulation::recipe);
        bases.chain(emulator).chain(self.steps.iter().map(|step| &step.recipe)).cloned().collect()
    }
}

/// The image's base, when an element asks for one; one that does not say of when it is is of
/// `epoch`.
fn image_base(
    bootstrap: &Bootstrap<'_>,
    request: &Request,
    prepared: &Prepared,
    mirror: &Mirror,
    epoch: i64,
) -> Result<Option<BasePlan>> {
    let Some((element, base)) = &prepared.base else { return Ok(None) };
    let arch = dpkg_name(&request.arch);
    let plan = match base {
        Base::Debian(debian) => bootstrap.plan(BASE, base::archive(debian, request, mirror)),
        Base::Image(image) => bootstrap.plan_image(image, element, arch),
        Base::Oci(oci) => bootstrap.plan_oci(BASE, oci, arch, epoch),
    };
    plan.map(Some)
}

/// Hooks that configure package managers learn the mirror; it is the user's, or the host's.
fn mirror_variables(mirror: &Mirror) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("DIB_DEBIAN_DISTRIBUTION_MIRROR".to_owned(), mirror.archive.clone()),
        ("DIB_DEBIAN_SECURITY_MIRROR".to_owned(), mirror.security.clone()),
    ])
}

/// The disk's facts but for the size that the layout step will find out: like the tree that
/// is what a parent gives, and no part of keys.
fn facts(request: &Request, prepared: &Prepared) -> DiskFacts {
    DiskFacts {
        root_label: prepared.disk.root_label().to_owned(),
        root_fstype: prepared.disk.root_fstype().to_owned(),
        boot_label: prepared.disk.boot_label().to_owned(),
        mount_points: prepared.disk.mount_points(),
        device: prepared.disk.device().to_owned(),
        devices: prepared.disk.devices(),
        size_kib: request.image_size_kib,
    }
}

/// A chain in the making.
struct Links<'a> {
    request: &'a Request,
    prepared: &'a Prepared,
    environment: &'a Environment,
    facts: DiskFacts,
    tools: &'a Key,
    /// What the key of the lock is, if there is one.
    lock: Option<&'a str>,
    emulation: Option<Key>,
    last: Key,
    steps: Vec<Step>,
}

impl Links<'_> {
    fn link(&mut self, epoch: i64) -> Result<()> {
        let disk = self.request.types.iter().any(|kind| kind.is_disk());
        let by_loop = disk && self.request.backend == Backend::Loop;
        if self.request.tree.is_some() {
            // The phases were run by the build that made it.
            self.layout();
            return self.output(epoch, by_loop.then(Vec::new));
        }
        let mut last_phases = 0;
        for phase in PHASES {
            if phase.directory == "block-device.d" {
                self.layout();
            }
            if phase.directory == "finalise.d" {
                last_phases = self.steps.len();
            }
            self.phase(&phase)?;
            if phase.directory == "install.d" && !self.request.packages.is_empty() {
                self.extra_packages()?;
            }
        }
        let on_disk = by_loop.then(|| {
            // They are parts of the last step: its key covers theirs.
            let steps = self.steps.split_off(last_phases);
            steps.into_iter().filter_map(|step| step.work.phase()).collect()
        });
        self.output(epoch, on_disk)
    }

    fn push(&mut self, name: &str, networked: bool, key: KeyBuilder, work: Work) {
        self.last = key.finish();
        let recipe = Recipe { name: name.to_owned(), key: self.last.clone(), networked };
        self.steps.push(Step { recipe, work });
    }

    fn phase(&mut self, phase: &Phase) -> Result<()> {
        let driver = match phase.directory {
            "extra-data.d" => Some("prepare"),
            "cleanup.d" => Some("finalise"),
            _ => None,
        };
        let none = self.prepared.hooks.hooks(phase.directory).is_empty();
        let broken = phase.place == Place::Host && breaks::steps_in(&self.request.env, phase);
        let optional = driver.is_none() && none && !broken;
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
        self.sandboxed(phase, argv, optional)
    }

    /// `-p`: one call of the image's own package command.
    fn extra_packages(&mut self) -> Result<()> {
        let phase = Phase {
            directory: "packages",
            place: Place::Target,
            target_root: false,
            after_layout: false,
        };
        let mut argv = vec!["install-packages".to_owned()];
        argv.extend(self.request.packages.iter().cloned());
        self.sandboxed(&phase, argv, false)
    }

    fn sandboxed(&mut self, phase: &Phase, argv: Vec<String>, optional: bool) -> Result<()> {
        let env = self.environment.of_phase(phase, &self.facts);
        let isolated = self.request.isolated && self.lock.is_none();
        let network = if isolated { Network::None } else { Network::Host };
        let facts = (phase.directory == "finalise.d").then(|| self.prepared.disk.facts());
        let mut key = KeyBuilder::new("phase")
            .parent(&self.last)
            .part("sandbox", SANDBOX)
            .part("phase", phase.directory)
            .part("argv", argv.join("\0"))
            .part("hooks", self.prepared.hooks.digest(phase.directory)?)
            .part("shipped", &self.prepared.shipped.digest)
            .part("files", &self.environment.files_digest)
            .part("network", format!("{network:?}"))
            .part("facts", facts.as_deref().unwrap_or_default())
            .variables(breaks::without(&env));
        if let Some(lock) = self.lock {
            key = key.part("lock", lock);
        }
        if breaks::steps_in(&env, phase) {
            key = key.part("break", breaks::once());
        }
        if phase.place == Place::Host {
            key = key.parent(self.tools);
        }
        if let Some(emulation) = &self.emulation {
            key = key.parent(emulation);
        }
        let outside = breaks::outside(&env, phase).map(|argv| {
            let phase = Phase { directory: phase.directory, ..PHASES[0] };
            let env = self.environment.of_phase(&phase, &self.facts);
            let run = PhaseRun { phase, argv, env, network, ..PhaseRun::default() };
            Box::new(run)
        });
        let run =
            PhaseRun { phase: *phase, argv, env, network, facts, optional, outside, disk: None };
        // What a lock gives does not grow old.
        let networked = network == Network::Host && self.lock.is_none();
        self.push(phase.name(), networked, key, Work::Phase(run));
        Ok(())
    }

    fn layout(&mut self) {
        let request = self.request;
        let size = format!("{:?}/{:?}", request.image_size_kib, request.image_extra_mib);
        let key = KeyBuilder::new("seal")
            .parent(&self.last)
            .part("disk", self.prepared.disk.digest_text())
            .part("size", size);
        self.push("layout", false, key, Work::Layout);
    }

    fn output(&mut self, epoch: i64, on_disk: Option<Vec<PhaseRun>>) -> Result<()> {
        let request = self.request;
        let rules = Normalise {
            epoch,
            drop: volatile::paths(),
            empty: vec!["etc/machine-id".into(), "var/lib/dbus/machine-id".into()],
            devices: true,
        };
        let manifest = outputs::aci_manifest(request)?;
        let form = (
            &rules,
            &request.types,
            &request.codec,
            &request.checksums,
            &request.formats,
            manifest,
            crate::materialise::oci::Label::of(request)?,
        );
        let text = serde_json::to_string(&form)
            .map_err(|error| Failure::wrap(Kind::Internal, "the form of outputs", &error))?;
        let mut key = KeyBuilder::new("disk")
            .parent(&self.last)
            // Another release may write the same content in other bytes.
            .part("bytes", contract::BYTES.to_string())
            .part("form", text)
            .part("to", request.cwd.join(&request.output).as_os_str().as_encoded_bytes());
        if packages_of_outputs(request, self.prepared).next().is_some() {
            key = key.parent(self.tools);
        }
        if request.backend != Backend::Image {
            key = key.part("backend", format!("{:?}", request.backend));
        }
        self.push("output", false, key, Work::Output { rules, on_disk });
        Ok(())
    }
}

/// Packages whose programs in the tools container take part in the outputs.
fn packages_of_outputs(
    request: &Request,
    prepared: &Prepared,
) -> impl Iterator<Item = &'static str> {
    let disks = request.types.iter().any(|kind| kind.is_disk());
    let on_disk = |kind| disks && prepared.disk.has(kind);
    let squashfs = request.types.contains(&ImageType::Squashfs) || on_disk("squashfs");
    let btrfs = request.backend == Backend::Loop && on_disk("btrfs");
    [(squashfs, squashfs::PACKAGE), (btrfs, loop_disk::BTRFS_PACKAGE)]
        .into_iter()
        .filter_map(|(needed, package)| needed.then_some(package))
}
