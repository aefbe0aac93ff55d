//! The namespace job that writes outputs: the finished tree is read once for all archives,
//! and once for all disks.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::disk::sink::{RawSink, Tee, copy_raw};
use goldsmith_images::disk::{self, BiosBoot, BootFiles, Made, WriteError};
use goldsmith_images::layer::{Attributes, RootWriter};
use goldsmith_images::tree::{Archives, Kind, Normalise, Packing, Tree};
use goldsmith_runtime::{Identity, JobInput};
use serde::{Deserialize, Serialize};

use super::formats::{Output, disk_sink, needs_scratch};
use super::oci::{self, Label};
use super::parts::Which;
use crate::base::jobs::chain;
use crate::error::{self, Failure, Result, says_no_space};
use crate::phase::jobs::{call, request};
use crate::request::ImageType;

/// What to write.
#[derive(Debug, Serialize, Deserialize)]
pub struct Write {
    /// The image's layers, bottom first.
    pub layers: Vec<PathBuf>,
    /// Rules that make the tree the same every time.
    pub rules: Normalise,
    /// The disk, when an output is one.
    pub layout: Option<DiskLayout>,
    /// Disks beside it, which have no boot code.
    pub others: Vec<DiskLayout>,
    /// `boot.img` and `core.img` of GRUB for BIOS.
    pub bios: Option<(Vec<u8>, Vec<u8>)>,
    /// The manifest of an ACI.
    pub aci_manifest: Option<Vec<u8>>,
    /// What images for registries say of themselves, when an output is one.
    pub label: Option<Label>,
    /// Finished file systems of the disks, whose files are the job's first ones.
    pub made: Vec<Which>,
    /// The outputs; their files follow, in this order. Behind them comes the
    /// [`scratch`](super::formats::needs_scratch) file, if they need one; then those of
    /// `others`.
    pub outputs: Vec<Output>,
    /// Layers of new files for the output directory.
    pub extra: Vec<PathBuf>,
    /// Where those go.
    pub extra_to: Option<PathBuf>,
    /// Who owns them: the caller, as the job numbers users.
    pub extra_owner: u32,
}

/// What was written beside the outputs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Written {
    /// Files of the output directory, by their paths below `extra_to`.
    pub extra: Vec<PathBuf>,
    /// Permission bits, owner, group and time of the tree's root: not every reader of an
    /// archive takes them from it.
    pub root: (u32, u32, u32, i64),
    /// The file system that could not be written, and why; then the outputs are of no use.
    pub refused: Option<(String, String)>,
}

impl Written {
    /// The failure of a disk that cannot be written: with the line of the configuration where
    /// the file system of that name stands, if `place` knows it.
    ///
    /// # Errors
    ///
    /// When a file system could not be written.
    pub fn check(&self, place: impl Fn(&str) -> Option<String>) -> Result<()> {
        let Some((name, why)) = &self.refused else { return Ok(()) };
        Err(Failure::new(
            error::Kind::Build,
            match place(name) {
                Some(place) => format!("{place}: {name}: {why}"),
                None => format!("{name}: {why}"),
            },
        ))
    }
}

/// Why no disk was written.
enum Unwritten {
    /// A file system holds too little, or other things than the tree: its name, and why.
    Filesystem(String, String),
    Other(String),
}

