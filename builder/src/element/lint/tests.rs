use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// An element of these files; those whose text has an interpreter are executable, those with
/// `-x` after their name are not.
fn element(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let plain = name.strip_suffix(" -x");
        let path = directory.path().join(plain.unwrap_or(name));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        let mode = if plain.is_none() && text.starts_with("#!") { 0o755 } else { 0o644 };
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let mut files = files.to_vec();
    files.push(("README.rst", "x\n"));
    let directory = element(&files);
    let report = lint(&[directory.path().to_path_buf()], &BTreeSet::new()).unwrap();
    report.findings.iter().map(|found| format!("{}:{}", found.check, found.line)).collect()
}

const HOOK: &str = "#!/bin/bash\nif [ \"${DIB_DEBUG_TRACE:-0}\" -gt 0 ]; then\n    set -x\nfi\n\
                    set -eu\nset -o pipefail\n";

fn hook(rest: &str) -> String {
    format!("{HOOK}{rest}")
}

#[test]
fn scripts() {
    for (name, text, checks) in [
        ("install.d/10-a", hook("true\n"), &[][..]),
        (
            "install.d/10-a",
            "#!/bin/bash\ntrue\n".into(),
            &["dibdebugtrace:1", "sete:1", "setpipefail:1", "setu:1"],
        ),
        ("install.d/10-a -x", hook(""), &["executable:1"]),
        ("install.d/10-a.sh", hook(""), &["hook-name:0"]),
        ("install.d/10-a", "#!/usr/bin/env bash\n".into(), &["shebang:1"]),
        ("install.d/10-a", hook("if x; then\n  y\nfi\n"), &["indent:8"]),
        ("install.d/10-a", hook("\ttrue\n"), &["tabindent:7"]),
        ("install.d/10-a", hook("true"), &["newline:7"]),
        ("install.d/10-a", hook("export A=$(b)\n"), &["export:7"]),
        ("install.d/10-a", hook("which a\n# which b\nwhich c # dib-lint: which\n"), &["which:7"]),
        ("root.d/10-a", hook("sudo cp a b\nsudo cp a \\\n    $TARGET_ROOT\n"), &["safe_sudo:7"]),
        ("root.d/10-a", hook("# dib-lint: disable=safe_sudo x\nsudo cp a b\n"), &[]),
        ("install.d/10-a", hook("sudo cp a b\n"), &[]),
        ("environment.d/10-a", "set -x\nexport A=1\n".into(), &["environment-trace:1"]),
        (
            "environment.d/10-a",
            "#!/bin/bash\nexport A=1\n# DIB_DEBUG_TRACE\n".into(),
            &["environment-executable:0", "sete:1", "setpipefail:1", "setu:1"],
        ),
        ("element-deps", "b\na\n# c\n".into(), &["element-deps:3", "sorted:2"]),
        ("source-repository-a", "a git /b c".into(), &["source-repository:1"]),
        ("a.md", "x\n".into(), &["mddocs:0"]),
        ("root.d/10-a", hook("sudo losetup -f $TARGET_ROOT/x\n"), &["rootless:7"]),
        ("bin/a", hook("kpartx -d x\n"), &["rootless:7"]),
        ("static/a", hook("kpartx -d x\n"), &[]),
    ] {
        let mut expected: Vec<_> = checks.iter().map(|check| (*check).to_owned()).collect();
        let mut found = found(&[(name, &text)]);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{name}: {text}");
    }
}

#[test]
fn data() {
    for (name, text, checks) in [
        ("package-installs.yaml", "a:\nb:\n  phase: install.d\n  when: A = b\n", &[][..]),
        ("package-installs.yaml", "a: [\n", &["yaml:"]),
        (
            "package-installs.yaml",
            "a:\n  fase: x\nb:\n  phase: root.d\n",
            &["package-installs-entry:2", "package-installs-entry:4"],
        ),
        (
            "package-installs.yaml",
            "a:\n  - arch: x\n    not-arch: y\n",
            &["package-installs-entry:1"],
        ),
        ("package-installs.yaml", "a:\n  arch: x, y\n", &["package-installs-entry:2"]),
        ("package-installs.yaml", "a:\n  uninstall: false\n", &["package-installs-entry:1"]),
        ("package-installs.yaml", "a:\n  when: X is y\n", &["package-installs-entry:2"]),
        ("package-installs.yaml", "- a\n", &["package-installs-entry:0"]),
        ("package-installs.json", "{\n\"a\": {\"x\": 1},\n}\n", &["json:3"]),
        ("pkg-map", "{\"family\": {\"debian\": {\"a\": \"b c\"}}}\n", &[]),
        (
            "pkg-map",
            "{\n \"family\": {\"debian\": \"b\"},\n \"famly\": {}\n}\n",
            &["package-names:2", "package-names:3"],
        ),
        ("pkg-map", "{\"release\": {\"debian\": {\"12\": {\"a\": \"\"}}}}\n", &[]),
        ("svc-map", "a:\n  default: b\n", &[]),
        ("svc-map", "a:\n  default: [b]\n", &["service-names:2"]),
        (
            "block-device-default.yaml",
            "- local_loop:\n    name: a\n- lvn: {}\n",
            &["block-device:3"],
        ),
        ("other.yaml", "a: b\na: c\n", &[]),
        ("other.yaml", "a: b: c\n", &["yaml:"]),
        ("base.yaml", "debian:\n  suite: ${A:-b}\n  sweet: c\n", &["base-yaml:3"]),
    ] {
        let found = found(&[(name, text)]);
        let fits = found.len() == checks.len()
            && found.iter().zip(checks).all(|(found, check)| {
                found == check || check.ends_with(':') && found.starts_with(check)
            });
        assert!(fits, "{name}: {text}: {found:?}");
    }
}

#[test]
fn a_project_turns_checks_off_and_a_missing_readme_is_found() {
    let directory = element(&[("install.d/10-a", "#!/bin/bash\n# DIB_DEBUG_TRACE\n")]);
    let tox = "[tox]\nignore = readme\n[dib-lint]\nignore = sete\n  setu setpipefail\n";
    fs_err::write(directory.path().join("tox.ini"), tox).unwrap();
    let ignore = ignored_checks(directory.path());
    let report = lint(&[directory.path().to_path_buf()], &ignore).unwrap();
    let checks: Vec<_> = report.findings.iter().map(|found| found.check).collect();
    assert_eq!(checks, ["readme"]);
}

#[test]
fn python_is_compiled_or_checked() {
    let directory = element(&[("README.rst", "x\n"), ("bin/a", "#!/usr/bin/python3\ndef f(:\n")]);
    let report = lint(&[directory.path().to_path_buf()], &BTreeSet::new()).unwrap();
    let here = report.findings.iter().any(|found| found.check == "flake8" && found.line == 2);
    let skipped = report.skipped.iter().any(|why| why.contains("python3"));
    assert!(here || skipped, "{report:?}");
}
