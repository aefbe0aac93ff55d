//! The store as an OCI image layout: `oci-layout`, `index.json` and `blobs/` at its root.
//!
//! The index names images that were pulled; what they need is kept, other blobs are garbage. An
//! image that was taken out of an index of several platforms keeps that index, too, but none of the
//! others: by the index's digest it is found again without a registry.

use std::collections::BTreeMap;

use super::{Store, StoreError, write_whole};
use crate::digest::Digest;
use crate::oci::{Descriptor, Document, Index, MANIFEST_LIMIT};

/// The annotation that holds an image's name.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds the digest of the index that the image was taken out of.
const OUT_OF: &str = "goldsmith.index";

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
    /// for. `named` is what the registry meant by the name: the image itself, or the index that
    /// it was taken out of.
    ///
    /// # Errors
    ///
    /// When the index cannot be written.
    pub fn put_pulled(
        &self,
        name: &str,
        image: Descriptor,
        named: &Digest,
    ) -> Result<(), StoreError> {
        self.change_layout(|images| {
            images.retain(|there| there.annotation(NAME) != Some(name));
            let mut notes = BTreeMap::from([(NAME.to_owned(), name.to_owned())]);
            if *named != image.digest {
                notes.insert(OUT_OF.to_owned(), named.to_string());
            }
            images.push(Descriptor { annotations: Some(notes), ..image });
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
        let index = image.annotation(OUT_OF).and_then(|text| text.parse::<Digest>().ok());
        // Without it the image is whole all the same.
        if let Some(digest) = index
            && let Ok(data) = fs_err::symlink_metadata(self.blob(&digest))
        {
            needed.insert(digest, data.len());
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::oci::{Manifest, Platform, media_type};
    use crate::registry::Pulled;

    #[test]
    fn the_index_of_an_image_is_kept_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = |arch: &str| {
            let text = r#"{"architecture":"ARCH","os":"linux","rootfs":{"type":"layers","diff_ids":["DIFF"]}}"#;
            text.replace("ARCH", arch)
                .replace("DIFF", &Digest::of("layer").to_string())
                .into_bytes()
        };
        let manifest = |arch: &str| {
            let config = Descriptor::of(media_type::CONFIG, &config(arch));
            let layer = Descriptor::of("application/vnd.oci.image.layer.v1.tar", b"layer");
            serde_json::to_vec(&Manifest::new(config, vec![layer])).unwrap()
        };
        let described = |arch: &str| Descriptor {
            platform: Some(Platform::of_debian(arch)),
            ..Descriptor::of(media_type::MANIFEST, &manifest(arch))
        };
        let index = Index::new(vec![described("amd64"), described("arm64")]);
        let index = serde_json::to_vec(&index).unwrap();
        let named = Digest::of(&index);
        let collected = || {
            let store = Store::open(directory.path()).unwrap();
            store.collect(Duration::ZERO).unwrap();
            assert_eq!(store.check(&[]).unwrap(), []);
            store
        };
        let store = Store::open(directory.path()).unwrap();
        for bytes in [&config("amd64"), &manifest("amd64"), &index, &b"layer".to_vec()] {
            store.put_blob(bytes).unwrap();
        }
        store.put_pulled("r.io/x:1", described("amd64"), &named).unwrap();
        drop(store);
        let store = collected();
        let held = Pulled::held(&store, &named, &Platform::of_debian("amd64")).unwrap();
        assert_eq!(held.image.digest, described("amd64").digest);
        assert!(Pulled::held(&store, &named, &Platform::of_debian("arm64")).is_none());
        // By the manifest's own digest it is the same image, which then has no index.
        store.put_pulled("r.io/x:1", described("amd64"), &described("amd64").digest).unwrap();
        drop((held, store));
        let store = collected();
        assert!(!store.blob(&named).exists() && store.blob(&described("amd64").digest).exists());
        // An index that is gone is no damage.
        store.put_pulled("r.io/x:1", described("amd64"), &named).unwrap();
        drop(store);
        assert!(collected().drop_pulled("r.io/x:1").unwrap());
    }
}
