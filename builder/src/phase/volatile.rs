//! What no image keeps of a build.

/// Files that differ from build to build and that the image makes anew.
pub(super) fn paths() -> Vec<String> {
    let mut paths = goldsmith_images::import::debian::volatile_paths();
    paths.retain(|path| !path.starts_with("var/lib/apt/lists"));
    for path in [
        "etc/resolv.conf.ORIG",
        "goldsmith",
        "var/cache/apt/archives/*.deb",
        "var/lib/apt/lists/*",
        "var/lib/systemd/catalog/database",
        "var/cache/man/*",
        "root/.cache",
        "root/.bash_history",
    ] {
        paths.push(path.to_owned());
    }
    paths
}
