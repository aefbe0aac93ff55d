//! Output files: written aside, named when complete.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::disk::sink::{checksums, copy_raw};
use goldsmith_images::tree::Normalise;
use serde::{Deserialize, Serialize};

use super::aside::Aside;
use super::beside;
use super::jobs::{Output, Write, run_write};
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::session::Session;
use crate::report::Event;
use crate::request::{Backend, Checksum, ImageType, Request};

/// A finished output, as a step record remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub sha256: String,
    /// When it was written: seconds and nanoseconds, and which file it is.
    pub stamp: (i64, i64, u64),
}

impl Finished {
    /// Whether the file is still the one that was written.
    pub fn is_there(&self) -> bool {
        stamp(&self.path).is_some_and(|(stamp, bytes)| stamp == self.stamp && bytes == self.bytes)
    }
}

/// When a regular file was written, which one it is, and its size.
pub(super) fn stamp(path: &Path) -> Option<((i64, i64, u64), u64)> {
    use std::os::unix::fs::MetadataExt;
    let data = fs_err::symlink_metadata(path).ok()?;
    data.is_file().then(|| ((data.mtime(), data.mtime_nsec(), data.ino()), data.len()))
}

/// The path of an output.
pub fn path(request: &Request, kind: ImageType) -> PathBuf {
    let mut name = request.cwd.join(&request.output).into_os_string();
    name.push(".");
    name.push(kind.ending());
    PathBuf::from(name)
}

/// Fails early when an output cannot be put where it is wanted.
///
/// # Errors
///
/// When the directory is missing or not writable, or something that is no regular file is in
/// the way.
pub fn check(request: &Request) -> Result<()> {
    let directory = beside::directory(request);
    if let Err(error) = rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK) {
        let message = format!("{} cannot be written to", directory.display());
        return Err(Failure::wrap(Kind::Host, message, &error)
            .hint("name another place by -o, or make the directory"));
    }
    for &kind in &request.types {
        let path = path(request, kind);
        if request.backend == Backend::Loop && !kind.is_disk() {
            let message = format!("--backend loop writes disks, not {}", kind.ending());
            return Err(Failure::new(Kind::Usage, message)
                .hint("make the archive with the image backend, by a second command"));
        }
        if let Ok(data) = fs_err::symlink_metadata(&path)
            && !data.is_file()
        {
            let what = if data.is_symlink() { "a symbolic link" } else { "no regular file" };
            let message = format!("{} is {what}; it is left alone", path.display());
            return Err(
                Failure::new(Kind::Usage, message).hint("remove it, or name another output by -o")
            );
        }
    }
    Ok(())
}

/// The outputs, and the step's result, when nothing has to be written: a native verb leaves
/// files alone that are still the ones it wrote.
///
/// # Errors
///
/// When the store cannot be read.
pub fn up_to_date(
    session: &Session,
    request: &Request,
    recipe: &Recipe,
    before: &Done,
) -> Result<Option<(Done, Vec<Finished>)>> {
    if !request.native {
        return Ok(None);
    }
    let Some(done) = session.look_up(recipe, before)?.hit() else { return Ok(None) };
    let finished = serde_json::from_value::<Vec<Finished>>(done.data.clone()).unwrap_or_default();
    let there = !finished.is_empty() && finished.iter().all(Finished::is_there);
    Ok(there.then_some((done, finished)))
}

/// What goes into the outputs.
#[derive(Debug)]
pub struct Content {
    /// The image's layers, bottom first.
    pub layers: Vec<PathBuf>,
    /// Rules for the tree.
    pub rules: Normalise,
    /// The disk, when an output is one.
    pub layout: Option<DiskLayout>,
    /// GRUB for BIOS.
    pub bios: Option<(Vec<u8>, Vec<u8>)>,
    /// Layers of new files for the output directory.
    pub extra: Vec<PathBuf>,
}

/// Writes every output of the request aside, then names them.
///
/// # Errors
///
/// When one cannot be written; then none of them appears, and what was there stays.
pub fn write(session: &Session, request: &Request, content: Content) -> Result<Vec<Finished>> {
    let directory = beside::directory(request);
    write_all(session, request, content, &directory).map_err(|failure| {
        let cures = ["free space there, or name another place by -o"];
        failure.on_full_disk("the output", &directory, &cures)
    })
}

fn write_all(
    session: &Session,
    request: &Request,
    content: Content,
    directory: &Path,
) -> Result<Vec<Finished>> {
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
    let mut aside = Vec::new();
    for &kind in &request.types {
        let to = path(request, kind);
        let file = Aside::new(&to).map_err(io)?;
        aside.push((kind, to, file));
    }
    let message = Write {
        layers: content.layers,
        rules: content.rules,
        layout: content.layout,
        bios: content.bios,
        outputs: aside.iter().map(|(kind, ..)| Output::new(*kind, request.codec)).collect(),
        extra: content.extra,
        extra_to: Some(directory.to_path_buf()),
        extra_owner: beside::owner(session),
    };
    let files: Vec<_> = aside.iter().map(|(_, _, file)| file.file().as_fd()).collect();
    let written = run_write(&session.identity, &message, &files)?;
    let mut finished = name_all(session, request, aside)?;
    finished.extend(beside::finished(session, request, &written)?);
    Ok(finished)
}

