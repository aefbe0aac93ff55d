//! The kernel and the initial RAM disk of an image, found and written out.

mod choose;
mod loader;
mod names;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use goldsmith_images::tree::{Entry, Kind as Node, Tree};

use crate::disk_image::Image;
use crate::error::{Failure, Kind, Result};
use crate::materialise::aside::Aside;

pub use choose::Patterns;

/// A file of the image and where it went.
#[derive(Debug, serde::Serialize)]
pub struct Written {
    /// The path in the image.
    pub from: String,
    /// The file that was written.
    pub to: PathBuf,
    /// Its length in bytes.
    pub size: u64,
}

/// What was written.
#[derive(Debug, serde::Serialize)]
pub struct Extracted {
    /// The kernel.
    pub kernel: Written,
    /// The initial RAM disk.
    pub ramdisk: Written,
}

/// Directories that kernels are looked for in, and what is mounted below them.
const PLACES: [&[u8]; 2] = [b"boot", b"efi"];

/// Finds the newest kernel of an image with its RAM disk and writes them to `kernel` and
/// `ramdisk`. Both are complete when they appear.
///
/// # Errors
///
/// When the image cannot be read, or does not have them.
pub fn extract(
    image: &Path,
    patterns: Option<&Patterns>,
    kernel: &Path,
    ramdisk: &Path,
) -> Result<Extracted> {
    let scratch = kernel.parent().filter(|path| !path.as_os_str().is_empty());
    let mut opened = Image::open(image, scratch.unwrap_or(Path::new(".")))?;
    for place in PLACES {
        let tree = opened.tree(place)?;
        let found = match choose::from_names(&tree, place, patterns)? {
            None if patterns.is_none() => loader::from_entries(&tree, place)?,
            found => found,
        };
        if let Some(pair) = found {
            return write(&tree, &pair, kernel, ramdisk);
        }
    }
    let lacks = opened.lacks("a kernel in /boot or on the EFI system partition");
    Err(lacks.about(image.display()))
}

/// Paths of a kernel and its RAM disk in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    kernel: Vec<u8>,
    ramdisk: Vec<u8>,
}

fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

fn write(tree: &Tree, pair: &Pair, kernel: &Path, ramdisk: &Path) -> Result<Extracted> {
    let (first, kernel) = aside(tree, &pair.kernel, kernel)?;
    let (second, ramdisk) = aside(tree, &pair.ramdisk, ramdisk)?;
    for (file, written) in [(first, &kernel), (second, &ramdisk)] {
        file.persist(&written.to).map_err(|error| failed(&written.to, &error))?;
    }
    Ok(Extracted { kernel, ramdisk })
}

fn failed(to: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::wrap(Kind::Host, to.display(), error);
    failure.on_full_disk("the kernel", to.parent().unwrap_or(to), &["free some, or use another -d"])
}

fn aside(tree: &Tree, path: &[u8], to: &Path) -> Result<(Aside, Written)> {
    let damaged = |error: std::io::Error| {
        Failure::wrap(Kind::Verification, format!("{} of the image", shown(path)), &error)
    };
    let entry = file(tree, path).ok_or_else(|| damaged(std::io::ErrorKind::NotFound.into()))?;
    let to = std::path::absolute(to).map_err(|error| failed(to, &error))?;
    let file = Aside::new(&to).map_err(|error| failed(&to, &error))?;
    let mut content = tree.open(entry).map_err(damaged)?;
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let count = content.read(&mut buffer).map_err(damaged)?;
        if count == 0 {
            break;
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        std::io::Write::write_all(&mut file.file(), bytes).map_err(|error| failed(&to, &error))?;
        size += count as u64;
    }
    file.sync().map_err(|error| failed(&to, &error))?;
    Ok((file, Written { from: shown(path), to, size }))
}

/// How often a path may lead through a symbolic link.
const LINKS: usize = 40;

/// The file that a path leads to, through symbolic links that stay inside the tree.
fn file<'a>(tree: &'a Tree, path: &[u8]) -> Option<&'a Entry> {
    let mut path = path.to_vec();
    for _ in 0..LINKS {
        let entry = tree.get(&path)?;
        match &entry.kind {
            Node::File { .. } | Node::Hardlink(_) => return Some(entry),
            Node::Symlink(target) => path = joined(&path, target),
            _ => return None,
        }
    }
    None
}

/// Where a link at `from` leads, without dots.
fn joined(from: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = if target.starts_with(b"/") {
        Vec::new()
    } else {
        let mut parts: Vec<_> = from.split(|&byte| byte == b'/').collect();
        parts.pop();
        parts
    };
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}