impl From<String> for Unwritten {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl From<&str> for Unwritten {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<WriteError> for Unwritten {
    fn from(error: WriteError) -> Self {
        let text = chain(&error);
        match error.filesystem() {
            // Not the file system's fault.
            Some(_) if says_no_space(&text) => Self::Other(text),
            Some(name) => Self::Filesystem(name.to_owned(), text),
            None => Self::Other(text),
        }
    }
}

/// Writes outputs into `files`.
///
/// # Errors
///
/// When the tree does not fit, a file cannot be read or written.
pub fn run_write(
    identity: &Identity,
    message: &Write,
    files: &[BorrowedFd<'_>],
) -> Result<Written> {
    call(identity, "write", message, files)
}

type Done<T> = std::result::Result<T, String>;

fn text(error: std::io::Error) -> String {
    chain(&error)
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn write(input: JobInput) -> Done<serde_json::Value> {
    let message: Write = request(&input)?;
    let mut files = input.files.into_iter().map(File::from);
    let mut made: Vec<Made> = Vec::new();
    for ((disk, name), file) in message.made.iter().zip(files.by_ref()) {
        made.resize_with(made.len().max(disk + 1), Made::default);
        let file = fs_err::File::from_parts(file, "a finished file system in the cache");
        made[*disk].insert(name, file);
    }
    made.resize_with(made.len().max(message.others.len() + 1), Made::default);
    let mut written = Written::default();
    if !message.outputs.is_empty() {
        let mut tree = Tree::merge(&message.layers).map_err(|error| chain(&error))?;
        tree.normalise(&message.rules);
        if let Some(root) = tree.entries.first() {
            written.root = (root.mode, root.uid, root.gid, root.mtime);
        }
        let outputs: Vec<_> = message.outputs.iter().zip(files.by_ref()).collect();
        let (disks, archives) =
            outputs.into_iter().partition::<Vec<_>, _>(|(output, _)| output.kind.is_disk());
        write_archives(&message, &tree, archives)?;
        let scratch = if needs_scratch(&message.outputs) { files.next() } else { None };
        let done = write_disks(&message, (&tree, &made[0]), disks, scratch)
            .and_then(|()| write_others(&message, &tree, &made[1..], files));
        match done {
            Ok(()) => {}
            Err(Unwritten::Other(text)) => return Err(text),
            Err(Unwritten::Filesystem(name, why)) => {
                written.refused = Some((name, why));
                return serde_json::to_value(written).map_err(|error| error.to_string());
            }
        }
    }
    if let Some(to) = &message.extra_to {
        written.extra = export(&message.extra, to, message.extra_owner)?;
    }
    serde_json::to_value(written).map_err(|error| error.to_string())
}

fn write_archives(message: &Write, tree: &Tree, outputs: Vec<(&Output, File)>) -> Done<()> {
    let mut tars = Archives::default();
    for (output, file) in outputs {
        let packing = match output.kind {
            ImageType::Aci => {
                let writer = std::io::BufWriter::with_capacity(1 << 20, file);
                let manifest = message.aci_manifest.as_deref();
                tree.write_aci(manifest, message.rules.epoch, writer).map_err(text)?;
                continue;
            }
            ImageType::Oci | ImageType::OciDir | ImageType::Docker => {
                let label = message.label.as_ref().ok_or("an image without a label")?;
                oci::write(&message.layers, &message.rules, label, output.kind, file)?;
                continue;
            }
            ImageType::Tgz => Packing::Gzip,
            ImageType::TarZst => Packing::Zstd,
            // A squashfs is made from an archive, see `squashfs`.
            _ => Packing::None,
        };
        let name = match output.kind {
            ImageType::Squashfs => super::squashfs::ARCHIVE_NAME.to_owned(),
            other => format!("the {} file", other.name()),
        };
        tars.push(packing, fs_err::File::from_parts(file, name)).map_err(text)?;
    }
    if !tars.is_empty() {
        tree.write_tar(&mut tars).map_err(text)?;
    }
    tars.finish().map_err(text)
}

/// Writes all disks at once; those that want the disk from its beginning to its end are made
/// from the raw one afterwards, which lies in `scratch` when no output is raw.
fn write_disks(
    message: &Write,
    (tree, made): (&Tree, &Made),
    outputs: Vec<(&Output, File)>,
    scratch: Option<File>,
) -> std::result::Result<(), Unwritten> {
    if outputs.is_empty() {
        return Ok(());
    }
    let layout = message.layout.as_ref().ok_or("a disk without a layout")?;
    let size = layout.size_bytes;
    let (streams, growing) =
        outputs.into_iter().partition::<Vec<_>, _>(|(output, _)| output.is_stream());
    let mut raw = scratch;
    let mut tee = Tee::default();
    if let Some(file) = &raw {
        let file = fs_err::File::from_parts(file.try_clone().map_err(text)?, "the raw disk");
        tee.push(Box::new(RawSink::new(file, size).map_err(text)?));
    }
    for (output, file) in growing {
        if output.kind == ImageType::Raw && raw.is_none() {
            raw = Some(file.try_clone().map_err(text)?);
        }
        tee.push(disk_sink(output, file, layout).map_err(text)?);
    }
    let bios = message.bios.clone().map(|(boot_img, core_img)| BiosBoot { boot_img, core_img });
    disk::write_with(layout, tree, made, &mut tee, &BootFiles { bios })?;
    if streams.is_empty() {
        return Ok(());
    }
    let raw = fs_err::File::from_parts(raw.ok_or("no raw disk to read")?, "the raw disk");
    let mut tee = Tee::default();
    for (output, file) in streams {
        tee.push(disk_sink(output, file, layout).map_err(text)?);
    }
    Ok(copy_raw(&raw, size, &mut tee).map_err(text)?)
}

/// Writes the disks beside the image.
fn write_others(
    message: &Write,
    tree: &Tree,
    made: &[Made],
    files: impl Iterator<Item = File>,
) -> std::result::Result<(), Unwritten> {
    for ((layout, made), file) in message.others.iter().zip(made).zip(files) {
        let file = fs_err::File::from_parts(file, "a disk beside the image");
        let mut sink = RawSink::new(file, layout.size_bytes).map_err(text)?;
        disk::write_with(layout, tree, made, &mut sink, &BootFiles::default())?;
    }
    Ok(())
}

/// Copies new files of the output directory out of their layers and returns them. Nothing is followed that a
/// hook could have put there.
fn export(layers: &[PathBuf], to: &Path, owner: u32) -> Done<Vec<PathBuf>> {
    let mut written = Vec::new();
    if layers.is_empty() {
        return Ok(written);
    }
    let tree = Tree::merge(layers).map_err(|error| chain(&error))?;
    let mut writer = RootWriter::open(to).map_err(|error| chain(&error))?;
    for entry in &tree.entries {
        let attributes = Attributes {
            mode: entry.mode & 0o777,
            uid: owner,
            gid: owner,
            mtime: (entry.mtime, entry.mtime_nsec),
            xattrs: Vec::new(),
        };
        let done = match &entry.kind {
            Kind::Dir if !entry.path.is_empty() => writer.directory(&entry.path, &attributes),
            Kind::File { .. } => {
                let mut content = tree.open(entry).map_err(|error| error.to_string())?;
                writer.file(&entry.path, &attributes, &mut content)
            }
            Kind::Hardlink(other) => writer.hard_link(&entry.path, other),
            _ => Ok(()),
        };
        done.map_err(|error| chain(&error))?;
        if matches!(entry.kind, Kind::File { .. } | Kind::Hardlink(_)) {
            written.push(PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path)));
        }
    }
    writer.finish().map_err(|error| chain(&error))?;
    Ok(written)
}
