//! Layers of images as snapshots, each a step that is known by what lies below it.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use goldsmith_images::layer::Limits;
use goldsmith_images::oci::{self, LayerBlob};
use goldsmith_images::store::SnapshotId;
use goldsmith_runtime::JobInput;
use serde::{Deserialize, Serialize};

use crate::base::jobs::chain;
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::jobs::{call, request};
use crate::phase::key::KeyBuilder;
use crate::phase::session::{CACHE_FULL, Session};

/// Changes whenever layers are laid down differently.
pub const UNPACKER: &str = "3";

/// Unpacks layers that are in the store, bottom first, unless that was done before.
///
/// # Errors
///
/// When a layer is refused or the disk is full.
pub fn unpack(session: &Session, layers: &[LayerBlob]) -> Result<Vec<SnapshotId>> {
    let mut before = Done::default();
    let mut below = String::new();
    for (at, layer) in layers.iter().enumerate() {
        let key = KeyBuilder::new("oci-layer")
            .part("unpacker", UNPACKER)
            .part("below", &below)
            .part("layer", layer.diff_id.to_string())
            .finish();
        below = key.as_str().to_owned();
        let name = format!("layer {}", at + 1);
        let recipe = Recipe { name, key, networked: false };
        let done = session.step(&recipe, &before, || one(session, layer, &before))?;
        // Which snapshots they are says all: a layer that was unpacked anew is another one.
        before = Done { ran: false, ..done };
    }
    Ok(before.state.mnt)
}

fn one(session: &Session, layer: &LayerBlob, before: &Done) -> Result<Done> {
    let pending = session.pending()?;
    let path = session.store.blob(&layer.blob.digest);
    let blob = fs_err::File::open(path)
        .map_err(|error| Failure::wrap(Kind::Host, "the cache", &error))?
        .into_parts()
        .0;
    let message = Unpack {
        layer: layer.clone(),
        root: pending.upper(),
        lowers: session.directories(&before.state.mnt)?,
    };
    let unpacked: Result<()> = call(&session.identity, "unpack-layer", &message, &[blob.as_fd()]);
    if let Err(failure) = unpacked {
        session.discard(pending)?;
        let mut failure = failure.on_full_disk("the layer", session.store.root(), CACHE_FULL);
        failure.kind = kind(&failure);
        return Err(failure);
    }
    let parents = before.state.mnt.clone();
    let full = parents.is_empty();
    let id = session.commit(pending, "layer", parents, full)?;
    let mut state = before.state.clone();
    state.mnt.push(id);
    Ok(Done { state, data: serde_json::Value::Null, ran: true })
}

/// A layer that is refused failed verification; a full disk is the host's.
fn kind(failure: &Failure) -> Kind {
    if failure.kind == Kind::Build { Kind::Verification } else { failure.kind }
}

#[derive(Debug, Serialize, Deserialize)]
struct Unpack {
    layer: LayerBlob,
    root: PathBuf,
    lowers: Vec<PathBuf>,
}

/// The job's body; the blob is its only file.
///
/// # Errors
///
/// With the message for the user.
pub fn unpack_job(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Unpack { layer, root, lowers } = request(&input)?;
    let blob = input.files.into_iter().next().ok_or("no layer was handed over")?;
    fs_err::create_dir(&root).map_err(|error| error.to_string())?;
    let blob = std::fs::File::from(blob);
    let limits = Limits { list: false, ..Limits::default() };
    oci::unpack(blob, &layer, &root, &lowers, &limits).map_err(|error| chain(&error))?;
    Ok(serde_json::Value::Null)
}
