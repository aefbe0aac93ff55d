//! Bases that goldsmith makes itself: the image's and the tools container's.

mod archive;
pub mod containerfile;
mod directory;
mod emulator;
mod form;
mod image;
mod import;
#[cfg(test)]
mod import_tests;
pub mod jobs;
mod keyrings;
pub mod mirror;
mod oci;
mod pin;
mod rootfs;
pub mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use goldsmith_images::fetch::Client;
use goldsmith_images::import::debian::{
    self, ArchiveSpec, DebianError, Keyring, Package, Progress, Release, Resolution,
    configure_script,
};
use goldsmith_runtime::{
    ExitStatus, FormatPlan, Network, Privilege, RootPlan, SandboxPlan, Stdin, UserPlan,
};

use crate::element::base_yaml::Image;
use crate::error::{Failure, Kind, Result};
use crate::lock::Lock;
use crate::phase::cache::{Done, Recipe};
use crate::phase::key::KeyBuilder;
use crate::phase::session::Session;
use crate::phase::state::State;
use crate::report::{Event, Reporter};
use crate::request::Request;
pub use archive::archive;
pub use emulator::{Emulation, formats_of_tree};
pub use image::{Source, Trust};

/// A base whose releases are known and verified.
#[derive(Debug, Clone)]
pub struct BasePlan {
    /// Its name and key.
    pub recipe: Recipe,
    /// When what it is made of was published, in seconds since the epoch; images do not
    /// always say.
    pub epoch: Option<i64>,
    /// The name that `run --image` knows it by, for instance `debian:bookworm/amd64`.
    pub reference: String,
    origin: Origin,
}

/// Where a base comes from.
#[derive(Debug, Clone)]
enum Origin {
    /// An archive whose releases are known and verified.
    Debian {
        /// What to bootstrap.
        spec: ArchiveSpec,
        /// The releases.
        releases: Vec<Release>,
        /// The packages, when a lock says which.
        packages: Option<Vec<Package>>,
    },
    /// An image of a registry whose digest is known.
    Oci(oci::OciBase),
    /// A published image whose checksum is known.
    Image {
        /// Its address, as the element has it.
        asked: String,
        /// What that stands for.
        source: Source,
    },
    /// A tree that an earlier build finished.
    Finished(rootfs::FinishedTree),
    /// A container file on an image of a registry.
    File(Box<containerfile::FileBase>),
}

