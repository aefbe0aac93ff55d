//! `goldsmith run`.

use std::path::{Path, PathBuf};

use clap::Args;
use goldsmith_images::oci::{Reference, Run};
use goldsmith_images::store::StoreError;
use goldsmith_runtime::{
    ExitStatus, MountPlan, MountSource, Network, OutputSink, Privilege, RootPlan, SandboxPlan,
    Stream,
};

use crate::error::{Failure, Kind, Result};
use crate::machine::dpkg_name;
use crate::phase::session::{Session, overlay};
use crate::registry::runnable::{Runnable, Wishes, configuration};
use crate::registry::settings::RegistryArgs;
use crate::registry::user::{self, User};
use crate::report::{Options, Reporter};
use crate::request::{Request, native_arch};

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Run in this directory; what is written to it is thrown away
    #[arg(long, value_name = "DIR", conflicts_with_all = ["image", "failed"])]
    rootfs: Option<PathBuf>,
    /// Run in an image of the cache: the name of an output (`server`), of a base
    /// (`debian:bookworm/amd64`), or a snapshot and all below it (see `store ls`); a name with
    /// a registry in front (`docker.io/debian:12`) is pulled when it is not there
    #[arg(long, value_name = "REF", conflicts_with = "failed")]
    image: Option<String>,
    /// Run in the image as the last failed hook left it
    #[arg(long)]
    failed: bool,
    /// The architecture of an image that is pulled, as dpkg names it [default: this machine's]
    #[arg(short, long, value_name = "ARCH", requires = "image")]
    arch: Option<String>,
    /// What of the network the command reaches
    #[arg(long, value_enum, default_value = "none")]
    net: Net,
    /// Set a variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Working directory inside [default: the image's own, else /]
    #[arg(long, visible_alias = "workdir", value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Run as this user, by name or number [default: the image's own, else root]
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run this program instead of the image's own entry point; an empty one is none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Kill the command after that many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// The command, or what the image's own entry point gets as arguments [default: the
    /// image's own]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Net {
    None,
    Host,
}

