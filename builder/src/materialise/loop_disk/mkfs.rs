//! The programs that make file systems on devices, for the loop backend.

use std::path::PathBuf;

use goldsmith_images::disk::layout::{Ext4Options, Filesystem, FsKind};
use goldsmith_runtime::{
    DevicePlan, ExitStatus, Network, Privilege, RootPlan, SandboxPlan, Stdin, UserPlan,
};

use crate::error::{Failure, Kind, Result};
use crate::phase::session::{Session, overlay};

/// The package that has mkfs.btrfs.
pub const BTRFS_PACKAGE: &str = "btrfs-progs";

/// A btrfs as goldsmith's own writer makes it: data and metadata once, nodes of 16 KiB.
const BTRFS: [&str; 12] =
    ["mkfs.btrfs", "-q", "-f", "-K", "-d", "single", "-m", "single", "-n", "16384", "-s", "4096"];

/// The command that makes `filesystem` on `device`; nothing where no program does.
pub(super) fn command(filesystem: &Filesystem, device: &str) -> Option<Vec<String>> {
    let mut argv = match &filesystem.kind {
        FsKind::Ext4(options) => {
            let mut argv = ["mkfs.ext4", "-q", "-F"].map(str::to_owned).to_vec();
            argv.extend(mke2fs_options(options));
            argv
        }
        FsKind::Btrfs => BTRFS.map(str::to_owned).to_vec(),
        _ => return None,
    };
    argv.extend(["-U".to_owned(), filesystem.uuid.to_string()]);
    argv.extend(["-L".to_owned(), filesystem.label.clone(), device.to_owned()]);
    Some(argv)
}

/// Runs it in a sandbox of the tools container.
pub(super) fn run(
    session: &Session,
    tools: &[PathBuf],
    devices: Vec<DevicePlan>,
    argv: Vec<String>,
    name: &str,
) -> Result<()> {
    let program = argv.first().cloned().unwrap_or_default();
    let pending = session.pending()?;
    let plan = SandboxPlan {
        id_hint: "mkfs".into(),
        root: RootPlan::Overlay(overlay(tools.to_vec(), &pending)),
        argv,
        env: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())],
        cwd: "/".into(),
        mounts: Vec::new(),
        devices,
        formats: Vec::new(),
        network: Network::None,
        hostname: "goldsmith".into(),
        privilege: Privilege::Package,
        user: UserPlan::default(),
        scratch_bytes: None,
        time_limit_ms: None,
        stdin: Stdin::Null,
    };
    let ran = session.run("mkfs", &plan)?;
    session.discard(pending)?;
    if ran.outcome.status == ExitStatus::Code(0) {
        return Ok(());
    }
    let failure = Failure::new(Kind::Build, format!("{program} of {name} failed"));
    Err(ran.watch.tail().into_iter().fold(failure, |f, line| f.hint(format!("  | {line}"))))
}

/// What mke2fs(8) is told so that its file system is the one of `options`, whatever its
/// configuration file says. Of the features that GRUB before 2.12 cannot read none is on unless
/// it was asked for.
fn mke2fs_options(options: &Ext4Options) -> Vec<String> {
    let inodes = match options.inode_count {
        Some(count) => ("-N", count),
        None => ("-i", options.inode_ratio),
    };
    let mut argv = vec!["-O".to_owned(), options.features.list()];
    for (option, value) in [("-b", options.block_size), ("-I", options.inode_size), inodes] {
        argv.extend([option.to_owned(), value.to_string()]);
    }
    argv.extend(["-m".to_owned(), options.reserved_percent.to_string()]);
    argv.extend(["-e".to_owned(), options.errors.name().to_owned()]);
    if let Some(mib) = options.journal_mib.filter(|_| options.features.has("has_journal")) {
        argv.extend(["-J".to_owned(), format!("size={mib}")]);
    }
    // Of several -E only the last counts.
    let most = options.most_blocks.map(|blocks| format!("resize={blocks}"));
    let seed = options.hash_seed.map(|seed| format!("hash_seed={seed}"));
    let stride = options.stride.map(|blocks| format!("stride={blocks}"));
    let width = options.stripe_width.map(|blocks| format!("stripe_width={blocks}"));
    let extended: Vec<_> = [most, seed, stride, width].into_iter().flatten().collect();
    if !extended.is_empty() {
        argv.extend(["-E".to_owned(), extended.join(",")]);
    }
    argv
}

#[cfg(test)]
mod tests {
    use goldsmith_images::disk::layout::{Ext4Errors, XfsOptions};

    use super::*;

    #[test]
    fn the_identifiers_are_those_of_the_layout() {
        let mut filesystem = Filesystem {
            name: "mkfs_root".into(),
            on: goldsmith_images::disk::layout::On::Whole,
            kind: FsKind::Ext4(Ext4Options::default()),
            label: "img-rootfs".into(),
            uuid: uuid::Uuid::nil(),
            mount_point: Some("/".into()),
        };
        let nil = uuid::Uuid::nil();
        for (kind, program) in [(filesystem.kind, "mkfs.ext4 "), (FsKind::Btrfs, "mkfs.btrfs ")] {
            filesystem.kind = kind;
            let line = command(&filesystem, "/dev/loop0p1").unwrap().join(" ");
            assert!(line.starts_with(program), "{line}");
            assert!(line.ends_with(&format!("-U {nil} -L img-rootfs /dev/loop0p1")), "{line}");
        }
        assert_eq!(
            command(
                &Filesystem { kind: FsKind::Xfs(XfsOptions::default()), ..filesystem },
                "/dev/x"
            ),
            None
        );
    }

    #[test]
    fn every_option_is_passed_on() {
        let usual = mke2fs_options(&Ext4Options::default()).join(" ");
        assert!(usual.contains("-b 4096 -I 256 -i 4096 -m 5 -e continue -J size=64"), "{usual}");
        assert!(usual.contains("^metadata_csum_seed") && usual.contains("^orphan_file"));
        let features = Ext4Options::default().features.changed("^has_journal").unwrap();
        let own = Ext4Options {
            inode_count: Some(9),
            most_blocks: Some(1 << 30),
            hash_seed: Some(uuid::Uuid::nil()),
            features,
            errors: Ext4Errors::Panic,
            stride: Some(16),
            stripe_width: Some(64),
            ..Ext4Options::default()
        };
        let own = mke2fs_options(&own).join(" ");
        let extended = format!(
            "-N 9 -m 5 -e panic -E resize=1073741824,hash_seed={},stride=16,stripe_width=64",
            uuid::Uuid::nil()
        );
        assert!(own.contains(&extended) && own.matches("-E").count() == 1, "{own}");
        assert!(!own.contains("-J"), "{own}");
    }
}
