//! Foreign architectures: the emulator that runs their programs, from the archive that the
//! tools container is made from. Images do not get to hold it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use goldsmith_images::import::debian::{self, ArchiveSpec, Package, Release, Resolution};
use goldsmith_runtime::{FormatPlan, probe_formats, registered};

use super::mirror::{self, Mirror};
use super::{Bootstrap, archive_failure, tools};
use crate::error::{Failure, Kind, Result};
use crate::lock::document::Archive;
use crate::machine::{self, Machine};
use crate::phase::cache::{Done, Recipe};
use crate::phase::key::{Key, KeyBuilder};
use crate::phase::run::give;
use crate::phase::session::Session;
use crate::phase::state::State;
use crate::request::{Request, native_arch};

/// The package with static emulators, one program a machine.
const PACKAGE: &str = "qemu-user";

/// Who runs the programs of a foreign architecture.
#[derive(Debug, Clone)]
pub enum Emulation {
    /// An emulator of the host's, registered there for everybody: on kernels where sandboxes
    /// cannot have their own.
    Host(Machine),
    /// An emulator from the archive.
    Archive {
        /// What it emulates.
        machine: Machine,
        /// Its name and key.
        recipe: Recipe,
        /// Where it is from.
        spec: Box<ArchiveSpec>,
        /// The archive's verified releases.
        releases: Vec<Release>,
        /// Its package, when a lock says which.
        packages: Option<Vec<Package>>,
    },
}

impl Emulation {
    /// A part of the key of whatever runs by it.
    pub fn key(&self) -> Key {
        match self {
            Self::Host(machine) => {
                KeyBuilder::new("hosts-emulator").part("of", machine.qemu).finish()
            }
            Self::Archive { recipe, .. } => recipe.key.clone(),
        }
    }

    /// The step that fetches it, if one does.
    pub fn recipe(&self) -> Option<&Recipe> {
        match self {
            Self::Host(_) => None,
            Self::Archive { recipe, .. } => Some(recipe),
        }
    }

    /// For people: what does it.
    pub fn describe(&self) -> String {
        match self {
            Self::Host(machine) => format!("qemu-{} of this host", machine.qemu),
            Self::Archive { machine, spec, .. } => {
                let suite = spec.suites.first().map_or("", |suite| suite.name.as_str());
                format!("qemu-{} of Debian {suite}", machine.qemu)
            }
        }
    }
}

/// What a sandbox needs to run the programs of a tree, by what its programs look like:
/// nothing, when this machine runs them or nobody knows them.
///
/// # Errors
///
/// When they cannot be run here, or the emulator cannot be fetched.
pub fn formats_of_tree(
    session: &Session,
    request: &Request,
    layers: &[PathBuf],
) -> Result<Vec<FormatPlan>> {
    let native = |machine: &Machine| machine.runs_on(native_arch());
    let Some(machine) = machine::of_tree(layers).filter(|machine| !native(machine)) else {
        return Ok(Vec::new());
    };
    let mirror = mirror::of_request(request, false);
    let mut bootstrap = Bootstrap::new(session, request)?;
    bootstrap.emulate(machine.arch, true, &mirror)?;
    bootstrap.formats()
}

