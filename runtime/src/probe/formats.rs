//! Programs of other machines: whether sandboxes can be given interpreters for them, and
//! which ones the host has registered for everybody.

use std::path::Path;

use super::{Check, check, looked};
use crate::identity::Identity;
use crate::plan::FormatPlan;

/// The name of the check.
pub(super) const FORMATS: &str = "foreign architectures";
/// What mends it.
pub(super) const FORMATS_FIX: &str =
    "use a kernel from 6.7 on, or register emulators on this host, with the kernel's flag F";

/// Where the kernel lists what is registered for everybody.
const HOST: &str = "/proc/sys/fs/binfmt_misc";

/// Whether sandboxes with [`crate::SandboxPlan::formats`] can be made here; enters a namespace
/// to try, which takes milliseconds.
///
/// The job table given to [`crate::init_if_child`] must contain [`crate::PROBE_JOB`].
pub fn probe_formats(identity: &Identity) -> Check {
    let failed = |detail: &str| check(FORMATS, false, detail, FORMATS_FIX).optional();
    match looked(identity, &FORMATS.into()) {
        Ok(checks) => checks.into_iter().next().unwrap_or_else(|| failed("nothing was tried")),
        Err(error) => failed(&error),
    }
}

/// Whether the host has registered an interpreter for such programs that sandboxes without
/// formats of their own can use, whatever their root holds (the kernel's flag `F`).
///
/// The plan's interpreter is not looked at.
pub fn registered(format: &FormatPlan) -> bool {
    entries(Path::new(HOST)).iter().any(|(_, text)| takes(text, &format.magic))
}

/// Adds what the host registered to a check that failed.
pub(super) fn with_the_hosts(mut found: Check) -> Check {
    if found.name == FORMATS && !found.ok {
        let entries = entries(Path::new(HOST));
        let names: Vec<_> = entries
            .iter()
            .filter(|(_, text)| is_fixed(text))
            .map(|(name, _)| name.as_str())
            .collect();
        if !names.is_empty() {
            found.detail.push_str(&format!("; the host has registered {}", names.join(", ")));
        }
    }
    found
}

/// What is registered, by name.
fn entries(directory: &Path) -> Vec<(String, String)> {
    let Ok(list) = fs_err::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<_> = list
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            if ["register", "status"].contains(&name.as_str()) {
                return None;
            }
            Some((name, fs_err::read_to_string(entry.path()).ok()?))
        })
        .collect();
    found.sort();
    found
}

/// Whether an entry is in force with its interpreter open.
fn is_fixed(entry: &str) -> bool {
    entry.starts_with("enabled\n")
        && entry.lines().any(|line| line.strip_prefix("flags: ").is_some_and(|f| f.contains('F')))
}

/// Whether an entry in force takes files that begin so.
fn takes(entry: &str, begin: &[u8]) -> bool {
    let value = |key: &str| entry.lines().find_map(|line| line.strip_prefix(key));
    let bytes = |text: &str| -> Option<Vec<u8>> {
        let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        (0..text.len()).step_by(2).map(pair).collect()
    };
    let Some(magic) = value("magic ").and_then(bytes) else { return false };
    let mask = value("mask ").and_then(bytes).unwrap_or_else(|| vec![0xff; magic.len()]);
    let offset = value("offset ").and_then(|text| text.parse().ok()).unwrap_or(0);
    let Some(part) = begin.get(offset..).and_then(|rest| rest.get(..magic.len())) else {
        return false;
    };
    is_fixed(entry)
        && part.iter().zip(&magic).zip(&mask).all(|((one, other), mask)| (one ^ other) & mask == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "enabled\ninterpreter /usr/bin/x\nflags: POCF\noffset 0\nmagic 7f454c4602\nmask ffffffff00\n";

    #[test]
    fn entries_are_judged() {
        let other = |from: &str, to: &str| ENTRY.replace(from, to);
        for (what, entry, begin, taken) in [
            ("the mask counts", ENTRY.to_owned(), &b"\x7fELF\x01"[..], true),
            ("another magic", ENTRY.to_owned(), b"\x7fELG\x02", false),
            ("a short file", ENTRY.to_owned(), b"\x7fELF", false),
            ("not in force", other("enabled", "disabled"), b"\x7fELF\x02", false),
            ("not opened", other("POCF", "POC"), b"\x7fELF\x02", false),
            ("no mask", other("mask ffffffff00\n", ""), b"\x7fELF\x02", true),
            ("no mask, another", other("mask ffffffff00\n", ""), b"\x7fELF\x01", false),
            ("by extension", "enabled\nflags: F\nextension .exe\n".into(), b"\x7fELF\x02", false),
        ] {
            assert_eq!(takes(&entry, begin), taken, "{what}");
        }
    }

    #[test]
    fn a_check_that_failed_names_what_the_host_has() {
        let fine = check(FORMATS, true, "works", "");
        assert_eq!(with_the_hosts(fine.clone()), fine);
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("qemu-arm"), ENTRY).unwrap();
        fs_err::write(directory.path().join("status"), "enabled\n").unwrap();
        assert_eq!(entries(directory.path()), [("qemu-arm".to_owned(), ENTRY.to_owned())]);
    }
}
