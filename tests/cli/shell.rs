//! Runs the scripts of tests/shell: each says what differs and exits 1, or exits 0.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

fn script(name: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("shell").join(name);
    let output = Command::new("bash").arg(path).output()?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn every_script_is_run() -> Result<()> {
    let own = include_str!("shell.rs");
    for entry in fs_err::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("shell"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let named = own.contains(&format!("script(\"{name}\")"));
        ensure!(named || !name.ends_with(".sh"), "{name} is forgotten");
    }
    Ok(())
}

// contract 9.22
#[test]
fn cache_url() -> Result<()> {
    script("cache_url.sh")
}

#[test]
fn dib_run_parts() -> Result<()> {
    script("dib_run_parts.sh")
}

#[test]
fn elements_keep_the_house_rules() -> Result<()> {
    script("elements.sh")
}

#[test]
fn growvols() -> Result<()> {
    script("growvols.sh")
}

// contract 9.21
#[test]
fn lib_functions() -> Result<()> {
    script("lib_functions.sh")
}

#[test]
fn manifests() -> Result<()> {
    script("manifests.sh")
}

// contract 9.10
#[test]
fn package_installs() -> Result<()> {
    script("package_installs.sh")
}

// contract 9.11
#[test]
fn pkg_map() -> Result<()> {
    script("pkg_map.sh")
}

#[test]
fn boot_shims() -> Result<()> {
    script("boot_shims.sh")
}

#[test]
fn ramdisk() -> Result<()> {
    script("ramdisk.sh")
}

#[test]
fn shims() -> Result<()> {
    script("shims.sh")
}

// contract 9.14
#[test]
fn source_repositories() -> Result<()> {
    script("source_repositories.sh")
}

#[test]
fn svc_map() -> Result<()> {
    script("svc_map.sh")
}

#[test]
fn break_points() -> Result<()> {
    script("break_points.sh")
}
