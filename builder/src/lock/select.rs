//! Which parts of a lock `goldsmith update NAME` makes anew, and which it keeps.

use super::classify::repository;
use super::document::{Archive, Base, Document, Element, Fetch};
use crate::error::{Failure, Kind, Result};

/// What stays as it is.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) tools: Option<Archive>,
    pub(super) emulator: Option<Archive>,
    pub(super) base: Option<Base>,
    pub(super) elements: Vec<Element>,
    pub(super) fetches: Vec<Fetch>,
}

/// Everything that no name means. A name is `tools`, `emulator` or `base`, an element, a package (which
/// comes with its archive), a suite, a repository, a host or an address.
///
/// # Errors
///
/// When a name means nothing.
pub(super) fn kept(document: &Document, names: &[String]) -> Result<Kept> {
    let mut kept = Kept {
        tools: Some(document.tools.clone()),
        emulator: document.emulator.clone(),
        base: document.base.clone(),
        elements: document.element.clone(),
        fetches: document.fetches().cloned().collect(),
    };
    for name in names {
        if !kept.forget(document, name) {
            let message = format!("{name} is nothing of the lock");
            return Err(Failure::new(Kind::Usage, message).hint(
                "`tools`, `emulator`, `base`, an element, a package, a suite, a repository's name, a host or an address",
            ));
        }
    }
    Ok(kept)
}

impl Kept {
    /// Drops what `name` means; whether it means something.
    fn forget(&mut self, document: &Document, name: &str) -> bool {
        let of = |archive: &Archive| {
            archive.package.iter().any(|package| package.name == name)
                || archive.release.iter().any(|release| release.suite == name)
        };
        let mut meant = false;
        if name == "tools" || of(&document.tools) {
            (self.tools, meant) = (None, true);
        }
        if document.emulator.as_ref().is_some_and(|archive| name == "emulator" || of(archive)) {
            (self.emulator, meant) = (None, true);
        }
        let in_base = matches!(&document.base, Some(Base::Debian(archive)) if of(archive));
        if document.base.is_some() && (name == "base" || in_base) {
            (self.base, meant) = (None, true);
        }
        let package = document.package.iter().any(|one| one.name.as_deref() == Some(name));
        let count = (self.elements.len(), self.fetches.len());
        self.elements.retain(|element| element.name != name);
        let release: Vec<_> = document.release.iter().map(|one| one.url.as_str()).collect();
        self.fetches.retain(|fetch| {
            let index = release.contains(&fetch.url.as_str());
            !(means(name, &fetch.url) || (index && (package || suite(&fetch.url) == Some(name))))
        });
        meant || count != (self.elements.len(), self.fetches.len())
            // Dropped already, for another name.
            || package
            || document.element.iter().any(|element| element.name == name)
            || document.fetches().any(|fetch| means(name, &fetch.url))
    }
}

/// The suite that a path of an archive belongs to.
pub(super) fn suite(url: &str) -> Option<&str> {
    url.split_once("/dists/")?.1.split('/').next()
}

/// Whether a name is an address, its host, or the repository that it belongs to.
fn means(name: &str, url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next();
    let cloned = repository(url).is_some_and(|repository| {
        let last = repository.rsplit('/').next().unwrap_or_default();
        name == repository || name == last || last.strip_suffix(".git") == Some(name)
    });
    name == url || host == Some(name) || cloned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_addresses_hosts_and_repositories() {
        let url = "https://git.example/team/tool.git/git-upload-pack";
        for name in ["tool", "tool.git", "git.example", "https://git.example/team/tool.git", url] {
            assert!(means(name, url), "{name}");
        }
        for name in ["team", "example", "to", ""] {
            assert!(!means(name, url), "{name}");
        }
        assert_eq!(suite("http://m/debian/dists/sid/main/binary-amd64/Packages.xz"), Some("sid"));
        assert_eq!(suite("http://m/debian/pool/a.deb"), None);
    }
}
