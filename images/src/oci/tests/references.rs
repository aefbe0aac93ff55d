use crate::oci::{Platform, Reference};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_read_as_every_tool_does() {
    for (text, host, repository, version) in [
        ("debian", "docker.io", "library/debian", "latest"),
        ("debian:bookworm", "docker.io", "library/debian", "bookworm"),
        ("user/app:1", "docker.io", "user/app", "1"),
        ("docker://quay.io/a/b__c/d-e:v1.0", "quay.io", "a/b__c/d-e", "v1.0"),
        ("localhost/x", "localhost", "x", "latest"),
        ("127.0.0.1:5000/x:y", "127.0.0.1:5000", "x", "y"),
        ("[::1]:5000/x:y", "[::1]:5000", "x", "y"),
    ] {
        let one: Reference = text.parse().unwrap();
        assert_eq!((one.host.as_str(), one.repository.as_str()), (host, repository), "{text}");
        assert_eq!(one.version(), version, "{text}");
    }
    let pinned: Reference = format!("r.io/x:tag@sha256:{HEX}").parse().unwrap();
    assert_eq!(pinned.version(), format!("sha256:{HEX}"));
    assert_eq!(pinned.to_string(), format!("r.io/x:tag@sha256:{HEX}"));
    assert!(Reference::names_host("r.io/x") && Reference::names_host("docker://debian"));
    assert!(!Reference::names_host("server") && !Reference::names_host("debian:bookworm/amd64"));
}

#[test]
fn i13_names_never_become_paths_or_addresses() {
    for text in [
        "",
        "r.io/",
        "r.io/../x",
        "r.io/a/../../x",
        "r.io/a//b",
        "r.io/A",
        "r.io/a:..%2f",
        "r.io/a:-x",
        "r.io/a b",
        "r.io/a?x=y",
        "r.io/a#x",
        "user@r.io/a",
        "r.io/a@sha256:../../x",
        "r.io/a@sha512:e3b0",
        "r.io/a@md5:d41d8cd98f00b204e9800998ecf8427e",
        "r.i%6f/a",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
    assert!(format!("r.io/a@sha256:{}", HEX.to_uppercase()).parse::<Reference>().is_err());
}

#[test]
fn debian_names_of_architectures_are_translated() {
    for (debian, shown) in [
        ("amd64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("armhf", "linux/arm/v7"),
        ("i386", "linux/386"),
        ("ppc64el", "linux/ppc64le"),
        ("riscv64", "linux/riscv64"),
    ] {
        assert_eq!(Platform::of_debian(debian).to_string(), shown);
    }
}
