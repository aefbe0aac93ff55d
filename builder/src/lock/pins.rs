//! What bases are made of: taken from the lock, or compared with it.

use std::path::{Path, PathBuf};

use goldsmith_images::digest::Digest;
use goldsmith_images::fetch::sum_of;
use goldsmith_images::import::debian::{self, ArchiveSpec};
use goldsmith_images::oci::Reference;
use goldsmith_images::store;

use super::document::{Archive, Base, Fetch};
use super::tape::body_path;
use super::{Lock, Mode, drifted};
use crate::base::{Source, tools};
use crate::error::{Failure, Kind, Result};
use crate::report::Reporter;

impl Lock {
    /// Notes that everything which the lock names is in use, also when the build takes its steps
    /// from the cache: `store gc` goes by when a download was used last.
    pub(super) fn touch_downloads(&self, fetches: &[&Fetch], downloads: &Path) {
        let used = |path: PathBuf| store::touch(&path);
        for digest in fetches.iter().flat_map(|one| [Some(one.digest), one.sent]).flatten() {
            used(body_path(downloads, &digest));
        }
        let base = match &self.base {
            Some(Base::Debian(archive)) => Some(archive),
            Some(Base::Image(image)) => {
                used(image_path(&image.source, downloads));
                None
            }
            _ => None,
        };
        for archive in self.tools.iter().chain(&self.emulator).chain(base) {
            let packages = archive.resolution().packages;
            packages.iter().for_each(|one| used(debian::path_of(one, downloads)));
        }
    }

    /// What the base `name` that `spec` describes consists of, by the lock.
    ///
    /// # Errors
    ///
    /// When the lock has another one and `--locked` is given.
    pub fn archive(
        &self,
        name: &str,
        spec: &ArchiveSpec,
        reporter: &Reporter,
    ) -> Result<Option<&Archive>> {
        let locked = match (&self.tools, &self.base) {
            (tools, _) if name == tools::NAME => tools.as_ref(),
            (_, Some(Base::Debian(archive))) => Some(archive),
            _ => None,
        };
        let said = match locked {
            Some(locked) => differences(name, &locked.spec(), spec),
            None => vec![format!("{name}: it is not made of Debian packages in the lock")],
        };
        self.judge(said, reporter)?;
        Ok(locked.filter(|locked| locked.spec() == *spec))
    }

    /// What the emulator that `spec` describes is from, by the lock.
    ///
    /// # Errors
    ///
    /// When the lock has another one or none, and `--locked` is given.
    pub fn emulator(&self, spec: &ArchiveSpec, reporter: &Reporter) -> Result<Option<&Archive>> {
        let said = match &self.emulator {
            Some(locked) => differences("emulator", &locked.spec(), spec),
            None => vec!["emulator: the lock has none".to_owned()],
        };
        self.judge(said, reporter)?;
        Ok(self.emulator.as_ref().filter(|locked| locked.spec() == *spec))
    }

    /// Tells of an emulator of the host's, `name`, which is nothing that a lock could have.
    ///
    /// # Errors
    ///
    /// When a lock is made, or `--locked` is given.
    pub fn hosts_emulator(&self, name: &str, reporter: &Reporter) -> Result<()> {
        if self.records() {
            let message = format!("the build cannot be locked: {name} of this host takes part");
            return Err(Failure::new(Kind::Configuration, message)
                .hint("where sandboxes have emulators of their own, one of the archive is locked")
                .hint("`goldsmith doctor` says what this kernel lacks for that"));
        }
        self.judge(
            vec![format!("emulator: it is {name} of this host, which no lock has")],
            reporter,
        )
    }

    /// The published image that `asked` stands for, by the lock.
    ///
    /// # Errors
    ///
    /// When the lock has another one and `--locked` is given.
    pub fn image(&self, asked: &str, reporter: &Reporter) -> Result<Option<&Source>> {
        match &self.base {
            Some(Base::Image(image)) if image.asked == asked => Ok(Some(&image.source)),
            _ => {
                self.judge(vec![format!("base: {asked} is not in the lock")], reporter)?;
                Ok(None)
            }
        }
    }

    /// What an image of a registry is, by the lock.
    ///
    /// # Errors
    ///
    /// When the lock has another one and `--locked` is given.
    pub fn reference(&self, asked: &Reference, reporter: &Reporter) -> Result<Option<Digest>> {
        let name = asked.to_string();
        match &self.base {
            Some(Base::Oci(image)) if image.reference == name => Ok(Some(image.digest)),
            _ => {
                self.judge(vec![format!("base: {name} is not in the lock")], reporter)?;
                Ok(None)
            }
        }
    }

    fn judge(&self, said: Vec<String>, reporter: &Reporter) -> Result<()> {
        match self.mode {
            _ if said.is_empty() => {}
            Mode::Record => {}
            Mode::Follow => {
                said.iter()
                    .for_each(|one| reporter.warn(format!("{}: {one}", self.path.display())));
            }
            Mode::Strict => return Err(drifted(&self.path.display().to_string(), said)),
        }
        Ok(())
    }

