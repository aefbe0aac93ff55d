//! The store: snapshots, step records, downloads.
//!
//! ```text
//! ROOT/                 mode 0700, one owner
//!   oci-layout, index.json, index.lock
//!   blobs/sha256/HEX    content by digest: the root is an OCI image layout of what was pulled
//!   blobs/incoming/HEX  what has come so far
//!   snapshots/ID/       fs/ (a layer, owned by the image's ids), meta.json, lease, size
//!   steps/KEY.json      what a step's result is
//!   refs/NAME.json      names that people give to stacks of snapshots
//!   downloads/          files fetched and verified
//!   elements/           shipped elements, unpacked by digest
//!   locked/NAME/        what hooks cached in builds that a lock governs
//!   making/KEY          a step in the making: a lock held by whoever makes it
//!   tmp/NAME/           work in progress, a lock held by whoever makes it
//!   run/                short-lived directories of sandboxes
//!   lock                shared by all who are at work
//! ```
//!
//! A name is visible only when its content is complete: it is written aside and renamed. A
//! snapshot's bytes are not forced to disk when it is made, for that would double the time
//! of a build: its record carries the boot it was made in, and one of an earlier boot that
//! was never synced counts as absent.

mod blobs;
mod check;
mod collect;
mod layout;
mod lease;
mod making;
mod pending;
mod prune;
mod refs;
mod snapshot;
mod steps;
mod usage;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use blobs::Incoming;
pub use check::{Finding, Place};
pub use collect::{Retired, Usage};
pub use lease::touch;
pub use making::Making;
pub use pending::Pending;
pub use prune::Keep;
pub use refs::Reference;
pub use snapshot::{SnapshotId, SnapshotMeta};
pub use usage::DiskUsage;

/// Why the store cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused; `fs_err` names the call and the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No snapshot of that name.
    #[error("snapshot {id} is not in the store")]
    NoSnapshot {
        /// The name asked for.
        id: SnapshotId,
    },
    /// Neither a reference nor a snapshot has that name.
    #[error("no image {wanted:?} in the store")]
    NoImage {
        /// The name asked for.
        wanted: String,
        /// Names that it may be a slip for.
        near: Vec<String>,
    },
    /// Several snapshots' names begin so.
    #[error("{wanted:?} is the beginning of several names: {}", matching.join(", "))]
    ManyImages {
        /// The name asked for.
        wanted: String,
        /// The names.
        matching: Vec<String>,
    },
    /// A name that could leave its directory.
    #[error("{name:?} is no name for a record of the store")]
    Name {
        /// The name.
        name: String,
    },
    /// A blob that is another one than its name says, or not whole.
    #[error("blob {digest} is not what its digest says")]
    Damaged {
        /// The name.
        digest: crate::digest::Digest,
    },
    /// A record cannot be written as JSON.
    #[error("a record of the store")]
    Record(#[from] serde_json::Error),
    /// The directory belongs to somebody else.
    #[error("{path} belongs to user {owner}, not to you")]
    Foreign {
        /// The store's root.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
}

/// A store on disk; holds its shared lock for as long as it lives.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    lock: File,
    boot: String,
    leases: lease::Leases,
}

impl Store {
    /// Opens the store at `root`, making it when absent.
    ///
    /// # Errors
    ///
    /// When it belongs to another user, or the file system refuses.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(root).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", root.display()))
        })?;
        let owner = fs_err::metadata(root)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(StoreError::Foreign { path: root.to_path_buf(), owner });
        }
        fs_err::set_permissions(root, PermissionsExt::from_mode(0o700))?;
        for directory in [
            "blobs/sha256",
            "blobs/incoming",
            "snapshots",
            "steps",
            "refs",
            "downloads",
            "elements",
            "locked",
            "making",
            "tmp",
            "run",
            "empty",
        ] {
            fs_err::create_dir_all(root.join(directory))?;
        }
        for directory in ["snapshots", "locked", "tmp", "run", "empty"] {
            fs_err::set_permissions(root.join(directory), PermissionsExt::from_mode(0o755))?;
        }
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", root.join("lock").display()))
            })?;
        lock.lock_shared()?;
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let (root, boot) = (root.to_path_buf(), boot.trim().to_owned());
        Ok(Self { root, lock, boot, leases: lease::Leases::default() })
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where fetched files are kept.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Where short-lived directories of sandboxes are made.
    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    /// A directory that stays empty: an overlay needs a lower one.
    pub fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    /// Where shipped elements are unpacked.
    pub fn elements(&self) -> PathBuf {
        self.root.join("elements")
    }
}

/// Writes a file so that it is there whole or not at all, even after a crash.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs_err::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
