//! Output files: written aside, named when complete.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::disk::sink::checksums;
use goldsmith_images::tree::Normalise;
use serde::{Deserialize, Serialize};

use super::jobs::{Output, Write, run_write};
use crate::error::{Failure, Kind, Result};
use crate::phase::session::Session;
use crate::report::Event;
use crate::request::{Checksum, ImageType, Request};

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

fn stamp(path: &Path) -> Option<((i64, i64, u64), u64)> {
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
    for &kind in &request.types {
        let path = path(request, kind);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let access = rustix::fs::access(directory, rustix::fs::Access::WRITE_OK);
        if let Err(error) = access {
            let message = format!("{} cannot be written to", directory.display());
            return Err(Failure::wrap(Kind::Host, message, &error)
                .hint("name another place by -o, or make the directory"));
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
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
    let mut aside = Vec::new();
    for &kind in &request.types {
        let to = path(request, kind);
        let directory = to.parent().unwrap_or(Path::new("/"));
        let file =
            tempfile::Builder::new().prefix(".goldsmith-").tempfile_in(directory).map_err(io)?;
        aside.push((kind, to, file));
    }
    let directory = request.cwd.join(&request.output);
    let owner =
        if goldsmith_runtime::IdentityMode::Root == session.identity.mode { 65536 } else { 0 };
    let message = Write {
        layers: content.layers,
        rules: content.rules,
        layout: content.layout,
        bios: content.bios,
        outputs: aside.iter().map(|(kind, ..)| Output::new(*kind, request.codec)).collect(),
        extra: content.extra,
        extra_to: directory.parent().map(Path::to_path_buf),
        extra_owner: owner,
    };
    let files: Vec<_> = aside.iter().map(|(_, _, file)| file.as_file().as_fd()).collect();
    run_write(&session.identity, &message, &files)?;
    let mut finished = Vec::new();
    for (_, to, file) in aside {
        finished.push(name(session, request, &to, file)?);
    }
    Ok(finished)
}

fn name(
    session: &Session,
    request: &Request,
    to: &Path,
    file: tempfile::NamedTempFile,
) -> Result<Finished> {
    use std::os::unix::fs::PermissionsExt;
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
    file.as_file().sync_all().map_err(io)?;
    fs_err::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).map_err(io)?;
    let md5 = request.checksums.contains(&Checksum::Md5);
    let sums = checksums(file.path(), md5).map_err(io)?;
    if request.keep_old && !request.native {
        keep_old(to).map_err(io)?;
    }
    file.persist(to).map_err(|error| io(error.error))?;
    for (wanted, ending, sum) in [
        (Checksum::Md5, "md5", sums.md5.clone().unwrap_or_default()),
        (Checksum::Sha256, "sha256", sums.sha256.clone()),
    ] {
        if request.checksums.contains(&wanted) {
            let shown = to.strip_prefix(&request.cwd).unwrap_or(to);
            let path = with_suffix(to, ending);
            fs_err::write(path, format!("{sum}  {}\n", shown.display())).map_err(io)?;
        }
    }
    let (stamp, bytes) =
        stamp(to).ok_or_else(|| Failure::new(Kind::Host, format!("{} vanished", to.display())))?;
    session.reporter.event(&Event::Output { path: to.to_path_buf(), bytes });
    Ok(Finished { path: to.to_path_buf(), bytes, sha256: sums.sha256, stamp })
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
