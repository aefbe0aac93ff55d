//! Namespace jobs that read the finished tree: how large it is, and writing it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::disk::sink::{Compression, DiskSink, Qcow2Options, Qcow2Sink, RawSink};
use goldsmith_images::disk::{self, BiosBoot, BootFiles};
use goldsmith_images::layer::{Attributes, RootWriter};
use goldsmith_images::tree::{Affected, Kind, Normalise, Tree};
use goldsmith_runtime::{Identity, JobInput};
use serde::{Deserialize, Serialize};

use crate::base::jobs::chain;
use crate::error::Result;
use crate::phase::jobs::{call, request};
use crate::request::{Codec, ImageType};

#[derive(Debug, Serialize, Deserialize)]
struct Measure {
    layers: Vec<PathBuf>,
    usage_from_kib: Option<u64>,
}

/// What the merged layers take.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// In KiB, as `du` counts.
    pub kib: u64,
    /// Paths that take much, with their KiB, smallest first.
    pub usage: Vec<(String, u64)>,
}

/// Measures the merged layers; listed are paths that take `usage_from_kib` or more.
///
/// # Errors
///
/// When a layer cannot be read.
pub fn run_measure(
    identity: &Identity,
    layers: Vec<PathBuf>,
    usage_from_kib: Option<u64>,
) -> Result<Measured> {
    call(identity, "measure", &Measure { layers, usage_from_kib }, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn measure(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Measure { layers, usage_from_kib } = request(&input)?;
    let tree = Tree::merge(&layers).map_err(|error| chain(&error))?;
    let list = usage_from_kib.map(|least| tree.usage(least)).unwrap_or_default();
    let text = |path: Vec<u8>| format!("/{}", String::from_utf8_lossy(&path));
    let usage = list.into_iter().map(|(path, kib)| (text(path), kib)).collect();
    serde_json::to_value(Measured { kib: tree.du_kib(), usage }).map_err(|error| error.to_string())
}

/// One output to write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// Its format.
    pub kind: String,
    /// How qcow2 clusters are compressed: `none`, `zlib`, `zstd`.
    pub codec: String,
}

impl Output {
    /// Describes an output.
    pub fn new(kind: ImageType, codec: Codec) -> Self {
        let codec = match codec {
            Codec::None => "none",
            Codec::Zlib => "zlib",
            Codec::Zstd => "zstd",
        };
        Self { kind: kind.ending().to_owned(), codec: codec.to_owned() }
    }

    /// Describes a tar archive.
    pub fn archive() -> Self {
        Self::new(ImageType::Tar, Codec::None)
    }
}

/// What to write.
#[derive(Debug, Serialize, Deserialize)]
pub struct Write {
    /// The image's layers, bottom first.
    pub layers: Vec<PathBuf>,
    /// Rules that make the tree the same every time.
    pub rules: Normalise,
    /// The disk, when an output is one.
    pub layout: Option<DiskLayout>,
    /// `boot.img` and `core.img` of GRUB for BIOS.
    pub bios: Option<(Vec<u8>, Vec<u8>)>,
    /// The outputs; their files are the job's files, in this order.
    pub outputs: Vec<Output>,
    /// Layers of new files for the output directory.
    pub extra: Vec<PathBuf>,
    /// Where those go.
    pub extra_to: Option<PathBuf>,
    /// Who owns them: the caller, as the job numbers users.
    pub extra_owner: u32,
}

/// Writes outputs into `files`, and returns which files beside them were written, by their
/// paths below `extra_to`.
///
/// # Errors
///
/// When the tree does not fit, a file cannot be read or written.
pub fn run_write(
    identity: &Identity,
    message: &Write,
    files: &[BorrowedFd<'_>],
) -> Result<Vec<PathBuf>> {
    call(identity, "write", message, files)
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn write(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let message: Write = request(&input)?;
    let mut tree = Tree::merge(&message.layers).map_err(|error| chain(&error))?;
    tree.normalise(&message.rules);
    for (output, file) in message.outputs.iter().zip(input.files) {
        write_one(&message, output, &tree, File::from(file))?;
    }
    if let Some(to) = &message.extra_to {
        let written = export(&message.extra, to, message.extra_owner)?;
        return serde_json::to_value(written).map_err(|error| error.to_string());
    }
    Ok(serde_json::Value::Array(Vec::new()))
}

/// A sink for a disk of `size` bytes in the output's format.
///
/// # Errors
///
/// When the file cannot be written.
pub fn disk_sink(output: &Output, file: File, size: u64) -> std::io::Result<Box<dyn DiskSink>> {
    let kind = &output.kind;
    let file = fs_err::File::from_parts(file, PathBuf::from(format!("the {kind} file")));
    if kind == "raw" {
        return Ok(Box::new(RawSink::new(file, size)?));
    }
    let compression = match output.codec.as_str() {
        "none" => Compression::None,
        "zlib" => Compression::Zlib { level: 6 },
        _ => Compression::Zstd { level: 3 },
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Qcow2Options { compression, threads };
    Ok(Box::new(Qcow2Sink::new(file, size, &options)?))
}

fn write_one(
    message: &Write,
    output: &Output,
    tree: &Tree,
    file: File,
) -> std::result::Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    match output.kind.as_str() {
        "tar" => {
            let mut writer = std::io::BufWriter::with_capacity(1 << 20, file);
            tree.write_tar(&mut writer).map_err(text)?;
            writer.flush().map_err(text)
        }
        "tgz" => {
            let level = flate2::Compression::best();
            let mut writer = flate2::GzBuilder::new().mtime(0).write(file, level);
            tree.write_tar(&mut writer).map_err(text)?;
            writer.finish().map(|_| ()).map_err(text)
        }
        _disk => {
            let layout = message.layout.as_ref().ok_or("a disk without a layout")?;
            let mut sink = disk_sink(output, file, layout.size_bytes).map_err(text)?;
            let bios =
                message.bios.clone().map(|(boot_img, core_img)| BiosBoot { boot_img, core_img });
            disk::write(layout, tree, sink.as_mut(), &BootFiles { bios }, &())
                .map(|_| ())
                .map_err(|error| chain(&error))
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Tidy {
    root: PathBuf,
    rules: Normalise,
}

/// Takes away what images do not keep from a tree that is mounted at `root`.
///
/// Nothing may write to the tree meanwhile.
///
/// # Errors
///
/// When a file cannot be removed.
pub fn run_tidy(identity: &Identity, root: PathBuf, rules: &Normalise) -> Result<()> {
    call(identity, "tidy", &Tidy { root, rules: rules.clone() }, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn tidy(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Tidy { root, rules } = request(&input)?;
    let tree = Tree::merge(std::slice::from_ref(&root)).map_err(|error| chain(&error))?;
    let mut writer = RootWriter::open(&root).map_err(|error| chain(&error))?;
    for (entry, what) in tree.affected(&rules) {
        match what {
            Affected::Dropped => writer.clear(&entry.path),
            Affected::Emptied => {
                let attributes = Attributes::of(entry);
                writer.file(&entry.path, &attributes, &mut std::io::empty())
            }
        }
        .map_err(|error| chain(&error))?;
    }
    Ok(serde_json::Value::Null)
}

/// Copies new files of the output directory out of their layers and returns them. Nothing is followed that a
/// hook could have put there.
fn export(
    layers: &[PathBuf],
    to: &std::path::Path,
    owner: u32,
) -> std::result::Result<Vec<PathBuf>, String> {
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