impl BasePlan {
    /// The published image that it is, if it is one.
    pub fn source(&self) -> Option<&Source> {
        match &self.origin {
            Origin::Image { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Changes whenever other packages are chosen, or the same are laid down differently.
const UNPACKER: &str = "6";

/// Changes whenever the tree of an image is read or laid down differently.
const IMPORTER: &str = "1";

/// How long verified release files are believed before the mirror is asked again.
const RELEASES_SECONDS: u64 = 3600;

/// What a bootstrap works with.
#[derive(Debug)]
pub struct Bootstrap<'a> {
    /// Store, identity, reporter.
    pub session: &'a Session,
    /// Fetches.
    pub client: Client,
    /// Keys that are believed for the image.
    pub keyring: Keyring,
    /// Keys that are believed for the tools container, which is Debian in any case.
    pub tools_keyring: Keyring,
    /// Use what was fetched before, ask nobody.
    pub offline: bool,
    /// Who runs the image's programs, when this machine does not.
    pub emulation: Option<Emulation>,
    /// What sandboxes are given for that, once it was fetched.
    formats: OnceLock<Vec<FormatPlan>>,
    /// Where variables name how registries are reached.
    env: BTreeMap<String, String>,
    /// The same as `offline` for images, which elements fetch where archives are not asked.
    images_offline: bool,
    /// Take an image that nobody vouches for.
    insecure: bool,
    /// Where paths of the user's begin.
    directory: PathBuf,
}

impl<'a> Bootstrap<'a> {
    /// Prepares for `request`: proxies and keys are chosen.
    ///
    /// # Errors
    ///
    /// When a keyring cannot be read or the HTTP client cannot be made.
    pub fn new(session: &'a Session, request: &Request) -> Result<Self> {
        let client = Client::new(&crate::registry::settings::proxies(&request.env))
            .map_err(|error| Failure::wrap(Kind::Configuration, "proxy variables", &error))?;
        let named = request.env.get("DIB_APT_KEYRING").or(request.env.get("DIB_DEBIAN_KEYRING"));
        let (keyring, tools_keyring) = keyrings::choose(named.map(String::as_str))?;
        Ok(Self {
            session,
            client,
            keyring,
            tools_keyring,
            offline: request.isolated,
            emulation: None,
            formats: OnceLock::new(),
            env: request.env.clone(),
            images_offline: request.isolated || request.offline,
            insecure: request.insecure_base,
            directory: request.cwd.clone(),
        })
    }

    /// Plans the base that `spec` describes: its key is known once its releases are.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached or does not verify.
    pub fn plan(&self, name: &str, spec: ArchiveSpec) -> Result<BasePlan> {
        let locked = match &self.session.lock {
            Some(lock) => lock.archive(name, &spec, &self.session.reporter)?,
            None => None,
        };
        let (releases, packages) = match locked.map(|locked| locked.resolution()) {
            Some(Resolution { releases, packages }) => (releases, Some(packages)),
            None => (self.releases(name, &spec)?, None),
        };
        let epoch = releases.iter().map(|release| release.date).max();
        let text = serde_json::to_string(&spec).unwrap_or_default();
        let mut key = KeyBuilder::new("bootstrap")
            .part("unpacker", UNPACKER)
            .part("spec", text)
            .part("script", configure_script());
        for release in &releases {
            key = key.part("release", release.digest.to_string());
        }
        if let Some(packages) = &packages {
            key = key.part("packages", serde_json::to_string(packages).unwrap_or_default());
        }
        if let Some(emulation) = self.emulation.as_ref().filter(|_| name != tools::NAME) {
            key = key.parent(&emulation.key());
        }
        let recipe = Recipe { name: name.to_owned(), key: key.finish(), networked: false };
        let suite = spec.suites.first().map_or("", |suite| suite.name.as_str());
        let reference = format!("debian:{suite}/{}", spec.arch);
        Ok(BasePlan {
            recipe,
            epoch,
            reference,
            origin: Origin::Debian { spec, releases, packages },
        })
    }

    /// Plans the base that is a published image; `element` is the directory of the element
    /// that asks for it.
    ///
    /// # Errors
    ///
    /// When nobody vouches for the image, or its publisher cannot be reached.
    pub fn plan_image(&self, image: &Image, element: &Path, arch: &str) -> Result<BasePlan> {
        let locked = match &self.session.lock {
            Some(lock) => lock.image(&image.url, &self.session.reporter)?,
            None => None,
        };
        let source = match locked {
            Some(source) => source.clone(),
            None => self.source(image, element)?,
        };
        if source.trust == Trust::Insecure {
            self.session.reporter.warn(format!("the base is {}", source.describe()));
        }
        let key = KeyBuilder::new("image")
            .part("importer", IMPORTER)
            .part("sum", source.sum.to_string())
            .part("form", String::from(source.form));
        let recipe = Recipe { name: "base".to_owned(), key: key.finish(), networked: false };
        let name = element.file_name().unwrap_or_default().to_string_lossy();
        let reference = format!("image:{name}/{arch}");
        let epoch = source.made();
        let origin = Origin::Image { asked: image.url.clone(), source };
        Ok(BasePlan { recipe, epoch, reference, origin })
    }

    /// Makes a base, or takes it from the cache; its data is the digest of its layer.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached or does not verify, packages do not fit, or one of
    /// them cannot be configured.
    pub fn make(&self, plan: &BasePlan) -> Result<Done> {
        self.session.step(&plan.recipe, &Done::default(), || match &plan.origin {
            Origin::Debian { spec, .. } => self.bootstrap(plan, spec, self.resolution(plan)?),
            Origin::Oci(image) => self.take(image),
            Origin::Image { source, .. } => self.import(&plan.recipe.name, source),
            Origin::Finished(tree) => self.lay_down(tree),
            Origin::File(base) => self.follow(base),
        })
    }

    /// Whether everybody is asked again what names stand for: whoever makes a lock, or a part of
    /// it anew, wants what is there now.
    fn anew(&self) -> bool {
        self.session.refresh || self.session.lock.as_ref().is_some_and(Lock::records)
    }

    /// Verified release files: fresh ones, or those of the last hour.
    fn releases(&self, name: &str, spec: &ArchiveSpec) -> Result<Vec<Release>> {
        let text = serde_json::to_string(&spec.suites).unwrap_or_default();
        let key =
            KeyBuilder::new("releases").part("suites", text).part("arch", &spec.arch).finish();
        let store = &self.session.store;
        let stored = store.step(key.as_str()).ok().flatten();
        let age = |value: &serde_json::Value| {
            now().saturating_sub(value["created"].as_u64().unwrap_or_default())
        };
        if let Some(value) = &stored
            && (self.offline || (!self.anew() && age(value) < RELEASES_SECONDS))
            && let Ok(releases) = serde_json::from_value(value["releases"].clone())
        {
            return Ok(releases);
        }
        if self.offline {
            let message =
                format!("the archive of {name} was never fetched, and --offline forbids it");
            return Err(Failure::new(Kind::Build, message).hint("build once without --offline"));
        }
        let time = i64::try_from(now()).unwrap_or(i64::MAX);
        let keyring = if name == tools::NAME { &self.tools_keyring } else { &self.keyring };
        let releases = debian::releases(spec, keyring, &self.client, time)
            .map_err(|error| archive_failure(&error))?;
        let record = serde_json::json!({
            "created": now(), "snapshots": [], "releases": releases,
        });
        store
            .put_step(key.as_str(), &record)
            .map_err(|error| crate::phase::session::store_failure(&error))?;
        Ok(releases)
    }

    fn bootstrap(&self, plan: &BasePlan, spec: &ArchiveSpec, found: Resolution) -> Result<Done> {
        let name = plan.recipe.name.as_str();
        let session = self.session;
        let packages = self.download(name, &found)?;
        session.check_interrupted()?;
        let pending = session.pending()?;
        let root = pending.upper();
        jobs::run_unpack(&session.identity, &packages, &root, &spec.arch)?;
        let epoch = plan.epoch.unwrap_or_default();
        self.configure(name, &root, epoch)?;
        let digest = jobs::run_settle(&session.identity, &root, epoch)?;
        let id = session.commit(pending, name, Vec::new(), true)?;
        let state = State { mnt: vec![id], ..State::default() };
        Ok(Done { state, data: serde_json::Value::String(digest), ran: true })
    }

    /// Runs maintainer scripts, without a network; those that write the day down, as for
    /// passwords in /etc/shadow, take it from `epoch`.
    fn configure(&self, name: &str, root: &Path, epoch: i64) -> Result<()> {
        let plan = SandboxPlan {
            id_hint: name.to_owned(),
            root: RootPlan::Directory(root.to_path_buf()),
            argv: ["/bin/sh", "-c", configure_script()].map(str::to_owned).to_vec(),
            env: vec![
                ("HOME".into(), "/root".into()),
                ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
                ("SOURCE_DATE_EPOCH".into(), epoch.to_string()),
            ],
            cwd: "/".into(),
            mounts: Vec::new(),
            devices: Vec::new(),
            formats: if name == tools::NAME { Vec::new() } else { self.formats()? },
            network: Network::None,
            hostname: "goldsmith".into(),
            privilege: Privilege::Package,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: None,
            stdin: Stdin::Null,
        };
        let ran = self.session.run(name, &plan)?;
        if ran.outcome.status == ExitStatus::Code(0) {
            return Ok(());
        }
        let mut failure =
            Failure::new(Kind::Build, format!("packages of {name} cannot be configured"));
        let tail = ran.watch.tail();
        let space = self.session.space_hint(&tail);
        failure.hints.extend(tail.iter().map(|line| format!("  | {line}")).chain(space));
        Err(failure)
    }
}

/// What failed at the archive, as people see it.
fn archive_failure(error: &DebianError) -> Failure {
    use goldsmith_images::fetch::FetchError;
    match error {
        DebianError::Release(_) => Failure::wrap(Kind::Verification, "the archive", error)
            .hint("DIB_APT_KEYRING names a keyring with the archive's keys"),
        DebianError::Fetch(FetchError::Mismatch { .. }) => {
            Failure::wrap(Kind::Verification, "the archive", error)
                .hint("the mirror is broken or being updated; name another by --mirror")
        }
        DebianError::Fetch(FetchError::Write { .. }) => {
            Failure::wrap(Kind::Host, "the cache", error)
                .hint("set GOLDSMITH_CACHE to a directory on a local file system with free space")
        }
        DebianError::Solve(_) => Failure::wrap(Kind::Configuration, "the base", error)
            .hint("see `include` and `suite` in the element's base.yaml"),
        _ => Failure::wrap(Kind::Build, "the archive", error)
            .hint("name a mirror that this machine reaches by --mirror or DIB_DISTRIBUTION_MIRROR"),
    }
}

struct Download<'a> {
    reporter: &'a Reporter,
    what: String,
}

impl Progress for Download<'_> {
    fn bytes(&self, done: u64, total: u64) {
        self.reporter.event(&Event::Transfer { what: self.what.clone(), done, total });
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
