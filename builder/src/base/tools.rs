//! The tools container: what hooks of host phases expect of a build host.

use goldsmith_images::import::debian::{ArchiveSpec, Suite, Variant};

use super::mirror::Mirror;
use crate::request::native_arch;

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

/// What to bootstrap for it.
pub fn archive(mirror: &Mirror) -> ArchiveSpec {
    ArchiveSpec {
        suites: vec![Suite {
            mirror: mirror.archive.clone(),
            name: SUITE.to_owned(),
            components: vec!["main".to_owned()],
        }],
        arch: native_arch().to_owned(),
        variant: Variant::Minbase,
        include: PACKAGES.map(str::to_owned).to_vec(),
        exclude: Vec::new(),
    }
}
