//! What a phase writes, on a tmpfs until the phase has ended.
//!
//! As diskimage-builder's `DIB_MIN_TMPFS` and `DIB_NO_TMPFS` say. Snapshots lie on disk: what
//! was written is copied there when the phase has ended, well or not.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use goldsmith_runtime::{JobInput, SandboxPlan};
use serde::{Deserialize, Serialize};

use super::sandbox::Ran;
use super::session::Session;
use crate::error::{Failure, Kind, Result};
use crate::request::Request;

const GIB: u64 = 1 << 30;
/// The memory that a tmpfs wants, as `DIB_MIN_TMPFS` has it: half of it, in GiB.
const LEAST: &str = "2";
/// Where the kernel shows control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// Where a phase writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upper {
    /// A tmpfs of at most that many bytes.
    Memory(u64),
    /// An overlay's upper directory on disk.
    Disk,
    /// A plain copy of the whole tree, on disk.
    Flat,
}

impl Upper {
    /// How the phase is to run once more because of the place that it wrote to, and why.
    pub(super) fn after(self, ran: &Ran) -> Option<(Self, String)> {
        match self {
            Self::Memory(bytes)
                if ran.watch.no_space() || ran.outcome.scratch.as_ref().is_some_and(is_full) =>
            {
                let why = format!(
                    "the tmpfs of {} MiB is full; running the phase again on disk",
                    bytes >> 20
                );
                Some((Self::Disk, why))
            }
            Self::Memory(_) | Self::Disk if ran.watch.cross_device() => {
                let why = "a program could not rename a directory of a lower layer (EXDEV); running the phase again on a plain copy of the tree";
                Some((Self::Flat, why.to_owned()))
            }
            Self::Memory(_) | Self::Disk | Self::Flat => None,
        }
    }

    /// The tmpfs's size.
    pub(super) fn scratch_bytes(self) -> Option<u64> {
        match self {
            Self::Memory(bytes) => Some(bytes),
            Self::Disk | Self::Flat => None,
        }
    }
}

fn is_full(scratch: &OwnedFd) -> bool {
    rustix::fs::fstatvfs(scratch)
        .is_ok_and(|stat| stat.f_bfree < stat.f_blocks / 100 || stat.f_ffree == 0)
}

/// Decides where phases write to: a tmpfs of half the memory, when there is enough of it and
/// neither the user nor the kind of image says otherwise.
///
/// # Errors
///
/// When `DIB_MIN_TMPFS` is no number.
pub(super) fn choose(session: &Session, request: &Request) -> Result<Upper> {
    let set =
        |name: &str| request.env.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let hardened = set("GENTOO_PROFILE").is_some_and(|profile| profile.contains("hardened"));
    if set("DIB_NO_TMPFS").is_some_and(|no| no != "0") || request.ramdisk.is_some() || hardened {
        return Ok(Upper::Disk);
    }
    let least = set("DIB_MIN_TMPFS").unwrap_or(LEAST);
    let least: u64 = least.parse().map_err(|_error| {
        Failure::new(Kind::Usage, format!("DIB_MIN_TMPFS is {least:?}: it is a number of GiB"))
    })?;
    let memory = Memory::of_host();
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / GIB as f64);
    let why = if memory.bytes < least.saturating_mul(2 * GIB) {
        format!("it wants twice {least} GiB of memory and there are {}", gib(memory.bytes))
    } else if memory.available < memory.bytes / 2 {
        format!("half of {} of memory is not free", gib(memory.bytes))
    } else if !takes_overlays() {
        "an overlay cannot lie on one before Linux 6.6".to_owned()
    } else {
        return Ok(Upper::Memory(memory.bytes / 2));
    };
    let reporter = &session.reporter;
    let text = format!("no tmpfs: {why}; phases write to disk");
    // What nobody asked for is not missed.
    if set("DIB_MIN_TMPFS").is_some() {
        reporter.warn(text);
    } else {
        reporter.info(text);
    }
    Ok(Upper::Disk)
}

