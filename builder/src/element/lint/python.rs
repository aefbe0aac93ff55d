//! Programs in Python: flake8 where it is installed, else their syntax alone.

use std::path::PathBuf;
use std::process::Command;

use super::{Finding, Report};

/// Compiles files without writing anything; prints `PATH:LINE:MESSAGE` for each that fails.
const SYNTAX: &str = r#"
import sys
for path in sys.argv[1:]:
    try:
        compile(open(path, "rb").read(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        print("%s:%s:%s" % (path, getattr(error, "lineno", None) or 0, error.args[0]))
"#;

pub(super) fn check(programs: &[PathBuf], report: &mut Report) {
    if programs.is_empty() {
        return;
    }
    let flake8 = Command::new("flake8")
        .arg("--format=%(path)s:%(row)d:%(code)s %(text)s")
        .args(programs)
        .output();
    if let Ok(output) = flake8 {
        // 1 is for findings; anything else says that flake8 itself failed.
        if matches!(output.status.code(), Some(0 | 1)) {
            take(&output.stdout, programs, report);
            return;
        }
        let error = String::from_utf8_lossy(&output.stderr);
        let error = error.lines().last().unwrap_or("it says nothing").to_owned();
        report.skipped.push(format!("flake8 failed: {error}"));
    } else {
        report.skipped.push("flake8 is not installed: of Python only the syntax is read".into());
    }
    match Command::new("python3").args(["-I", "-c", SYNTAX]).args(programs).output() {
        Ok(output) if output.status.success() => take(&output.stdout, programs, report),
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            let error = error.lines().last().unwrap_or_default();
            report.skipped.push(format!("Python's syntax: {error}"));
        }
        Err(error) => report.skipped.push(format!("Python's syntax: python3: {error}")),
    }
}

fn take(output: &[u8], programs: &[PathBuf], report: &mut Report) {
    for line in String::from_utf8_lossy(output).lines() {
        // A path may have colons: it is one of those that were given.
        let found = programs.iter().find_map(|path| {
            let rest = line.strip_prefix(&*path.to_string_lossy())?.strip_prefix(':')?;
            let (number, reason) = rest.split_once(':')?;
            Some((path, number.parse().unwrap_or(0), reason.trim()))
        });
        if let Some((path, line, reason)) = found {
            report.findings.push(Finding {
                file: path.clone(),
                line,
                check: "flake8",
                reason: reason.to_owned(),
                instead: "flake8's documentation explains its codes".to_owned(),
            });
        }
    }
}
