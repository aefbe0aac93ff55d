//! File systems of disks that a program makes, each from an archive of its part of the tree,
//! before any disk is written.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use goldsmith_images::disk::layout::{DiskLayout, FsKind};
use goldsmith_images::disk::part;
use goldsmith_images::tree::{Normalise, Tree};
use goldsmith_runtime::JobInput;
use serde::{Deserialize, Serialize};

use super::outputs::Content;
use super::squashfs::{ARCHIVE_NAME, Workshop};
use crate::base::jobs::chain;
use crate::error::{Failure, Kind, Result};
use crate::phase::jobs::{call, request};
use crate::phase::session::{CACHE_FULL, Session};

/// Which file system: the disk, the image being 0, and its name there.
pub type Which = (usize, String);

/// Mode, owner, group and time of a directory, and whether it has extended attributes.
pub(super) type Root = (u32, u32, u32, i64, bool);

/// What the job is to write archives of.
#[derive(Debug, Serialize, Deserialize)]
struct Archives {
    layers: Vec<PathBuf>,
    rules: Normalise,
    disks: Vec<DiskLayout>,
    /// The archives' files are the job's files, in this order.
    parts: Vec<Which>,
}

/// A finished file system in the cache.
#[derive(Debug)]
pub struct Part<'a> {
    /// Where it belongs.
    pub which: Which,
    image: File,
    workshop: Workshop<'a>,
}

impl Part<'_> {
    /// The file that is the file system.
    pub fn image(&self) -> BorrowedFd<'_> {
        self.image.as_fd()
    }

    /// Lets its place in the cache go.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn close(self) -> Result<()> {
        self.workshop.close()
    }
}

/// Makes what the disks of `content` need.
///
/// # Errors
///
/// When the tree cannot be read, or a program fails.
pub fn make<'a>(session: &'a Session, content: &Content) -> Result<Vec<Part<'a>>> {
    let others = content.others.iter().map(|(_, layout)| layout);
    let disks: Vec<_> = content.layout.iter().chain(others).cloned().collect();
    let wanted = |(disk, layout): (usize, &DiskLayout)| {
        let made = layout.filesystems.iter().filter(|f| f.kind == FsKind::Squashfs);
        made.map(|filesystem| (disk, filesystem.name.clone())).collect::<Vec<_>>()
    };
    let parts: Vec<Which> = disks.iter().enumerate().flat_map(wanted).collect();
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let workshops = parts.iter().map(|_| Workshop::open(session)).collect::<Result<Vec<_>>>()?;
    let files: Vec<_> = workshops.iter().map(Workshop::archive).collect();
    let (layers, rules) = (content.layers.clone(), content.rules.clone());
    let message = Archives { layers, rules, disks, parts: parts.clone() };
    let full = |failure: Failure| match failure.message.contains(ARCHIVE_NAME) {
        true => failure.on_full_disk("the cache", session.store.root(), CACHE_FULL),
        false => failure,
    };
    let roots: Vec<Root> = call(&session.identity, "parts", &message, &files).map_err(full)?;
    if roots.len() != parts.len() {
        return Err(Failure::new(Kind::Internal, "a job that wrote other archives"));
    }
    drop(files);
    let mut made = Vec::new();
    for ((which, workshop), root) in parts.into_iter().zip(workshops).zip(roots) {
        let epoch = content.rules.epoch;
        let image = make_one(session, &workshop, &content.tools, &which.1, root, epoch)?;
        made.push(Part { which, image, workshop });
    }
    Ok(made)
}

/// Makes the file system `name` of what was packed.
///
/// # Errors
///
/// When the program fails.
pub(super) fn make_one(
    session: &Session,
    workshop: &Workshop<'_>,
    tools: &[PathBuf],
    name: &str,
    root: Root,
    epoch: i64,
) -> Result<File> {
    let (mode, uid, gid, time, has_attributes) = root;
    if has_attributes {
        session.reporter.warn(format!(
            "{name}: the extended attributes of its root directory are left out: sqfstar takes none"
        ));
    }
    workshop.make(tools, (mode, uid, gid, time), epoch)
}

/// Writes the archive that a file system is made from.
///
/// # Errors
///
/// With the message for the user.
pub(super) fn pack(part: &Tree, archive: File) -> std::result::Result<Root, String> {
    let root = part.entries.first().ok_or("a part without a root")?;
    let has_attributes = !root.xattrs.is_empty();
    let root = (root.mode, root.uid, root.gid, root.mtime, has_attributes);
    let file = fs_err::File::from_parts(archive, ARCHIVE_NAME);
    let writer = std::io::BufWriter::with_capacity(1 << 20, file);
    part.write_tar(writer).map_err(|error| chain(&error))?;
    Ok(root)
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn archive(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Archives { layers, rules, disks, parts } = request(&input)?;
    let mut tree = Tree::merge(&layers).map_err(|error| chain(&error))?;
    tree.normalise(&rules);
    let mut roots: Vec<Root> = Vec::new();
    for ((disk, name), file) in parts.iter().zip(input.files) {
        let layout = disks.get(*disk).ok_or("a part of no disk")?;
        let part = part(layout, &tree, name).map_err(|error| chain(&error))?;
        roots.push(pack(&part, File::from(file))?);
    }
    serde_json::to_value(roots).map_err(|error| error.to_string())
}
