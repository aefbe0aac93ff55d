//! A root on btrfs, which goldsmith writes and reads, and the format's own programs check.

use std::sync::Arc;

use anyhow::{Result, ensure};
use goldsmith_images::compare::tars;
use goldsmith_images::read::{Medium, RawFile, System};
use goldsmith_tests::{HostInvariant, TestEnv, ran};

use crate::attributes::{noted, run};
use crate::{member, ok};

const LAYOUT: &str = "
- local_loop:
    name: image0
    size: 160MiB
    mkfs: {name: mkfs_root, type: btrfs, mount: {mount_point: /, fstab: {fsck-passno: 0}}}
";

#[test]
fn a_root_on_btrfs_holds_what_the_tree_does() -> Result<()> {
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    noted(&env)?;
    env.element(
        "noted/cleanup.d/20-y",
        "#!/bin/sh\nset -eu\nhead -c 3000000 /dev/zero | tr '\\0' k > $TARGET_ROOT/etc/large\necho 'a telltale note' > $TARGET_ROOT/etc/note\n",
    )?;
    let goldsmith = |words: &[&str]| {
        let mut command = env.command("goldsmith")?;
        command.env("SOURCE_DATE_EPOCH", "1700000000").env("DIB_BLOCK_DEVICE_CONFIG", LAYOUT);
        ran(command.args(words).args(["-n", "-a", "amd64", "noted"]))
    };
    ok(&goldsmith(&["build", "-t", "raw,tar", "-o", "x"])?)?;
    run(&env, "btrfs", &["check", "--readonly", "--check-data-csum", "x.raw"])?;
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&env.path("x.raw"))?);
    let tree = System::find(&disk)?.tree(b"")?;
    tree.write_tar(fs_err::File::create(env.path("read.tar"))?)?;
    let open = |name: &str| fs_err::File::open(env.path(name));
    let differences = tars(open("x.tar")?, open("read.tar")?, "the archive")?;
    ensure!(differences.is_empty(), "{differences:#?}");
    ensure!(tree.entries.len() > 15, "{}", tree.entries.len());
    let fstab = member(&env.path("x.tar"), "./etc/fstab")?;
    ensure!(fstab == "LABEL=cloudimg-rootfs / btrfs defaults 0 0\n", "{fstab}");

    let verified = goldsmith(&["verify", "x.raw", "--cached"])?;
    ok(&verified)?;
    ensure!(verified.stdout.contains("verified, sha256:"), "{verified:#?}");
    // A file's bytes are compared, whatever their checksums say.
    let mut bytes = fs_err::read(env.path("x.raw"))?;
    let at = bytes.windows(4096).position(|window| window.iter().all(|&byte| byte == b'k'));
    let at = at.ok_or_else(|| anyhow::anyhow!("not there"))?;
    bytes[at + 8192] = b'l';
    fs_err::write(env.path("x.raw"), bytes)?;
    let differs = goldsmith(&["verify", "x.raw", "--cached"])?;
    ensure!(differs.status == 6 && !differs.stdout.contains("verified"), "{differs:#?}");
    host.check(env.cache())
}
