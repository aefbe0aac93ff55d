//! Namespace jobs that read trees: how large one is, and what it must lose.

use std::path::PathBuf;

use goldsmith_images::layer::{Attributes, RootWriter};
use goldsmith_images::tree::{Affected, Normalise, Tree};
use goldsmith_runtime::{Identity, JobInput};
use serde::{Deserialize, Serialize};

use crate::base::jobs::chain;
use crate::error::Result;
use crate::phase::jobs::{call, request};

#[derive(Debug, Serialize, Deserialize)]
struct Measure {
    layers: Vec<PathBuf>,
    wanted: Wanted,
}

/// What to find out beside the size of the whole.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// List paths that take so many KiB or more.
    pub usage_from_kib: Option<u64>,
    /// Mount points.
    pub mounts: Vec<String>,
    /// Beginnings of paths, without the first slash.
    pub names: Vec<String>,
}

/// What the merged layers take.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// In KiB, as `du` counts.
    pub kib: u64,
    /// Paths that take much, with their KiB, smallest first.
    pub usage: Vec<(String, u64)>,
    /// What lies at each mount point, in KiB.
    pub mounts: Vec<u64>,
    /// Whether a path begins so, for each beginning.
    pub present: Vec<bool>,
}

/// Measures the merged layers.
///
/// # Errors
///
/// When a layer cannot be read.
pub fn run_measure(identity: &Identity, layers: Vec<PathBuf>, wanted: Wanted) -> Result<Measured> {
    call(identity, "measure", &Measure { layers, wanted }, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn measure(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Measure { layers, wanted } = request(&input)?;
    let tree = Tree::merge(&layers).map_err(|error| chain(&error))?;
    let unread = |error: std::io::Error| chain(&error);
    let list = wanted.usage_from_kib.map(|least| tree.usage(least)).transpose().map_err(unread)?;
    let text = |path: Vec<u8>| format!("/{}", String::from_utf8_lossy(&path));
    let usage = list.into_iter().flatten().map(|(path, kib)| (text(path), kib)).collect();
    let present =
        |name: &String| tree.entries.iter().any(|entry| entry.path.starts_with(name.as_bytes()));
    let measured = Measured {
        kib: tree.du_kib().map_err(unread)?,
        usage,
        mounts: tree.kib_by_mount(&wanted.mounts).map_err(unread)?,
        present: wanted.names.iter().map(present).collect(),
    };
    serde_json::to_value(measured).map_err(|error| error.to_string())
}

/// Where a tree keeps GRUB's images for BIOS, by the names of Debian and of Red Hat.
const BOOT_CODE: [&str; 2] = ["boot/grub/i386-pc", "boot/grub2/i386-pc"];
/// The largest boot image that is read; GRUB's core has 200 KiB.
const BOOT_CODE_LIMIT: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct BootCode {
    layers: Vec<PathBuf>,
}

/// `boot.img` and `core.img` of the merged layers, where grub-install and what stands in for it
/// leave them; nothing when it was never run for BIOS.
///
/// # Errors
///
/// When a layer cannot be read.
pub fn run_boot_code(
    identity: &Identity,
    layers: Vec<PathBuf>,
) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    call(identity, "boot-code", &BootCode { layers }, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn boot_code(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    use std::io::Read as _;
    let BootCode { layers } = request(&input)?;
    let tree = Tree::merge(&layers).map_err(|error| chain(&error))?;
    let read = |path: String| -> std::result::Result<Option<Vec<u8>>, String> {
        let Some(entry) = tree.get(path.as_bytes()) else { return Ok(None) };
        let failed = |error: std::io::Error| format!("{path}: {error}");
        let mut bytes = Vec::new();
        let file = tree.open(entry).map_err(failed)?;
        file.take(BOOT_CODE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > BOOT_CODE_LIMIT {
            return Err(format!("{path} is larger than 4 MiB"));
        }
        Ok(Some(bytes))
    };
    for directory in BOOT_CODE {
        let found =
            (read(format!("{directory}/boot.img"))?, read(format!("{directory}/core.img"))?);
        if let (Some(boot), Some(core)) = found {
            return serde_json::to_value((boot, core)).map_err(|error| error.to_string());
        }
    }
    Ok(serde_json::Value::Null)
}

#[derive(Debug, Serialize, Deserialize)]
struct Tidy {
    root: PathBuf,
    rules: Normalise,
}

/// Takes away what images do not keep from a tree that is mounted at `root`, and sets later times
/// back to the one of the rules.
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
    // Once nothing changes any more, directories included.
    let tree = Tree::merge(&[root]).map_err(|error| chain(&error))?;
    let epoch = (rules.epoch, 0);
    for entry in tree.entries.iter().filter(|entry| (entry.mtime, entry.mtime_nsec) > epoch) {
        writer.touch(&entry.path, epoch).map_err(|error| chain(&error))?;
    }
    Ok(serde_json::Value::Null)
}
