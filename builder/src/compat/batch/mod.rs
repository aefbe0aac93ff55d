//! `diskimage-builder`: images described in YAML files (contract 1.4).
//!
//! Each image becomes one command line of `disk-image-create` or `ramdisk-image-create`, run as a process of its own.

mod image;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use image::{Images, Invocation};

use crate::error::{Failure, Kind, Result};

const USAGE: &str = "\
usage: diskimage-builder [--dry-run] [--stop-on-failure] FILE...

Builds the images that YAML files describe, one after the other.

  --dry-run          print the command lines, run none
  --stop-on-failure  build nothing more after the first failure

A file is a list of maps, whose keys are options of disk-image-create by their long names, with
imagename, arch, types, environment, packages and elements. Maps with the same imagename are
merged, also across files: lists are joined, maps updated, the rest is replaced.
";

/// Runs `diskimage-builder` with these arguments.
///
/// # Errors
///
/// When a file is wrong, before anything is built, or an image could not be built.
pub fn diskimage_builder(arguments: &[OsString]) -> Result<u8> {
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (flags, files): (Vec<_>, Vec<_>) =
        words.iter().partition(|word| word.starts_with('-') && word.len() > 1);
    let (mut dry, mut stop) = (false, false);
    for flag in flags {
        match flag.as_str() {
            "-h" | "--help" => {
                crate::report::print(USAGE);
                return Ok(0);
            }
            "--dry-run" => dry = true,
            "--stop-on-failure" => stop = true,
            other => {
                return Err(Failure::new(Kind::Usage, format!("unrecognized option '{other}'"))
                    .hint("diskimage-builder --help lists the options"));
            }
        }
    }
    if files.is_empty() {
        return Err(Failure::new(Kind::Usage, "no file is named")
            .hint("diskimage-builder --help says what a file holds"));
    }
    let mut images = Images::default();
    for file in files {
        let text = fs_err::read_to_string(file)
            .map_err(|error| Failure::wrap(Kind::Configuration, "an image description", &error))?;
        images.add(file, &text)?;
    }
    let invocations = images.invocations();
    let mut failed = Vec::new();
    for invocation in &invocations {
        crate::report::pass(invocation.text().as_bytes(), true);
        if dry {
            continue;
        }
        if let Err(failure) = run(invocation) {
            if stop {
                return Err(failure);
            }
            crate::report::failure("diskimage-builder", &failure);
            failed.push(invocation.name.clone());
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    let message = format!("{} of {} images failed", failed.len(), invocations.len());
    Err(Failure::new(Kind::Build, message).hint(failed.join(", ")))
}

/// A process of its own: its environment is the image's, and a failure ends only it.
fn run(invocation: &Invocation) -> Result<()> {
    let status = Command::new("/proc/self/exe")
        .arg0(invocation.program)
        .args(&invocation.arguments)
        .envs(&invocation.environment)
        .status()
        .map_err(|error| Failure::wrap(Kind::Host, invocation.program, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(Kind::Build, format!("{}: {}: {status}", invocation.name, invocation.program)))
}
