//! Checks of single lines: what `dib-lint` asks of scripts, and hooks that never run.

use super::Finding;
use super::file::File;
use crate::phase::table::PHASES;

/// Directories whose scripts call sudo outside of the image, as `dib-lint` counts them.
const SUDO_PHASES: [&str; 5] =
    ["root.d", "extra-data.d", "block-device.d", "finalise.d", "cleanup.d"];

/// Words that make a line with sudo safe: it names the image, or says that it is known.
const SAFE: [&str; 6] = [
    "dib-lint: safe_sudo",
    "install-packages",
    "TARGET_ROOT",
    "IMAGE_BLOCK_DEVICE",
    "TMP_MOUNT_PATH",
    "TMP_IMAGE_PATH",
];

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    if file.ends_in("md") {
        file.report(findings, 0, "mddocs", "documents are not Markdown", "write README.rst");
    }
    if file.ends_in("rst") || file.executable {
        blanks(file, findings);
    }
    if ["rst", "yaml", "py"].iter().any(|ending| file.ends_in(ending)) {
        return;
    }
    if file.name().contains("source-repository-") && !ends_in_newline(file) {
        let reason = "the last line has no newline and is not read";
        file.report(findings, last(file), "source-repository", reason, "end it with a newline");
    }
    if file.first().starts_with("#!") {
        shebang(file, findings);
    }
    if file.first().contains("#!/bin/bash") {
        strictness(file, findings);
    }
    if file.name() == "element-deps" {
        dependencies(file, findings);
    }
    if file.is_below(|name| name.contains("environment.d")) {
        environment(file, findings);
    }
    for (number, line) in numbered(file) {
        let export = line.find("export ").is_some_and(|at| line[at..].contains("$("));
        if export && !line.trim_start().starts_with('#') {
            let reason = "export hides the status of the command in $( )";
            let instead = "assign first, export on a line of its own";
            file.report(findings, number, "export", reason, instead);
        }
    }
    words(file, findings);
}

fn numbered(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn last(file: &File) -> usize {
    file.text.lines().count()
}

fn ends_in_newline(file: &File) -> bool {
    file.text.is_empty() || file.text.ends_with('\n')
}

/// Tabs and the last newline.
fn blanks(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in numbered(file) {
        if line.trim_start_matches(' ').starts_with('\t') {
            let reason = "the line is indented by a tab";
            file.report(findings, number, "tabindent", reason, "use four spaces");
        }
    }
    if !ends_in_newline(file) {
        let reason = "no newline at the end of the file";
        file.report(findings, last(file), "newline", reason, "add one");
    }
}

fn shebang(file: &File, findings: &mut Vec<Finding>) {
    if !file.executable {
        let reason = "it names an interpreter but is not executable: as a hook it never runs";
        file.report(findings, 1, "executable", reason, "chmod +x, or drop the line with #!");
    }
    if file.first().contains("bash") && file.first() != "#!/bin/bash" {
        let reason = format!("{} is not the one shell of elements", file.first());
        file.report(findings, 1, "shebang", reason, "#!/bin/bash");
    }
    if file.is_python() {
        return;
    }
    for (number, line) in numbered(file) {
        let depth = line.len() - line.trim_start_matches(' ').len();
        if depth % 4 != 0 && depth < line.len() {
            let reason = format!("indented by {depth} spaces");
            file.report(findings, number, "indent", reason, "indent by four spaces");
        }
    }
}

/// A script that ends at the first failure, and can be traced.
fn strictness(file: &File, findings: &mut Vec<Finding>) {
    let sets = |letter: char| {
        file.text.lines().filter_map(|line| line.strip_prefix("set -")).any(|options| {
            options.split(' ').next().is_some_and(|options| options.contains(letter))
        })
    };
    let instead = "put `set -eu` and `set -o pipefail` at its top";
    if !sets('e') {
        file.report(findings, 1, "sete", "it goes on after a command that fails", instead);
    }
    if !sets('u') {
        file.report(findings, 1, "setu", "a variable that is not set counts as empty", instead);
    }
    if !file.text.lines().any(|line| line.starts_with("set -o pipefail")) {
        let reason = "it goes on after a failure inside a pipe";
        file.report(findings, 1, "setpipefail", reason, instead);
    }
    if !file.text.contains("DIB_DEBUG_TRACE") {
        let instead = "if [ \"${DIB_DEBUG_TRACE:-0}\" -gt 0 ]; then set -x; fi";
        file.report(findings, 1, "dibdebugtrace", "DIB_DEBUG_TRACE does not trace it", instead);
    }
}

fn dependencies(file: &File, findings: &mut Vec<Finding>) {
    let mut before = "";
    for (number, line) in numbered(file) {
        if line.starts_with('#') {
            let reason = "there are no comments here: the line is taken for an element's name";
            file.report(findings, number, "element-deps", reason, "move it to README.rst");
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if line < before {
            let reason = format!("{line} stands after {before}");
            file.report(findings, number, "sorted", reason, "LC_ALL=C sort -o FILE FILE");
        }
        before = line;
    }
}

fn environment(file: &File, findings: &mut Vec<Finding>) {
    if file.executable {
        let reason = "files of environment.d are read, not run";
        file.report(findings, 0, "environment-executable", reason, "chmod -x");
    }
    for (number, line) in numbered(file).filter(|(_, line)| line.contains("set -x")) {
        let reason = format!("{:?} traces every hook of the phase", line.trim());
        file.report(findings, number, "environment-trace", reason, "leave it out");
    }
}

/// `sudo` and `which`, in lines that go on after a backslash.
fn words(file: &File, findings: &mut Vec<Finding>) {
    let outside = file.is_below(|name| SUDO_PHASES.iter().any(|phase| name.ends_with(phase)));
    for (number, line) in file.joined_lines() {
        if line.starts_with('#') {
            continue;
        }
        if outside && line.contains("sudo ") && !SAFE.iter().any(|word| line.contains(word)) {
            let reason = format!("sudo, and nothing says that it stays in the image: {line}");
            let instead = "write below $TARGET_ROOT or $TMP_MOUNT_PATH, or end the line with \
                           `# dib-lint: safe_sudo`";
            file.report(findings, number, "safe_sudo", reason, instead);
        }
        if line.contains("which ") && !line.contains("dib-lint: which") {
            let reason = format!("which is not everywhere: {line}");
            let instead = "`type -p` or `command -v`; for prose, end the line with \
                           `# dib-lint: which`";
            file.report(findings, number, "which", reason, instead);
        }
    }
}

/// A script in a phase whose name keeps it from running, unless another file names it.
pub(super) fn hook_name(file: &File, all: &[File], findings: &mut Vec<Finding>) {
    let parent = file.inside.parent().and_then(|parent| parent.file_name()).unwrap_or_default();
    let in_phase = PHASES.iter().any(|phase| parent == phase.directory);
    let name = file.name();
    let runs = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !in_phase || !file.executable || !file.first().starts_with("#!") || runs {
        return;
    }
    let used = all.iter().any(|other| other.path != file.path && other.text.contains(&name));
    if !used {
        let reason = format!("a hook called {name} is left out of its phase");
        let instead = "use letters, digits, - and _ alone: no dot, no ending";
        file.report(findings, 0, "hook-name", reason, instead);
    }
}
