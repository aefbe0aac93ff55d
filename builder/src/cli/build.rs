//! `goldsmith build`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Failure, Kind, Result};
use crate::phase::breaks;
use crate::phase::build::build;
use crate::report::{LogFile, Options, Progress, Reporter};
use crate::request::{Backend, Codec, Request, checksums, gib};

/// What `build` and `plan` take.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// The elements; dependencies come by themselves
    #[arg(required = true, value_name = "ELEMENT")]
    elements: Vec<String>,
    /// Architecture of the image, as dpkg names it [default: this machine's]
    #[arg(short, long, value_name = "ARCH")]
    arch: Option<String>,
    /// Output, without its ending [default: image]
    #[arg(short, long, value_name = "NAME")]
    output: Option<String>,
    /// Output formats: qcow2, raw, tar, tgz
    #[arg(short = 't', long = "type", value_name = "TYPE[,TYPE]", default_value = "qcow2")]
    types: String,
    /// Packages to install beside those of the elements
    #[arg(short, long, value_name = "PACKAGE", value_delimiter = ',')]
    packages: Vec<String>,
    /// Do not add the element `base`
    #[arg(short = 'n', long)]
    skip_base: bool,
    /// Trace hooks; twice for more
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    trace: u8,
    /// Use what is cached and give sandboxes no network
    #[arg(long)]
    offline: bool,
    /// Write checksum files: md5, sha256
    #[arg(long, value_name = "SUM", num_args = 0..=1, default_missing_value = "1")]
    checksum: Option<String>,
    /// Size of the whole image in GiB, decimals allowed
    #[arg(long, value_name = "GIB")]
    image_size: Option<String>,
    /// Room beside the tree in MiB, instead of two thirds of it
    #[arg(long, value_name = "MIB")]
    image_extra_size: Option<u64>,
    /// Journal of the root file system in MiB
    #[arg(long, value_name = "MIB")]
    journal_size: Option<u32>,
    /// Label of the root file system
    #[arg(long, value_name = "LABEL")]
    root_label: Option<String>,
    /// How qcow2 clusters are compressed
    #[arg(long, value_enum, default_value = "zstd")]
    codec: CodecArg,
    /// Who lays the tree out as a disk: goldsmith itself, or the kernel on a loop device, so that
    /// finalise.d sees real devices (needs root)
    #[arg(long, value_enum, default_value = "image")]
    backend: BackendArg,
    /// The Debian archive to bootstrap from
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Run every step again
    #[arg(long)]
    refresh: bool,
    /// Let hooks see this variable of yours, or give it a value
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Directories of elements, before those of ELEMENTS_PATH
    #[arg(short = 'E', long, value_name = "DIR")]
    elements_path: Vec<PathBuf>,
    /// Leave the shipped elements out
    #[arg(long)]
    no_builtin_elements: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    progress: ProgressArg,
    /// Append all output, raw, to this file
    #[arg(long, value_name = "FILE")]
    logfile: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CodecArg {
    None,
    Zlib,
    Zstd,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BackendArg {
    Image,
    Loop,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ProgressArg {
    Auto,
    Tty,
    Plain,
    Json,
}

impl BuildArgs {
    /// What the arguments and the environment ask for.
    ///
    /// # Errors
    ///
    /// When a value cannot be understood.
    pub fn request(&self) -> Result<Request> {
        let mut request = super::caller_request()?;
        request.native = true;
        request.elements.clone_from(&self.elements);
        request.types = crate::compat::types(&self.types)?;
        let output = self.output.clone().unwrap_or_else(|| request.output.display().to_string());
        request.set_output(&output);
        request.packages.clone_from(&self.packages);
        request.packages.retain(|package| !package.is_empty());
        request.skip_base = self.skip_base;
        request.trace = request.trace.max(self.trace.into());
        request.offline |= self.offline;
        request.isolated = self.offline;
        if let Some(sums) = &self.checksum {
            request.checksums = checksums(Some(sums));
        }
        if let Some(size) = &self.image_size {
            let wrong = || Failure::new(Kind::Usage, format!("{size:?} is no size in GiB"));
            request.image_size_kib = Some(gib(size).ok_or_else(wrong)?);
        }
        request.image_extra_mib = self.image_extra_size.or(request.image_extra_mib);
        request.journal_mib = self.journal_size.unwrap_or(request.journal_mib);
        request.root_label = self.root_label.clone().or(request.root_label);
        request.arch = self.arch.clone().unwrap_or(request.arch);
        request.codec = match self.codec {
            CodecArg::None => Codec::None,
            CodecArg::Zlib => Codec::Zlib,
            CodecArg::Zstd => Codec::Zstd,
        };
        request.backend = match self.backend {
            BackendArg::Image => Backend::Image,
            BackendArg::Loop => Backend::Loop,
        };
        request.mirror.clone_from(&self.mirror);
        request.refresh = self.refresh;
        let mut path: Vec<_> = self.elements_path.iter().map(|dir| request.cwd.join(dir)).collect();
        path.append(&mut request.elements_path);
        request.elements_path = path;
        request.no_builtin_elements |= self.no_builtin_elements;
        for variable in &self.env {
            match variable.split_once('=') {
                Some((name, value)) => {
                    request.env.insert(name.to_owned(), value.to_owned());
                    request.pass.push(name.to_owned());
                }
                None => request.pass.push(variable.clone()),
            }
        }
        request.arguments = format!("-a {} {}", request.arch, self.elements.join(" "));
        Ok(request)
    }

    /// How the arguments want progress shown.
    ///
    /// # Errors
    ///
    /// When the log file cannot be opened.
    pub fn report_options(&self) -> Result<Options> {
        let log = self.logfile.as_deref().map(LogFile::append).transpose();
        let log = log.map_err(|error| Failure::wrap(Kind::Usage, "--logfile", &error))?;
        Ok(Options {
            progress: match self.progress {
                ProgressArg::Auto => Progress::Auto,
                ProgressArg::Tty => Progress::Tty,
                ProgressArg::Plain => Progress::Plain,
                ProgressArg::Json => Progress::Json,
            },
            log,
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            ..Options::default()
        })
    }
}

/// Runs the verb.
///
/// # Errors
///
/// When the build fails.
pub fn run(args: &BuildArgs, cache: &Path) -> Result<u8> {
    execute(&args.request()?, args.report_options()?, cache)
}

/// Builds `request`, ctrl-C ending it cleanly.
///
/// # Errors
///
/// When the build fails.
pub fn execute(request: &Request, mut options: Options, cache: &Path) -> Result<u8> {
    if breaks::any(&request.env) && matches!(options.progress, Progress::Auto | Progress::Tty) {
        // The terminal is somebody's to type at.
        options.progress = Progress::Plain;
    }
    if request.backend == Backend::Loop && rustix::process::geteuid().is_root() {
        // Before there are threads: they inherit it.
        goldsmith_runtime::privileged::private_mounts()
            .map_err(|error| Failure::wrap(Kind::Host, "--backend loop", &error))?;
    }
    let reporter = Reporter::new(options);
    let session = super::session(cache, reporter.clone(), request)?;
    super::cancel_on_signals(&session.cancel)?;
    let done = build(&session, request);
    reporter.finish();
    if let Err(failure) = session.sweep() {
        reporter.warn(format!("unfinished trees are left in the cache: {failure}"));
    }
    done?;
    reporter.info("Build completed successfully");
    Ok(0)
}