/// Whether the kernel's tmpfs stores the attributes that an overlay in a user namespace needs.
fn takes_overlays() -> bool {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    rustix::fs::memfd_create("goldsmith", flags).is_ok_and(|file| {
        let name = "user.overlay.opaque";
        rustix::fs::fsetxattr(&file, name, b"y", rustix::fs::XattrFlags::empty()).is_ok()
    })
}

/// How much memory builds may use: what is written to a tmpfs counts as the control group's.
#[derive(Debug)]
struct Memory {
    bytes: u64,
    available: u64,
}

impl Memory {
    fn of_host() -> Self {
        let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
        let limits = limits(&read("/proc/self/cgroup"), Path::new(GROUPS));
        let info = read("/proc/meminfo");
        let bytes = limits.into_iter().fold(field(&info, "MemTotal:"), u64::min);
        Self { bytes, available: field(&info, "MemAvailable:") }
    }
}

/// A field of /proc/meminfo in bytes; none when that cannot be read.
fn field(meminfo: &str, name: &str) -> u64 {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name));
    let kib = value.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

/// The limits of the control groups that this process is in, of either version.
fn limits(own: &str, groups: &Path) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => (groups.to_path_buf(), "memory.max"),
            "memory" => (groups.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            let text = fs_err::read_to_string(root.join(group).join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>());
        }
    }
    limits
}

/// Where the overlay of that number has received what was written.
fn upper(scratch: &OwnedFd, number: usize) -> PathBuf {
    format!("/proc/self/fd/{}/{number}/upper", scratch.as_raw_fd()).into()
}

/// Whether anything was written to an overlay of `plan`.
pub(super) fn received(plan: &SandboxPlan, scratch: &OwnedFd) -> bool {
    let empty =
        |number| fs_err::read_dir(upper(scratch, number)).is_ok_and(|mut all| all.next().is_none());
    !(0..plan.overlays().count()).all(empty)
}

#[derive(Debug, Serialize, Deserialize)]
struct Keep {
    uppers: Vec<PathBuf>,
}

/// Copies what the overlays of `plan` received to their places on disk.
///
/// # Errors
///
/// When something cannot be read or written.
pub(super) fn keep(session: &Session, plan: &SandboxPlan, scratch: &OwnedFd) -> Result<()> {
    let uppers = plan.overlays().map(|overlay| overlay.upper.clone()).collect();
    super::jobs::call(&session.identity, "keep", &Keep { uppers }, &[scratch.as_fd()])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub(super) fn keep_job(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Keep { uppers } = super::jobs::request(&input)?;
    let scratch = input.files.first().ok_or("no tmpfs came along")?;
    for (number, to) in uppers.iter().enumerate() {
        fs_err::create_dir(to).map_err(|error| error.to_string())?;
        goldsmith_images::layer::copy_layer(&upper(scratch, number), to)
            .map_err(|error| crate::base::jobs::chain(&error))?;
    }
    Ok(serde_json::Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_least_of_all_limits() {
        let info = "MemTotal:       24684000 kB\nMemFree: 1 kB\n";
        assert_eq!(field(info, "MemTotal:"), 24_684_000 << 10);
        assert_eq!(field("nonsense", "MemTotal:"), 0);
        let groups = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = groups.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("a/memory.max", "4096\n");
        write("a/b/memory.max", "max\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/pod/memory.limit_in_bytes", "1024\n");
        let of = |own: &str| limits(own, groups.path());
        assert_eq!(of("0::/a/b\n"), [4096]);
        assert_eq!(of("4:memory:/pod\n3:cpuset:/a\n"), [1024, 9_223_372_036_854_771_712]);
        // A container's own view of its group begins at the root.
        assert_eq!(of("4:memory:/elsewhere/pod\n"), [9_223_372_036_854_771_712]);
        assert!(of("0::/\n").is_empty());
    }
}
