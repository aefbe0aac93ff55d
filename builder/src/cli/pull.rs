//! `goldsmith pull`.

use std::path::Path;

use clap::Args;
use goldsmith_images::oci::Reference;

use crate::error::{Failure, Kind, Result};
use crate::machine::dpkg_name;
use crate::registry::settings::RegistryArgs;
use crate::report::{Options, Reporter};
use crate::request::native_arch;

/// What `pull` takes.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The image: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "REF")]
    image: String,
    /// Its architecture, as dpkg names it [default: this machine's]
    #[arg(short, long, value_name = "ARCH")]
    arch: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs the verb.
///
/// # Errors
///
/// When the registry does not give the image, or not what was promised.
pub fn run(args: &PullArgs, cache: &Path) -> Result<u8> {
    let request = super::caller_request()?;
    let reporter = Reporter::new(Options::default());
    let session = super::session(cache, reporter.clone(), &request)?;
    super::cancel_on_signals(&session.cancel)?;
    let reference = reference(&args.image)?;
    let client = args.registry.client(&request.env)?;
    let arch = args.arch.as_deref().map_or(native_arch(), dpkg_name);
    let image = crate::registry::pull(&session, &client, &reference, arch);
    reporter.finish();
    let image = image?;
    crate::report::print(&format!("{}@{}\n", image.name, image.named));
    Ok(0)
}

/// Reads a reference.
///
/// # Errors
///
/// When it is none.
pub fn reference(text: &str) -> Result<Reference> {
    text.parse().map_err(|error| {
        Failure::wrap(Kind::Usage, "the image", &error)
            .hint("write HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST")
    })
}
