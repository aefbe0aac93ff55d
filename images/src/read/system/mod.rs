//! Which file systems of a disk are mounted where, and the tree that they make together.

mod device;
mod walk;

use std::sync::Arc;

use super::format::{Format, Magic};
use super::lvm;
use super::medium::Medium;
use super::open_volume;
use super::partition::{PartitionError, Role, Slot, partitions};
use super::volume::{NodeKind, Volume, VolumeError, look_up, read_small};
use crate::tree::Tree;

/// Why a disk's tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// The partition table cannot be read.
    #[error(transparent)]
    Partitions(#[from] PartitionError),
    /// No file system that can be read has what was looked for.
    #[error("no file system here that can be read holds {wanted}; found: {found}")]
    Nothing {
        /// What was looked for.
        wanted: &'static str,
        /// What there is, for people.
        found: String,
        /// A format that was found and is not read.
        unread: Option<Format>,
    },
    /// A file system is damaged.
    #[error("{slot}: {path}")]
    Volume {
        /// Which.
        slot: Slot,
        /// The path that was read, or the mount point.
        path: String,
        /// What is wrong.
        source: VolumeError,
    },
    /// A logical volume that is not read is mounted where something was asked for.
    #[error("{slot}, mounted at {point}: {reason}")]
    Refused {
        /// Which.
        slot: Slot,
        /// The mount point.
        point: String,
        /// Why it is not read.
        reason: String,
    },
    /// The tree is larger than an honest one.
    #[error("{slot}: {what}")]
    Limit {
        /// Which.
        slot: Slot,
        /// What there is too much of.
        what: &'static str,
    },
}

/// What lies in a partition.
#[derive(Debug)]
pub struct Found {
    /// Which partition.
    pub slot: Slot,
    /// What the table says it is for.
    pub role: Role,
    /// Its identifier in the table, or device-mapper's name of a logical volume; empty when it has
    /// none.
    id: String,
    /// The format and its names, if it is a known one.
    pub magic: Option<Magic>,
    /// The file system, where it can be read.
    volume: Option<Arc<dyn Volume>>,
    /// Why what could be mounted cannot be read.
    refused: Option<String>,
    size: u64,
}

impl Found {
    /// Looks at what lies in a place.
    fn look(slot: Slot, role: Role, part: &Arc<dyn Medium>) -> Result<Self, SystemError> {
        let magic = Magic::find(part.as_ref()).map_err(PartitionError::from)?;
        let (mut volume, mut refused) = (None, None);
        let format = magic.as_ref().map(|magic| magic.format);
        if let Some(format) = format.filter(|format| format.is_read() || format.is_unread()) {
            match open_volume(Arc::clone(part), format) {
                Ok(opened) => volume = Some(opened),
                // It may not be what anybody asks for.
                Err(error @ VolumeError::Unsupported { .. }) => refused = Some(error.to_string()),
                Err(source) => return Err(volume_error(&slot, b"", source)),
            }
        }
        let (id, size) = (String::new(), part.size());
        Ok(Self { slot, role, id, magic, volume, refused, size })
    }
}

/// The file systems of a disk with their mount points, the root first.
#[derive(Debug)]
pub struct System {
    /// All partitions, then all logical volumes.
    pub found: Vec<Found>,
    /// Mount points (relative, empty for the root) and indices of `found`.
    mounts: Vec<(Vec<u8>, usize)>,
}

/// The most of an fstab that is read.
const FSTAB: u64 = 1 << 20;

impl System {
    /// Looks at all partitions of a disk, and the logical volumes on them, and finds out which file
    /// system is mounted where: the root is the one with an /etc, the others are found by its
    /// fstab, /boot and the EFI system partition by the types of their partitions too.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read or a file system that can be read is damaged.
    pub fn find(disk: &Arc<dyn Medium>) -> Result<Self, SystemError> {
        let mut found = Vec::new();
        let partitions = partitions(disk)?;
        for partition in &partitions {
            let part: Arc<dyn Medium> = Arc::clone(&partition.part) as _;
            let look = Found::look(partition.slot.clone(), partition.role, &part)?;
            found.push(Found { id: partition.id.clone(), ..look });
        }
        for lvm::LogicalVolume { slot, uuid: id, content } in lvm::volumes(&partitions)? {
            let role = Role::Other;
            found.push(match content {
                Ok(content) => Found { id, ..Found::look(slot, role, &(content as _))? },
                Err(reason) => {
                    let refused = Some(reason.to_string());
                    Found { slot, role, id, magic: None, volume: None, refused, size: 0 }
                }
            });
        }
        let mut system = Self { found, mounts: Vec::new() };
        let root = system.root()?;
        if let Some(root) = root {
            system.mounts.push((Vec::new(), root));
            system.fstab(root)?;
        }
        system.by_role();
        system.mounts.sort();
        Ok(system)
    }

