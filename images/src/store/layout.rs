//! The store as an OCI image layout: `oci-layout`, `index.json` and `blobs/` at its root.
//!
//! The index names images that were pulled; what they need is kept, other blobs are garbage.

use std::collections::BTreeMap;

use super::{Store, StoreError, write_whole};
use crate::digest::Digest;
use crate::oci::{Descriptor, Document, Index, MANIFEST_LIMIT};

/// The annotation that holds an image's name.
const NAME: &str = "org.opencontainers.image.ref.name";

impl Store {
    /// The image that was pulled by that name.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn pulled(&self, name: &str) -> Result<Option<Descriptor>, StoreError> {
        let named = |image: &Descriptor| image.annotation(NAME) == Some(name);
        let found = self.layout()?.manifests.into_iter().find(named);
        if let Some(image) = &found {
            super::lease::touch(&self.blob(&image.digest));
        }
        Ok(found)
    }

    /// Lets `name` stand for an image whose blobs are all there, in place of what it stood
    /// for.
    ///
    /// # Errors
    ///
    /// When the index cannot be written.
    pub fn put_pulled(&self, name: &str, image: Descriptor) -> Result<(), StoreError> {
        self.change_layout(|images| {
            images.retain(|there| there.annotation(NAME) != Some(name));
            let annotations = Some(BTreeMap::from([(NAME.to_owned(), name.to_owned())]));
            images.push(Descriptor { annotations, ..image });
        })
    }

    /// Forgets an image; tells whether there was one of that name.
    ///
    /// # Errors
    ///
    /// When the index cannot be written.
    pub fn drop_pulled(&self, name: &str) -> Result<bool, StoreError> {
        let mut there = false;
        self.change_layout(|images| {
            let before = images.len();
            images.retain(|image| image.annotation(NAME) != Some(name));
            there = images.len() < before;
        })?;
        Ok(there)
    }

    /// The blobs that an image needs, its own included, as far as they can be known. A damaged
    /// document keeps nothing alive: it must be pulled anew in any case.
    pub(super) fn needs(&self, image: &Descriptor) -> BTreeMap<Digest, u64> {
        let mut needed = BTreeMap::new();
        let mut open = vec![image.clone()];
        while let Some(one) = open.pop() {
            if needed.insert(one.digest, one.size).is_some() || !one.is_document() {
                continue;
            }
            let Ok(bytes) = self.read_blob(&one.digest, MANIFEST_LIMIT) else { continue };
            match Document::read(&bytes, &one.media_type) {
                Ok(Document::Index(index)) => open.extend(index.manifests),
                Ok(Document::Manifest(image)) => {
                    open.push(image.config);
                    open.extend(image.layers);
                }
                Err(_) => {}
            }
        }
        needed
    }

    /// The images of the index with their names.
    pub(super) fn all_pulled(&self) -> Result<Vec<(String, Descriptor)>, StoreError> {
        let name = |image: &Descriptor| image.annotation(NAME).unwrap_or_default().to_owned();
        Ok(self.layout()?.manifests.into_iter().map(|image| (name(&image), image)).collect())
    }

    fn layout(&self) -> Result<Index, StoreError> {
        let Ok(bytes) = fs_err::read(self.root().join("index.json")) else {
            return Ok(Index::new(Vec::new()));
        };
        Ok(Index::read(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the index of pulled images is torn: ignored");
            Index::new(Vec::new())
        }))
    }

    fn change_layout(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), StoreError> {
        let lock = fs_err::File::create(self.root().join("index.lock"))?;
        lock.file().lock()?;
        let marker = self.root().join("oci-layout");
        if !marker.exists() {
            write_whole(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        let mut index = self.layout()?;
        change(&mut index.manifests);
        Ok(write_whole(&self.root().join("index.json"), &serde_json::to_vec(&index)?)?)
    }
}
