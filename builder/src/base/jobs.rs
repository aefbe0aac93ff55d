//! Namespace jobs of a bootstrap.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use goldsmith_images::digest::Digesting;
use goldsmith_images::import::debian;
use goldsmith_images::tree::{Normalise, Tree};
use goldsmith_runtime::{Identity, JobInput};
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::import;
use crate::error::{Failure, Kind, Result};
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

#[derive(Debug, Serialize, Deserialize)]
struct Import {
    form: Form,
    root: PathBuf,
}

/// Unpacks the system of an image of that form into `root`, which is made.
///
/// # Errors
///
/// When the image is damaged, is not of that form or has no system, or the disk is full.
pub fn run_import(identity: &Identity, image: &Path, form: Form, root: &Path) -> Result<()> {
    let file = fs_err::File::open(image)
        .map_err(|error| Failure::wrap(Kind::Host, "the base image", &error))?;
    run_import_from(identity, file.file().as_fd(), form, root)
}

/// The same of an open file, which is a pipe where the form is an archive's.
///
/// # Errors
///
/// As [`run_import`].
pub fn run_import_from(
    identity: &Identity,
    image: BorrowedFd<'_>,
    form: Form,
    root: &Path,
) -> Result<()> {
    let message = Import { form, root: root.to_path_buf() };
    call(identity, "import-image", &message, &[image])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub fn import(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Import { form, root } = request(&input)?;
    let file = input.files.into_iter().next().ok_or("no image was passed")?;
    let file = fs_err::File::from_parts(std::fs::File::from(file), "the image");
    import::unpack(file, form, &root)?;
    Ok(serde_json::Value::Null)
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
