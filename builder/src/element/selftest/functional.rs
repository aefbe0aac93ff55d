//! An element built together with a test element.
//!
//! A test element that is to fail touches `/tmp/dib-test-should-fail` in the image before it
//! ends with status 1. The tree of the failed phase is looked at by a break point, in the
//! tools container.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::child::{self, Interrupts};
use super::{Outcome, Test, What};
use crate::error::{Failure, Kind, Result};

/// The file by which a test element says that the failure to come is the right one.
const SENTINEL: &str = "tmp/dib-test-should-fail";

/// What all tests of a run are built with.
#[derive(Debug)]
pub struct Builder {
    /// The user's directories of elements.
    pub elements_path: Vec<PathBuf>,
    /// Leave the shipped elements out.
    pub no_builtin_elements: bool,
    /// The cache.
    pub cache: PathBuf,
    /// The library of hooks, unpacked.
    pub lib: PathBuf,
    /// The caller's environment.
    pub env: std::collections::BTreeMap<String, String>,
}

impl Builder {
    /// A variable of the caller's that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// `ELEMENTS_PATH` of a test: its own directory, then what every build has.
    fn path(&self, test: &Test) -> Result<std::ffi::OsString> {
        let own = std::iter::once(test.path.join("test-elements"));
        std::env::join_paths(own.chain(self.elements_path.iter().cloned()))
            .map_err(|error| Failure::wrap(Kind::Usage, "a directory of elements", &error))
    }

    pub(super) fn run(&self, test: &Test, log: &Path, interrupts: &Interrupts) -> Result<Outcome> {
        let begun = Instant::now();
        let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "a test", &error);
        let place = tempfile::Builder::new().prefix("goldsmith-test-").tempdir().map_err(failed)?;
        // Said in two parts: a trace of the command is then not what it prints.
        let word = format!("as expected {}", std::process::id());
        let (first, second) = word.split_at(3);
        let look = format!(
            "[ -e \"$TMP_MOUNT_PATH/{SENTINEL}\" ] && printf '\\n%s%s\\n' '{first}' '{second}'"
        );
        let mut command = Command::new("/proc/self/exe");
        command.arg0("disk-image-create").args(["-x", "-o", "image"]);
        if let What::Disk(formats) = &test.what {
            command.args(["-n", "-t", &formats.join(",")]);
        }
        command
            .args([&test.element, &test.name])
            .current_dir(place.path())
            .env("ELEMENTS_PATH", self.path(test)?)
            .env("GOLDSMITH_CACHE", &self.cache)
            .env("GOLDSMITH_NO_BUILTIN_ELEMENTS", if self.no_builtin_elements { "1" } else { "0" })
            .env("DIB_SHOW_IMAGE_USAGE", "1")
            .env("break", "after-error")
            .env("break_outside_target", "1")
            .env("break_cmd", look);
        let status = child::run(&mut command, log, interrupts)?;
        let tail = child::tail(log);
        let (failure, remark) = if status.success() {
            let wanted: Vec<_> = match &test.what {
                What::Disk(formats) => {
                    formats.iter().map(|format| format!("image.{format}")).collect()
                }
                _ => vec!["image.initramfs".to_owned()],
            };
            let missing = wanted.iter().find(|name| !place.path().join(name).is_file());
            (missing.map(|name| format!("the build made no {name}")), None)
        } else if says(log, &word) {
            (None, Some("failed as it should"))
        } else {
            (Some(format!("the build failed: {status}")), None)
        };
        Ok(Outcome { failure, remark, tail, took: begun.elapsed() })
    }
}

/// Whether the break command has printed its word.
fn says(log: &Path, word: &str) -> bool {
    let bytes = fs_err::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().any(|line| line.ends_with(word))
}
