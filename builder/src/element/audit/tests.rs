use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

fn verdicts(files: &[(&str, &str)]) -> Vec<String> {
    let tree = tree(files);
    let catalogue = crate::element::scan(&[tree.path().to_path_buf()]).unwrap();
    audit(tree.path(), &catalogue, &BTreeMap::new())
        .unwrap()
        .iter()
        .map(|verdict| {
            let reasons: Vec<_> = verdict
                .reasons
                .iter()
                .map(|reason| {
                    let whose = reason.element.as_deref().unwrap_or("own");
                    format!("{whose} {}:{}", reason.file.display(), reason.line)
                })
                .collect();
            format!("{} {}: {}", verdict.element, verdict.class.name(), reasons.join(", "))
        })
        .collect()
}

#[test]
fn obstacles_are_inherited_and_found_in_programs_that_hooks_call() {
    let found = verdicts(&[
        ("loop/bin/unpack", "#!/bin/bash\ntrue\nlosetup -f x\n"),
        ("user/element-deps", "loop\n"),
        ("user/root.d/10-a", "#!/bin/bash\n$TMP_HOOKS_PATH/bin/unpack a\n"),
        ("careful/element-deps", "loop\n"),
        ("careful/root.d/10-a", "#!/bin/bash\n$TMP_HOOKS_PATH/bin/unpack a || true\n"),
        ("heir/element-deps", "user\n"),
        ("asleep/root.d/10-a.off", "#!/bin/bash\nlosetup -f x\n"),
        ("lost/element-deps", "a-b\nloop\nnowhere\n"),
        ("ab/element-provides", "a-b\n"),
        ("disk/block-device-default.yaml", "- lvm: {}\n"),
    ]);
    assert_eq!(
        found,
        [
            "ab not exercised: ",
            "asleep not exercised: ",
            "careful not exercised: ",
            "disk not rootless: own block-device-default.yaml:0",
            "heir not rootless: loop bin/unpack:3",
            "loop not exercised: ",
            "lost not rootless: own element-deps:3",
            "user not rootless: loop bin/unpack:3",
        ]
    );
}

#[test]
fn what_cannot_be_had_is_named() {
    let found = verdicts(&[
        ("os/environment.d/10-os", "\nexport DISTRO_NAME=fedora\n"),
        ("heir/element-deps", "os\n"),
        ("own/environment.d/10-os", "export DISTRO_NAME=debian\n"),
        ("net/install.d/10-a", "#!/bin/bash\ncurl https://example.com/x\necho http://a.b\n"),
        ("mirror/install.d/10-a", "#!/bin/bash\ncurl http://security.debian.org/x\n"),
        ("rpm/install.d/10-a", "#!/bin/bash\ndnf install -y x\n"),
        ("both/install.d/10-a", "#!/bin/bash\nif x; then\n  dnf install -y x\nfi\n"),
        ("python/install.d/10-a", "#!/bin/bash\npip3 install x\n"),
        ("source/source-repository-x", "# http://c.d\nx git /x https://example.com/x\n"),
    ]);
    assert_eq!(
        found,
        [
            "both not exercised: ",
            "heir not exercised: os environment.d/10-os:2",
            "mirror not exercised: ",
            "net not exercised: own install.d/10-a:2",
            "os not exercised: own environment.d/10-os:2",
            "own not exercised: ",
            "python not exercised: own install.d/10-a:2",
            "rpm not exercised: own install.d/10-a:2",
            "source not exercised: own source-repository-x:2",
        ]
    );
}

#[test]
fn only_the_very_element_that_a_test_builds_is_exercised() {
    let tree = tree(&[("a/install.d/10-a", "#!/bin/bash\n"), ("a/README.rst", "x\n")]);
    let element = tree.path().join("a");
    let first = digest(&element).unwrap();
    fs_err::write(element.join("README.rst"), "y\n").unwrap();
    assert_eq!(digest(&element).unwrap(), first);
    let list = Evidence {
        shipped: BTreeMap::from([("b".to_owned(), "build::b".to_owned())]),
        others: BTreeMap::from([(
            "a".to_owned(),
            evidence::Other { test: "compat::a".to_owned(), digest: first.clone() },
        )]),
        lacking: BTreeMap::from([(
            "a".to_owned(),
            evidence::Lacking {
                digest: first.clone(),
                file: "install.d/10-a".into(),
                line: 1,
                reason: "it takes the moon".to_owned(),
            },
        )]),
    };
    assert_eq!(list.lacks("a", &first).unwrap().reason, "it takes the moon");
    assert_eq!(list.test("a", &first, false).as_deref(), Some("compat::a"));
    fs_err::write(element.join("install.d/10-a"), "#!/bin/bash\ntrue\n").unwrap();
    assert_eq!(list.test("a", &digest(&element).unwrap(), false), None);
    assert_eq!(list.lacks("a", &digest(&element).unwrap()), None);
    assert_eq!(list.test("b", "", false), None);
    assert_eq!(list.test("b", "", true).as_deref(), Some("build::b"));
    assert!(embedded().unwrap().shipped.contains_key("base"));
}
