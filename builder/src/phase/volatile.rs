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
        // What SQLite keeps in memory that several share; it is made of the database again.
        "usr/lib/sysimage/rpm/rpmdb.sqlite-shm",
        "var/lib/rpm/rpmdb.sqlite-shm",
        "var/log/dnf.*",
        "var/log/hawkey.log",
        "var/log/zypp/*",
        "var/log/zypper.log",
        "var/cache/man/*",
        "root/.cache",
        "root/.bash_history",
    ] {
        paths.push(path.to_owned());
    }
    paths
}
