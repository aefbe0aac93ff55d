//! Tools of the host that tests of this room consult when they are there.

use std::process::Command;

/// Whether the host has a tool; says so when a test goes without.
pub(crate) fn have(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        .chain(["/sbin".into(), "/usr/sbin".into()])
        .any(|dir| dir.join(tool).exists());
    if !found {
        println!("skipped: {tool} is not installed");
    }
    found
}

/// Runs a tool and returns what it printed, or fails the test with it.
pub(crate) fn run(tool: &str, args: &[&str]) -> String {
    let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let out = Command::new(tool).args(args).env("PATH", path).env("LC_ALL", "C").output().unwrap();
    let text =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{tool} {args:?}: {text}");
    text
}
