//! `goldsmith push`.

use std::path::{Path, PathBuf};

use clap::Args;
use goldsmith_images::oci::{Archive, Reference};
use goldsmith_images::registry::{Artifact, Registry};

use crate::error::{Failure, Kind, Result};
use crate::phase::session::{Session, store_failure};
use crate::registry::registry_failure;
use crate::registry::settings::RegistryArgs;
use crate::report::{Options, Reporter};

/// What `push` takes.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// An OCI archive (NAME.oci), an image that was pulled (see `store ls`), or with --attach
    /// any file
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Where to: HOST[:PORT]/REPOSITORY[:TAG]; with --attach the image to attach to
    #[arg(value_name = "REF")]
    to: String,
    /// Take layers from these repositories of the same registry when they have them
    #[arg(long, value_name = "REPOSITORY", value_delimiter = ',')]
    mount_from: Vec<String>,
    /// Attach the file to the image REF, as something of this type: application/spdx+json
    #[arg(long, value_name = "MEDIA-TYPE")]
    attach: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs the verb.
///
/// # Errors
///
/// When the image is not there or the registry refuses.
pub fn run(args: &PushArgs, cache: &Path) -> Result<u8> {
    let request = super::caller_request()?;
    let reporter = Reporter::new(Options::default());
    let session = super::session(cache, reporter.clone(), &request)?;
    super::cancel_on_signals(&session.cancel)?;
    let to = super::pull::reference(&args.to)?;
    let client = args.registry.client(&request.env)?;
    let digest = match &args.attach {
        Some(kind) => attach(args, kind, &client, &to)?,
        None => push(args, &session, &client, &to)?,
    };
    reporter.finish();
    crate::report::print(&format!("{}/{}@{digest}\n", to.host, to.repository));
    Ok(0)
}

fn push(args: &PushArgs, session: &Session, client: &Registry, to: &Reference) -> Result<String> {
    let file = PathBuf::from(&args.image);
    let pulled = session.store.pulled(&args.image).map_err(|error| store_failure(&error))?;
    let pushed = if let Some(image) = pulled {
        client.push(&session.store, &image, to, &args.mount_from)
    } else if file.is_file() {
        let wrong = |error: &dyn std::error::Error| {
            Failure::wrap(Kind::Usage, file.display(), error)
                .hint("`goldsmith build -t oci` makes archives that can be pushed")
        };
        let opened = fs_err::File::open(&file).map_err(|error| wrong(&error))?.into_parts().0;
        let archive = Archive::open(opened).map_err(|error| wrong(&error))?;
        let [image] = archive.index().manifests.as_slice() else {
            let message = format!("{} does not hold exactly one image", file.display());
            return Err(Failure::new(Kind::Usage, message));
        };
        client.push(&archive, image, to, &args.mount_from)
    } else {
        let message =
            format!("{} is neither an OCI archive nor an image that was pulled", args.image);
        return Err(Failure::new(Kind::Usage, message)
            .hint("`goldsmith build -t oci` makes an archive; `goldsmith store ls` lists images"));
    };
    pushed.map(|digest| digest.to_string()).map_err(|error| registry_failure(&error))
}

fn attach(args: &PushArgs, kind: &str, client: &Registry, to: &Reference) -> Result<String> {
    let bytes = fs_err::read(&args.image)
        .map_err(|error| Failure::wrap(Kind::Usage, "the file to attach", &error))?;
    let name = Path::new(&args.image).file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let artifact = Artifact { kind: kind.to_owned(), name, bytes };
    let attached = client.attach(to, &artifact);
    attached.map(|digest| digest.to_string()).map_err(|error| registry_failure(&error))
}
