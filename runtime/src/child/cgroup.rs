//! A control group file system that libcontainer can do without.
//!
//! libcontainer always joins a group. An ordinary user owns none of a v1 hierarchy, and its
//! refusal is fatal, while that of v2 is tolerated: so the helper's private mount namespace
//! shows a v2 tree at `/sys/fs/cgroup`.

use std::fmt;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

const TREE: &str = "/sys/fs/cgroup";

/// Makes sure that `/sys/fs/cgroup` is of version 2, where that can be done.
pub(super) fn prepare() -> Result<(), String> {
    if is_v2(TREE) {
        return Ok(());
    }
    let none: Option<&str> = None;
    let unified = "/sys/fs/cgroup/unified";
    if is_v2(unified) {
        return mount(Some(unified), TREE, none, MsFlags::MS_BIND, none)
            .map_err(|error| format!("mount({unified}, {TREE}): {error}"));
    }
    unshare(CloneFlags::CLONE_NEWCGROUP)
        .map_err(|error| format!("unshare(CLONE_NEWCGROUP): {error}"))?;
    mount(Some("cgroup2"), TREE, Some("cgroup2"), MsFlags::empty(), none)
        .map_err(|error| format!("mount(cgroup2, {TREE}): {error}"))
}

fn is_v2(path: &str) -> bool {
    std::path::Path::new(path).join("cgroup.controllers").exists()
}

/// The path of a container's control group: absolute, never empty, one path component.
///
/// With an empty path libcontainer's clean-up takes the caller's own group for the
/// container's and kills every process in it, so no other type is ever handed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupPath(String);

impl CgroupPath {
    /// `/NAME`, where NAME is made of ASCII letters, digits and `-`.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.len() < 8 || !name.chars().all(plain) {
            return Err(format!("{name:?} is no name for a control group"));
        }
        Ok(Self(format!("/{name}")))
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_empty_or_leaves_its_place() {
        for bad in ["", "/", "a", "goldsmith/..", "../goldsmith", "gold smith-1", "goldsmith.1"] {
            assert!(CgroupPath::new(bad).is_err(), "{bad}");
        }
        assert_eq!(CgroupPath::new("goldsmith-x-1-0").unwrap().to_string(), "/goldsmith-x-1-0");
    }
}
