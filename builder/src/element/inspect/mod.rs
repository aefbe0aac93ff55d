//! What scripts of elements do, found out without running them, and what of it no sandbox of
//! goldsmith's allows.

mod call;
mod kernel;
mod mounts;
mod obstacle;
mod quoting;
mod refused;
mod shell;

use std::path::Path;

pub(crate) use call::{Call, calls, hosts};
pub use obstacle::{Obstacle, obstacles};

use crate::phase::table::{self, PHASES};

/// Where a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the tools container.
    Host,
    /// In the image.
    Target,
    /// In either: fragments of the environment, and programs that hooks call.
    Either,
}

/// Where the file at this path of an element runs; nowhere, for data.
pub fn place(inside: &Path) -> Option<Place> {
    let names: Vec<_> = inside.iter().map(|name| name.to_string_lossy()).collect();
    let directory = match names.as_slice() {
        [directory, _] => directory,
        // Sets of scripts of which one is chosen.
        [directory, set, _] if set.ends_with("-install") => directory,
        _ => return None,
    };
    if matches!(&**directory, "environment.d" | "bin") {
        return Some(Place::Either);
    }
    PHASES.iter().find(|phase| *directory == phase.directory).map(|phase| match phase.place {
        table::Place::Host => Place::Host,
        table::Place::Target => Place::Target,
    })
}

/// Whether a file is a shell script.
pub fn is_shell(text: &str, inside: &Path) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let interpreter = first.split([' ', '/']).next_back().unwrap_or_default();
    first.starts_with("#!") && matches!(interpreter, "sh" | "bash" | "dash")
        || inside.starts_with("environment.d")
}
