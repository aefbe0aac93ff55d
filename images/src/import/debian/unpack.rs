//! Lays packages into an empty root directory and writes dpkg's database, as `dpkg --unpack` of
//! all of them would have left both. What differs: preinst scripts have not run (see
//! [`configure_script`]), so that nothing is diverted yet.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ar;
use super::database::{self, Unpacked};
use super::memory::Memory;
use super::overlap;
use crate::layer::{
    Attributes, ExtractError, Limits, Listed, RootWriter, WriteError, extract_where,
};

/// Why packages cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A package is malformed.
    #[error("package {path}")]
    Package {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content cannot be laid down.
    #[error("package {path}")]
    Content {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: ExtractError,
    },
    /// Two packages have the same file.
    #[error("/{path} is in both {one} and {other}, {why}: leave one of them out by `exclude`")]
    Overlap {
        /// Where the file lies.
        path: String,
        /// A package.
        one: String,
        /// Another one.
        other: String,
        /// Why neither of them can have it.
        why: &'static str,
    },
    /// A file of the database cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Directories of /usr that the merged layout shows at the top as well.
pub(super) const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Where files lie that take the place of diverted ones, below the name of their package.
const LATE: &str = "var/lib/dpkg/goldsmith-late";

/// Unpacks `packages` (files) into the empty directory `root` and records them as unpacked
/// in dpkg's database. Runs inside a user namespace as its root.
///
/// The layout is merged-/usr: `/bin`, `/lib` and `/sbin`, and `/lib64` where the architecture has
/// it, are links into `/usr`, as every suite since Debian 12 requires. A file of two packages is
/// the one's that Replaces the other, or waits until the other's has been diverted.
///
/// # Errors
///
/// When a package is malformed or cannot be laid down, or two have the same file; the root is
/// then incomplete.
pub fn unpack(packages: &[PathBuf], root: &Path, arch: &str) -> Result<(), UnpackError> {
    let mut writer = RootWriter::open(root)?;
    let plain = Attributes { mode: 0o755, ..Attributes::default() };
    writer.directory(b"", &plain)?;
    let wide = matches!(arch, "amd64" | "ppc64el" | "s390x" | "loong64");
    for name in MERGED
        .into_iter()
        .filter(|name| matches!(*name, "bin" | "lib" | "sbin") || (wide && *name == "lib64"))
    {
        let target = format!("usr/{name}");
        writer.directory(target.as_bytes(), &plain)?;
        let link = Attributes { mode: 0o777, ..Attributes::default() };
        writer.symlink(name.as_bytes(), target.as_bytes(), &link)?;
    }
    writer.finish()?;
    let all = Memory::of_all();
    let beside = packages.par_iter().map(|package| unpack_one(package, root, &|_| true, &all));
    let beside: Result<Vec<_>, UnpackError> = beside.collect();
    let alone = Memory::of_one();
    let one = |package: &'_ PathBuf| unpack_one(package, root, &|_| true, &alone);
    // Two that write the same file may have met, or one has a dictionary that its first bytes
    // say nothing of; one after the other they are no trouble.
    let unpacked = match beside {
        Ok(unpacked) => unpacked,
        Err(_) => packages.iter().map(one).collect::<Result<Vec<_>, UnpackError>>()?,
    };
    let mut unpacked: Vec<_> = unpacked.into_iter().zip(packages).collect();
    unpacked.sort_by(|((a, _), _), ((b, _), _)| a.name().cmp(b.name()));
    // Which package came last is chance; whose word counts is not.
    let mut writer = RootWriter::open(root)?;
    let (mut packages, mut files) = (Vec::new(), Vec::new());
    for ((package, directories), file) in unpacked {
        writer.adopt(directories);
        packages.push(package);
        files.push(file);
    }
    let again = overlap::settle(&mut packages)?;
    // First whole, so that a package's hard links lead to its own file whoever has its name.
    for (package, file) in packages.iter().zip(&files) {
        if !package.lost.is_empty() || !package.late.is_empty() {
            unpack_one(file, root, &|_| true, &alone)?;
        }
    }
    for again in again {
        // Once more: what is its own may have been written over.
        let package = &packages[again];
        let own = |path: &[u8]| !package.lost.contains(path) && !package.late.contains(path);
        unpack_one(files[again], root, &own, &alone)?;
    }
    // Whatever a package put there.
    writer.clear(LATE.as_bytes())?;
    for (package, file) in packages.iter().zip(&files).filter(|(one, _)| !one.late.is_empty()) {
        // What diverts is known when preinst scripts have run: `configure.sh` goes on from here.
        let inside = format!("{LATE}/{}", package.name());
        writer.directory(inside.as_bytes(), &plain)?;
        let failed = |source| UnpackError::Package { path: file.to_path_buf(), source };
        // A directory above may be a package's link, and this is no path of the root's own.
        let aside = fs_err::canonicalize(root.join(&inside)).map_err(failed)?;
        if aside != fs_err::canonicalize(root).map_err(failed)?.join(&inside) {
            return Err(failed(io::Error::other(format!("{LATE} lies behind a link"))));
        }
        unpack_one(file, &aside, &|path| package.late.contains(path), &alone)?;
        for path in &package.late {
            let path = std::ffi::OsStr::from_bytes(path);
            if fs_err::symlink_metadata(aside.join(path)).is_err() {
                let path = path.to_string_lossy();
                let why = format!("/{path} is a hard link to a file that is not diverted with it");
                return Err(failed(io::Error::other(why)));
            }
        }
    }
    database::write(root, &packages)?;
    writer.finish()?;
    Ok(())
}

/// Directories with the attributes that a package gives them.
type Directories = Vec<(Vec<u8>, Attributes)>;

/// Unpacks the paths of a package that are wanted.
fn unpack_one(
    package: &Path,
    root: &Path,
    wanted: &dyn Fn(&[u8]) -> bool,
    memory: &Memory,
) -> Result<(Unpacked, Directories), UnpackError> {
    let malformed = |source| UnpackError::Package { path: package.to_path_buf(), source };
    let file = fs_err::File::open(package).map_err(malformed)?;
    let mut control = BTreeMap::new();
    let mut laid = (Vec::new(), Vec::new());
    let mut failed = None;
    ar::members(io::BufReader::with_capacity(1 << 16, file), |name, content| {
        if name.starts_with("control.tar") {
            control = read_control(&mut ar::decompress(name, content, memory)?)?;
        } else if name.starts_with("data.tar") {
            let mut stream = ar::decompress(name, content, memory)?;
            let limits = Limits { whiteouts: false, ..Limits::default() };
            match lay_down(&mut stream, root, &limits, wanted) {
                Ok(done) => laid = done,
                Err(error) => failed = Some(error),
            }
            io::copy(&mut stream, &mut io::sink())?;
        }
        Ok(())
    })
    .map_err(malformed)?;
    if let Some(source) = failed {
        return Err(UnpackError::Content { path: package.to_path_buf(), source });
    }
    let (paths, directories) = laid;
    let unpacked = Unpacked::new(control, paths).ok_or_else(|| {
        malformed(io::Error::new(io::ErrorKind::InvalidData, "no control file with a name"))
    })?;
    Ok((unpacked, directories))
}

/// Writes the files; returns their paths, and the directories for later: files of other
/// packages are still written into them.
fn lay_down(
    stream: impl Read,
    root: &Path,
    limits: &Limits,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<(Vec<Listed>, Directories), ExtractError> {
    let mut writer = RootWriter::open(root)?;
    let done = extract_where(stream, &mut writer, limits, wanted)?;
    Ok((done.paths, writer.into_directories()))
}

/// The control files by name; none of them is large.
fn read_control(stream: &mut dyn Read) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(stream.take(64 << 20));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        if name.is_empty() || name.contains('/') || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(name, content);
    }
    Ok(files)
}

