//! Images whose documents the store has: nobody is asked for them.

use super::Pulled;
use crate::digest::Digest;
use crate::oci::{Config, Descriptor, Document, LayerBlob, MANIFEST_LIMIT, Platform};
use crate::store::Store;

impl Pulled {
    /// The image that `named`, an index or a manifest, stands for, when all its documents are in
    /// the store; its layers need not be. Nothing when one is missing or makes no sense.
    pub fn held(store: &Store, named: &Digest, platform: &Platform) -> Option<Self> {
        let (top, document) = stored(store, named)?;
        let index = top.clone();
        let (image, manifest) = match document {
            Document::Manifest(manifest) => (top, manifest),
            Document::Index(index) => {
                let chosen = index.choose(platform).ok()?;
                let bytes = store.read_blob(&chosen.digest, MANIFEST_LIMIT).ok()?;
                match Document::read(&bytes, &chosen.media_type).ok()? {
                    Document::Manifest(manifest) => (chosen.clone(), manifest),
                    Document::Index(_) => return None,
                }
            }
        };
        let bytes = store.read_blob(&manifest.config.digest, MANIFEST_LIMIT).ok()?;
        let config = Config::read(&bytes).ok()?;
        // What it holds stays for as long as this process may need it.
        for one in [&index, &image, &manifest.config] {
            if !store.has_blob(&one.digest, one.size) {
                return None;
            }
        }
        let layers = manifest.layers(&config).ok()?.into_iter();
        let layers = layers.map(|(blob, diff_id)| LayerBlob { blob, diff_id }).collect();
        Some(Self { named: *named, image, config, layers })
    }

    /// The first layer that the store does not have.
    pub fn missing(&self, store: &Store) -> Option<&Descriptor> {
        let mut blobs = self.layers.iter().map(|layer| &layer.blob);
        blobs.find(|blob| !store.has_blob(&blob.digest, blob.size))
    }
}

/// A document of the store; what it is, it says itself.
fn stored(store: &Store, digest: &Digest) -> Option<(Descriptor, Document)> {
    let bytes = store.read_blob(digest, MANIFEST_LIMIT).ok()?;
    let kind = Document::type_of(&bytes)?;
    let document = Document::read(&bytes, &kind).ok()?;
    Some((Descriptor::of(&kind, &bytes), document))
}
