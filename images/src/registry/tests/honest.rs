use std::collections::BTreeMap;

use super::server::{Answer, Seen, Server};
use crate::digest::Digest;
use crate::oci::{Config, Descriptor, Index, Manifest, Platform, Reference, RootFs, media_type};
use crate::registry::{Registry, RegistryError, Settings};
use crate::store::Store;

/// Documents and blobs of an image of two layers, and what its manifest is called.
#[derive(Debug, Clone)]
pub(super) struct Fixture {
    pub(super) manifest: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    /// Path below `/v2/x/` to content type and bytes.
    pub(super) paths: BTreeMap<String, (String, Vec<u8>)>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let blobs = [vec![b'1'; 300_000], b"second".to_vec()];
        let rootfs =
            RootFs { kind: "layers".to_owned(), diff_ids: blobs.iter().map(Digest::of).collect() };
        let config = Config {
            created: None,
            architecture: "amd64".to_owned(),
            variant: None,
            os: "linux".to_owned(),
            config: None,
            rootfs,
            history: None,
        };
        let config = serde_json::to_vec(&config).unwrap();
        let layers: Vec<_> = blobs
            .iter()
            .map(|blob| Descriptor::of("application/vnd.oci.image.layer.v1.tar", blob))
            .collect();
        let described = Descriptor::of(media_type::CONFIG, &config);
        let image = serde_json::to_vec(&Manifest::new(described, layers.clone())).unwrap();
        let manifest = Descriptor {
            platform: Some(Platform::of_debian("amd64")),
            ..Descriptor::of(media_type::MANIFEST, &image)
        };
        let index = serde_json::to_vec(&Index::new(vec![manifest.clone()])).unwrap();
        let mut paths = BTreeMap::new();
        for blob in blobs.iter().chain([&config]) {
            let kind = "application/octet-stream".to_owned();
            paths.insert(format!("blobs/{}", Digest::of(blob)), (kind, blob.clone()));
        }
        let kind = media_type::MANIFEST.to_owned();
        paths.insert(format!("manifests/{}", manifest.digest), (kind.clone(), image.clone()));
        paths.insert("manifests/one".to_owned(), (kind, image));
        paths.insert("manifests/latest".to_owned(), (media_type::INDEX.to_owned(), index));
        Self { manifest, layers, paths }
    }

    /// The right answer.
    pub(super) fn answer(&self, seen: &Seen) -> Answer {
        let found = seen.path.strip_prefix("/v2/x/").and_then(|path| self.paths.get(path));
        let Some((kind, bytes)) = found else { return Answer::new(404, "") };
        let from = seen.header("range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        match from {
            Some(from) => Answer::new(206, &bytes[from..])
                .with("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
            None => Answer::new(200, bytes.as_slice()).with("Content-Type", kind),
        }
    }
}

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

pub(super) fn reference(server: &Server, version: &str) -> Reference {
    format!("{}/x{version}", server.host()).parse().unwrap()
}

pub(super) fn amd64() -> Platform {
    Platform::of_debian("amd64")
}

#[test]
fn images_come_by_tag_and_digest_and_once() {
    let fixture = Fixture::new();
    let (manifest, layers) = (fixture.manifest.clone(), fixture.layers.clone());
    let server = Server::new(move |seen| fixture.answer(seen));
    let (_directory, store) = store();
    let pinned = format!("@{}", manifest.digest);
    for version in [":latest", ":one", &pinned] {
        let pulled = server
            .client()
            .pull(&store, &reference(&server, version), &amd64(), &())
            .unwrap_or_else(|error| panic!("{version}: {error:?}"));
        assert_eq!(pulled.image.digest, manifest.digest);
        let blobs: Vec<_> = pulled.layers.iter().map(|layer| layer.blob.digest).collect();
        assert_eq!(blobs, layers.iter().map(|layer| layer.digest).collect::<Vec<_>>());
    }
    for layer in &layers {
        assert!(store.has_blob(&layer.digest, layer.size));
    }
    let blobs = server.seen().iter().filter(|seen| seen.path.contains("/blobs/")).count();
    assert_eq!(blobs, 3, "configuration and layers, each once");
    // A digest stands for the same for ever: its documents were there, and nobody was asked.
    let named = format!("/v2/x/manifests/{}", manifest.digest);
    let asked = server.seen().iter().filter(|seen| seen.path == named).count();
    assert_eq!(asked, 1, "the index's manifest, once");
    let missing = reference(&server, ":nothing");
    match server.client().pull(&store, &missing, &amd64(), &()) {
        Err(RegistryError::Status { status: 404, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn mirrors_are_asked_first_and_the_registry_when_they_fail() {
    let fixture = Fixture::new();
    let broken = Server::new(|_| Answer::new(404, ""));
    let (good, other) = (fixture.clone(), fixture.clone());
    let mirror = Server::new(move |seen| {
        let path = seen.path.replace("/v2/cache/x/", "/v2/x/");
        good.answer(&Seen { path, ..seen.clone() })
    });
    let origin = Server::new(move |seen| other.answer(seen));
    let client = |mirrors: Vec<String>| {
        let plain_http = [&broken, &mirror, &origin].map(Server::host).to_vec();
        let mirrors = mirrors.into_iter().map(|place| (origin.host(), place)).collect();
        Registry::new(Settings { plain_http, mirrors, ..Settings::default() }).unwrap()
    };
    let name = reference(&origin, ":latest");
    let (_directory, one) = store();
    let mirrors = vec![broken.host(), format!("{}/cache", mirror.host())];
    client(mirrors).pull(&one, &name, &amd64(), &()).unwrap();
    assert!(!broken.seen().is_empty() && origin.seen().is_empty());
    let (_directory, two) = store();
    client(vec![broken.host()]).pull(&two, &name, &amd64(), &()).unwrap();
    assert!(!origin.seen().is_empty());
}