/// Copies one regular file of a package, named from the root without a slash in front; bytes
/// are copied as they are read, so `to` is incomplete after an error.
///
/// # Errors
///
/// When the package is malformed or has no such regular file, or `to` cannot be written.
pub fn copy_file(package: &Path, name: &str, to: &mut impl io::Write) -> Result<(), UnpackError> {
    let malformed = |source| UnpackError::Package { path: package.to_path_buf(), source };
    let file = fs_err::File::open(package).map_err(malformed)?;
    let (mut found, memory) = (false, Memory::of_one());
    ar::members(io::BufReader::with_capacity(1 << 16, file), |member, content| {
        if !member.starts_with("data.tar") || found {
            return Ok(());
        }
        let mut archive = tar::Archive::new(ar::decompress(member, content, &memory)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes();
            let path = path.strip_prefix(b"./").unwrap_or(&path);
            if path == name.as_bytes() && entry.header().entry_type().is_file() {
                io::copy(&mut entry, to)?;
                found = true;
                return Ok(());
            }
        }
        Ok(())
    })
    .map_err(malformed)?;
    if found {
        return Ok(());
    }
    let message = format!("it has no regular file {name}");
    Err(malformed(io::Error::new(io::ErrorKind::NotFound, message)))
}

/// The shell script that makes an unpacked root a configured one; it runs inside, with
/// /proc, /dev and no network.
///
/// Maintainer scripts called `preinst` ran before unpacking under dpkg; here they run
/// before anything is configured, which for a fresh root is the same. Then dpkg configures
/// in the order that dependencies ask for.
pub fn configure_script() -> &'static str {
    include_str!("configure.sh")
}
