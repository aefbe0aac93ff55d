//! What bases are made of: taken from the lock, or compared with it.

use std::path::Path;

use goldsmith_images::digest::Digest;
use goldsmith_images::fetch::sum_of;
use goldsmith_images::import::debian::{self, ArchiveSpec};
use goldsmith_images::oci::Reference;

use super::document::{Archive, Base};
use super::{Lock, Mode, drifted};
use crate::base::{Source, tools};
use crate::error::{Failure, Result};
use crate::report::Reporter;

impl Lock {
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
        let path = downloads.join(source.sum.to_string().replace(':', "-"));
        let found = || sum_of(&path, source.sum.algorithm());
        if !self.offline || found().is_ok_and(|found| found == source.sum) {
            return Ok(());
        }
        Err(self.gone(vec![format!("{} ({}) is not in the cache", source.url, source.sum)]))
    }

    fn gone(&self, missing: Vec<String>) -> Failure {
        drifted(&self.path.display().to_string(), missing)
            .hint("without --offline it is fetched again, and taken only if it is the same")
    }
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
