//! The loop backend's disk: a loop device, file systems that the kernel mounts, and a view of
//! them with the ids of sandboxes. Only root can make one.

mod devices;
pub mod host;
mod mkfs;
mod written;

use std::os::unix::fs::{DirBuilderExt, lchown};
use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::{DiskLayout, Filesystem, FsKind, XfsOptions};
use goldsmith_images::disk::{frame, volumes};
use goldsmith_images::layer::{Limits, RootWriter, extract};
use goldsmith_images::tree::Normalise;
use goldsmith_runtime::DevicePlan;
use goldsmith_runtime::privileged::{MappedView, MountedDisk, PrivilegedError};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

pub use self::mkfs::BTRFS_PACKAGE;

use self::devices::Devices;
use self::written::{StandIn, Written};
use super::formats::Output;
use super::write::{Write, run_write};
use crate::base::jobs::chain;
use crate::error::{Failure, Kind, Result};
use crate::phase::session::Session;

/// A disk image under construction, attached and mounted.
#[derive(Debug)]
pub struct LoopImage<'a> {
    session: &'a Session,
    layout: &'a DiskLayout,
    file: &'a fs_err::File,
    /// Dropped, and with it unmounted, before the devices and the directory.
    mounts: MountedDisk,
    devices: Devices,
    /// In the place of file systems that nobody can write to.
    stand_ins: Vec<StandIn>,
    /// The tools container, bottom first.
    tools: &'a [PathBuf],
    /// Where all of it is mounted.
    place: tempfile::TempDir,
}

fn internal(what: &str) -> Failure {
    Failure::new(Kind::Internal, what)
}

fn host(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(Kind::Host, format!("the loop backend: {}", chain(error)))
        .hint("it needs root, /dev/loop-control and a kernel from 5.12 on; `--backend image` needs none of them")
}

fn privileged(error: PrivilegedError) -> Failure {
    host(&error)
}

/// Why a file system was not mounted. Linux before 6.7 mounts no two btrfs of one identifier; a
/// feature that the kernel does not know is an invalid argument.
fn unmounted(filesystem: &Filesystem, error: PrivilegedError) -> Failure {
    if let FsKind::Xfs(options) = filesystem.kind
        && options != XfsOptions::default()
        && error.kind() == std::io::ErrorKind::InvalidInput
    {
        return privileged(error).hint(format!(
            "this kernel may not know an option of {}: docs/disks.md",
            filesystem.name
        ));
    }
    if filesystem.kind != FsKind::Btrfs || error.kind() != std::io::ErrorKind::AlreadyExists {
        return privileged(error);
    }
    let what = format!(
        "{}: a btrfs with the identifier {} is mounted already, by another build perhaps",
        filesystem.name, filesystem.uuid
    );
    Failure::wrap(Kind::Host, what, &error)
        .hint("build again when that is gone; Linux 6.7 and `--backend image` have no such limit")
}

fn io(error: std::io::Error) -> Failure {
    host(&error)
}

impl<'a> LoopImage<'a> {
    /// Attaches `file`, makes the layout's file systems, an ext4 or a btrfs with the mkfs of the
    /// tools container (`tools`, bottom first; mke2fs from 1.44 on), and
    /// mounts them.
    ///
    /// # Errors
    ///
    /// When the kernel or mkfs refuses.
    pub fn create(
        session: &'a Session,
        layout: &'a DiskLayout,
        file: &'a fs_err::File,
        tools: &'a [PathBuf],
    ) -> Result<Self> {
        frame(layout, file).map_err(|error| host(&error))?;
        let devices = Devices::attach(layout, file.file())?;
        let place = tempfile::Builder::new()
            .prefix("loop-")
            .tempdir_in(session.store.run_dir())
            .map_err(io)?;
        let mounts = MountedDisk::default();
        let stand_ins = Vec::new();
        let mut image = Self { session, layout, file, mounts, devices, stand_ins, tools, place };
        image.make_nodes()?;
        for filesystem in image.in_order() {
            image.make(filesystem)?;
        }
        Ok(image)
    }

