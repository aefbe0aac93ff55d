//! `goldsmith materialise`.

use std::path::Path;

use clap::Args;

use super::build::BuildArgs;
use crate::error::{Failure, Kind, Result};

/// What `materialise` takes.
#[derive(Debug, Args)]
pub struct MaterialiseArgs {
    /// The finished tree: an OCI archive or layout or an archive that `build -t oci`, `-t oci-dir`
    /// or `-t tar` wrote, a directory that holds a root file system, a name that `store ls` lists,
    /// or an image of a registry (HOST/REPOSITORY:TAG)
    #[arg(value_name = "TREE")]
    tree: String,
    /// The elements that made it: they say how the disk is divided; none of their hooks runs
    #[command(flatten)]
    build: BuildArgs,
}

/// Runs the verb: lays a finished tree out as a disk.
///
/// # Errors
///
/// When there is no such tree, the disk cannot be laid out or an output not be written.
pub fn run(args: &MaterialiseArgs, cache: &Path) -> Result<u8> {
    let mut request = args.build.request()?;
    if request.lock.is_some() || request.locked {
        let message = "a finished tree is what it is: no lock says anything of it";
        return Err(Failure::new(Kind::Usage, message)
            .hint("give --lock and --locked to the build that makes the tree"));
    }
    request.tree = Some(args.tree.clone());
    super::build::execute(&request, args.build.report_options()?, cache)
}
