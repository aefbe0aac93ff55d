use serde_json::{Value, json};

use crate::digest::Digest;
use crate::oci::media_type as m;
use crate::oci::{Config, Document, Index, OciError, Platform, Run};

fn descriptor(media_type: &str, bytes: &str) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": m::MANIFEST,
        "config": descriptor(m::CONFIG, "config"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "layer")],
    })
}

fn read(value: &Value, media_type: &str) -> Result<Document, OciError> {
    Document::read(&serde_json::to_vec(value).unwrap(), media_type)
}

/// The manifest with one change, which must be refused with these words.
fn refused(words: &str, change: impl FnOnce(&mut Value)) {
    let mut value = manifest();
    change(&mut value);
    let error = read(&value, m::MANIFEST).expect_err(words);
    let text = format!("{error}: {:?}", std::error::Error::source(&error));
    assert!(text.contains(words), "{words} in {text}");
}

fn config(layers: &[&str]) -> Value {
    let ids: Vec<_> = layers.iter().map(Digest::of).collect();
    json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": ids },
    })
}

fn read_config(value: &Value) -> Result<Config, OciError> {
    Config::read(&serde_json::to_vec(value).unwrap())
}

#[test]
fn i12_sizes_and_digests_are_what_the_specification_has() {
    assert!(read(&manifest(), m::MANIFEST).is_ok());
    refused("invalid value", |value| value["layers"][0]["size"] = json!(-1));
    refused("invalid", |value| value["layers"][0]["size"] = json!(1.5e30));
    refused("missing field", |value| {
        value["layers"][0].as_object_mut().unwrap().remove("size");
    });
    refused("no digest", |value| value["config"]["digest"] = json!("sha256:../../x"));
    refused("no digest", |value| value["config"]["digest"] = json!("sha512:00"));
    refused("no digest", |value| {
        let upper = Digest::of("x").hex().to_uppercase();
        value["config"]["digest"] = json!(format!("sha256:{upper}"));
    });
    refused("schema version", |value| value["schemaVersion"] = json!(1));
    let long = vec![b' '; 5 << 20];
    assert!(matches!(Document::read(&long, m::MANIFEST), Err(OciError::TooLarge { .. })));
}

#[test]
fn i14_a_document_is_one_thing() {
    let index = json!({
        "schemaVersion": 2, "mediaType": m::INDEX,
        "manifests": [descriptor(m::MANIFEST, "x")],
    });
    assert!(matches!(read(&index, m::INDEX), Ok(Document::Index(_))));
    let mut both = manifest();
    both["manifests"] = index["manifests"].clone();
    assert!(matches!(read(&both, m::MANIFEST), Err(OciError::Ambiguous)));
    both.as_object_mut().unwrap().remove("mediaType");
    for said in [m::MANIFEST, m::INDEX] {
        assert!(matches!(read(&both, said), Err(OciError::Ambiguous)));
    }
    assert!(matches!(read(&manifest(), m::INDEX), Err(OciError::OtherType { .. })));
    assert!(matches!(read(&index, m::MANIFEST), Err(OciError::OtherType { .. })));
    let mut silent = manifest();
    silent.as_object_mut().unwrap().remove("mediaType");
    assert!(read(&silent, m::MANIFEST).is_ok());
    assert!(read(&silent, m::INDEX).is_err());
    let old = "application/vnd.docker.distribution.manifest.v1+json";
    assert!(matches!(read(&manifest(), old), Err(OciError::MediaType { .. })));
    let twice = format!(
        r#"{{"schemaVersion":2,"config":{0},"config":{0},"layers":[]}}"#,
        descriptor(m::CONFIG, "x")
    );
    assert!(Document::read(twice.as_bytes(), m::MANIFEST).is_err());
}

#[test]
fn i15_addresses_of_layers_are_not_even_read() {
    let mut value = manifest();
    value["layers"][0]["urls"] = json!(["http://169.254.169.254/"]);
    let Ok(Document::Manifest(image)) = read(&value, m::MANIFEST) else { panic!("{value}") };
    assert!(!serde_json::to_string(&image).unwrap().contains("169.254"));
    value["layers"][0]["mediaType"] =
        json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let Ok(Document::Manifest(image)) = read(&value, m::MANIFEST) else { panic!("{value}") };
    let config = read_config(&config(&["a"])).unwrap();
    assert!(matches!(image.layers(&config), Err(OciError::MediaType { .. })));
}

