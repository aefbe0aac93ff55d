//! A file without a name: it appears complete, or not at all.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

/// A file that an output is written to before it gets its name.
///
/// The kernel drops it when nobody holds it (O_TMPFILE, open(2)), so a killed builder leaves
/// nothing in the user's directory. On file systems that know no such files it has a hidden
/// name, which goes with this value.
#[derive(Debug)]
pub struct Aside {
    directory: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Unnamed(File),
    Hidden(tempfile::NamedTempFile),
}

impl Aside {
    /// An empty file beside `to`, readable by everybody as an image is.
    ///
    /// # Errors
    ///
    /// When the directory is missing or not writable.
    pub fn new(to: &Path) -> std::io::Result<Self> {
        let directory = to.parent().unwrap_or(Path::new("/")).to_path_buf();
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let place = match openat(CWD, &directory, flags, Mode::from_raw_mode(0o644)) {
            Ok(fd) => Place::Unnamed(File::from(fd)),
            Err(_unknown) => Place::Hidden(hidden(&directory)?),
        };
        Ok(Self { directory, place })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        match &self.place {
            Place::Unnamed(file) => file,
            Place::Hidden(file) => file.as_file(),
        }
    }

    /// A path that leads to the file as long as this value lives, in this process only.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file().as_raw_fd()))
    }

    /// Brings the content to the disk.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn sync(&self) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.file().set_permissions(PermissionsExt::from_mode(0o644))?;
        self.file().sync_all()
    }

    /// Names the file, instead of what had the name before. A symbolic link that turned up
    /// there meanwhile is replaced, never followed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written; the old file then stays.
    pub fn persist(self, to: &Path) -> std::io::Result<()> {
        match self.place {
            Place::Hidden(file) => file.persist(to).map(|_| ()).map_err(|error| error.error),
            Place::Unnamed(file) => {
                // link(2) replaces nothing, rename(2) needs a name: first one, then the other.
                let name = tempfile::Builder::new().prefix(".goldsmith-").make_in(
                    &self.directory,
                    |name| {
                        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
                        linkat(CWD, from, CWD, name, AtFlags::SYMLINK_FOLLOW).map_err(Into::into)
                    },
                )?;
                name.into_temp_path().persist(to).map_err(|error| error.error)
            }
        }
    }
}

fn hidden(directory: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(".goldsmith-").tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn names(directory: &Path) -> Vec<String> {
        let list = fs_err::read_dir(directory).unwrap().flatten();
        list.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_shows_itself_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("x.raw");
        fs_err::write(&to, "old").unwrap();
        let aside = Aside::new(&to).unwrap();
        aside.file().write_all(b"new").unwrap();
        assert_eq!(fs_err::read_to_string(&to).unwrap(), "old");
        assert_eq!(fs_err::read(aside.path()).unwrap(), b"new");
        aside.persist(&to).unwrap();
        assert_eq!(fs_err::read_to_string(&to).unwrap(), "new");
        assert_eq!(names(directory.path()), ["x.raw"]);
    }

    #[test]
    fn hidden_names_go_too() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("x.raw");
        let place = Place::Hidden(hidden(directory.path()).unwrap());
        let aside = Aside { directory: directory.path().to_path_buf(), place };
        assert_eq!(names(directory.path()).len(), 1);
        aside.persist(&to).unwrap();
        assert_eq!(names(directory.path()), ["x.raw"]);
        drop(Aside {
            directory: "/".into(),
            place: Place::Hidden(hidden(directory.path()).unwrap()),
        });
        assert_eq!(names(directory.path()), ["x.raw"]);
    }
}
