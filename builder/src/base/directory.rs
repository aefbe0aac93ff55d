//! A root directory as a finished tree: an archive of it, imported like any other.

use std::io::BufWriter;
use std::os::fd::AsFd as _;
use std::path::Path;

use goldsmith_images::store::SnapshotId;
use goldsmith_images::tree::{Directory, DirectoryError};

use super::form::{Form, Shape};
use super::jobs;
use crate::error::{Failure, Kind, Result};
use crate::phase::session::Session;

/// Lists a directory, as the caller, whose rights are all that there are.
///
/// # Errors
///
/// When something below it cannot be read; the path is named.
pub(super) fn list(path: &Path) -> Result<Directory> {
    Directory::list(path).map_err(|error| unread(&error))
}

fn unread(error: &DirectoryError) -> Failure {
    let failure = Failure::wrap(Kind::Host, error.path.display(), error);
    if error.source.kind() != std::io::ErrorKind::PermissionDenied {
        return failure;
    }
    failure
        .hint("run goldsmith as root, or have the files' owner make an archive: `tar --numeric-owner --xattrs --acls`")
}

/// Takes the directory into the store, if it is still what was listed.
///
/// # Errors
///
/// When a file cannot be read or was changed meanwhile; the path is named.
pub(super) fn import(
    session: &Session,
    name: &str,
    path: &Path,
    fingerprint: &str,
) -> Result<SnapshotId> {
    let before = list(path)?;
    let pending = session.pending()?;
    let (reader, writer) =
        std::io::pipe().map_err(|error| Failure::wrap(Kind::Host, "a pipe", &error))?;
    let (written, imported) = std::thread::scope(|scope| {
        let imported = scope.spawn(move || {
            let form = Form { shape: Shape::Tar, compression: None };
            jobs::run_import_from(&session.identity, reader.as_fd(), form, &pending.upper())
                .map(|()| pending)
        });
        // Here, where the descriptors of the tree are.
        let writer = BufWriter::with_capacity(1 << 17, writer);
        let written = before.tree.write_tar(writer);
        let imported = imported.join().unwrap_or_else(|_panic| {
            Err(Failure::new(Kind::Internal, "the thread that imports a directory panicked"))
        });
        (written, imported)
    });
    // Why a file was shorter than it should have been is told by what it is now.
    let after = list(path)?;
    if let Some(changed) = after.changed_since(&before) {
        return Err(changed_meanwhile(path, &changed));
    }
    if before.fingerprint() != fingerprint {
        return Err(changed_meanwhile(path, b""));
    }
    match written {
        // A reader that stopped is not what went wrong.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Failure::wrap(Kind::Host, path.display(), &error));
        }
        _ => {}
    }
    let pending = imported.map_err(|failure| failure.about(path.display()))?;
    session.commit(pending, name, Vec::new(), true)
}

fn changed_meanwhile(root: &Path, path: &[u8]) -> Failure {
    let path = crate::report::printable(path);
    let message = format!("{}/{path} changed while it was read", root.display());
    Failure::new(Kind::Host, message)
        .hint("nothing may write to a tree that is laid out: stop what runs in it, or copy it")
}
