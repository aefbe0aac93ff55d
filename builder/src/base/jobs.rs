//! Namespace jobs of a bootstrap.

use std::path::{Path, PathBuf};

use goldsmith_images::digest::Digesting;
use goldsmith_images::import::debian;
use goldsmith_images::tree::{Normalise, Tree};
use goldsmith_runtime::{Identity, JobInput};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::phase::jobs::{call, request};

#[derive(Debug, Serialize, Deserialize)]
struct Unpack {
    packages: Vec<PathBuf>,
    root: PathBuf,
    arch: String,
}

/// Unpacks `packages` into `root`, which is made.
///
/// # Errors
///
/// When a package is malformed or the disk is full.
pub fn run_unpack(
    identity: &Identity,
    packages: &[PathBuf],
    root: &Path,
    arch: &str,
) -> Result<()> {
    let message =
        Unpack { packages: packages.to_vec(), root: root.to_path_buf(), arch: arch.to_owned() };
    call(identity, "unpack-debian", &message, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn unpack(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Unpack { packages, root, arch } = request(&input)?;
    fs_err::create_dir(&root).map_err(|error| error.to_string())?;
    debian::unpack(&packages, &root, &arch).map_err(|error| chain(&error))?;
    Ok(serde_json::Value::Null)
}

#[derive(Debug, Serialize, Deserialize)]
struct Settle {
    root: PathBuf,
    epoch: i64,
}

/// Digests the base layer as a tar archive without what differs from run to run.
///
/// # Errors
///
/// When a file cannot be read.
pub fn run_settle(identity: &Identity, root: &Path, epoch: i64) -> Result<String> {
    call(identity, "settle-base", &Settle { root: root.to_path_buf(), epoch }, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn settle(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Settle { root, epoch } = request(&input)?;
    let mut tree = Tree::merge(&[root]).map_err(|error| chain(&error))?;
    tree.normalise(&Normalise {
        epoch,
        drop: debian::volatile_paths(),
        empty: Vec::new(),
        devices: true,
    });
    let mut digesting = Digesting::new(std::io::sink());
    tree.write_tar(&mut digesting).map_err(|error| error.to_string())?;
    Ok(serde_json::Value::String(digesting.finish().1.to_string()))
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