impl Bootstrap<'_> {
    /// Prepares for programs of `arch`, whatever name that goes by. Where nothing of it has to
    /// run (`needed` is false), a lack is only told.
    ///
    /// # Errors
    ///
    /// When nobody can run them here, or the emulator's archive cannot be reached.
    pub fn emulate(&mut self, arch: &str, needed: bool, mirror: &Mirror) -> Result<()> {
        let found = match Machine::named(arch) {
            Some(machine) if machine.runs_on(native_arch()) => return Ok(()),
            Some(machine) => self.emulation(machine, mirror),
            None if arch == native_arch() => return Ok(()),
            None => Err(Failure::new(
                Kind::Configuration,
                format!("no emulator is known for the architecture {arch}"),
            )
            .hint("-a takes the names of dpkg: arm64, armhf, ppc64el and so on")),
        };
        match found {
            Ok(emulation) => self.emulation = Some(emulation),
            Err(failure) if needed => return Err(failure),
            Err(failure) => {
                self.session
                    .reporter
                    .warn(format!("hooks cannot run programs of {arch}: {failure}"));
            }
        }
        Ok(())
    }

    fn emulation(&self, machine: Machine, mirror: &Mirror) -> Result<Emulation> {
        let possible = probe_formats(&self.session.identity);
        if !possible.ok {
            if registered(&machine.format("/".into())) {
                if let Some(lock) = &self.session.lock {
                    let name = format!("qemu-{}", machine.qemu);
                    lock.hosts_emulator(&name, &self.session.reporter)?;
                }
                return Ok(Emulation::Host(machine));
            }
            let message = format!(
                "programs of {} do not run on this {} host: {}",
                machine.arch,
                native_arch(),
                possible.detail
            );
            return Err(Failure::new(Kind::Host, message)
                .hint(possible.fix)
                .hint("on Debian the package qemu-user-binfmt registers them"));
        }
        let mut spec = tools::archive(mirror, &BTreeSet::new());
        spec.include = vec![PACKAGE.to_owned()];
        let locked = match &self.session.lock {
            Some(lock) => lock.emulator(&spec, &self.session.reporter)?,
            None => None,
        };
        let (releases, packages) = match locked.map(Archive::resolution) {
            Some(Resolution { releases, packages }) => (releases, Some(packages)),
            None => (self.releases(tools::NAME, &spec)?, None),
        };
        let mut key = KeyBuilder::new("emulator").part("of", machine.qemu).part("from", PACKAGE);
        for release in &releases {
            key = key.part("release", release.digest.to_string());
        }
        if let Some(packages) = &packages {
            key = key.part("packages", serde_json::to_string(packages).unwrap_or_default());
        }
        let name = format!("qemu-{}", machine.qemu);
        let recipe = Recipe { name, key: key.finish(), networked: false };
        let spec = Box::new(spec);
        Ok(Emulation::Archive { machine, recipe, spec, releases, packages })
    }

    /// Fetches the emulator, or takes it from the cache; what sandboxes are to be given.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached or does not have it.
    pub fn formats(&self) -> Result<Vec<FormatPlan>> {
        let Some(Emulation::Archive { machine, recipe, .. }) = &self.emulation else {
            return Ok(Vec::new());
        };
        if let Some(formats) = self.formats.get() {
            return Ok(formats.clone());
        }
        let session = self.session;
        let done = session.step(recipe, &Done::default(), || self.fetch_emulator(recipe))?;
        let directory = session.directories(&done.state.tools)?.into_iter().next();
        let directory =
            directory.ok_or_else(|| Failure::new(Kind::Internal, "an emulator without a file"))?;
        let format = machine.format(directory.join(&recipe.name));
        Ok(self.formats.get_or_init(|| vec![format]).clone())
    }

    /// What the emulator is from, for a lock; the store has it afterwards.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached or does not have it.
    pub fn pin_emulator(&self) -> Result<Option<Archive>> {
        let Some(Emulation::Archive { recipe, spec, .. }) = &self.emulation else {
            return Ok(None);
        };
        let found = self.emulator_package()?;
        self.download(&recipe.name, &found)?;
        Ok(Some(Archive::new(spec, &found)))
    }

    /// The one package that it is in: the lock's, or what the archive has.
    fn emulator_package(&self) -> Result<Resolution> {
        let Some(Emulation::Archive { spec, releases, packages, .. }) = &self.emulation else {
            return Err(Failure::new(Kind::Internal, "an emulator of the host's has no package"));
        };
        let releases = releases.clone();
        if let Some(packages) = packages {
            return Ok(Resolution { releases, packages: packages.clone() });
        }
        let downloads = self.session.store.downloads();
        let mut found = debian::resolve(spec, releases, &self.client, &downloads)
            .map_err(|error| archive_failure(&error))?;
        found.packages.retain(|package| package.name == PACKAGE);
        Ok(found)
    }

    /// One file of the package: all of them have several hundred megabytes.
    fn fetch_emulator(&self, recipe: &Recipe) -> Result<Done> {
        let session = self.session;
        let packages = self.download(&recipe.name, &self.emulator_package()?)?;
        session.check_interrupted()?;
        let package = packages.first().ok_or_else(|| {
            Failure::new(Kind::Build, format!("the archive of {} has no {PACKAGE}", tools::NAME))
        })?;
        let pending = session.pending()?;
        write(session, package, recipe, &pending.upper())?;
        let id = session.commit(pending, &recipe.name, Vec::new(), true)?;
        Ok(Done {
            state: State { tools: vec![id], ..State::default() },
            ran: true,
            ..Done::default()
        })
    }
}

fn write(session: &Session, package: &Path, recipe: &Recipe, directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the cache", &error);
    fs_err::create_dir_all(directory).map_err(io)?;
    let path = directory.join(&recipe.name);
    let mut file = fs_err::File::create_new(&path).map_err(io)?;
    debian::copy_file(package, &format!("usr/bin/{}", recipe.name), &mut file).map_err(
        |error| Failure::wrap(Kind::Build, format!("the emulator {}", recipe.name), &error),
    )?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755)).map_err(io)?;
    give(session, &path)?;
    give(session, directory)
}
