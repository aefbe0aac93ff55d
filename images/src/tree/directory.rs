//! A directory of the caller's as a tree: what lstat says of it, nothing of ours in it.
//!
//! Unlike a layer it may be anywhere, other file systems may be mounted below it, and somebody
//! may be changing it: what each path was like when it was listed is kept, to be compared
//! afterwards.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags, accessat,
    major, minor, openat, readlinkat, statat, statx,
};
use rustix::io::Errno;

use super::{Entry, Kind, Source, Tree, xattrs};
use crate::digest::Digesting;

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{call}({})", path.display())]
pub struct DirectoryError {
    /// The system call.
    pub call: &'static str,
    /// The path that it was about.
    pub path: PathBuf,
    /// The kernel's answer.
    pub source: io::Error,
}

/// What tells a path from what it was before; access times apart.
type Stamp = (u64, u64, u32, u32, u32, i64, (i64, u64), (i64, u64));

/// A directory as it was when it was listed.
#[derive(Debug)]
pub struct Directory {
    /// Its paths. Files are opened when they are read.
    pub tree: Tree,
    /// Sockets, which no archive holds: left out.
    pub sockets: Vec<Vec<u8>>,
    /// What is mounted below it: a directory is there without its content, all else left out.
    pub mounts: Vec<Vec<u8>>,
    stamps: BTreeMap<Vec<u8>, Stamp>,
}

impl Directory {
    /// Lists the directory; no file is opened yet.
    ///
    /// # Errors
    ///
    /// When something below it cannot be read by the caller.
    pub fn list(root: &Path) -> Result<Self, DirectoryError> {
        let failed = |call, source: io::Error| DirectoryError { call, path: root.into(), source };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, root, flags, Mode::empty());
        let top = opened.map_err(|error| failed("open", error.into()))?;
        let own = top.try_clone().map_err(|error| failed("dup", error))?;
        let tree = Tree { entries: Vec::new(), roots: vec![own].into(), volumes: Vec::new() };
        let mut walk = Walk {
            root,
            found: Self { tree, sockets: Vec::new(), mounts: Vec::new(), stamps: BTreeMap::new() },
            inodes: HashMap::new(),
        };
        walk.all(top)?;
        let Walk { mut found, inodes, .. } = walk;
        found.tree.entries.sort_by(|one, other| one.path.cmp(&other.path));
        let mut first: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        for entry in &mut found.tree.entries {
            let Some(inode) = inodes.get(&entry.path) else { continue };
            match first.get(inode) {
                Some(path) => entry.kind = Kind::Hardlink(path.clone()),
                None => drop(first.insert(*inode, entry.path.clone())),
            }
        }
        Ok(found)
    }

    /// Digest of what was listed: a directory in which anything is written has another.
    pub fn fingerprint(&self) -> String {
        let mut digesting = Digesting::new(io::sink());
        for (path, stamp) in &self.stamps {
            let line = format!("{} {stamp:?}\n", path.escape_ascii());
            // A sink takes everything.
            drop(io::Write::write_all(&mut digesting, line.as_bytes()));
        }
        digesting.finish().1.to_string()
    }

    /// A path that is not what it was in `before`, if there is one.
    pub fn changed_since(&self, before: &Self) -> Option<Vec<u8>> {
        let other = |path: &&Vec<u8>| self.stamps.get(*path) != before.stamps.get(*path);
        let changed: Vec<_> =
            self.stamps.keys().chain(before.stamps.keys()).filter(other).collect();
        let first = *changed.first()?;
        // A directory changes with what is in it: what is longest says most.
        let below = changed.iter().filter(|path| path.starts_with(first));
        below.max_by_key(|path| path.len()).map(|path| (*path).clone())
    }
}

struct Walk<'a> {
    root: &'a Path,
    found: Directory,
    /// Files with several names.
    inodes: HashMap<Vec<u8>, (u64, u64)>,
}

