//! `goldsmith build`.

use std::path::Path;

use clap::Args;

use super::selection::Selection;
use crate::error::{Failure, Kind, Result};
use crate::phase::breaks;
use crate::phase::build::build;
use crate::phase::session::Session;
use crate::report::{Options, Progress, Reporter};
use crate::request::{Backend, Codec, Request, checksums, gib};

/// What `build` and `plan` take.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    selection: Selection,
    /// Output formats: qcow2, raw, vhd, vhdx, vmdk, vdi, tar, tgz, tar.zst, squashfs, aci, oci
    /// (NAME.oci, an OCI archive), oci-dir (the same as a directory, NAME.oci-dir), docker (NAME.docker.tar, for `docker load`)
    #[arg(short = 't', long = "type", value_name = "TYPE[,TYPE]", default_value = "qcow2")]
    types: String,
    /// Write checksum files: md5, sha256; a directory (oci-dir) gets none
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
    /// Options of mke2fs for the root file system: -b, -e, -i, -I, -j, -J size=, -m, -N, -O,
    /// -E resize=, hash_seed=, stride=, stripe_width=; of mkfs.xfs where it is xfs (docs/disks.md)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    mkfs_options: Option<String>,
    /// Blocks that the root file system keeps room to grow to without meta_bg [default: a
    /// thousandfold]
    #[arg(long, value_name = "BLOCKS")]
    max_online_resize: Option<u64>,
    /// Label of the root file system
    #[arg(long, value_name = "LABEL")]
    root_label: Option<String>,
    /// How qcow2 clusters are compressed
    #[arg(long, value_enum, default_value = "zstd")]
    codec: CodecArg,
    /// How disks of other formats are written, in words of qemu-img: subformat=fixed (vhd),
    /// subformat=streamOptimized, adapter_type= and hwversion= (vmdk)
    #[arg(long, value_name = "KEY=VALUE[,KEY=VALUE]")]
    qemu_img_options: Option<String>,
    /// How layers of images for registries are compressed
    #[arg(long, value_enum, default_value = "gzip")]
    layer_compression: LayerArg,
    /// Name and tag of the image for docker [default: DOCKER_TARGET, else the output's name]
    #[arg(long, value_name = "REPOSITORY[:TAG]")]
    docker_target: Option<String>,
    /// Who lays the tree out as a disk: goldsmith itself, or the kernel on a loop device, so that
    /// finalise.d sees real devices (needs root)
    #[arg(long, value_enum, default_value = "image")]
    backend: BackendArg,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CodecArg {
    None,
    Zlib,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LayerArg {
    Gzip,
    Zstd,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BackendArg {
    Image,
    Loop,
}

impl BuildArgs {
    /// What the arguments and the environment ask for.
    ///
    /// # Errors
    ///
    /// When a value cannot be understood.
    pub fn request(&self) -> Result<Request> {
        let mut request = self.selection.request(&self.types)?;
        if let Some(sums) = &self.checksum {
            request.checksums = checksums(sums).map_err(|failure| failure.about("--checksum"))?;
        }
        if let Some(size) = &self.image_size {
            let wrong = || Failure::new(Kind::Usage, format!("{size:?} is no size in GiB"));
            request.image_size_kib = Some(gib(size).ok_or_else(wrong)?);
        }
        request.image_extra_mib = self.image_extra_size.or(request.image_extra_mib);
        request.journal_mib = self.journal_size.unwrap_or(request.journal_mib);
        if let Some(options) = &self.mkfs_options {
            request.mkfs_options.clone_from(options);
        }
        if let Some(blocks) = self.max_online_resize {
            request.env.insert("MAX_ONLINE_RESIZE".to_owned(), blocks.to_string());
        }
        request.root_label = self.root_label.clone().or(request.root_label);
        request.codec = match self.codec {
            CodecArg::None => Codec::None,
            CodecArg::Zlib => Codec::Zlib,
            CodecArg::Zstd => Codec::Zstd,
        };
        if let Some(text) = &self.qemu_img_options {
            crate::compat::qemu_img_options(text, &mut request)?;
        }
        request.layer_zstd = self.layer_compression == LayerArg::Zstd;
        if let Some(name) = &self.docker_target {
            request.env.insert("DOCKER_TARGET".to_owned(), name.clone());
        }
        request.backend = match self.backend {
            BackendArg::Image => Backend::Image,
            BackendArg::Loop => Backend::Loop,
        };
        Ok(request)
    }

    /// The name that `-o` gives, if it is there.
    pub fn named_output(&self) -> Option<&str> {
        self.selection.named_output()
    }

    /// How the arguments want progress shown.
    ///
    /// # Errors
    ///
    /// When the log file cannot be opened.
    pub fn report_options(&self) -> Result<Options> {
        self.selection.report_options()
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
    let private_mounts = private_mounts(request)?;
    let reporter = Reporter::new(options);
    let session = super::session(cache, reporter.clone(), request)?;
    let session = Session { private_mounts, ..session };
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

/// Gives this process, when it is root's, mounts of its own, and tells whether it has them; to be
/// called before there are threads, which inherit them.
///
/// # Errors
///
/// When the kernel refuses and the backend is one that has to mount.
pub fn private_mounts(request: &Request) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    match goldsmith_runtime::privileged::private_mounts() {
        Err(error) if request.backend == Backend::Loop => {
            Err(Failure::wrap(Kind::Host, "--backend loop", &error))
        }
        done => Ok(done.is_ok()),
    }
}
