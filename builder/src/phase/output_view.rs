//! The output directory as sandboxes see it: what host root owns there is their root's.
//!
//! The ids of a builder that is root are of a range of nobody's inside sandboxes, and hooks could
//! not change what an earlier build left in the directory.

use std::path::{Path, PathBuf};

use goldsmith_runtime::IdentityMode;
use goldsmith_runtime::privileged::{MappedView, MountedDisk, PrivilegedError};

use super::session::Session;

/// The first Linux whose overlays take directories with mapped ids below them.
const LEAST_KERNEL: (u32, u32) = (5, 19);

/// A view of the directory, for as long as this value lives.
#[derive(Debug)]
pub(super) struct OutputView {
    mounts: MountedDisk,
    place: PathBuf,
}

impl OutputView {
    /// Shows a directory with the ids of sandboxes. Nothing when the user is the sandboxes' root
    /// anyway, and where a kernel, a file system or a container does not let it be: hooks then
    /// find what root owns as anybody does.
    pub(super) fn new(session: &Session, directory: &Path) -> Option<Self> {
        if session.identity.mode != IdentityMode::Root || !session.private_mounts {
            return None;
        }
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        if !is_at_least(&release, LEAST_KERNEL) {
            return None;
        }
        Self::mounted(session, directory).unwrap_or_else(|error| {
            tracing::debug!(%error, directory = %directory.display(), "no view of the output");
            None
        })
    }

    fn mounted(session: &Session, directory: &Path) -> Result<Option<Self>, PrivilegedError> {
        let place = tempfile::Builder::new().prefix("output-").tempdir_in(session.store.run_dir());
        // The cache says itself what is wrong with it.
        let Ok(place) = place else { return Ok(None) };
        let mut view = Self { mounts: MountedDisk::default(), place: place.keep() };
        MappedView::new(&session.identity)?.show(&mut view.mounts, directory, &view.place)?;
        Ok(Some(view))
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.place.clone()
    }
}

impl Drop for OutputView {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.mounts));
        // Never what is in it: were it mounted still, that would be the user's.
        if let Err(error) = fs_err::remove_dir(&self.place) {
            tracing::debug!(%error, "the place of the view stays");
        }
    }
}

/// Whether a kernel's release, `6.1.0-18-amd64`, is at least that one.
fn is_at_least(release: &str, least: (u32, u32)) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, is) in [
            ("6.1.0-18-amd64", true),
            ("5.19.0", true),
            ("5.4.0-100-generic", false),
            ("10.0", true),
            ("5.18.19+", false),
            ("odd", false),
        ] {
            assert_eq!(is_at_least(release, LEAST_KERNEL), is, "{release}");
        }
    }
}
