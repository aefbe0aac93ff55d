//! Archives that attack, each beside a legal twin; I-numbers are those of the project's list
//! of attacks on importers.

mod content;
mod copying;
mod differential;
mod format;
mod limits;
mod metadata;
mod notes;
mod paths;
mod removal;
mod tars;

use std::error::Error as _;
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tars::{Head, Tar};

use super::{ExtractError, Extracted, Limits, RootWriter, extract};

/// A root to extract into and, beside it, what must never change.
struct Site {
    directory: tempfile::TempDir,
    before: String,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs_err::create_dir(directory.path().join("root")).unwrap();
        fs_err::create_dir_all(outside.join("below")).unwrap();
        for name in ["passwd", "x", "below/file"] {
            let path = outside.join(name);
            fs_err::write(&path, "canary").unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        let mut site = Self { directory, before: String::new() };
        site.before = site.outside_state();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn outside(&self) -> String {
        self.directory.path().join("outside").to_str().unwrap().to_owned()
    }

    fn outside_state(&self) -> String {
        let mut text = String::new();
        for entry in walkdir::WalkDir::new(self.outside()).sort_by_file_name() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let content = fs_err::read(entry.path()).unwrap_or_default();
            text += &format!(
                "{:?} {:o} {} {} {} {}.{} {}.{} {content:?}\n",
                entry.path(),
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.nlink(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            );
        }
        // What lies beside the root: nothing new either.
        for name in fs_err::read_dir(self.directory.path()).unwrap() {
            assert!(
                ["root", "outside", ".goldsmith-notes"]
                    .contains(&name.unwrap().file_name().to_str().unwrap())
            );
        }
        text
    }

    /// Extracts with these limits and looks whether anything outside changed.
    fn extract_with(&self, stream: impl Read, limits: &Limits) -> Result<Extracted, ExtractError> {
        let mut writer = RootWriter::open(&self.path("")).unwrap();
        let done = extract(stream, &mut writer, limits);
        let finished = writer.finish();
        assert_eq!(self.before, self.outside_state());
        let done = done?;
        finished?;
        Ok(done)
    }

    fn extract(&self, tar: Tar) -> Result<Extracted, ExtractError> {
        self.extract_with(&tar.end()[..], &Limits::default())
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs_err::symlink_metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    fn xattr(&self, name: &str, key: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(self.path(name), key, &mut value[..]).ok()?;
        value.truncate(length);
        Some(value)
    }

    fn whiteout(&self, name: &str) -> bool {
        let meta = fs_err::symlink_metadata(self.path(name)).unwrap();
        rustix::fs::FileType::from_raw_mode(meta.mode()).is_char_device() && meta.rdev() == 0
    }
}

/// An error with its causes.
fn told(error: &ExtractError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}

/// Extracts into a fresh root, which must fail with a message that contains `words`.
fn refused(tar: Tar, words: &str) {
    let text = told(&Site::new().extract(tar).expect_err(words));
    assert!(text.contains(words), "{words} in {text}");
}

/// The names that GNU tar lists.
fn gnu_tar(bytes: &[u8]) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let output = Command::new("tar")
        .args(["--list", "--quoting-style=literal", "--file"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(|name| name.trim_end_matches('/').to_owned()).collect()
}

/// Extracts what GNU tar lists in the same way.
fn agrees_with_gnu_tar(tar: Tar) -> Site {
    let site = Site::new();
    let bytes = tar.end();
    let done = site.extract_with(&bytes[..], &Limits::default()).unwrap();
    let names: Vec<_> =
        done.paths.into_iter().map(|one| String::from_utf8(one.path).unwrap()).collect();
    assert_eq!(names, gnu_tar(&bytes));
    site
}
