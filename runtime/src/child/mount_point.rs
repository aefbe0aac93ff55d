//! Finds the place of a mount below the root and makes what is missing of it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// The kernel follows no more symlinks than that in one path either.
const MOST_LINKS: usize = 40;

/// A file or directory that was made so that something can be mounted on it.
#[derive(Debug)]
pub(super) struct MadePoint {
    pub(super) parent: OwnedFd,
    pub(super) name: OsString,
    pub(super) directory: bool,
}

/// Opens `target` below `root`, making what is missing of it; a file or a directory.
///
/// Symlinks mean what they would mean after chroot(2), those that dangle too: the
/// `resolv.conf` of many images points into an empty `/run`. The walk holds a descriptor of
/// every directory on its way, so `..` and symlinks cannot lead it out of the root, whatever
/// happens to the tree meanwhile.
pub(super) fn mount_point(
    root: &Path,
    target: &Path,
    directory: bool,
) -> Result<(OwnedFd, Vec<MadePoint>), String> {
    let text = |error: Errno| format!("mount point {}: {error}", target.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(CWD, root, flags, Mode::empty()).map_err(text)?;
    let mut walk = Walk { way: vec![top], rest: VecDeque::new(), links: 0, made: Vec::new() };
    walk.prepend(target.as_os_str());
    walk.finish(directory).map_err(text)?;
    let Walk { mut way, made, .. } = walk;
    let end = way.pop().ok_or_else(|| text(Errno::NOENT))?;
    Ok((end, made))
}

struct Walk {
    /// From the root to where the walk is.
    way: Vec<OwnedFd>,
    /// Components still to go.
    rest: VecDeque<OsString>,
    links: usize,
    made: Vec<MadePoint>,
}

impl Walk {
    fn prepend(&mut self, path: &OsStr) {
        let path = Path::new(path);
        if path.is_absolute() {
            self.way.truncate(1);
        }
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        for (index, name) in names.enumerate() {
            self.rest.insert(index, name);
        }
    }

    fn finish(&mut self, directory: bool) -> Result<(), Errno> {
        while let Some(name) = self.rest.pop_front() {
            if name == ".." {
                if self.way.len() > 1 {
                    self.way.pop();
                }
                continue;
            }
            let here = self.way.last().ok_or(Errno::NOENT)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(here, &name, flags, Mode::empty()) {
                Ok(next) => self.step(next)?,
                Err(Errno::NOENT) => {
                    let directory = directory || !self.rest.is_empty();
                    self.make(name, directory)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn step(&mut self, next: OwnedFd) -> Result<(), Errno> {
        let kind = FileType::from_raw_mode(fstat(&next)?.st_mode);
        if kind != FileType::Symlink {
            self.way.push(next);
            return Ok(());
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let link = readlinkat(&next, "", Vec::new())?;
        self.prepend(OsStr::from_bytes(link.as_bytes()));
        Ok(())
    }

    fn make(&mut self, name: OsString, directory: bool) -> Result<(), Errno> {
        let parent = self.way.last().ok_or(Errno::NOENT)?;
        let next = if directory {
            mkdirat(parent, &name, Mode::from_raw_mode(0o755))?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(parent, &name, flags, Mode::empty())?
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(parent, &name, flags | OFlags::WRONLY, Mode::from_raw_mode(0o644))?
        };
        let parent = rustix::io::fcntl_dupfd_cloexec(parent, 0)?;
        self.made.push(MadePoint { parent, name, directory });
        self.way.push(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn inode(fd: &OwnedFd) -> u64 {
        fstat(fd).unwrap().st_ino
    }

    #[test]
    fn links_stay_inside_and_missing_parts_are_made() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        for directory in ["etc", "usr/lib"] {
            fs_err::create_dir_all(root.join(directory)).unwrap();
        }
        fs_err::create_dir(place.path().join("outside")).unwrap();
        for (link, to) in [
            ("etc/resolv.conf", "../run/resolve/stub.conf"),
            ("lib", "usr/lib"),
            ("up", "../../outside"),
            ("host", "/outside"),
        ] {
            symlink(to, root.join(link)).unwrap();
        }
        for (target, directory, lands, made) in [
            ("/etc", true, "etc", 0),
            ("/lib/x", true, "usr/lib/x", 1),
            ("/etc/resolv.conf", false, "run/resolve/stub.conf", 3),
            ("/up/new", true, "outside/new", 2),
            ("/host/../../etc", true, "etc", 0),
            ("/", true, "", 0),
        ] {
            let (end, points) = mount_point(&root, Path::new(target), directory).unwrap();
            assert_eq!(points.len(), made, "{target}");
            assert_eq!(inode(&end), fs_err::metadata(root.join(lands)).unwrap().ino(), "{target}");
        }
        assert_eq!(fs_err::read_dir(place.path().join("outside")).unwrap().count(), 0);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let place = tempfile::tempdir().unwrap();
        symlink("b", place.path().join("a")).unwrap();
        symlink("a", place.path().join("b")).unwrap();
        let error = mount_point(place.path(), Path::new("/a/x"), true).unwrap_err();
        assert!(error.contains("/a/x"), "{error}");
    }
}
