//! Package caches that running builds share.
//!
//! Elements bind one cache of packages below `DIB_IMAGE_CACHE` into every image. Package
//! managers lock it, apt at once gives up, and others take the lock of another process
//! namespace for a dead one's. So phases that see such a cache take turns.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};

use super::paths;
use super::session::Session;
use super::state::RecordedMount;
use crate::error::{Failure, Kind, Result};

/// Where package managers have their caches in an image; what elements bind elsewhere
/// (ccache, pip) is made for several users at once.
const PLACES: [&str; 2] = ["/var/cache", "/tmp/yum"];
/// How often a lock is asked for.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to use the package caches among `mounts`, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _locks: Vec<File>,
}

/// Waits until no other build uses the package caches that `mounts` show; says so when that
/// takes time.
///
/// # Errors
///
/// When the user interrupts, or the kernel refuses a lock.
pub(super) fn turn(
    session: &Session,
    image_cache: &Path,
    phase: &str,
    mounts: &[RecordedMount],
) -> Result<Turn> {
    let mut locks = Vec::new();
    for path in shared(mounts) {
        let Some(directory) = open(image_cache, &path) else { continue };
        let place = image_cache.join(&path);
        wait(session, &directory, phase, &place)?;
        locks.push(directory);
    }
    Ok(Turn { _locks: locks })
}

/// The caches below `DIB_IMAGE_CACHE`, in an order that all builds keep.
fn shared(mounts: &[RecordedMount]) -> Vec<PathBuf> {
    let cache = format!("{}/image-create", paths::CACHE);
    let mut found: Vec<_> = mounts
        .iter()
        .filter(|mount| !mount.read_only)
        .filter(|mount| PLACES.iter().any(|place| mount.target.starts_with(place)))
        .filter_map(|mount| Some(mount.source.strip_prefix(&cache).ok()?.to_path_buf()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Opens a directory that a hook named. One that cannot be opened is left to the sandbox,
/// which will say so.
fn open(image_cache: &Path, path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(rustix::fs::CWD, image_cache, flags, Mode::empty()).ok()?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    openat2(&top, path, flags, Mode::empty(), resolve).ok().map(File::from)
}

fn wait(session: &Session, directory: &File, phase: &str, place: &Path) -> Result<()> {
    let mut told = false;
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                let what = format!("the lock of {}", place.display());
                return Err(Failure::wrap(Kind::Host, what, &error));
            }
        }
        if !told {
            session.reporter.info(format!(
                "{phase}: waiting for another build, which uses the package cache {}",
                place.display()
            ));
            told = true;
        }
        session.check_interrupted()?;
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writable_package_caches_are_taken_in_turn() {
        let mount = |source: &str, target: &str, read_only| RecordedMount {
            source: format!("{}/{source}", paths::CACHE).into(),
            target: target.into(),
            read_only,
        };
        let mounts = [
            mount("image-create/yum", "/tmp/yum", false),
            mount("image-create/apt/debian", "/var/cache/apt/archives", false),
            mount("image-create/apt/debian", "/var/cache/apt/more", false),
            mount("image-create/zypper", "/var/cache/zypp", true),
            mount("image-create/ccache", "/tmp/ccache", false),
            mount("lockfiles", "/var/cache/locks", false),
        ];
        assert_eq!(shared(&mounts), [Path::new("apt/debian"), Path::new("yum")]);
    }
}
