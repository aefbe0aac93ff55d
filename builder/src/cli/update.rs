//! `goldsmith update`.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};

use super::build::BuildArgs;
use crate::error::{Failure, Kind, Result};
use crate::lock;
use crate::lock::document::Document;
use crate::request::Request;

/// What `update` takes.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// What to make anew: tools, emulator, base, an element, a package or a suite (with the archive that
    /// it belongs to), a repository, a host or an address [default: everything]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The lock file
    #[arg(short = 'f', long = "file", value_name = "FILE", default_value = lock::NAME)]
    file: PathBuf,
}

/// The arguments that a lock remembers.
#[derive(Debug, Parser)]
#[command(name = "goldsmith lock")]
struct Again {
    #[command(flatten)]
    build: BuildArgs,
}

/// The arguments of the build that a lock is of, and the request that they make here and now.
///
/// # Errors
///
/// When this goldsmith does not understand them.
pub fn again(document: &Document) -> Result<(BuildArgs, Request)> {
    let words = std::iter::once("goldsmith lock")
        .chain(document.build.arguments.iter().map(String::as_str));
    let again = Again::try_parse_from(words).map_err(|error| {
        let message = format!("the arguments in the lock: {}", error.render());
        Failure::new(Kind::Lock, message.trim_end().to_owned())
    })?;
    let mut request = again.build.request()?;
    request.lock_arguments.clone_from(&document.build.arguments);
    Ok((again.build, request))
}

/// Runs the verb: builds as `lock` did, reading anew what the names mean and the rest from the
/// lock, and replaces the file when all of that has succeeded.
///
/// # Errors
///
/// When the build fails, or a name means nothing.
pub fn run(args: &UpdateArgs, cache: &Path) -> Result<u8> {
    let cwd = super::caller_request()?.cwd;
    let path = cwd.join(&args.file);
    let document = Document::read(&path)?;
    let (build, request) = again(&document)?;
    let before = (!args.names.is_empty()).then_some((&document, args.names.as_slice()));
    super::lock::make(&request, &path, before, build.report_options()?, cache)?;
    Ok(0)
}