/// Makes qcow2 outputs from the finished raw disk `file`, which lies aside, and names all.
///
/// # Errors
///
/// As [`write`].
pub fn convert(session: &Session, request: &Request, file: Aside) -> Result<Vec<Finished>> {
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
    let disk = fs_err::File::open(file.path()).map_err(io)?;
    let size = disk.metadata().map_err(io)?.len();
    let mut file = Some(file);
    let mut aside = Vec::new();
    for &kind in &request.types {
        let to = path(request, kind);
        let output = if kind == ImageType::Raw
            && let Some(file) = file.take()
        {
            file
        } else {
            let output = Aside::new(&to).map_err(io)?;
            let clone = output.file().try_clone().map_err(io)?;
            let mut sink = super::jobs::disk_sink(&Output::new(kind, request.codec), clone, size)
                .map_err(io)?;
            copy_raw(&disk, size, sink.as_mut()).map_err(io)?;
            output
        };
        aside.push((kind, to, output));
    }
    name_all(session, request, aside)
}

fn name_all(
    session: &Session,
    request: &Request,
    aside: Vec<(ImageType, PathBuf, Aside)>,
) -> Result<Vec<Finished>> {
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
    // Everything that can fail for want of space is done before the first name appears.
    let mut complete = Vec::new();
    for (_, to, file) in aside {
        complete.push((Complete::new(request, &to, file).map_err(io)?, to));
    }
    let mut finished = Vec::new();
    for (output, to) in complete {
        let done = output.name(request, to).map_err(io)?;
        session.reporter.event(&Event::Output { path: done.path.clone(), bytes: done.bytes });
        finished.push(done);
    }
    Ok(finished)
}

/// An output with its checksum files, all on disk, none with a name yet.
struct Complete {
    file: Aside,
    sha256: String,
    /// Ending and content of the checksum files.
    sums: Vec<(&'static str, Aside)>,
}

impl Complete {
    fn new(request: &Request, to: &Path, file: Aside) -> std::io::Result<Self> {
        use std::io::Write as _;
        file.sync()?;
        let md5 = request.checksums.contains(&Checksum::Md5);
        let sums = checksums(&file.path(), md5)?;
        let mut files = Vec::new();
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
        Ok(Self { file, sha256: sums.sha256, sums: files })
    }

    /// Gives the files their names. A rename replaces a symbolic link that turned up there
    /// meanwhile; it never writes through it.
    fn name(self, request: &Request, to: PathBuf) -> std::io::Result<Finished> {
        if request.keep_old && !request.native {
            keep_old(&to)?;
        }
        self.file.persist(&to)?;
        for (ending, file) in self.sums {
            file.persist(&with_suffix(&to, ending))?;
        }
        let (stamp, bytes) = stamp(&to).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Finished { path: to, bytes, sha256: self.sha256, stamp })
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
fn keep_old(path: &Path) -> std::io::Result<()> {
    let Ok(data) = fs_err::metadata(path) else { return Ok(()) };
    let time = chrono::DateTime::<chrono::Utc>::from(data.modified()?);
    let stem = path.with_extension("");
    let ending = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    let dated = format!("{}-{}.{ending}", stem.display(), time.format("%Y.%m.%d-%H.%M.%S"));
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
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    fn request(cwd: &Path) -> Request {
        let mut request = Request::new(std::collections::BTreeMap::new(), cwd.to_path_buf());
        request.set_output("image");
        request.types = vec![ImageType::Qcow2];
        request.checksums = vec![Checksum::Md5, Checksum::Sha256];
        request.native = true;
        request
    }

    fn put(request: &Request, to: &Path) -> std::io::Result<Finished> {
        let file = Aside::new(to)?;
        file.file().write_all(b"image")?;
        Complete::new(request, to, file)?.name(request, to.to_path_buf())
    }

    #[test]
    fn odd_things_in_the_way_are_left_alone_r26() {
        let place = tempfile::tempdir().unwrap();
        let request = request(place.path());
        let output = path(&request, ImageType::Qcow2);
        assert!(check(&request).is_ok(), "nothing is there");
        fs_err::write(&output, "old").unwrap();
        assert!(check(&request).is_ok(), "an older image may be replaced");
        fs_err::remove_file(&output).unwrap();
        symlink(place.path().join("elsewhere"), &output).unwrap();
        assert_eq!(check(&request).unwrap_err().kind, Kind::Usage);
        fs_err::remove_file(&output).unwrap();
        fs_err::create_dir(&output).unwrap();
        assert_eq!(check(&request).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let place = tempfile::tempdir().unwrap();
        let mut request = request(place.path());
        request.set_output("no/such/image");
        let failure = check(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::Host);
        assert!(failure.message.contains("no/such"), "{failure}");
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
        assert_eq!(sum, format!("{}  image.qcow2\n", finished.sha256));
        let names = fs_err::read_dir(place.path()).unwrap().count();
        assert_eq!(names, 4, "something is left aside");
    }
}
