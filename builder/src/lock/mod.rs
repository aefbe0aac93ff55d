//! The lock file: what a build read, by digest, and builds that read nothing else.
//!
//! A lock is made by a build whose sandboxes reach the network only through a proxy that
//! writes down what it passes on ([`tape`]), and it is followed by the same proxy giving the
//! same answers. Bases, which goldsmith fetches itself, are pinned by digest.
//!
//! [`document`] is the file, [`gate`] stands before the network of sandboxes, [`pins`] before
//! what bases are made of, [`lost`] judges what upstream no longer gives, [`elements`] digests
//! elements, [`record`] writes down what a build was made of, [`news`] asks what upstream has.

mod classify;
pub mod document;
mod elements;
pub mod gate;
mod lost;
pub mod news;
pub mod pins;
mod record;
mod select;
pub mod tape;

pub use record::finish;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use goldsmith_images::digest::Digest;
use goldsmith_images::exchange::{Authority, Upstream};
use goldsmith_images::store::Store;

use crate::base::mirror::Mirror;
use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};
use crate::report::Reporter;
use crate::request::Request;
use document::{Archive, Base, Document};
use record::Recorded;
use tape::{Tape, Unknown};

/// The name that builds look for.
pub const NAME: &str = "goldsmith.lock";

/// Variables that say which proxies hooks use; under a lock there is one of goldsmith's.
const PROXIES: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// What a build does with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It makes one.
    Record,
    /// It reads what the lock has, and tells of the rest.
    Follow,
    /// It reads what the lock has and nothing else.
    Strict,
}

/// A lock that a build makes or follows.
#[derive(Debug)]
pub struct Lock {
    mode: Mode,
    /// The file, for messages.
    path: PathBuf,
    /// What is pinned of it, while one is made; all of it otherwise.
    tools: Option<Archive>,
    emulator: Option<Archive>,
    base: Option<Base>,
    elements: Option<Vec<document::Element>>,
    mirror: Option<Mirror>,
    /// Nobody may be asked for anything.
    offline: bool,
    tape: Arc<Tape>,
    authority: Arc<Authority>,
    /// Part of the keys of steps that reach the network.
    key: String,
    recorded: Mutex<Option<Recorded>>,
}

/// A failure that names everything in which a lock and the world differ.
fn drifted(what: &str, drifts: Vec<String>) -> Failure {
    let mut failure = Failure::new(Kind::Lock, format!("{what}: {}", drifts.join("; ")));
    if drifts.len() > 1 {
        failure = Failure::new(Kind::Lock, format!("{what} ({} differences)", drifts.len()));
        failure.hints = drifts.iter().map(|one| format!("- {one}")).collect();
    }
    failure
}

/// Reaches servers as the caller's variables say.
///
/// # Errors
///
/// When a proxy's address is malformed.
pub fn upstream(request: &Request) -> Result<Upstream> {
    Upstream::new(&crate::registry::settings::proxies(&request.env))
        .map_err(|error| Failure::wrap(Kind::Configuration, "proxy variables", &error))
}

fn authority() -> Result<Arc<Authority>> {
    let made = Authority::new();
    made.map(Arc::new).map_err(|error| Failure::wrap(Kind::Internal, "the proxy's key", &error))
}

impl Lock {
    /// The lock that a build follows: the file that the user names, else the one in the
    /// working directory if it is for the same elements.
    ///
    /// # Errors
    ///
    /// When the file is no lock, or `--locked` has none that fits.
    pub fn of(request: &Request, store: &Store, reporter: &Reporter) -> Result<Option<Self>> {
        let path = request.cwd.join(request.lock.as_deref().unwrap_or(Path::new(NAME)));
        // A finished tree is what it is: nothing of it is read from upstream.
        let none = request.lock.is_none() && (!path.exists() || request.tree.is_some());
        if !request.native || none {
            if request.locked {
                let message = format!("--locked: there is no {}", path.display());
                return Err(Failure::new(Kind::Usage, message)
                    .hint("`goldsmith lock` with the same arguments makes it"));
            }
            return Ok(None);
        }
        let document = Document::read(&path)?;
        let differences = differences(&document, request);
        if !differences.is_empty() {
            let what = format!("{} is for another build", path.display());
            let failure = drifted(&what, differences);
            if request.locked || request.lock.is_some() {
                return Err(failure);
            }
            reporter.warn(format!("{failure}; it is not used"));
            return Ok(None);
        }
        Self::follow(&document, &path, request, store).map(Some)
    }

