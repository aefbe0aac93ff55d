//! File systems of the loop backend that goldsmith writes, when their files are complete: a FAT,
//! which the kernel need not know, and those that it writes nothing to.

use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::{DiskLayout, Ext4Options, Filesystem, FsKind, Percent};
use goldsmith_images::disk::{Made, volume};
use goldsmith_images::tree::{Normalise, Tree};
use goldsmith_runtime::privileged::LoopDisk;

use super::{host, io, privileged};
use crate::error::{Failure, Kind, Result};
use crate::materialise::parts;
use crate::materialise::squashfs::Workshop;
use crate::phase::session::Session;

/// Bytes of an ext4 that stands in for another file system: more than that can hold, compressed or
/// not. Its file is sparse and has no name.
const ROOM: u64 = 64 << 30;

/// An ext4 in the place of a file system that nobody can write to.
#[derive(Debug)]
pub(super) struct StandIn {
    device: LoopDisk,
}

impl StandIn {
    /// Attaches a new file below `place`.
    pub(super) fn attach(filesystem: &Filesystem, place: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(place).map_err(io)?;
        file.set_len(ROOM).map_err(|error| {
            let what = format!("the files of {}, in the cache", filesystem.name);
            Failure::wrap(Kind::Host, what, &error)
        })?;
        Ok(Self { device: LoopDisk::attach_run(&file, 512, (0, ROOM)).map_err(privileged)? })
    }

    /// Its name below /dev.
    pub(super) fn name(&self) -> Result<PathBuf> {
        Ok(self.device.whole().map_err(privileged)?.name.into())
    }

    /// Makes its node in `dev` and returns the name.
    pub(super) fn make_node(&self, dev: &Path, owner: (u32, u32)) -> Result<PathBuf> {
        let node = self.device.whole().map_err(privileged)?;
        node.make(&dev.join(&node.name), owner).map_err(privileged)?;
        Ok(node.name.into())
    }

    /// What is made on it: with the label and the identifier of the other.
    pub(super) fn filesystem(&self, of: &Filesystem) -> Filesystem {
        let usual = Ext4Options::default();
        let features = usual.features.changed("^has_journal").unwrap_or(usual.features);
        let kind = FsKind::Ext4(Ext4Options {
            features,
            inode_ratio: 16 << 10,
            reserved_percent: Percent::whole(0),
            ..usual
        });
        Filesystem { kind, ..of.clone() }
    }
}

/// Writes file systems into a disk that nothing is mounted of any more.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) session: &'a Session,
    pub(super) tools: &'a [PathBuf],
    pub(super) layout: &'a DiskLayout,
}

impl Written<'_> {
    /// Writes the file system with the files at `files` into `disk`.
    pub(super) fn write(
        &self,
        filesystem: &Filesystem,
        files: PathBuf,
        rules: &Normalise,
        disk: &fs_err::File,
    ) -> Result<()> {
        let mut tree = Tree::merge(&[files]).map_err(|error| host(&error))?;
        // `lost+found` is of the ext4 that stands in.
        let own = (!matches!(filesystem.kind, FsKind::Vfat(_))).then(|| "lost+found".to_owned());
        let rules = Normalise {
            drop: own.into_iter().collect(),
            empty: Vec::new(),
            devices: false,
            ..rules.clone()
        };
        tree.normalise(&rules);
        let mut made = Made::default();
        if filesystem.kind != FsKind::Squashfs {
            return self.copy(filesystem, &tree, &made, disk);
        }
        let workshop = Workshop::open(self.session)?;
        let archive = workshop.archive().try_clone_to_owned().map_err(io)?;
        let root = parts::pack(&tree, archive.into()).map_err(|error| {
            Failure::new(Kind::Host, format!("the files of {}: {error}", filesystem.name))
        })?;
        let image = parts::make_one(
            self.session,
            &workshop,
            self.tools,
            &filesystem.name,
            root,
            rules.epoch,
        )?;
        made.insert(&filesystem.name, fs_err::File::from_parts(image, &filesystem.name));
        self.copy(filesystem, &tree, &made, disk)?;
        workshop.close()
    }

    fn copy(
        &self,
        filesystem: &Filesystem,
        tree: &Tree,
        made: &Made,
        disk: &fs_err::File,
    ) -> Result<()> {
        volume(self.layout, &filesystem.name, tree, made, disk)
            .map_err(|error| Failure::wrap(Kind::Build, "the disk", &error))
    }
}
