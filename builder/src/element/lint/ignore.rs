//! What is left out: checks that a project does not want, files that git ignores.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The checks that `ignore` in the section `[dib-lint]` of `directory`/tox.ini names.
pub fn ignored_checks(directory: &Path) -> BTreeSet<String> {
    let text = fs_err::read_to_string(directory.join("tox.ini")).unwrap_or_default();
    let mut checks = BTreeSet::new();
    let (mut in_section, mut in_option) = (false, false);
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        if line.starts_with('[') {
            in_section = line.trim_end() == "[dib-lint]";
            in_option = false;
            continue;
        }
        // A value goes on in lines that are indented.
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let (name, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            in_option = in_section && name.trim() == "ignore";
            value
        };
        if in_option {
            checks.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    checks
}

/// Those of `paths` that git ignores; none where there is no git or no repository.
pub(super) fn by_git(directory: &Path, paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let child = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["check-ignore", "-z", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return BTreeSet::new() };
    let names: Vec<u8> = paths
        .iter()
        .filter_map(|path| path.strip_prefix(directory).ok())
        .flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\0"].concat())
        .collect();
    // git may print before it has read everything.
    let writer = child.stdin.take().map(|mut input| {
        std::thread::spawn(move || {
            if input.write_all(&names).is_err() {
                tracing::debug!("git reads no names");
            }
        })
    });
    let output = child.wait_with_output();
    if let Some(Err(_)) = writer.map(std::thread::JoinHandle::join) {
        tracing::debug!("the writer of names is gone");
    }
    let Ok(output) = output else { return BTreeSet::new() };
    String::from_utf8_lossy(&output.stdout)
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| directory.join(name))
        .collect()
}
