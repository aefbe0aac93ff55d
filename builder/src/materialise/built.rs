//! Images that were built and are known by name: what the cache has to remember to pack one
//! for a registry later.

use std::os::fd::AsFd as _;

use goldsmith_images::store::Reference;
use goldsmith_images::tree::Normalise;
use serde::{Deserialize, Serialize};

use super::formats::Output;
use super::oci::Label;
use super::write::{Write, run_write};
use crate::error::{Failure, Kind, Result};
use crate::phase::session::{CACHE_FULL, Session};
use crate::request::{ImageType, Request};

/// What the cache remembers of an image that was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packable {
    label: Label,
    rules: Normalise,
}

impl Packable {
    /// What to remember of a request's image.
    pub fn of(request: &Request, rules: &Normalise) -> Self {
        Self { label: Label::named(request, String::new()), rules: rules.clone() }
    }

    /// What the cache remembers of a name; nothing when no build gave it.
    pub fn read(reference: &Reference) -> Option<Self> {
        serde_json::from_value(reference.notes.clone()?).ok()
    }

    /// Packs the image as an OCI archive into a file of the cache's that has no name.
    ///
    /// # Errors
    ///
    /// When a snapshot is gone, or the cache's file system refuses.
    pub fn pack(&self, session: &Session, reference: &Reference) -> Result<std::fs::File> {
        let full =
            |failure: Failure| failure.on_full_disk("the image", session.store.root(), CACHE_FULL);
        let file = tempfile::tempfile_in(session.store.root())
            .map_err(|error| full(Failure::wrap(Kind::Host, "the cache", &error)))?;
        let message = Write {
            layers: session.directories(&reference.snapshots)?,
            rules: self.rules.clone(),
            layout: None,
            made: Vec::new(),
            bios: None,
            aci_manifest: None,
            others: Default::default(),
            label: Some(self.label.clone()),
            outputs: vec![Output { kind: ImageType::Oci, ..Output::archive() }],
            extra: Vec::new(),
            extra_to: None,
            extra_owner: 0,
        };
        run_write(&session.identity, &message, &[file.as_fd()]).map_err(full)?;
        Ok(file)
    }
}
