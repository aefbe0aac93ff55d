//! The walk over the file systems of a disk, which makes one tree of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::partition::Slot;
use super::super::volume::{NodeKind, Volume, VolumeError};
use super::{Found, System, SystemError, volume_error};
use crate::tree::{Entry, Kind, Source, Tree};

/// The longest path (PATH_MAX); no program could name a longer one.
const PATH: usize = 4096;
/// The most bytes of names and attributes of a whole tree: they are kept in memory.
const NAMES: u64 = 512 << 20;

/// The tree of what lies in `below`.
pub(super) fn tree(system: &System, below: &[u8]) -> Result<Tree, SystemError> {
    let points: HashSet<&[u8]> = system.mounts.iter().map(|(at, _)| at.as_slice()).collect();
    let mut walk =
        Walk { points, below, names: NAMES, entries: Vec::new(), counted: HashSet::new() };
    let mut volumes = Vec::new();
    for (point, index) in &system.mounts {
        let Some(Found { slot, size, volume, refused, .. }) = system.found.get(*index) else {
            continue;
        };
        if let Some(reason) = refused.clone().filter(|_| walk.wanted(point)) {
            let point = format!("/{}", String::from_utf8_lossy(point));
            return Err(SystemError::Refused { slot: slot.clone(), point, reason });
        }
        let Some(volume) = volume else { continue };
        let disk = Disk { slot, index: volumes.len(), size: *size, volume };
        walk.volume(&disk, point)?;
        volumes.push(Arc::clone(volume));
    }
    // Names that lead to one inode: the first is the file, the others are links to it.
    walk.entries.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let mut first: HashMap<(usize, u64), Vec<u8>> = HashMap::new();
    let mut entries = Vec::with_capacity(walk.entries.len());
    for (mut entry, several) in walk.entries {
        if let Some(inode) = several {
            match first.get(&inode) {
                Some(path) => entry.kind = Kind::Hardlink(path.clone()),
                None => {
                    first.insert(inode, entry.path.clone());
                }
            }
        }
        entries.push(entry);
    }
    Ok(Tree::of_volumes(entries, volumes))
}

/// A file system that is walked.
struct Disk<'a> {
    slot: &'a Slot,
    index: usize,
    size: u64,
    volume: &'a Arc<dyn Volume>,
}

/// Where the entries of all file systems go.
struct Walk<'a> {
    points: HashSet<&'a [u8]>,
    below: &'a [u8],
    /// Bytes of names and attributes that are left.
    names: u64,
    /// With the volume and number of files of several names.
    entries: Vec<(Entry, Option<(usize, u64)>)>,
    /// Those of several names whose content was counted.
    counted: HashSet<(usize, u64)>,
}

impl Walk<'_> {
    /// Whether a path is asked for, or leads to what is.
    fn wanted(&self, path: &[u8]) -> bool {
        let under = |path: &[u8], of: &[u8]| {
            of.is_empty()
                || path.strip_prefix(of).is_some_and(|r| r.is_empty() || r.starts_with(b"/"))
        };
        under(path, self.below) || under(self.below, path)
    }

    fn volume(&mut self, disk: &Disk<'_>, point: &[u8]) -> Result<(), SystemError> {
        let volume = disk.volume.as_ref();
        let root = volume.root();
        let mut seen = HashSet::from([root]);
        let mut taken = 0u64;
        let mut waiting = vec![(point.to_vec(), root)];
        if self.wanted(point) {
            self.entry(disk, point, root, &mut taken)?;
        }
        while let Some((path, id)) = waiting.pop() {
            if !self.wanted(&path) {
                continue;
            }
            let failed = |source| volume_error(disk.slot, &path, source);
            let limit = |what| SystemError::Limit { slot: disk.slot.clone(), what };
            let mut names = HashSet::new();
            for name in volume.list(id).map_err(failed)? {
                let mut full = path.clone();
                if !full.is_empty() {
                    full.push(b'/');
                }
                full.extend_from_slice(&name.name);
                if full.len() > PATH {
                    return Err(limit("a path is too long"));
                }
                if !names.insert(name.name) {
                    let twice = VolumeError::damaged("the directory", "it names a file twice");
                    return Err(volume_error(disk.slot, &full, twice));
                }
                // What lies below a mount point is hidden by what is mounted there.
                if !self.wanted(&full) || self.points.contains(full.as_slice()) {
                    continue;
                }
                if self.entry(disk, &full, name.id, &mut taken)? {
                    if !seen.insert(name.id) {
                        let twice = VolumeError::damaged("the directory", "it has two names");
                        return Err(volume_error(disk.slot, &full, twice));
                    }
                    waiting.push((full, name.id));
                }
            }
        }
        Ok(())
    }

    /// Counts bytes that stay in memory.
    fn count(&mut self, disk: &Disk<'_>, bytes: usize) -> Result<(), SystemError> {
        let left = self.names.checked_sub(bytes as u64);
        let what = "the names and attributes of all files are too long";
        let slot = disk.slot.clone();
        self.names = left.ok_or(SystemError::Limit { slot, what })?;
        Ok(())
    }

    /// Takes one entry in; tells whether it is a directory.
    fn entry(
        &mut self,
        disk: &Disk<'_>,
        path: &[u8],
        id: u64,
        taken: &mut u64,
    ) -> Result<bool, SystemError> {
        let failed = |source| volume_error(disk.slot, path, source);
        let limit = |what| SystemError::Limit { slot: disk.slot.clone(), what };
        self.count(disk, path.len() + 64)?;
        let node = disk.volume.node(id).map_err(failed)?;
        let several = node.kind == NodeKind::File && node.links > 1;
        let inode = several.then_some((disk.index, id));
        let kind = match node.kind {
            NodeKind::Dir => {
                *taken = taken.saturating_add(node.size);
                Kind::Dir
            }
            NodeKind::Symlink => Kind::Symlink(disk.volume.link(id).map_err(failed)?),
            NodeKind::Char(major, minor) => Kind::Char { major, minor },
            NodeKind::Block(major, minor) => Kind::Block { major, minor },
            NodeKind::Fifo => Kind::Fifo,
            NodeKind::Socket => Kind::Socket,
            NodeKind::File => {
                // A further name costs nothing.
                if inode.is_none_or(|inode| self.counted.insert(inode)) {
                    let content = disk.volume.content(id).map_err(failed)?;
                    *taken = taken.saturating_add(content.taken);
                }
                Kind::File { size: node.size, source: Source::Volume { volume: disk.index, id } }
            }
        };
        // Blocks that files share would multiply.
        if *taken > disk.volume.capacity(disk.size) {
            return Err(limit("its files hold more data than the disk has"));
        }
        let directory = kind == Kind::Dir;
        let xattrs = disk.volume.xattrs(id).map_err(failed)?;
        self.count(disk, xattrs.iter().map(|(name, value)| name.len() + value.len()).sum())?;
        let entry = Entry {
            path: path.to_vec(),
            kind,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime.0,
            mtime_nsec: node.mtime.1,
            xattrs,
        };
        self.entries.push((entry, inode));
        Ok(directory)
    }
}