impl Walk<'_> {
    fn failed(&self, call: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> DirectoryError {
        let path = self.root.join(OsStr::from_bytes(path));
        move |error| DirectoryError { call, path, source: error.into() }
    }

    /// Depth first without recursion; directories with unvisited ones below stay open.
    fn all(&mut self, top: OwnedFd) -> Result<(), DirectoryError> {
        let stat = statat(&top, "", AtFlags::EMPTY_PATH).map_err(self.failed("stat", b""))?;
        self.add(top.as_fd(), OsStr::new("."), Vec::new(), Kind::Dir, &stat)?;
        let mut waiting: Vec<(Vec<u8>, Rc<OwnedFd>)> = Vec::new();
        let mut visit = Some((Vec::new(), Rc::new(top)));
        while let Some((path, directory)) = visit {
            let below = self.directory(&path, directory.as_fd())?;
            waiting.extend(below.into_iter().map(|path| (path, Rc::clone(&directory))));
            drop(directory);
            visit = waiting.pop().map(|(path, parent)| self.open(path, &parent)).transpose()?;
        }
        Ok(())
    }

    fn open(
        &self,
        path: Vec<u8>,
        parent: &OwnedFd,
    ) -> Result<(Vec<u8>, Rc<OwnedFd>), DirectoryError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let opened = openat(parent, OsStr::from_bytes(name), flags, Mode::empty());
        let fd = opened.map_err(self.failed("open", &path))?;
        Ok((path, Rc::new(fd)))
    }

    /// Takes one directory's entries in; returns its sub-directories.
    fn directory(
        &mut self,
        path: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<Vec<Vec<u8>>, DirectoryError> {
        let mut below = Vec::new();
        for item in Dir::read_from(directory).map_err(self.failed("getdents", path))? {
            let item = item.map_err(self.failed("getdents", path))?;
            let name = item.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let full = [path, separator, name].concat();
            if self.take(&full, OsStr::from_bytes(name), directory)? {
                below.push(full);
            }
        }
        Ok(below)
    }

    /// Takes one entry in; tells whether it is a directory to go into.
    fn take(
        &mut self,
        path: &[u8],
        name: &OsStr,
        parent: BorrowedFd<'_>,
    ) -> Result<bool, DirectoryError> {
        let stat =
            statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(self.failed("stat", path))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mounted = self.is_mounted(path, name, parent)?;
        if mounted {
            self.found.mounts.push(path.to_vec());
        }
        if kind == FileType::Socket {
            self.found.sockets.push(path.to_vec());
        }
        if kind == FileType::Socket || mounted && kind != FileType::Directory {
            return Ok(false);
        }
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match kind {
            FileType::Directory => Kind::Dir,
            FileType::Symlink => {
                let text =
                    readlinkat(parent, name, Vec::new()).map_err(self.failed("readlink", path))?;
                Kind::Symlink(text.into_bytes())
            }
            FileType::CharacterDevice => Kind::Char { major, minor },
            FileType::BlockDevice => Kind::Block { major, minor },
            FileType::Fifo => Kind::Fifo,
            _ => {
                // Told before anything else is done, not in the middle of it.
                accessat(parent, name, Access::READ_OK, AtFlags::EACCESS)
                    .map_err(self.failed("open", path))?;
                if stat.st_nlink > 1 {
                    self.inodes.insert(path.to_vec(), (stat.st_dev, stat.st_ino));
                }
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                Kind::File { size, source: Source::Layer { layer: 0 } }
            }
        };
        let enter = kind == Kind::Dir && !mounted;
        self.add(parent, name, path.to_vec(), kind, &stat)?;
        Ok(enter)
    }

    /// Whether another file system, or another part of one, is mounted there.
    fn is_mounted(
        &self,
        path: &[u8],
        name: &OsStr,
        parent: BorrowedFd<'_>,
    ) -> Result<bool, DirectoryError> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let told =
            statx(parent, name, flags, StatxFlags::TYPE).map_err(self.failed("statx", path))?;
        Ok(told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    fn add(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: Vec<u8>,
        kind: Kind,
        stat: &Stat,
    ) -> Result<(), DirectoryError> {
        let xattrs =
            xattrs::of(parent, name).map_err(|(call, error)| self.failed(call, &path)(error))?;
        let changed = (stat.st_ctime, stat.st_ctime_nsec);
        let stamp = (
            stat.st_dev,
            stat.st_ino,
            stat.st_mode,
            stat.st_uid,
            stat.st_gid,
            stat.st_size,
            (stat.st_mtime, stat.st_mtime_nsec),
            changed,
        );
        self.found.stamps.insert(path.clone(), stamp);
        self.found.tree.entries.push(Entry {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            mtime_nsec: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            xattrs,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_what_lstat_says_and_changes_are_named() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        fs_err::create_dir_all(at("etc/deep")).unwrap();
        fs_err::write(at("etc/one"), "content").unwrap();
        fs_err::hard_link(at("etc/one"), at("etc/two")).unwrap();
        std::os::unix::fs::symlink("one", at("etc/link")).unwrap();
        fs_err::write(place.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("etc/socket")).unwrap();
        let before = Directory::list(place.path()).unwrap();
        let paths: Vec<_> = before.tree.entries.iter().map(|e| e.path.as_slice()).collect();
        let all: [&[u8]; 7] =
            [b"", b"etc", b"etc/deep", b"etc/link", b"etc/one", b"etc/two", b"\xff"];
        assert_eq!(paths, all);
        assert_eq!(before.sockets, [b"etc/socket".to_vec()]);
        assert!(before.mounts.is_empty());
        let two = before.tree.get(b"etc/two").unwrap();
        assert_eq!(two.kind, Kind::Hardlink(b"etc/one".to_vec()));
        let mut archive = Vec::new();
        before.tree.write_tar(&mut archive).unwrap();
        assert!(archive.windows(7).any(|window| window == b"content"));

        let same = Directory::list(place.path()).unwrap();
        assert_eq!((same.changed_since(&before), same.fingerprint()), (None, before.fingerprint()));
        fs_err::set_permissions(at("etc/deep"), PermissionsExt::from_mode(0o700)).unwrap();
        let other = Directory::list(place.path()).unwrap();
        assert_eq!(other.changed_since(&before), Some(b"etc/deep".to_vec()));
        assert_ne!(other.fingerprint(), before.fingerprint());
        fs_err::write(at("etc/deep/new"), "").unwrap();
        let grown = Directory::list(place.path()).unwrap();
        assert_eq!(grown.changed_since(&other), Some(b"etc/deep/new".to_vec()));
        fs_err::remove_file(at("etc/deep/new")).unwrap();
        let shrunk = Directory::list(place.path()).unwrap();
        assert_eq!(shrunk.changed_since(&grown), Some(b"etc/deep/new".to_vec()));
    }
}