/// Runs the verb; the status is the command's own.
///
/// # Errors
///
/// When the sandbox cannot be set up.
pub fn run(args: &RunArgs, cache: &Path) -> Result<u8> {
    let request = super::caller_request()?;
    let session = super::session(cache, Reporter::new(Options::default()), &request)?;
    super::cancel_on_signals(&session.cancel)?;
    let (lowers, image) = if let Some(directory) = &args.rootfs {
        let directory = std::path::absolute(directory)
            .map_err(|e| Failure::wrap(Kind::Usage, "--rootfs", &e))?;
        (vec![directory], Run::default())
    } else if let Some(image) = &args.image {
        stored_image(image, args, &session, &request)?
    } else if args.failed {
        (crate::phase::failed::directories(&session)?, Run::default())
    } else {
        return Err(Failure::new(Kind::Usage, "no root file system is named")
            .hint("name one by --rootfs, --image or --failed"));
    };
    let formats = crate::base::formats_of_tree(&session, &request, &lowers)?;
    let Runnable { argv, mut env, directory } = Runnable::new(&image, wishes(args)?)?;
    let user = match args.user.as_deref().or(image.user.as_deref()).unwrap_or_default() {
        "" | "0" | "root" => User::default(),
        wanted => user::find(&session, &lowers, wanted)?,
    };
    let home = if user.uid == 0 { "/root" } else { user.home.as_deref().unwrap_or("/") };
    let term = request.env.get("TERM").map_or("dumb", String::as_str);
    for (name, value) in [("HOME", home), ("TERM", term)] {
        if env.iter().all(|(other, _)| other != name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    let pending = session.pending()?;
    let mut mounts = Vec::new();
    if matches!(args.net, Net::Host)
        && let Ok(text) = fs_err::read_to_string("/etc/resolv.conf")
    {
        let source = MountSource::Text(text);
        mounts.push(MountPlan { target: "/etc/resolv.conf".into(), source, read_only: true });
    }
    let plan = SandboxPlan {
        id_hint: "run".into(),
        root: RootPlan::Overlay(overlay(lowers, &pending)),
        argv,
        env,
        cwd: directory,
        mounts,
        devices: Vec::new(),
        formats,
        network: if matches!(args.net, Net::Host) { Network::Host } else { Network::None },
        hostname: "goldsmith".into(),
        privilege: Privilege::Package,
        user: user.plan(),
        scratch_bytes: None,
        time_limit_ms: args.timeout.map(|seconds| seconds * 1000),
        stdin: crate::phase::breaks::persons_stdin(),
    };
    let outcome =
        goldsmith_runtime::run(&session.identity, &plan, Box::new(Passed), &session.cancel);
    session.discard(pending)?;
    let outcome = outcome.map_err(|error| {
        Failure::wrap(Kind::Host, "the sandbox", &error)
            .hint("`goldsmith doctor` says what this host lacks")
    })?;
    Ok(match outcome.status {
        ExitStatus::Code(code) => u8::try_from(code).unwrap_or(1),
        ExitStatus::Signal(signal) => 128 + u8::try_from(signal).unwrap_or(0),
        ExitStatus::TimedOut => 124,
        ExitStatus::Interrupted => Kind::Interrupted.exit_status(),
    })
}

/// What the command line wants otherwise than the image.
fn wishes(args: &RunArgs) -> Result<Wishes> {
    let mut env = Vec::new();
    for variable in &args.env {
        let (name, value) = variable
            .split_once('=')
            .ok_or_else(|| Failure::new(Kind::Usage, format!("{variable:?} is not NAME=VALUE")))?;
        env.push((name.to_owned(), value.to_owned()));
    }
    let (entrypoint, command) = (args.entrypoint.clone(), args.command.clone());
    Ok(Wishes { entrypoint, command, env, directory: args.cwd.clone() })
}

/// The layers of an image of the cache, or of a registry, and how it wants to be run.
fn stored_image(
    image: &str,
    args: &RunArgs,
    session: &Session,
    request: &Request,
) -> Result<(Vec<PathBuf>, Run)> {
    let known = |name: &str| Ok(configuration(session, name)?.unwrap_or_default());
    let absent = match session.store.image(image) {
        Ok(layers) => return Ok((layers, known(image)?)),
        Err(error) => error,
    };
    if !Reference::names_host(image) {
        return Err(no_image(&absent));
    }
    let reference = super::pull::reference(image)?;
    let arch = args.arch.as_deref().map_or(native_arch(), dpkg_name);
    // Under its full name it may be there.
    let name = crate::registry::name(&reference, arch);
    if let Ok(layers) = session.store.image(&name) {
        return Ok((layers, known(&name)?));
    }
    let client = args.registry.client(&request.env)?;
    let pulled = crate::registry::pull(session, &client, &reference, arch)?;
    let layers = session.directories(&pulled.snapshots)?;
    Ok((layers, pulled.config.config.unwrap_or_default()))
}

/// A name that is not there, with those that are near.
pub(super) fn no_image(error: &StoreError) -> Failure {
    match error {
        StoreError::NoImage { near, .. } => {
            let failure = Failure::new(Kind::Usage, error.to_string());
            let failure = match near.as_slice() {
                [] => failure,
                near => failure.hint(format!("there is {}", near.join(", "))),
            };
            failure.hint("`goldsmith store ls` lists images and snapshots")
        }
        StoreError::ManyImages { .. } => {
            Failure::new(Kind::Usage, error.to_string()).hint("write more of the name")
        }
        StoreError::Name { .. } => Failure::new(Kind::Usage, error.to_string()),
        other => crate::phase::session::store_failure(other),
    }
}

/// Passes lines on to the caller's own streams, made harmless when they are terminals.
struct Passed;

impl OutputSink for Passed {
    fn line(&mut self, stream: Stream, _: std::time::Duration, line: &[u8]) {
        crate::report::pass(line, stream == Stream::Stderr);
    }
}
