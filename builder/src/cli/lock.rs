//! `goldsmith lock`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::build::BuildArgs;
use crate::error::{Failure, Kind, Result};
use crate::lock::document::Document;
use crate::lock::{self, Lock};
use crate::phase::build::build;
use crate::report::{Options, Reporter};
use crate::request::Request;

/// What `lock` takes.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The lock file to write
    #[arg(short = 'f', long = "file", value_name = "FILE", default_value = lock::NAME)]
    file: PathBuf,
    #[command(flatten)]
    build: BuildArgs,
}

/// Runs the verb: builds once, in sandboxes that reach the network by a proxy which writes
/// down what it passes on, and writes the lock.
///
/// # Errors
///
/// When the build fails, or the file cannot be written.
pub fn run(args: &LockArgs, cache: &Path) -> Result<u8> {
    let mut request = args.build.request()?;
    if request.isolated || request.locked || request.lock.is_some() {
        let message =
            "--offline, --locked and --lock say how a lock is followed, not how it is made";
        return Err(Failure::new(Kind::Usage, message));
    }
    request.lock_arguments = arguments(std::env::args().skip(1));
    let path = request.cwd.join(&args.file);
    make(&request, &path, None, args.build.report_options()?, cache)?;
    Ok(0)
}

/// Builds `request` and writes the lock `path`; of a lock `before` everything is kept that the
/// names do not mean.
///
/// # Errors
///
/// When the build fails, or the file cannot be written.
pub fn make(
    request: &Request,
    path: &Path,
    before: Option<(&Document, &[String])>,
    options: Options,
    cache: &Path,
) -> Result<()> {
    let private_mounts = super::build::private_mounts(request)?;
    let reporter = Reporter::new(options);
    // A lock that is there is not followed.
    let alone = Request { native: false, ..request.clone() };
    let mut session = super::session(cache, reporter.clone(), &alone)?;
    session.private_mounts = private_mounts;
    session.lock = Some(Lock::record(path, before, request, &session.store)?);
    super::cancel_on_signals(&session.cancel)?;
    let done = build(&session, request);
    reporter.finish();
    if let Err(failure) = session.sweep() {
        reporter.warn(format!("unfinished trees are left in the cache: {failure}"));
    }
    done?;
    session.reporter = Reporter::new(Options { quiet: true, ..Options::default() });
    session.refresh = false;
    let document = lock::finish(&mut session, request)?;
    let hooks = document.fetches().count();
    reporter.info(format!("{} locks the build; hooks read {hooks} answers", path.display()));
    Ok(())
}

/// The arguments that make the same lock again: those of the verb but for the file's name.
fn arguments(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut all = all.skip_while(|word| word != "lock").skip(1).peekable();
    let mut kept = Vec::new();
    while let Some(word) = all.next() {
        if word == "--" {
            kept.push(word);
            kept.extend(all);
            break;
        }
        match word.as_str() {
            "-f" | "--file" | "--cache" => drop(all.next()),
            _ if word.starts_with("-f") => {}
            _ if ["--file=", "--cache="].iter().any(|option| word.starts_with(option)) => {}
            _ => kept.push(word),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_is_no_part_of_a_lock() {
        let line = "--cache /c lock -f x.lock -n --file=y -t tar --cache=/d small -fz";
        let kept = arguments(line.split(' ').map(str::to_owned));
        assert_eq!(kept, ["-n", "-t", "tar", "small"]);
    }
}
