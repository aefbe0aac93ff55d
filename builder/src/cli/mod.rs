//! The command line: one file per verb.

pub mod boot;
pub mod build;
pub mod disk;
pub mod doctor;
pub mod elements;
pub mod image_to_tar;
pub mod kernel;
pub mod links;
pub mod lock;
pub mod materialise;
pub mod outdated;
pub mod plan;
pub mod pull;
pub mod push;
pub mod ramdisk;
pub mod run;
pub mod selection;
pub mod store;
pub mod test;
pub mod update;
pub mod verify;

use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use goldsmith_images::store::Store;
use goldsmith_runtime::{Cancel, Identity};

use crate::error::{Failure, Kind, Result};
use crate::lock::Lock;
use crate::phase::session::{CACHE_FULL, Session, store_failure};
use crate::report::Reporter;
use crate::request::Request;

/// The release, and which bytes it writes.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let bytes = goldsmith_images::contract::BYTES;
    format!("{}\nbytes of images: contract {bytes}", env!("CARGO_PKG_VERSION"))
});

/// Builds golden disk images from diskimage-builder elements, without root
#[derive(Debug, Parser)]
#[command(name = "goldsmith", version, long_version = VERSION.as_str(), propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Where layers, steps and downloads are kept
    #[arg(long, global = true, value_name = "DIR", env = "GOLDSMITH_CACHE")]
    cache: Option<std::path::PathBuf>,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image from elements
    Build(build::BuildArgs),
    /// Build a kernel and an initial RAM disk from elements
    Ramdisk(ramdisk::RamdiskArgs),
    /// Lay a finished tree out as a disk: the last step of a build alone
    Materialise(materialise::MaterialiseArgs),
    /// Show what a build would do: steps, keys, what the cache holds
    Plan(plan::PlanArgs),
    /// Build once and write down everything that was read, by digest, as goldsmith.lock
    Lock(lock::LockArgs),
    /// Say what upstream has newer than a lock
    Outdated(outdated::OutdatedArgs),
    /// Make a lock anew, or a part of it
    Update(update::UpdateArgs),
    /// Look at the layout of a disk, or write one that is empty
    #[command(subcommand)]
    Disk(disk::DiskVerb),
    /// Build an image again and compare: status 0 when it is the same, 6 when it is not
    Verify(verify::VerifyArgs),
    /// Run a command in a sandbox
    Run(run::RunArgs),
    /// Fetch an image from a registry into the cache
    Pull(pull::PullArgs),
    /// Send an image to a registry
    Push(push::PushArgs),
    /// Boot an image in QEMU, without changing it
    Boot(boot::BootArgs),
    /// Boot an image and check what its system says of itself
    Test(test::TestArgs),
    /// Take the kernel and the initial RAM disk out of an image
    Kernel(kernel::KernelArgs),
    /// Pack the system on a disk image as an archive
    #[command(hide = true)]
    ImageToTar(image_to_tar::ImageToTarArgs),
    /// Say what this host allows and how to mend what it lacks
    Doctor(doctor::DoctorArgs),
    /// Look at elements
    #[command(subcommand)]
    Elements(elements::ElementsVerb),
    /// Look after the cache
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Link the names of diskimage-builder's programs to this one
    InstallLinks(links::LinksArgs),
}

/// Runs the program that `argv[0]` names and returns its exit status.
pub fn main(argv: Vec<std::ffi::OsString>) -> u8 {
    let program = argv
        .first()
        .map(std::path::PathBuf::from)
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_default();
    match crate::compat::NAMES.iter().find(|(name, _)| *name == program) {
        Some((name, body)) => personality(name, &argv[1..], *body),
        None => native(argv),
    }
}

/// A diskimage-builder name: its own options, its own exit status.
fn personality(
    name: &str,
    arguments: &[std::ffi::OsString],
    body: crate::compat::Personality,
) -> u8 {
    match body(arguments) {
        Ok(status) => status,
        Err(failure) => {
            crate::report::failure(name, &failure);
            match (failure.kind, failure.hook_status) {
                (_, Some(status)) => u8::try_from(status & 0xff).unwrap_or(1).max(1),
                (Kind::Interrupted, None) => Kind::Interrupted.exit_status(),
                _ => 1,
            }
        }
    }
}

