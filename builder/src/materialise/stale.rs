//! What killed builders left in a directory of the user's: files and directories aside that
//! nobody will name any more.
//!
//! Each is locked (flock(2)) as long as its builder lives, and the kernel lets go when that dies.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, OFlags, flock};

/// How hidden names begin.
pub(super) const PREFIX: &str = ".goldsmith-";
/// A builder has that long between making a name and locking it.
const YOUNG: Duration = Duration::from_secs(60);

/// Marks an open file or directory as in use until the last descriptor of it is closed. Where the
/// file system knows no locks, nothing is ever swept either.
pub(super) fn hold(file: &File) {
    let _unlocked = flock(file, FlockOperation::NonBlockingLockExclusive);
}

/// Removes what lies aside in `directory` and belongs to nobody. What cannot be looked at or
/// removed stays.
pub(super) fn sweep(directory: &Path) {
    let Ok(list) = fs_err::read_dir(directory) else { return };
    for entry in list.flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) && is_stale(&entry.path()) {
            let path = entry.path();
            let _left = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs_err::remove_dir_all(path),
                _ => fs_err::remove_file(path),
            };
        }
    }
}

fn is_stale(path: &Path) -> bool {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let opened = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let Ok(file) = opened else { return false };
    let Ok(data) = file.metadata() else { return false };
    // The time of the last change of anything, names included.
    let changed = Duration::from_secs(data.ctime().try_into().unwrap_or(0));
    let old = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|now| now.saturating_sub(changed) > YOUNG);
    let ours = data.uid() == rustix::process::geteuid().as_raw();
    let kind = data.is_file() || data.is_dir();
    old && ours && kind && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_young_held_or_somebody_elses_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs_err::write(path(".goldsmith-young"), "").unwrap();
        fs_err::write(path("other"), "").unwrap();
        fs_err::create_dir(path(".goldsmith-directory")).unwrap();
        std::os::unix::fs::symlink("other", path(".goldsmith-link")).unwrap();
        sweep(place.path());
        assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 4);
        assert!(!is_stale(&path(".goldsmith-link")), "a link is followed");
        assert!(!is_stale(&path(".goldsmith-none")));
    }

    #[test]
    fn locks_tell_who_lives() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(".goldsmith-x");
        let file = fs_err::File::create(&path).unwrap().into_parts().0;
        let free = || {
            let other = fs_err::File::open(&path).unwrap();
            flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok()
        };
        assert!(free());
        hold(&file);
        assert!(!free());
        let copy = file.try_clone().unwrap();
        drop(file);
        assert!(!free(), "a helper still writes to it");
        drop(copy);
        assert!(free());
    }
}