    /// File systems that hold files, each after the one that its mount point lies in.
    fn in_order(&self) -> Vec<&'a Filesystem> {
        let mut list: Vec<_> =
            self.layout.filesystems.iter().filter(|f| f.mount_point.is_some()).collect();
        list.sort_by_key(|f| f.mount_point.clone());
        list
    }

    /// File systems that are made and mounted nowhere, but for those that
    /// [`frame`] writes.
    fn unmounted(&self) -> impl Iterator<Item = &'a Filesystem> {
        let all = self.layout.filesystems.iter().filter(|f| f.mount_point.is_none());
        all.filter(|f| !matches!(f.kind, FsKind::Swap | FsKind::Xfs(_)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Device nodes that the sandboxes' root owns, on a tmpfs: a cache may be mounted nodev.
    fn make_nodes(&mut self) -> Result<()> {
        let dev = self.path("dev");
        for directory in [&dev, &self.path("stage"), &self.path("view")] {
            fs_err::create_dir(directory).map_err(io)?;
        }
        self.mounts.mount(Path::new("tmpfs"), "tmpfs", c"mode=755", &dev).map_err(privileged)?;
        self.devices.make_nodes(&dev, self.session.identity.outside_root())
    }

    /// The devices as sandboxes are lent them: disk and partitions under the kernel's own names,
    /// a volume under those that LVM gives it.
    ///
    /// # Errors
    ///
    /// When sysfs does not show one.
    pub fn devices(&self) -> Result<Vec<DevicePlan>> {
        let dev = self.path("dev");
        let mut lent = self.devices.lent(&dev)?;
        for stand_in in &self.stand_ins {
            let name = stand_in.name()?;
            lent.push(DevicePlan { source: dev.join(&name), name });
        }
        Ok(lent)
    }

    /// The disk, each partition in its order and each volume, as hooks find them.
    ///
    /// # Errors
    ///
    /// When sysfs does not show one.
    pub fn device_names(&self) -> Result<Vec<String>> {
        let names = self.devices.names()?.into_iter();
        Ok(names.map(|name| format!("/dev/{}", name.display())).collect())
    }

    /// Another way to `directory`, without what is mounted below it: an overlay refuses a lower
    /// directory with mounts below, and the cache, where this disk is mounted, may be there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn without_mounts(&mut self, directory: &Path) -> Result<PathBuf> {
        let point = self.path("output");
        fs_err::create_dir(&point).map_err(io)?;
        self.mounts.bind(directory, &point).map_err(privileged)?;
        Ok(point)
    }

    /// Where sandboxes find the whole tree, its owners mapped.
    pub fn view(&self) -> PathBuf {
        self.path("view")
    }

    fn make(&mut self, filesystem: &Filesystem) -> Result<()> {
        let Some(point) = &filesystem.mount_point else { return Ok(()) };
        let stage = below(&self.path("stage"), point);
        fs_err::create_dir_all(&stage).map_err(io)?;
        // Nobody sees it again once it is mounted over.
        let time = Timespec { tv_sec: self.layout.epoch, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, &stage, &times, AtFlags::empty()).map_err(|error| io(error.into()))?;
        match &filesystem.kind {
            FsKind::Swap => Ok(()),
            FsKind::Ext4(_) | FsKind::Xfs(_) | FsKind::Btrfs => {
                let device = Path::new("/dev").join(self.devices.name(filesystem.on)?);
                self.make_on(&device, filesystem, point)
            }
            kind @ (FsKind::Erofs | FsKind::Squashfs) => {
                let what = format!(
                    "{point}: nobody writes to a mounted {}: the kernel mounts an ext4 in its place, which goldsmith makes it of",
                    kind.fstab_name()
                );
                self.session.reporter.info(&what);
                let stand_in = StandIn::attach(filesystem, self.place.path())?;
                let name =
                    stand_in.make_node(&self.path("dev"), self.session.identity.outside_root())?;
                let ext4 = stand_in.filesystem(filesystem);
                self.stand_ins.push(stand_in);
                self.make_on(&Path::new("/dev").join(name), &ext4, point)
            }
            // Written by us when its files are complete: the kernel need not know FAT.
            FsKind::Vfat(_) => {
                let what = format!(
                    "{point}: goldsmith writes the FAT itself, the kernel mounts a directory for it"
                );
                self.session.reporter.info(&what);
                let files = self.fat_files(filesystem);
                std::fs::DirBuilder::new().mode(0o755).create(&files).map_err(io)?;
                self.mounts.bind(&files, &stage).map_err(privileged)
            }
        }
    }

    /// Makes the file system on a device and mounts it.
    fn make_on(&mut self, device: &Path, filesystem: &Filesystem, point: &str) -> Result<()> {
        if let Some(argv) = mkfs::command(filesystem, &device.to_string_lossy()) {
            mkfs::run(self.session, self.tools, self.devices()?, argv, &filesystem.name)?;
        }
        // The guest's kernel may clear the inode tables; here they would only grow the file.
        // The identifier is of the elements: another disk of theirs may be mounted. What the guest
        // does about errors (`-e panic`) is not for this machine.
        let options = match filesystem.kind {
            FsKind::Ext4(_) => c"noinit_itable,errors=remount-ro",
            FsKind::Xfs(_) => c"nouuid",
            _ => c"",
        };
        // One driver is for all of that family, and every kernel knows it by this name.
        let kind = match filesystem.kind {
            FsKind::Ext4(_) => "ext4",
            ref other => other.fstab_name(),
        };
        let point = below(Path::new("/stage"), point);
        self.mounts
            .mount_below(self.place.path(), device, kind, options, &point)
            .map_err(|error| unmounted(filesystem, error))
    }

    fn fat_files(&self, filesystem: &Filesystem) -> PathBuf {
        self.path(&format!("fat-{}", filesystem.name))
    }

    /// Copies the image's tree onto the disk and shows it at [`view`](Self::view).
    ///
    /// # Errors
    ///
    /// When the disk is too small or a layer cannot be read.
    pub fn fill(&mut self, layers: Vec<PathBuf>, rules: &Normalise) -> Result<()> {
        let message = Write {
            layers,
            rules: rules.clone(),
            layout: None,
            others: Vec::new(),
            made: Vec::new(),
            bios: None,
            aci_manifest: None,
            label: None,
            outputs: vec![Output::archive()],
            extra: Vec::new(),
            extra_to: None,
            extra_owner: 0,
        };
        let (reader, writer) = std::io::pipe().map_err(io)?;
        let stage = self.path("stage");
        std::thread::scope(|scope| {
            let identity = &self.session.identity;
            let sent = scope.spawn(move || {
                use std::os::fd::AsFd as _;
                run_write(identity, &message, &[writer.as_fd()])
            });
            let limits = Limits { whiteouts: false, list: false, ..Limits::default() };
            let root = RootWriter::open_mounted(&stage).map_err(|error| host(&error));
            let done = root.and_then(|mut root| {
                extract(reader, &mut root, &limits).map_err(|error| host(&error))?;
                root.finish().map_err(|error| host(&error))
            });
            let sent = sent.join().unwrap_or_else(|_panic| {
                Err(Failure::new(Kind::Internal, "the thread that reads the layers panicked"))
            });
            // A reader that gave up is why the sender did.
            done.and(sent)
        })?;
        self.show()
    }

    fn show(&mut self) -> Result<()> {
        let mapped = MappedView::new(&self.session.identity).map_err(privileged)?;
        let (stage, view) = (self.path("stage"), self.path("view"));
        let (uid, gid) = self.session.identity.outside_root();
        for filesystem in self.in_order() {
            let Some(point) = &filesystem.mount_point else { continue };
            match &filesystem.kind {
                FsKind::Swap => {}
                FsKind::Ext4(_)
                | FsKind::Xfs(_)
                | FsKind::Btrfs
                | FsKind::Erofs
                | FsKind::Squashfs => mapped
                    .show(&mut self.mounts, &below(&stage, point), &below(&view, point))
                    .map_err(privileged)?,
                FsKind::Vfat(_) => {
                    let files = self.fat_files(filesystem);
                    for entry in walkdir::WalkDir::new(&files) {
                        let entry = entry.map_err(|error| io(error.into()))?;
                        lchown(entry.path(), Some(uid), Some(gid)).map_err(io)?;
                    }
                    self.mounts.bind(&files, &below(&view, point)).map_err(privileged)?;
                }
            }
        }
        Ok(())
    }

    /// Drops what images do not keep, unmounts, writes the file systems that are ours to write and
    /// lets the devices go: the file is then the finished disk.
    ///
    /// # Errors
    ///
    /// When something is busy or the file cannot be written.
    pub fn finish(self, rules: &Normalise) -> Result<()> {
        super::jobs::run_tidy(&self.session.identity, self.view(), rules)?;
        // Dropped, and with it unmounted, before the directory.
        let mut kept = MountedDisk::default();
        let mut ours = Vec::new();
        for filesystem in self.in_order() {
            let Some(point) = &filesystem.mount_point else { continue };
            let stage = below(&self.path("stage"), point);
            match filesystem.kind {
                FsKind::Swap => {}
                FsKind::Vfat(_) => ours.push((filesystem, self.fat_files(filesystem))),
                FsKind::Ext4(_) | FsKind::Xfs(_) | FsKind::Btrfs => {
                    self.mounts.trim(&stage);
                    self.mounts.sync(&stage).map_err(privileged)?;
                }
                FsKind::Erofs | FsKind::Squashfs => {
                    self.mounts.sync(&stage).map_err(privileged)?;
                    // Without what is mounted below it.
                    let files = self.path(&format!("files-{}", filesystem.name));
                    fs_err::create_dir(&files).map_err(io)?;
                    kept.bind(&stage, &files).map_err(privileged)?;
                    ours.push((filesystem, files));
                }
            }
        }
        for filesystem in self.unmounted() {
            let files = self.path(&format!("files-{}", filesystem.name));
            std::fs::DirBuilder::new().mode(0o755).create(&files).map_err(io)?;
            ours.push((filesystem, files));
        }
        self.mounts.unmount().map_err(privileged)?;
        self.devices.detach()?;
        volumes(self.layout, self.file).map_err(|error| host(&error))?;
        let written = Written { session: self.session, tools: self.tools, layout: self.layout };
        for (filesystem, files) in ours {
            written.write(filesystem, files, rules, self.file)?;
        }
        kept.unmount().map_err(privileged)?;
        drop(self.stand_ins);
        self.file.sync_all().map_err(io)?;
        self.place.close().map_err(io)
    }
}

/// `point`, an absolute path of the image, below `root`.
fn below(root: &Path, point: &str) -> PathBuf {
    root.join(point.trim_start_matches('/'))
}
