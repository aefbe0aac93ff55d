//! The same elements read by dib-lint and by `goldsmith elements lint`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

const STRICT: &str = "#!/bin/bash\n# DIB_DEBUG_TRACE\nset -eu\nset -o pipefail\n";

/// Words of dib-lint's messages, and our name of the check.
const CHECKS: [(&str, &str); 20] = [
    ("lacks", "readme"),
    ("not executable", "executable"),
    ("marked as executable", "environment-executable"),
    ("tracing", "environment-trace"),
    ("4 spaces", "indent"),
    ("sorted", "sorted"),
    ("only use", "shebang"),
    ("set -e", "sete"),
    ("set -u", "setu"),
    ("set -o pipefail", "setpipefail"),
    ("DIB_DEBUG_TRACE", "dibdebugtrace"),
    ("Split export", "export"),
    ("unsafe sudo", "safe_sudo"),
    ("use of which", "which"),
    ("tab characters", "tabindent"),
    ("newline at end", "newline"),
    ("end with a newline", "source-repository"),
    (".md docs", "mddocs"),
    ("valid YAML", "yaml"),
    ("valid JSON", "json"),
];

/// Where the two decide differently, and why; docs/lint.md says the same.
const KNOWN: [(&str, &str, &str); 2] = [
    ("comment/install.d/10-a", "export", "an export in a comment runs nothing"),
    ("debian-minimal/base.yaml", "yaml", "no YAML before its variables are expanded"),
];

/// One mistake each: what dib-lint looks for, what turns it off, and where the two differ.
fn mistakes(env: &TestEnv) -> Result<()> {
    let hook = |rest: &str| format!("{STRICT}{rest}");
    let files: [(&str, String); 27] = [
        ("fine/install.d/10-a", hook("if true; then\n    true\nfi\n")),
        ("plain/install.d/10-a", "#!/bin/bash\n".into()),
        ("env-bash/install.d/10-a", STRICT.replace("/bin/bash", "/usr/bin/env bash")),
        ("posix/install.d/10-a", "#!/bin/sh\n  true\n".into()),
        ("indent/install.d/10-a", hook("if true; then\n  true\nfi\n")),
        ("tab/install.d/10-a", hook("\ttrue\n")),
        ("comment/install.d/10-a", hook("# export A=$(b)\n")),
        ("off/install.d/10-a", hook("# dib-lint: disable=tabindent which\n\twhich a\n")),
        ("export/install.d/10-a", hook("export A=$(b)\nA=$(b)\nexport A\n")),
        ("which/install.d/10-a", hook("which a\n# which b\n")),
        ("which-said/install.d/10-a", hook("true which c # dib-lint: which\n")),
        ("sudo/root.d/10-a", hook("sudo true\nsudo true $TARGET_ROOT\n# sudo true\n")),
        ("sudo-long/extra-data.d/10-a", hook("sudo true \\\n    $TMP_MOUNT_PATH\n")),
        ("sudo-long-bad/cleanup.d/10-a", hook("sudo true \\\n    a\n")),
        ("sudo-said/cleanup.d/10-a", hook("sudo true # dib-lint: safe_sudo\n")),
        ("sudo-off/pre-finalise.d/10-a", hook("# dib-lint: disable=safe_sudo\nsudo true\n")),
        ("sudo-inside/install.d/10-a", hook("sudo true\n")),
        ("newline/install.d/10-a", hook("true")),
        ("sourced/environment.d/10-a", "set -x\n".into()),
        ("executed/environment.d/10-a", STRICT.into()),
        ("order/element-deps", "b\na\n".into()),
        ("ordered/element-deps", "a\n\nb\n".into()),
        ("repository/source-repository-a", "a git /a b".into()),
        ("markdown/a.md", "a\n".into()),
        ("bad-yaml/package-installs.yaml", "a: [\n".into()),
        ("twice-yaml/a.yaml", "a: b\na: c\n".into()),
        ("bad-json/pkg-map", "{\n".into()),
    ];
    let write = |name: &str, text: &str| -> Result<()> {
        let element = name.split_once('/').map(|(element, _)| element).unwrap_or_default();
        // A tree each: at an order that is wrong dib-lint ends.
        env.element(&format!("{element}/{name}"), text)
    };
    for (name, text) in files {
        write(name, &text)?;
        if let Some((element, _)) = name.split_once('/') {
            write(&format!("{element}/README.rst"), "a\n")?;
            // It stops where it finds nothing but documents and YAML. Which file it reads last
            // decides what is off for tabs; where that matters there is only one.
            if element != "off" {
                write(&format!("{element}/element-provides"), "a\n")?;
            }
        }
    }
    write("unread/install.d/data", "a\n")?;
    write("asleep/README.rst", "a\n\tb")?;
    write("asleep/install.d/10-a", STRICT)?;
    let asleep = env.path("elements/asleep/asleep/install.d/10-a");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    Ok(fs_err::set_permissions(asleep, mode)?)
}

