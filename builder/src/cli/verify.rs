//! `goldsmith verify`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::build::BuildArgs;
use crate::error::{Failure, Kind, Result};
use crate::image_type::ImageType;
use crate::phase::session::Session;
use crate::report::{Reporter, printable};
use crate::verify::{Told, Verdict, verify};

/// What `verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The image, in any format that `build` writes; its name's ending says which
    image: PathBuf,
    /// The options and elements that made it, as `build` was given them; of -t and -o the
    /// image's own format and the name count
    #[command(flatten)]
    build: BuildArgs,
    /// Take steps that are in the cache: quick, and finds what was changed after the build alone
    #[arg(long, conflicts_with = "refresh")]
    cached: bool,
    /// Say what differs as JSON
    #[arg(long)]
    json: bool,
}

/// How many differences are shown to a person.
const SHOWN: usize = 40;

/// Runs the verb: every step of the build runs again, unless `--cached` is given.
///
/// # Errors
///
/// [`Kind::Verification`] when the image is not what its elements make; else when the build
/// fails or the image cannot be read.
pub fn run(args: &VerifyArgs, cache: &Path) -> Result<u8> {
    let image = std::path::absolute(&args.image)
        .map_err(|error| Failure::wrap(Kind::Usage, args.image.display(), &error))?;
    let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (kind, stem) = ImageType::of_name(&name).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("the name {name:?} does not say the image's format"))
            .hint(format!("its ending is to be one of {}", ImageType::names()))
    })?;
    if kind.is_directory() {
        let message = format!("{}: directories are not compared", image.display());
        return Err(Failure::new(Kind::Usage, message)
            .hint("`-t oci` makes an archive of the same blobs, which can be verified"));
    }
    if !image.is_file() {
        return Err(Failure::new(Kind::Usage, format!("there is no file {}", image.display())));
    }
    let mut request = args.build.request()?;
    request.output = match args.build.named_output() {
        Some(_) => PathBuf::from(request.output.file_name().unwrap_or_default()),
        None => PathBuf::from(stem),
    };
    request.refresh = !args.cached;
    let private_mounts = super::build::private_mounts(&request)?;
    let reporter = Reporter::new(args.build.report_options()?);
    let session = super::session(cache, reporter.clone(), &request)?;
    let session = Session { private_mounts, ..session };
    super::cancel_on_signals(&session.cancel)?;
    let verdict = verify(&session, &request, &image, kind);
    reporter.finish();
    if let Err(failure) = session.sweep() {
        reporter.warn(format!("unfinished trees are left in the cache: {failure}"));
    }
    let verdict = verdict?;
    let text = if args.json {
        let text = serde_json::to_string_pretty(&verdict);
        text.map_err(|error| Failure::wrap(Kind::Internal, "the verdict", &error))? + "\n"
    } else {
        for_people(&verdict)
    };
    crate::report::print(&text);
    if verdict.verified {
        return Ok(0);
    }
    let message = format!("{} is not what these elements make", image.display());
    Err(Failure::new(Kind::Verification, message))
}

fn for_people(verdict: &Verdict) -> String {
    let image = printable(verdict.image.display().to_string().as_bytes());
    if verdict.sha256 == verdict.rebuilt {
        return format!("{image}: verified, sha256:{}\n", verdict.sha256);
    }
    let mut text = if verdict.verified {
        format!("{image}: verified, the same files on a disk that the kernel laid out\n")
    } else {
        format!("{image}: sha256:{}\nrebuilt: sha256:{}\n", verdict.sha256, verdict.rebuilt)
    };
    for one in verdict.differences.iter().take(SHOWN) {
        text.push_str(&line(one));
    }
    match verdict.differences.len().checked_sub(SHOWN + 1) {
        Some(more) => text.push_str(&format!("and {} more; --json lists all\n", more + 1)),
        None if verdict.differences.is_empty() => {
            text.push_str("they say the same in other bytes: compression, or another version\n");
        }
        None => {}
    }
    text
}

fn line(one: &Told) -> String {
    let mut text = format!("  {}", one.place);
    if let Some(path) = &one.path {
        text.push_str(&format!(" {}", printable(path.as_bytes())));
    }
    text.push_str(&format!(": {}", one.attribute));
    if !one.image.is_empty() || !one.rebuilt.is_empty() {
        let short =
            |value: &str| -> String { printable(value.as_bytes()).chars().take(80).collect() };
        text.push_str(&format!(" {}, rebuilt {}", short(&one.image), short(&one.rebuilt)));
    }
    match &one.origin {
        Some(origin) => {
            text.push_str(&format!("; written by {}", origin.step));
            let hooks: Vec<_> = origin
                .hooks
                .iter()
                .map(|(hook, element)| format!("{hook} of element {element}"))
                .collect();
            if !hooks.is_empty() {
                text.push_str(&format!(" ({})", hooks.join(", ")));
            }
        }
        None if one.path.is_some() => text.push_str("; no step wrote it"),
        None => {}
    }
    text + "\n"
}
