//! Hosts that lack what every build needs: the message names cause and cure, and the cure
//! that it names helps.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Namespace, Ran, UserEnv};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("a_user_without_subordinate_ids_is_told_the_command_that_gives_them", no_subids),
    ("forbidden_user_namespaces_are_named_with_their_setting", no_namespaces),
];

const BUILD: [&str; 6] = ["build", "-n", "-t", "tar", "small", "-x"];

fn expect(ran: &Ran, status: i32, texts: &[&str]) -> Result<()> {
    ensure!(ran.status == status, "{ran:#?}");
    for text in texts {
        let told = ran.stderr.contains(text) || ran.stdout.contains(text);
        ensure!(told, "{text:?} is not in {ran:#?}");
    }
    Ok(())
}

/// Nothing was written, neither an output nor a cache.
fn untouched(user: &UserEnv, cache: &Path) -> Result<()> {
    ensure!(!user.env.path("image.tar").exists(), "an output is there");
    ensure!(!cache.exists(), "a cache was made");
    Ok(())
}

fn no_subids() -> Result<()> {
    let user = UserEnv::new()?.with_small_os()?;
    let host = user.host(user.env.cache())?;
    let namespace = Namespace::mounts()?;
    // A copy of /etc of the namespace's own: the cure is carried out for real below.
    namespace.root(&format!(
        "copy=$(mktemp -d); mount -t tmpfs tmpfs \"$copy\"; cp -a /etc/. \"$copy\"
        mount --bind \"$copy\" /etc; umount \"$copy\"; rmdir \"$copy\"
        sed -i '/^{0}:/d' /etc/subuid /etc/subgid",
        user.name()
    ))?;
    let cache = user.env.path("no-cache");
    let ran = user.run_in(&namespace, Some(&cache), &BUILD)?;
    expect(&ran, 4, &["/etc/subuid", user.name(), "as root: usermod --add-subuids ", "doctor"])?;
    untouched(&user, &cache)?;
    let doctor = user.run_in(&namespace, Some(&cache), &["doctor"])?;
    expect(&doctor, 4, &["MISSING  subordinate ids", "as root: usermod --add-subuids "])?;
    let line = ran.stderr.lines().find_map(|line| line.trim().strip_prefix("as root: "));
    let (command, _) = line.and_then(|line| line.split_once(" (")).context("no command")?;
    namespace.root(command)?;
    let doctor = user.run_in(&namespace, Some(&cache), &["doctor"])?;
    expect(&doctor, 0, &["builds can run here"])?;
    // The user's shared cache is in the ids of the host's own range: it must not be torn.
    drop(namespace);
    expect(&user.run(&BUILD)?, 0, &[])?;
    host.check(user.env.cache())
}

fn no_namespaces() -> Result<()> {
    let user = UserEnv::new()?.with_small_os()?;
    let host = user.host(user.env.cache())?;
    let namespace = Namespace::users()?;
    let cache = user.env.path("no-cache");
    // The settings are those of the user namespace: the machine keeps its own.
    let cure = "sysctl -w user.max_user_namespaces=15000";
    let cause = "user.max_user_namespaces is 0";
    namespace.root("echo 0 > /proc/sys/user/max_user_namespaces")?;
    let ran = user.run_in(&namespace, Some(&cache), &BUILD)?;
    expect(&ran, 4, &["no sandbox can run here", cause, cure, "goldsmith doctor"])?;
    untouched(&user, &cache)?;
    let doctor = user.run_in(&namespace, Some(&cache), &["doctor"])?;
    expect(&doctor, 4, &["MISSING  user namespaces", cause, cure])?;
    namespace.root(cure)?;
    let doctor = user.run_in(&namespace, Some(&cache), &["doctor"])?;
    expect(&doctor, 0, &["builds can run here"])?;
    // A limit that is reached rather than nought is seen only when it is too late.
    namespace.root("echo 0 > /proc/sys/user/max_mnt_namespaces")?;
    let ran = user.run_in(&namespace, Some(&cache), &BUILD)?;
    expect(&ran, 4, &["no sandbox can run here", "user.max_mnt_namespaces", "goldsmith doctor"])?;
    ensure!(!user.env.path("image.tar").exists(), "an output is there");
    namespace.root("sysctl -w user.max_mnt_namespaces=15000")?;
    expect(&user.run_in(&namespace, None, &BUILD)?, 0, &[])?;
    drop(namespace);
    host.check(user.env.cache())
}
