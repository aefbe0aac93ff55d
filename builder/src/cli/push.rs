//! `goldsmith push`.

use std::path::Path;

use clap::{Args, ValueEnum};
use goldsmith_images::oci::Reference;
use goldsmith_images::registry::{Artifact, Registry};

use crate::error::{Failure, Kind, Result};
use crate::phase::session::Session;
use crate::registry::outgoing::{Disks, Images, Outgoing, container_disks, disk_artifacts};
use crate::registry::registry_failure;
use crate::registry::settings::RegistryArgs;
use crate::report::{Options, Reporter};
use crate::request::{Request, native_arch};

/// What `push` takes.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// An OCI archive or layout (NAME.oci, NAME.oci-dir), or an image that was pulled or built, by its name (see
    /// `store ls`); with --as a disk, with --attach any file. Several become an index
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Where to: HOST[:PORT]/REPOSITORY[:TAG]; with --attach the image to attach to
    #[arg(value_name = "REF", required = true)]
    to: String,
    /// Push disks, as [ARCH=]FILE each
    #[arg(long = "as", value_enum, value_name = "FORM", conflicts_with = "attach")]
    form: Option<Form>,
    /// The architecture of disks that name none, as dpkg names it [default: this machine's]
    #[arg(short, long, value_name = "ARCH", requires = "form")]
    arch: Option<String>,
    /// Take layers from these repositories of the same registry when they have them
    #[arg(long, value_name = "REPOSITORY", value_delimiter = ',')]
    mount_from: Vec<String>,
    /// Attach the files to the image REF, as something of this type: application/spdx+json
    #[arg(long, value_name = "MEDIA-TYPE")]
    attach: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What disks are pushed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// An image of one file, from which KubeVirt starts machines
    Containerdisk,
    /// An index of disks, kernels and ramdisks, in which Ironic finds them (oci://)
    Disk,
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
    let lines = match (&args.attach, args.form) {
        (Some(kind), _) => attach(args, kind, &client, &to)?,
        (None, Some(form)) => push_disks(args, form, &request, &client, &to)?,
        (None, None) => push(args, &session, &client, &to)?,
    };
    reporter.finish();
    for line in lines {
        crate::report::print(&format!("{line}\n"));
    }
    Ok(0)
}

/// What stands for an image for ever.
fn pinned(to: &Reference, digest: impl std::fmt::Display) -> String {
    format!("{}/{}@{digest}", to.host, to.repository)
}

fn push(
    args: &PushArgs,
    session: &Session,
    client: &Registry,
    to: &Reference,
) -> Result<Vec<String>> {
    let images = Images::find(session, &args.images)?;
    let (pieces, top) = images.together(session)?;
    let pushed = client.push(&pieces, &top, to, &args.mount_from);
    let digest = pushed.map_err(|error| registry_failure(&error))?;
    Ok(vec![pinned(to, digest)])
}

fn push_disks(
    args: &PushArgs,
    form: Form,
    request: &Request,
    client: &Registry,
    to: &Reference,
) -> Result<Vec<String>> {
    let arch = args.arch.as_deref().unwrap_or(native_arch());
    let disks = args.images.iter().map(|word| Outgoing::open(word, arch));
    let disks = disks.collect::<Result<Vec<_>>>()?;
    let epoch = request.env.get("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    let Disks { pieces, top, by_digest } = match form {
        Form::Containerdisk => container_disks(disks, epoch)?,
        Form::Disk => disk_artifacts(disks)?,
    };
    let pushed = client.push(&pieces, &top, to, &args.mount_from);
    let digest = pushed.map_err(|error| registry_failure(&error))?;
    let mut lines = vec![pinned(to, digest)];
    for one in by_digest {
        let what = one.annotation("disktype").unwrap_or_default();
        let arch = one.platform.as_ref().map(|platform| platform.architecture.as_str());
        let arch = arch.unwrap_or_default();
        lines.push(format!("{} {what} {arch}", pinned(to, one.digest)));
    }
    Ok(lines)
}

fn attach(args: &PushArgs, kind: &str, client: &Registry, to: &Reference) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for path in &args.images {
        let bytes = fs_err::read(path)
            .map_err(|error| Failure::wrap(Kind::Usage, "the file to attach", &error))?;
        let name = Path::new(path).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let artifact = Artifact { kind: kind.to_owned(), name, bytes };
        let attached = client.attach(to, &artifact).map_err(|error| registry_failure(&error))?;
        lines.push(pinned(to, attached));
    }
    Ok(lines)
}