fn native(argv: Vec<std::ffi::OsString>) -> u8 {
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { Kind::Usage.exit_status() } else { 0 };
            if error.print().is_err() {
                tracing::debug!("the terminal is gone");
            }
            return status;
        }
    };
    match dispatch(&cli) {
        Ok(status) => status,
        Err(failure) => {
            crate::report::failure("goldsmith", &failure);
            failure.kind.exit_status()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<u8> {
    let cache = || cache_directory(cli.cache.as_deref());
    match &cli.verb {
        Verb::Build(args) => build::run(args, &cache()?),
        Verb::Ramdisk(args) => ramdisk::run(args, &cache()?),
        Verb::Materialise(args) => materialise::run(args, &cache()?),
        Verb::Plan(args) => plan::run(args, &cache()?),
        Verb::Lock(args) => lock::run(args, &cache()?),
        Verb::Outdated(args) => outdated::run(args, &cache()?),
        Verb::Update(args) => update::run(args, &cache()?),
        Verb::Disk(verb) => disk::run(verb, &cache()?),
        Verb::Verify(args) => verify::run(args, &cache()?),
        Verb::Run(args) => run::run(args, &cache()?),
        Verb::Pull(args) => pull::run(args, &cache()?),
        Verb::Push(args) => push::run(args, &cache()?),
        Verb::Boot(args) => boot::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Kernel(args) => kernel::run(args),
        Verb::ImageToTar(args) => image_to_tar::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Elements(verb) => elements::run(verb, &cache()?),
        Verb::Store(verb) => store::run(verb, &cache()?),
        Verb::InstallLinks(args) => links::run(args),
    }
}

/// `GOLDSMITH_CACHE`, else `goldsmith` below `XDG_CACHE_HOME`, else below `~/.cache`.
///
/// # Errors
///
/// When none of the variables is set.
pub fn cache_directory(option: Option<&std::path::Path>) -> Result<std::path::PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from)
    };
    let chosen = option
        .map(std::path::Path::to_path_buf)
        .or_else(|| variable("GOLDSMITH_CACHE"))
        .or_else(|| variable("XDG_CACHE_HOME").map(|directory| directory.join("goldsmith")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/goldsmith")));
    let chosen = chosen.ok_or_else(|| {
        Failure::new(Kind::Host, "no place for the cache: HOME is not set")
            .hint("set GOLDSMITH_CACHE to a directory")
    })?;
    std::path::absolute(&chosen)
        .map_err(|error| Failure::wrap(Kind::Host, chosen.display(), &error))
}

/// A request with the caller's environment and working directory.
///
/// # Errors
///
/// When the working directory is gone.
pub fn caller_request() -> Result<Request> {
    let cwd = std::env::current_dir()
        .map_err(|error| Failure::wrap(Kind::Host, "the working directory", &error))?;
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Request::new(env, cwd)
}

/// Opens the cache and chooses how ids are mapped.
///
/// # Errors
///
/// When this host cannot run sandboxes, or the cache cannot be used.
pub fn session(cache: &std::path::Path, reporter: Reporter, request: &Request) -> Result<Session> {
    let identity = Identity::detect().map_err(|error| {
        Failure::wrap(Kind::Host, "no sandbox can run here", &error)
            .hint(error.fix())
            .hint("`goldsmith doctor` says more")
    })?;
    let namespaces = goldsmith_runtime::user_namespaces();
    if namespaces.required && !namespaces.ok {
        let message = format!("no sandbox can run here: {}", namespaces.detail);
        return Err(Failure::new(Kind::Host, message)
            .hint(namespaces.fix)
            .hint("`goldsmith doctor` says more"));
    }
    let store = Store::open(cache)
        .map_err(|error| store_failure(&error).on_full_disk("the cache", cache, CACHE_FULL))?;
    let hours = request.env.get("GOLDSMITH_STEP_MAX_AGE").and_then(|text| text.parse().ok());
    let lock = Lock::of(request, &store, &reporter)?;
    Ok(Session {
        store,
        lock,
        identity,
        reporter,
        cancel: Cancel::default(),
        refresh: request.refresh,
        max_age: std::time::Duration::from_secs(hours.unwrap_or(24) * 3600),
        private_mounts: false,
    })
}

/// Ends sandboxes on the first ctrl-C or SIGTERM; the second one ends the builder.
///
/// # Errors
///
/// When signals cannot be caught.
pub fn cancel_on_signals(cancel: &Cancel) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "signals", &error);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        for signal in &mut signals {
            if cancel.is_cancelled()
                && signal_hook::low_level::emulate_default_handler(signal).is_err()
            {
                tracing::debug!("cannot die by the signal");
            }
            cancel.cancel();
        }
    });
    Ok(())
}
