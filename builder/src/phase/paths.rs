//! Fixed paths inside sandboxes: the same for every user, so that keys and bytes are too.

/// The working directory of diskimage-builder's contract (`TMP_BUILD_DIR`).
pub const BUILD: &str = "/tmp/dib_build.goldsmit";
/// The image's tree in host phases (`TMP_MOUNT_PATH`).
pub const MNT: &str = "/tmp/dib_build.goldsmit/mnt";
/// The hooks tree in host phases (`TMP_HOOKS_PATH`).
pub const HOOKS: &str = "/tmp/dib_build.goldsmit/hooks";
/// The hooks tree in the image.
pub const TARGET_HOOKS: &str = "/tmp/in_target.d";
/// `_LIB`.
pub const LIB: &str = "/goldsmith/lib";
/// Stand-ins for host tools, first in `PATH` of host phases.
pub const SHIMS: &str = "/goldsmith/shims";
/// This program, for stand-ins that have it do the work.
pub const PROGRAM: &str = "/goldsmith/bin/goldsmith";
/// One directory for each entry of `ELEMENTS_PATH`.
pub const ELEMENTS: &str = "/goldsmith/elements";
/// Parent of `DIB_IMAGE_CACHE` and `DIB_LOCKFILES`.
pub const CACHE: &str = "/goldsmith/cache";
/// The directory that outputs go to; the working directory of host phases.
pub const OUTPUT: &str = "/goldsmith/output";
/// What shims tell the builder.
pub const RUN: &str = "/goldsmith/run";
/// What the boot loader shims record.
pub const BOOT: &str = "/goldsmith/boot";
/// The builder's resolv.conf.
pub const RESOLV_CONF: &str = "/goldsmith/resolv.conf";
/// Where `python3` of the tools container finds the package that hooks import.
pub const PYTHON: &str = "/usr/lib/python3/dist-packages/diskimage_builder";