    /// A disk that is one file system of a declared format, the root.
    ///
    /// # Errors
    ///
    /// When it is not of that format, or damaged.
    pub fn whole(disk: &Arc<dyn Medium>, format: Format) -> Result<Self, SystemError> {
        let slot = Slot::Whole;
        let volume = open_volume(Arc::clone(disk), format)
            .map_err(|source| volume_error(&slot, b"", source))?;
        let magic = Some(Magic { format, label: String::new(), uuid: String::new() });
        let (volume, size) = (Some(volume), disk.size());
        let (id, role) = (String::new(), Role::Root);
        let found = Found { slot, role, id, magic, volume, refused: None, size };
        Ok(Self { found: vec![found], mounts: vec![(Vec::new(), 0)] })
    }

    fn readable(&self) -> impl Iterator<Item = (usize, &Found, &Arc<dyn Volume>)> {
        let all = self.found.iter().enumerate();
        all.filter_map(|(index, found)| Some((index, found, found.volume.as_ref()?)))
    }

    /// The partition with /etc; of several the one that the table calls root, else the last.
    fn root(&self) -> Result<Option<usize>, SystemError> {
        let mut best = None;
        for (index, found, volume) in self.readable() {
            if matches!(found.role, Role::Efi | Role::Boot) {
                continue;
            }
            let etc = look_up(volume.as_ref(), b"etc")
                .map_err(|source| volume_error(&found.slot, b"etc", source))?;
            let rank = (etc.is_some(), found.role == Role::Root, index);
            if etc.is_some() && best.is_none_or(|other| rank > other) {
                best = Some(rank);
            }
        }
        Ok(best.map(|(_, _, index)| index))
    }