    /// Fails for packages that only the network could give when it is forbidden.
    ///
    /// # Errors
    ///
    /// Names the first one and how many there are.
    pub fn need(&self, packages: &[debian::Package], downloads: &Path) -> Result<()> {
        if !self.offline {
            return Ok(());
        }
        let there = |one: &&debian::Package| {
            let path = debian::path_of(one, downloads);
            fs_err::metadata(path).is_ok_and(|data| data.len() == one.size)
        };
        let missing: Vec<_> = packages
            .iter()
            .filter(|one| !there(one))
            .map(|one| format!("{} ({}) is not in the cache", one.url, one.digest))
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(self.gone(missing)),
        }
    }

    /// Fails for an image that only the network could give when it is forbidden.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn need_image(&self, source: &Source, downloads: &Path) -> Result<()> {
        let path = image_path(source, downloads);
        let found = || sum_of(&path, source.sum.algorithm());
        if !self.offline || found().is_ok_and(|found| found == source.sum) {
            return Ok(());
        }
        Err(self.gone(vec![format!("{} ({}) is not in the cache", source.url, source.sum)]))
    }

    /// The failure for an image of a registry that only the network could give when it is
    /// forbidden.
    pub fn lacks(&self, what: &str) -> Failure {
        self.gone(vec![format!("{what} is not in the cache")])
    }

    fn gone(&self, missing: Vec<String>) -> Failure {
        drifted(&self.path.display().to_string(), missing)
            .hint("without --offline it is fetched again, and taken only if it is the same")
    }
}

/// Where a published image lies.
fn image_path(source: &Source, downloads: &Path) -> PathBuf {
    downloads.join(source.sum.to_string().replace(':', "-"))
}

fn differences(name: &str, locked: &ArchiveSpec, now: &ArchiveSpec) -> Vec<String> {
    let mut said = Vec::new();
    let mut compare = |what: &str, locked: String, now: String| {
        if locked != now {
            said.push(format!("{name}: {what} is {now}, not {locked}"));
        }
    };
    let suites = |spec: &ArchiveSpec| {
        let list: Vec<_> = spec
            .suites
            .iter()
            .map(|one| format!("{} {} {}", one.mirror, one.name, one.components.join(" ")))
            .collect();
        list.join(", ")
    };
    compare("the archive", suites(locked), suites(now));
    compare("the architecture", locked.arch.clone(), now.arch.clone());
    compare("the variant", format!("{:?}", locked.variant), format!("{:?}", now.variant));
    compare("the list of packages", locked.include.join(" "), now.include.join(" "));
    compare("the list of packages left out", locked.exclude.join(" "), now.exclude.join(" "));
    said
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::lock::document::{Document, PublishedImage};
    use crate::request::Request;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// `store gc` goes by the last use: a build that follows a lock uses all of it, whatever it
    /// takes from the cache.
    #[test]
    fn what_a_lock_names_is_used_by_every_build_that_follows_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = store::Store::open(directory.path()).unwrap();
        let source = serde_json::json!({
            "url": "http://h/i.raw", "sum": format!("sha256:{}", Digest::of("image").hex()),
            "form": "raw", "trust": "pinned",
        });
        let source: Source = serde_json::from_value(source).unwrap();
        let image = PublishedImage { asked: source.url.clone(), source: source.clone() };
        let mut document = Document::example();
        document.base = Some(Base::Image(image));
        document.tools.package[0].digest = Digest::of("package");
        document.release[0].digest = Digest::of("body");
        document.git[0].request[0].sent = Some(Digest::of("question"));
        let downloads = store.downloads();
        let package = document.tools.resolution().packages.remove(0);
        let needed = [
            debian::path_of(&package, &downloads),
            image_path(&source, &downloads),
            body_path(&downloads, &Digest::of("body")),
            body_path(&downloads, &Digest::of("question")),
        ];
        let nobodys = body_path(&downloads, &Digest::of("nobody's"));
        for path in needed.iter().chain([&nobodys]) {
            fs_err::write(path, "x").unwrap();
            let file = fs_err::File::options().write(true).open(path).unwrap();
            file.file().set_modified(SystemTime::now() - 20 * DAY).unwrap();
        }
        let request = Request::new(std::collections::BTreeMap::new(), "/".into()).unwrap();
        Lock::follow(&document, Path::new("x.lock"), &request, &store).unwrap();
        assert_eq!(store.collect(14 * DAY).unwrap().downloads, 1);
        assert!(!nobodys.exists());
        for path in needed {
            assert!(path.exists(), "{}", path.display());
        }
    }

    #[test]
    fn an_emulator_of_the_host_is_in_no_lock() {
        let place = tempfile::tempdir().unwrap();
        let store = store::Store::open(place.path()).unwrap();
        let reporter = Reporter::new(crate::report::Options::default());
        let mut request = Request::new(Default::default(), place.path().to_path_buf()).unwrap();
        let path = place.path().join("goldsmith.lock");
        let made = Lock::record(&path, None, &request, &store).unwrap();
        let failure = made.hosts_emulator("qemu-arm", &reporter).unwrap_err();
        assert_eq!(failure.kind, Kind::Configuration);
        assert!(failure.message.contains("qemu-arm"), "{failure}");
        let document = Document::example();
        let follow = Lock::follow(&document, &path, &request, &store).unwrap();
        follow.hosts_emulator("qemu-arm", &reporter).unwrap();
        request.locked = true;
        let strict = Lock::follow(&document, &path, &request, &store).unwrap();
        assert_eq!(strict.hosts_emulator("qemu-arm", &reporter).unwrap_err().kind, Kind::Lock);

        // Of the archive it is the one that the lock has.
        let spec = document.emulator.as_ref().unwrap().spec();
        assert!(strict.emulator(&spec, &reporter).unwrap().is_some());
        let other = ArchiveSpec { include: vec!["other".into()], ..spec.clone() };
        assert!(follow.emulator(&other, &reporter).unwrap().is_none());
        let failure = strict.emulator(&other, &reporter).unwrap_err();
        assert!(failure.message.contains("emulator: the list of packages is other"), "{failure}");
        let none = Document { emulator: None, ..document };
        let strict = Lock::follow(&none, &path, &request, &store).unwrap();
        let failure = strict.emulator(&spec, &reporter).unwrap_err();
        assert!(failure.message.contains("the lock has none"), "{failure}");
    }
}