#[test]
fn i16_layers_and_their_digests_belong_together() {
    let pair = |layers: usize, ids: &[&str]| {
        let mut value = manifest();
        let layer = value["layers"][0].clone();
        value["layers"] = Value::Array(vec![layer; layers]);
        let Ok(Document::Manifest(image)) = read(&value, m::MANIFEST) else { panic!("{value}") };
        image.layers(&read_config(&config(ids)).unwrap())
    };
    assert_eq!(pair(2, &["a", "b"]).unwrap()[1].1, Digest::of("b"));
    for (layers, ids) in [(0, &[][..]), (1, &[]), (0, &["a"]), (1, &["a", "b"]), (2, &["a"])] {
        assert!(matches!(pair(layers, ids), Err(OciError::Inconsistent { .. })), "{layers}");
    }
    let mut artifact = manifest();
    artifact["config"]["mediaType"] = json!(m::EMPTY);
    let Ok(Document::Manifest(image)) = read(&artifact, m::MANIFEST) else { panic!() };
    let config = read_config(&config(&["a"])).unwrap();
    assert!(matches!(image.layers(&config), Err(OciError::MediaType { .. })));
    let mut other = self::config(&["a"]);
    other["rootfs"]["type"] = json!("directory");
    assert!(matches!(read_config(&other), Err(OciError::Inconsistent { .. })));
    other.as_object_mut().unwrap().remove("rootfs");
    assert!(read_config(&other).is_err());
}

#[test]
fn i24_the_working_directory_is_inside_the_image() {
    for (asked, found) in [
        (None, "/"),
        (Some(""), "/"),
        (Some("/srv/app"), "/srv/app"),
        (Some("srv"), "/srv"),
        (Some("/../../etc"), "/etc"),
        (Some("/a/../../../b/./c"), "/b/c"),
        (Some(".."), "/"),
    ] {
        let run = Run { working_dir: asked.map(str::to_owned), ..Run::default() };
        assert_eq!(run.directory(), std::path::PathBuf::from(found), "{asked:?}");
    }
    let listed = ["A=b=c", "=x", "none", "NUL=\0", "PATH=/bin"].map(str::to_owned).to_vec();
    let run = Run { env: Some(listed), ..Run::default() };
    let names: Vec<_> = run.variables().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["A", "PATH"]);
}

#[test]
fn the_best_variant_of_an_index_is_chosen() {
    let image = |name: &str, architecture: &str, variant: Option<&str>| {
        let mut value = descriptor(m::MANIFEST, name);
        value["platform"] = json!({ "os": "linux", "architecture": architecture });
        if let Some(variant) = variant {
            value["platform"]["variant"] = json!(variant);
        }
        value
    };
    let mut attestation = descriptor(m::MANIFEST, "attestation");
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    let index = json!({
        "schemaVersion": 2,
        "manifests": [
            attestation,
            image("arm v5", "arm", Some("v5")),
            image("arm v6", "arm", Some("v6")),
            image("amd64", "amd64", None),
            image("amd64 again", "amd64", None),
            image("amd64 v3", "amd64", Some("v3")),
            image("arm64", "arm64", Some("v8")),
        ],
    });
    let index = Index::read(&serde_json::to_vec(&index).unwrap()).unwrap();
    for (debian, name) in [("amd64", "amd64"), ("arm64", "arm64"), ("armhf", "arm v6")] {
        let found = index.choose(&Platform::of_debian(debian)).unwrap();
        assert_eq!(found.digest, Digest::of(name), "{debian}");
    }
    let error = index.choose(&Platform::of_debian("s390x")).unwrap_err().to_string();
    assert!(error.contains("linux/s390x") && error.contains("linux/arm64/v8"), "{error}");
    assert!(!error.contains("unknown"), "{error}");
}
