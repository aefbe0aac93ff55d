//! `goldsmith install-links`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Failure, Kind, Result};

/// What `install-links` takes.
#[derive(Debug, Args)]
pub struct LinksArgs {
    /// A directory, best one on PATH; made when absent
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Runs the verb; links that are there already are left as they are.
///
/// # Errors
///
/// When the directory cannot be written, or another file has one of the names: then no link
/// is made.
pub fn run(args: &LinksArgs) -> Result<u8> {
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the links", &error);
    let program = std::env::current_exe().map_err(io)?;
    fs_err::create_dir_all(&args.directory).map_err(io)?;
    let mut missing = Vec::new();
    for (name, _) in crate::compat::NAMES {
        let link = args.directory.join(name);
        match fs_err::symlink_metadata(&link) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push(link),
            Err(error) => return Err(io(error)),
            Ok(_) if leads_to(&link, &program) => {}
            Ok(_) => {
                let message = format!("{} is something else; it is left alone", link.display());
                return Err(
                    Failure::new(Kind::Usage, message).hint("remove it, or name another directory")
                );
            }
        }
    }
    for link in missing {
        fs_err::os::unix::fs::symlink(&program, &link).map_err(io)?;
        crate::report::print(&format!("{}\n", link.display()));
    }
    Ok(0)
}

fn leads_to(link: &Path, program: &Path) -> bool {
    fs_err::read_link(link).is_ok_and(|target| target == program)
}