    /// Mounts what the root's fstab names by label or identifier, its own or its partition's, or
    /// as a logical volume.
    fn fstab(&mut self, root: usize) -> Result<(), SystemError> {
        let Some(Found { slot, volume: Some(volume), .. }) = self.found.get(root) else {
            return Ok(());
        };
        let failed = |source| volume_error(slot, b"etc/fstab", source);
        let file = look_up(volume.as_ref(), b"etc/fstab").map_err(failed)?;
        let Some(file) = file else { return Ok(()) };
        if volume.node(file).map_err(failed)?.kind != NodeKind::File {
            return Ok(());
        }
        let text = read_small(volume.as_ref(), file, FSTAB).map_err(failed)?;
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.split_whitespace();
            let (Some(what), Some(point)) = (words.next(), words.next()) else { continue };
            let options = words.nth(1).unwrap_or_default();
            let Some(point) = point.strip_prefix('/').filter(|point| !point.is_empty()) else {
                continue;
            };
            let wanted = |found: &Found| device::is(found, what);
            let readable = self.readable().find(|(_, found, _)| wanted(found));
            // What is refused is told when what is mounted there is asked for.
            let optional = options.split(',').any(|one| matches!(one, "noauto" | "nofail"));
            let refused = || {
                let found = self.found.iter();
                { found }.position(|f| f.refused.is_some() && !optional && wanted(f))
            };
            let index = readable.map(|(index, _, _)| index).or_else(refused);
            let point = point.trim_end_matches('/').as_bytes();
            let subvolume = options.split(',').find_map(|option| option.strip_prefix("subvol="));
            match (index, subvolume) {
                (Some(index), Some(path)) if self.is_readable(index) => {
                    self.mount_subvolume(point, index, path)?;
                }
                (Some(index), _) => self.mount(point, index),
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Mounts a part of a file system that may be mounted in several places.
    fn mount_subvolume(
        &mut self,
        point: &[u8],
        index: usize,
        path: &str,
    ) -> Result<(), SystemError> {
        let Some(Found { slot, role, size, volume: Some(volume), .. }) = self.found.get(index)
        else {
            return Ok(());
        };
        let (slot, role, size) = (slot.clone(), *role, *size);
        let part = volume.subvolume(path.as_bytes());
        let part = part.map_err(|source| volume_error(&slot, path.as_bytes(), source))?;
        if let Some(volume) = part {
            let volume = Some(volume);
            let (id, magic, refused) = (String::new(), None, None);
            self.found.push(Found { slot, role, id, magic, volume, refused, size });
            self.mount(point, self.found.len() - 1);
        }
        Ok(())
    }

    fn by_role(&mut self) {
        let label = |found: &Found| {
            found.magic.as_ref().is_some_and(|magic| magic.label.eq_ignore_ascii_case("boot"))
        };
        let first = |wanted: &dyn Fn(&Found) -> bool| {
            self.readable().find(|(_, found, _)| wanted(found)).map(|(index, _, _)| index)
        };
        // A boot partition whose root file system cannot be read may have neither, and an fstab
        // may name one by what nothing on the disk says.
        let kernel = |found: &Found| {
            let Some(volume) = found.volume.as_ref().filter(|_| found.role != Role::Efi) else {
                return false;
            };
            let names = volume.list(volume.root()).unwrap_or_default();
            names.iter().any(|entry| entry.name.starts_with(b"vmlinuz-"))
        };
        let boot = first(&|found| found.role == Role::Boot)
            .or_else(|| first(&label))
            .or_else(|| first(&kernel).filter(|_| !self.root_has_kernel()));
        let efi = first(&|found| found.role == Role::Efi);
        for (point, index) in [(&b"boot"[..], boot), (b"boot/efi", efi)] {
            if let Some(index) = index {
                self.mount(point, index);
            }
        }
    }

    /// Mounts a file system once, and one only at each place.
    fn mount(&mut self, point: &[u8], index: usize) {
        if self.mounts.iter().all(|(at, mounted)| at != point && *mounted != index) {
            self.mounts.push((point.to_vec(), index));
        }
    }

    fn is_readable(&self, index: usize) -> bool {
        self.found.get(index).is_some_and(|found| found.volume.is_some())
    }

    /// Whether the root file system, if there is one, has a kernel in its own /boot.
    fn root_has_kernel(&self) -> bool {
        let root = self.mounts.first().filter(|(point, _)| point.is_empty());
        let root = root.and_then(|(_, index)| self.found.get(*index)?.volume.as_ref());
        let Some(volume) = root else { return false };
        let boot = look_up(volume.as_ref(), b"boot").ok().flatten();
        let names = boot.and_then(|boot| volume.list(boot).ok()).unwrap_or_default();
        names.iter().any(|entry| entry.name.starts_with(b"vmlinu"))
    }

    /// Whether there is a root file system that can be read.
    pub fn has_root(&self) -> bool {
        self.mounts.first().is_some_and(|(point, _)| point.is_empty())
    }

    /// What is mounted where, for people.
    pub fn mounts(&self) -> Vec<(String, Slot)> {
        let all = self.mounts.iter();
        all.filter_map(|(point, index)| {
            let point = format!("/{}", String::from_utf8_lossy(point));
            Some((point, self.found.get(*index)?.slot.clone()))
        })
        .collect()
    }

    /// That nothing here has `wanted`, and what there is instead.
    pub fn nothing(&self, wanted: &'static str) -> SystemError {
        let named = |found: &Found| match (&found.magic, &found.refused) {
            (Some(magic), Some(reason)) if magic.format.is_read() => {
                Some(format!("{} in {} ({reason})", magic.format, found.slot))
            }
            (Some(magic), _) => Some(format!("{} in {}", magic.format, found.slot)),
            (None, Some(reason)) => Some(format!("{} ({reason})", found.slot)),
            (None, None) => None,
        };
        let list: Vec<_> = self.found.iter().filter_map(named).collect();
        let found = if list.is_empty() { "nothing known".to_owned() } else { list.join(", ") };
        let unread = self.found.iter().filter(|found| found.volume.is_none());
        let unread = unread.filter_map(|found| Some(found.magic.as_ref()?.format));
        // Swap next to it is not what is missing, nor physical volumes whose group is known.
        let known = self.found.iter().any(|found| matches!(found.slot, Slot::Volume { .. }));
        let unread = { unread }.rfind(|format| match format {
            Format::Swap => false,
            Format::Lvm => !known,
            _ => true,
        });
        SystemError::Nothing { wanted, found, unread }
    }

    /// The tree of what lies in `below` (relative, empty for all), all file systems in their
    /// places. Without a root file system there are only the others.
    ///
    /// # Errors
    ///
    /// When a file system is damaged, or holds more than fits on its disk.
    pub fn tree(&self, below: &[u8]) -> Result<Tree, SystemError> {
        walk::tree(self, below)
    }
}

/// That something of a place is damaged, or not read.
pub(super) fn volume_error(slot: &Slot, path: &[u8], source: VolumeError) -> SystemError {
    let slot = slot.clone();
    SystemError::Volume { slot, path: format!("/{}", String::from_utf8_lossy(path)), source }
}
