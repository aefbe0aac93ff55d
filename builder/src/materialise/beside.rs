//! What hooks wrote beside the output: `NAME.kernel`, `NAME.d/` and the like.

use std::path::{Path, PathBuf};

use goldsmith_images::tree::Normalise;

use super::complete::{Finished, stamp};
use super::write::{Write, run_write};
use crate::error::{Failure, Kind, Result};
use crate::phase::session::Session;
use crate::report::Event;
use crate::request::Request;

/// Where new files of the output directory go.
pub fn directory(request: &Request) -> PathBuf {
    let output = request.cwd.join(&request.output);
    output.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// The caller, as namespace jobs number users.
pub(super) fn owner(session: &Session) -> u32 {
    if goldsmith_runtime::IdentityMode::Root == session.identity.mode { 65536 } else { 0 }
}

/// Moves new files of the output directory out of their layers, where no archive or disk of
/// ours is written.
///
/// # Errors
///
/// When the directory cannot be written.
pub fn export(session: &Session, request: &Request, extra: Vec<PathBuf>) -> Result<Vec<Finished>> {
    if extra.is_empty() {
        return Ok(Vec::new());
    }
    let to = directory(request);
    let message = Write {
        layers: Vec::new(),
        rules: Normalise { epoch: 0, drop: Vec::new(), empty: Vec::new(), devices: false },
        layout: None,
        others: Vec::new(),
        made: Vec::new(),
        bios: None,
        aci_manifest: None,
        label: None,
        outputs: Vec::new(),
        extra,
        extra_to: Some(to.clone()),
        extra_owner: owner(session),
    };
    let written = run_write(&session.identity, &message, &[]).map_err(|failure| {
        let cures = ["free space there, or name another place by -o"];
        failure.on_full_disk("the output", &to, &cures)
    })?;
    finished(session, request, &written.extra)
}

/// Remembers exported files, by their paths below the output directory, and shows those that
/// lie directly in it.
///
/// # Errors
///
/// When one of them cannot be read.
pub(super) fn finished(
    session: &Session,
    request: &Request,
    written: &[PathBuf],
) -> Result<Vec<Finished>> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
    let directory = directory(request);
    let mut finished = Vec::new();
    for name in written {
        let path = directory.join(name);
        let (stamp, bytes) =
            stamp(&path).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        if name.components().count() == 1 {
            session.reporter.event(&Event::Output { path: path.clone(), bytes });
        }
        finished.push(Finished { path, bytes, stamp });
    }
    Ok(finished)
}