/// What each finds in a tree, as file and check.
type Found = BTreeSet<(String, String)>;

fn theirs(env: &TestEnv, tree: &Path) -> Result<Found> {
    let tools = std::env::var("GOLDSMITH_DIB").context("GOLDSMITH_DIB")?;
    fs_err::create_dir_all(env.path("no-library"))?;
    let path = std::env::var("PATH")?;
    let output = Command::new(format!("{tools}/bin/dib-lint"))
        .current_dir(env.directory.path())
        .env("PATH", format!("{tools}/bin:{path}"))
        .env("ELEMENTS_DIR", tree)
        .env("LIB_DIR", env.path("no-library"))
        .env("LC_ALL", "C")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ended = text.contains("PASS") || text.contains("FAIL") || text.contains("sorted");
    ensure!(ended, "it did not come to its end: {output:?}");
    let mut found = Found::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("ERROR: ")) {
        // Whatever it says of Python is flake8's, which need not be installed.
        if line.contains("flake8") {
            continue;
        }
        let check = CHECKS.iter().find(|(words, _)| line.contains(words));
        let (_, check) = check.with_context(|| format!("not understood: {line}"))?;
        let tree = format!("{}/", tree.display());
        // pip leaves compiled programs beside the elements.
        let words = line.split_whitespace().filter(|word| !word.contains("__pycache__"));
        for word in words.filter_map(|word| word.strip_prefix(&tree)) {
            found.insert((word.to_owned(), (*check).to_owned()));
        }
    }
    Ok(found)
}

fn ours(env: &TestEnv, tree: &Path) -> Result<Found> {
    let ran = env.run(&["elements", "lint", "--json", &tree.to_string_lossy()])?;
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).context(ran.stderr)?;
    let mut found = Found::new();
    for finding in value["findings"].as_array().context("no findings")? {
        let file = Path::new(finding["file"].as_str().context("no file")?).strip_prefix(tree)?;
        let check = finding["check"].as_str().context("no check")?;
        let compiled = file.iter().any(|name| name == "__pycache__");
        if !compiled && CHECKS.iter().any(|(_, known)| *known == check) {
            found.insert((file.display().to_string(), check.to_owned()));
        }
    }
    Ok(found)
}

/// Compares the verdicts over a tree of mistakes, upstream's elements and ours.
pub(crate) fn same_verdicts() -> Result<()> {
    let env = TestEnv::new()?;
    mistakes(&env)?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../elements").canonicalize()?;
    let mut trees = vec![crate::upstream::elements()?, shipped];
    for entry in fs_err::read_dir(env.path("elements"))? {
        trees.push(entry?.path());
    }
    let mut known: Vec<_> = KNOWN.iter().collect();
    let mut of_both = BTreeSet::new();
    for tree in trees {
        let (theirs, ours) = (theirs(&env, &tree)?, ours(&env, &tree)?);
        of_both.extend(theirs.intersection(&ours).map(|(_, check)| check.clone()));
        for (file, check) in theirs.symmetric_difference(&ours) {
            let at = known.iter().position(|(path, name, _)| path == file && name == check);
            let at = at.with_context(|| format!("{file}: {check} is found by one of the two"))?;
            known.remove(at);
        }
    }
    ensure!(known.is_empty(), "these are the same by now: {known:?}");
    let unused: Vec<_> = CHECKS.iter().filter(|(_, check)| !of_both.contains(*check)).collect();
    ensure!(unused.is_empty(), "these find nothing: {unused:?}");
    Ok(())
}
