//! The tools container: what hooks of host phases expect of a build host.

use std::collections::BTreeSet;

use goldsmith_images::import::debian::{ArchiveSpec, Suite, Variant};

use super::mirror::Mirror;
use crate::request::native_arch;

/// What its base is called.
pub const NAME: &str = "tools";

/// The suite it is made from; pinned, so that a host's age does not matter.
const SUITE: &str = "trixie";

/// Its packages, beside the essential ones. jq from 1.6, git from 2.30 (safe.directory),
/// e2fsprogs for lsattr, python3 from 3.9 for package-installs.
const PACKAGES: [&str; 12] = [
    "ca-certificates",
    "curl",
    "e2fsprogs",
    "file",
    "git",
    "jq",
    "procps",
    "python3",
    "python3-yaml",
    "rsync",
    "xz-utils",
    "zstd",
];

/// What to bootstrap for it: the usual packages and those that hooks of this build need.
pub fn archive(mirror: &Mirror, more: &BTreeSet<String>) -> ArchiveSpec {
    let mut include = PACKAGES.map(str::to_owned).to_vec();
    include.extend(more.iter().filter(|name| !PACKAGES.contains(&name.as_str())).cloned());
    ArchiveSpec {
        suites: vec![Suite {
            mirror: mirror.archive.clone(),
            name: SUITE.to_owned(),
            components: vec!["main".to_owned()],
        }],
        arch: native_arch().to_owned(),
        variant: Variant::Minbase,
        include,
        exclude: Vec::new(),
    }
}
