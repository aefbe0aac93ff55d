//! A directory beside its name: an image layout (`-t oci-dir`) that appears complete, or not at
//! all.

use std::fs::File;
use std::path::Path;

use goldsmith_images::oci::Archive;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempDir;

/// What an image layout always has, and hardly any other directory.
const MARK: &str = "oci-layout";

/// A complete layout under a hidden name, which goes with this value.
#[derive(Debug)]
pub(super) struct AsideDirectory(TempDir);

/// Whether something that has the name of a layout may be replaced by one: only an older layout.
pub(super) fn is_layout(path: &Path) -> bool {
    let is = |path: &Path, directory: bool| {
        fs_err::symlink_metadata(path)
            .is_ok_and(|data| if directory { data.is_dir() } else { data.is_file() })
    };
    is(path, true) && is(&path.join(MARK), false)
}

impl AsideDirectory {
    /// Lays an archive out beside `to`, on the disk.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    pub(super) fn new(to: &Path, archive: &File) -> std::io::Result<Self> {
        let directory = to.parent().unwrap_or(Path::new("/"));
        let aside = tempfile::Builder::new().prefix(".goldsmith-").tempdir_in(directory)?;
        let failed = |error: goldsmith_images::oci::ArchiveError| std::io::Error::other(error);
        let archive = Archive::open(archive.try_clone()?).map_err(failed)?;
        archive.lay_out(aside.path()).map_err(failed)?;
        Ok(Self(aside))
    }

    /// Names the directory; an older layout of that name changes places with it and is removed.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the old one then stays.
    pub(super) fn persist(self, to: &Path) -> std::io::Result<()> {
        match renameat_with(CWD, self.0.path(), CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {
                let _named = self.0.keep();
                return Ok(());
            }
            Err(Errno::EXIST) => {}
            // NFS knows no flags: in two steps, of which the first can be taken back.
            Err(Errno::INVAL | Errno::NOSYS) => return self.persist_plainly(to),
            Err(error) => return Err(error.into()),
        }
        match renameat_with(CWD, self.0.path(), CWD, to, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // Some know the one flag and not the other.
            Err(Errno::INVAL | Errno::NOSYS) => return self.persist_plainly(to),
            Err(error) => return Err(error.into()),
        }
        // Whatever turned up there meanwhile is no layout of ours: it is left under its new name.
        match is_layout(self.0.path()) {
            true => self.0.close(),
            false => {
                let kept = self.0.keep();
                let message = format!("what lay in its way is now {}", kept.display());
                Err(std::io::Error::other(message))
            }
        }
    }
}

impl AsideDirectory {
    fn persist_plainly(self, to: &Path) -> std::io::Result<()> {
        if fs_err::symlink_metadata(to).is_err() {
            fs_err::rename(self.0.path(), to)?;
            let _named = self.0.keep();
            return Ok(());
        }
        if !is_layout(to) {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        let parent = to.parent().unwrap_or(Path::new("/"));
        let old = tempfile::Builder::new().prefix(".goldsmith-").tempdir_in(parent)?;
        // A rename takes the place of an empty directory.
        fs_err::rename(to, old.path())?;
        if let Err(error) = fs_err::rename(self.0.path(), to) {
            let kept = old.keep();
            return Err(match fs_err::rename(&kept, to) {
                Ok(()) => error,
                Err(_) => std::io::Error::new(
                    error.kind(),
                    format!("{error}; the older one is now {}", kept.display()),
                ),
            });
        }
        let _named = self.0.keep();
        old.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_layout_is_replaced_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("x.oci-dir");
        let aside = |mark: &str| {
            let aside = tempfile::Builder::new().prefix(".goldsmith-").tempdir_in(place.path());
            let aside = aside.unwrap();
            fs_err::write(aside.path().join(MARK), mark).unwrap();
            AsideDirectory(aside)
        };
        let names = || fs_err::read_dir(place.path()).unwrap().count();
        for mark in ["one", "two"] {
            aside(mark).persist(&to).unwrap();
            aside(mark).persist_plainly(&to).unwrap();
            assert_eq!(fs_err::read_to_string(to.join(MARK)).unwrap(), mark);
            assert_eq!(names(), 1, "something is left aside");
        }
        drop(aside("never named"));
        assert_eq!(names(), 1);
        assert!(is_layout(&to));
        // Something else that turned up is kept.
        fs_err::remove_dir_all(&to).unwrap();
        fs_err::write(&to, "precious").unwrap();
        assert!(!is_layout(&to));
        let error = aside("three").persist(&to).unwrap_err().to_string();
        let kept = error.rsplit(' ').next().unwrap();
        assert_eq!(fs_err::read_to_string(kept).unwrap(), "precious");
    }
}
