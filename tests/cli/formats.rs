//! Output formats and the options of `qemu-img`, as far as nothing is built.

use anyhow::{Result, ensure};

use super::with_os;

#[test]
fn types_and_their_options_are_known_before_anything_is_built() -> Result<()> {
    let env = with_os()?;
    let kinds = "qcow2,raw,vhd,vhdx,vmdk,vdi,tar,tgz,tar.zst,squashfs,aci";
    let ran = env.run(&["plan", "-n", "--offline", "-t", kinds, "fake-os"])?;
    ensure!(ran.status == 0, "{ran:?}");
    let help = env.run_as("disk-image-create", &["--help"])?;
    for kind in kinds.split(',') {
        ensure!(help.stdout.contains(kind), "{kind} is not in {help:?}");
    }
    for (types, options, named) in [
        ("qcow2,floppy", "", "image type floppy is not known"),
        ("vmdk", "subformat=twoGbMaxExtentFlat", "twoGbMaxExtentFlat cannot be written for vmdk"),
        ("qcow2,vdi", "static=on", "static=on cannot be written for qcow2, vdi"),
        ("vhdx", "subformat=fixed", "vhdx takes subformat=dynamic"),
    ] {
        for program in ["disk-image-create", "goldsmith"] {
            let verb: &[&str] = if program == "goldsmith" { &["build"] } else { &[] };
            let words = ["-n", "-t", types, "--qemu-img-options", options, "fake-os"];
            let ran = env.run_as(program, &[verb, &words].concat())?;
            let status = if program == "goldsmith" { 2 } else { 1 };
            ensure!(ran.status == status && ran.stderr.contains(named), "{types}: {ran:?}");
        }
    }
    let output = env
        .command("disk-image-create")?
        .args(["-n", "-t", "aci", "fake-os"])
        .env("ACI_MANIFEST", "no/such/manifest")
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && text.contains("ACI_MANIFEST"), "{text}");
    Ok(())
}
