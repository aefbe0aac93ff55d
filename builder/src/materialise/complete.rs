//! Outputs that are complete: their checksum files, their names, what is remembered of them.

use std::path::{Path, PathBuf};

use goldsmith_images::disk::sink::checksums;
use serde::{Deserialize, Serialize};

use super::aside::Aside;
use super::layout::AsideDirectory;
use crate::request::{Checksum, ImageType, Request};

/// A finished output, as a step record remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written: seconds and nanoseconds, and which file it is.
    pub stamp: (i64, i64, u64),
}

impl Finished {
    /// Whether the file is still the one that was written.
    pub fn is_there(&self) -> bool {
        stamp(&self.path).is_some_and(|(stamp, bytes)| stamp == self.stamp && bytes == self.bytes)
    }
}

/// When a regular file was written, which one it is, and its size. Of a directory: of its
/// youngest file and the sum of all, and which directory it is.
pub(super) fn stamp(path: &Path) -> Option<((i64, i64, u64), u64)> {
    use std::os::unix::fs::MetadataExt;
    let data = fs_err::symlink_metadata(path).ok()?;
    if data.is_file() {
        return Some(((data.mtime(), data.mtime_nsec(), data.ino()), data.len()));
    }
    let (mut youngest, mut bytes) = ((0, 0), 0);
    for entry in data.is_dir().then(|| walkdir::WalkDir::new(path))? {
        let one = entry.ok()?.metadata().ok()?;
        youngest = youngest.max((one.mtime(), one.mtime_nsec()));
        bytes += if one.is_dir() { 0 } else { one.len() };
    }
    Some(((youngest.0, youngest.1, data.ino()), bytes))
}

/// An output that lies aside.
enum Content {
    File(Aside),
    Directory(AsideDirectory),
}

/// An output with its checksum files, all on disk, none with a name yet.
pub(super) struct Complete {
    content: Content,
    /// Ending and content of the checksum files.
    sums: Vec<(&'static str, Aside)>,
}

impl Complete {
    /// The output of the format `kind` that is in `file`. A directory has no checksum files: its
    /// blobs are called by theirs.
    pub(super) fn new(
        request: &Request,
        kind: ImageType,
        to: &Path,
        file: Aside,
    ) -> std::io::Result<Self> {
        use std::io::Write as _;
        let mut files = Vec::new();
        if kind.is_directory() {
            let content = Content::Directory(AsideDirectory::new(to, file.file())?);
            return Ok(Self { content, sums: files });
        }
        file.sync()?;
        if request.checksums.is_empty() {
            return Ok(Self { content: Content::File(file), sums: files });
        }
        let md5 = request.checksums.contains(&Checksum::Md5);
        let sums = checksums(&file.path(), md5)?;
        for (wanted, ending, sum) in [
            (Checksum::Md5, "md5", sums.md5.as_deref().unwrap_or_default()),
            (Checksum::Sha256, "sha256", sums.sha256.as_str()),
        ] {
            if request.checksums.contains(&wanted) {
                let file = Aside::new(to)?;
                let shown = to.strip_prefix(&request.cwd).unwrap_or(to);
                writeln!(file.file(), "{sum}  {}", shown.display())?;
                file.sync()?;
                files.push((ending, file));
            }
        }
        Ok(Self { content: Content::File(file), sums: files })
    }

    /// Gives the files their names. A rename replaces a symbolic link that turned up there
    /// meanwhile; it never writes through it.
    pub(super) fn name(
        self,
        request: &Request,
        kind: ImageType,
        to: PathBuf,
    ) -> std::io::Result<Finished> {
        if request.keep_old && !request.native {
            keep_old(&to, kind)?;
        }
        match self.content {
            Content::File(file) => file.persist(&to)?,
            Content::Directory(directory) => directory.persist(&to)?,
        }
        for (ending, file) in self.sums {
            file.persist(&with_suffix(&to, ending))?;
        }
        let (stamp, bytes) = stamp(&to).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Finished { path: to, bytes, stamp })
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames an existing output, with its checksum files, to carry its date
/// (`OVERWRITE_OLD_IMAGE` of diskimage-builder).
fn keep_old(path: &Path, kind: ImageType) -> std::io::Result<()> {
    let Ok(data) = fs_err::metadata(path) else { return Ok(()) };
    let time = chrono::DateTime::<chrono::Utc>::from(data.modified()?);
    // An ending may have dots of its own, as that of tar.zst has.
    let ending = format!(".{}", kind.ending());
    let whole = path.as_os_str().to_string_lossy();
    let stem = whole.strip_suffix(&ending).unwrap_or(&whole);
    let dated = format!("{stem}-{}{ending}", time.format("%Y.%m.%d-%H.%M.%S"));
    fs_err::rename(path, &dated)?;
    for suffix in ["md5", "sha256"] {
        let sum = with_suffix(path, suffix);
        if sum.exists() {
            fs_err::rename(sum, with_suffix(Path::new(&dated), suffix))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outputs::path;
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    fn request(cwd: &Path) -> Request {
        let mut request =
            Request::new(std::collections::BTreeMap::new(), cwd.to_path_buf()).unwrap();
        request.set_output("image");
        request.types = vec![ImageType::Qcow2];
        request.checksums = vec![Checksum::Md5, Checksum::Sha256];
        request.native = true;
        request
    }

    fn put(request: &Request, to: &Path) -> std::io::Result<Finished> {
        let file = Aside::new(to)?;
        file.file().write_all(b"image")?;
        Complete::new(request, request.types[0], to, file)?.name(
            request,
            request.types[0],
            to.to_path_buf(),
        )
    }

    #[test]
    fn links_are_replaced_never_followed_r26() {
        let place = tempfile::tempdir().unwrap();
        let canary = place.path().join("canary");
        fs_err::write(&canary, "untouched").unwrap();
        let request = request(place.path());
        let output = path(&request, ImageType::Qcow2);
        for link in [output.clone(), with_suffix(&output, "md5"), with_suffix(&output, "sha256")] {
            symlink(&canary, link).unwrap();
        }
        let finished = put(&request, &output).unwrap();
        assert!(finished.is_there());
        assert_eq!(fs_err::read_to_string(&canary).unwrap(), "untouched");
        let sum = fs_err::read_to_string(with_suffix(&output, "sha256")).unwrap();
        let digest = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d";
        assert_eq!(sum, format!("{digest}  image.qcow2\n"));
        let names = fs_err::read_dir(place.path()).unwrap().count();
        assert_eq!(names, 4, "something is left aside");
    }

    #[test]
    fn an_older_output_gets_its_date_before_its_ending() {
        let place = tempfile::tempdir().unwrap();
        for kind in [ImageType::Qcow2, ImageType::TarZst, ImageType::Squashfs] {
            let mut request = request(place.path());
            request.native = false;
            request.types = vec![kind];
            let output = path(&request, kind);
            for _ in 0..2 {
                put(&request, &output).unwrap();
            }
            let list = fs_err::read_dir(place.path()).unwrap().flatten();
            let mut names: Vec<_> =
                list.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.retain(|name| name.ends_with(&format!(".{}", kind.ending())));
            names.sort();
            assert_eq!(names.len(), 2, "{names:?}");
            assert!(names[0].starts_with("image-2"), "{names:?}");
            let sum = format!("{}.sha256", names[0]);
            assert!(place.path().join(sum).exists(), "the checksums stayed behind");
        }
    }
}
