//! What overlays receive, on a tmpfs of the sandbox's own.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::rootfs::WORKSHOP;

/// The tmpfs: a directory for each overlay, named by its number in the plan, that holds
/// `upper` and `work`.
#[derive(Debug)]
pub(super) struct Scratch {
    root: OwnedFd,
    next: usize,
}

impl Scratch {
    /// Mounts one that holds at most `bytes`.
    pub(super) fn mount(bytes: u64) -> Result<Self, String> {
        let at = format!("{WORKSHOP}/scratch");
        fs_err::create_dir(&at).map_err(|error| error.to_string())?;
        let options = format!("mode=755,size={bytes}");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), at.as_str(), Some("tmpfs"), flags, Some(options.as_str()))
            .map_err(|error| format!("mount(tmpfs of {bytes} bytes): {error}"))?;
        Ok(Self { root: open(Path::new(&at))?, next: 0 })
    }

    /// Makes and opens upper and work directory of the next overlay.
    pub(super) fn directories(&mut self) -> Result<[OwnedFd; 2], String> {
        let place = format!("{WORKSHOP}/scratch/{}", self.next);
        self.next += 1;
        let place = Path::new(&place);
        let (upper, work) = (place.join("upper"), place.join("work"));
        for directory in [place, &upper, &work] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs_err::create_dir(directory)
                .and_then(|()| fs_err::set_permissions(directory, mode))
                .map_err(|error| error.to_string())?;
        }
        Ok([open(&upper)?, open(&work)?])
    }

    /// The tmpfs's root: it stays for as long as somebody has it open.
    pub(super) fn into_root(self) -> OwnedFd {
        self.root
    }
}

fn open(path: &Path) -> Result<OwnedFd, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .map_err(|error| format!("open({}): {error}", path.display()))
}
