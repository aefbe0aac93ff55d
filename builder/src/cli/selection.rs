//! What every verb that builds takes: elements, and how their hooks run.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Failure, Kind, Result};
use crate::report::{LogFile, Options, Progress};
use crate::request::Request;

/// The arguments that `build`, `plan` and `ramdisk` share.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// The elements; dependencies come by themselves
    #[arg(required = true, value_name = "ELEMENT")]
    elements: Vec<String>,
    /// Architecture of the image, as dpkg names it [default: this machine's]
    #[arg(short, long, value_name = "ARCH")]
    arch: Option<String>,
    /// Output, without its ending [default: image]
    #[arg(short, long, value_name = "NAME")]
    output: Option<String>,
    /// Packages to install beside those of the elements
    #[arg(short, long, value_name = "PACKAGE", value_delimiter = ',')]
    packages: Vec<String>,
    /// Do not add the element `base`
    #[arg(short = 'n', long)]
    skip_base: bool,
    /// Trace hooks; twice for more
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    trace: u8,
    /// Ask nobody: bases come from the cache, and sandboxes get no network
    #[arg(long)]
    offline: bool,
    /// The Debian archive to bootstrap from
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Take a base image that nobody vouches for: no checksum is given, nobody signed one
    #[arg(long)]
    insecure_base: bool,
    /// Packages for the tools container that hooks of host phases need and goldsmith does not
    /// find out by itself
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    tools_package: Vec<String>,
    /// Follow this lock file [default: goldsmith.lock in the working directory, if it is there
    /// and for the same elements]
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Read nothing but what the lock has: fail (status 5) when an element or what bases are
    /// made of is another one, or a hook asks for something else
    #[arg(long)]
    locked: bool,
    /// Run every step again
    #[arg(long)]
    refresh: bool,
    /// Keep what phases write on disk, not in memory, while they run
    #[arg(long)]
    no_tmpfs: bool,
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
enum ProgressArg {
    Auto,
    Tty,
    Plain,
    Json,
}

impl Selection {
    /// A request for `types`, from the arguments and the environment.
    ///
    /// # Errors
    ///
    /// When a value cannot be understood.
    pub fn request(&self, types: &str) -> Result<Request> {
        let mut request = super::caller_request()?;
        request.native = true;
        request.elements.clone_from(&self.elements);
        request.types = crate::compat::types(types)?;
        let output = self.output.clone().unwrap_or_else(|| request.output.display().to_string());
        request.set_output(&output);
        request.packages.clone_from(&self.packages);
        request.packages.retain(|package| !package.is_empty());
        request.skip_base = self.skip_base;
        request.trace = request.trace.max(self.trace.into());
        request.offline |= self.offline;
        request.isolated = self.offline;
        request.arch = self.arch.clone().unwrap_or(request.arch);
        request.mirror.clone_from(&self.mirror);
        request.insecure_base |= self.insecure_base;
        request.tools_packages.extend(self.tools_package.iter().cloned());
        request.refresh = self.refresh;
        request.lock.clone_from(&self.lock);
        request.locked = self.locked;
        if self.no_tmpfs {
            request.env.insert("DIB_NO_TMPFS".to_owned(), "1".to_owned());
        }
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

    /// The name that `-o` gives, if it is there.
    pub fn named_output(&self) -> Option<&str> {
        self.output.as_deref()
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