    /// A build that follows `document`, read from `path`.
    ///
    /// # Errors
    ///
    /// When no key for the proxy can be made.
    pub fn follow(
        document: &Document,
        path: &Path,
        request: &Request,
        store: &Store,
    ) -> Result<Self> {
        let unknown = match request.locked || request.isolated {
            true => Unknown::Refuse,
            false => Unknown::Pass,
        };
        let fetches: Vec<_> = document.fetches().collect();
        let text = serde_json::to_vec(&fetches)
            .map_err(|error| Failure::wrap(Kind::Internal, "the lock", &error))?;
        let (bodies, upstream) = (store.downloads(), upstream(request)?);
        let held = document.fetches();
        let this = Self {
            mode: if request.locked { Mode::Strict } else { Mode::Follow },
            path: path.to_path_buf(),
            tools: Some(document.tools.clone()),
            emulator: document.emulator.clone(),
            base: document.base.clone(),
            elements: Some(document.element.clone()),
            mirror: Some(Mirror {
                archive: document.build.mirror.clone(),
                security: document.build.security.clone(),
            }),
            offline: request.isolated,
            tape: Arc::new(Tape::new(bodies, upstream, unknown, !request.isolated, held)),
            authority: authority()?,
            key: Digest::of(text).hex(),
            recorded: Mutex::new(None),
        };
        this.touch_downloads(&fetches, &store.downloads());
        Ok(this)
    }

    /// A build that makes the lock `path` and keeps what `before` says of everything that
    /// `names` do not mean.
    ///
    /// # Errors
    ///
    /// When no key for the proxy can be made, or a name means nothing of the lock.
    pub fn record(
        path: &Path,
        before: Option<(&Document, &[String])>,
        request: &Request,
        store: &Store,
    ) -> Result<Self> {
        let kept = before.map(|(document, names)| select::kept(document, names)).transpose()?;
        let fetches = kept.iter().flat_map(|kept| kept.fetches.iter());
        let (bodies, upstream) = (store.downloads(), upstream(request)?);
        let tape = Tape::new(bodies, upstream, Unknown::Record, true, fetches);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let chance = format!("{}/{}", std::process::id(), now.unwrap_or_default().as_nanos());
        Ok(Self {
            mode: Mode::Record,
            path: path.to_path_buf(),
            tools: kept.as_ref().and_then(|kept| kept.tools.clone()),
            emulator: kept.as_ref().and_then(|kept| kept.emulator.clone()),
            base: kept.as_ref().and_then(|kept| kept.base.clone()),
            mirror: before.map(|(document, _)| Mirror {
                archive: document.build.mirror.clone(),
                security: document.build.security.clone(),
            }),
            elements: kept.map(|kept| kept.elements),
            offline: false,
            tape: Arc::new(tape),
            authority: authority()?,
            key: Digest::of(chance).hex(),
            recorded: Mutex::new(None),
        })
    }

    /// Whether the build makes the lock.
    pub fn records(&self) -> bool {
        self.mode == Mode::Record
    }

    /// Whether nothing but what the lock has may be read.
    pub fn is_strict(&self) -> bool {
        self.mode == Mode::Strict
    }

    /// What keys of steps that reach the network contain.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The mirror that the lock was made with.
    pub fn mirror(&self) -> Option<&Mirror> {
        self.mirror.as_ref()
    }

    /// The request as hooks are to see it: online, and by no proxy of the caller's.
    pub fn settled(&self, request: &Request) -> Request {
        let mut request = Request { offline: false, ..request.clone() };
        request.env.retain(|name, _| !PROXIES.contains(&name.as_str()));
        request
    }

    /// Compares the elements of a build with those of the lock.
    ///
    /// # Errors
    ///
    /// When they differ and `--locked` is given, or one cannot be read.
    pub fn check(&self, graph: &ElementGraph, reporter: &Reporter) -> Result<()> {
        let Some(locked) = &self.elements else { return Ok(()) };
        let said = elements::differences(locked, &elements::all(graph)?);
        match self.mode {
            _ if said.is_empty() => {}
            Mode::Follow => {
                for one in said {
                    reporter.warn(format!("{}: {one}", self.path.display()));
                }
            }
            Mode::Strict => return Err(drifted(&self.path.display().to_string(), said)),
            // Only those that are not to be updated are compared.
            Mode::Record => {
                let relevant: Vec<_> =
                    said.into_iter().filter(|one| one.contains("has changed")).collect();
                if !relevant.is_empty() {
                    let what = "what is not to be updated has changed";
                    return Err(drifted(what, relevant).hint("name it, too, or nothing"));
                }
            }
        }
        Ok(())
    }

    /// Says what was read although the lock does not have it.
    pub fn tell(&self, step: &str, reporter: &Reporter) {
        for url in self.tape.take_passed() {
            let path = self.path.display();
            reporter.warn(format!("{step} fetched {url}, which {path} does not have"));
        }
    }
}

/// How the build that a lock is for differs from the one that is wanted.
fn differences(document: &Document, request: &Request) -> Vec<String> {
    let mut said = Vec::new();
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    if sorted(&document.build.elements) != sorted(&request.elements) {
        let (locked, now) = (document.build.elements.join(" "), request.elements.join(" "));
        said.push(format!("the elements are {now}, not {locked}"));
    }
    if document.build.arch != request.arch {
        said.push(format!("the architecture is {}, not {}", request.arch, document.build.arch));
    }
    if let Some(mirror) = request.mirror.as_deref().map(|mirror| mirror.trim_end_matches('/'))
        && mirror != document.build.mirror
    {
        said.push(format!("the mirror is {mirror}, not {}", document.build.mirror));
    }
    said
}
