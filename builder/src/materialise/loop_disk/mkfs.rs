//! The program that makes an ext4 on a device, for the loop backend.

use goldsmith_images::disk::layout::{Ext4Options, Filesystem};

/// The command that makes `filesystem`, an ext4 of these options, on `device`.
pub(super) fn command(filesystem: &Filesystem, options: &Ext4Options, device: &str) -> Vec<String> {
    let mut argv = ["mkfs.ext4", "-q", "-F"].map(str::to_owned).to_vec();
    argv.extend(mke2fs_options(options));
    argv.extend(["-U".to_owned(), filesystem.uuid.to_string()]);
    argv.extend(["-L".to_owned(), filesystem.label.clone(), device.to_owned()]);
    argv
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
    for (option, value) in [
        ("-b", options.block_size),
        ("-I", options.inode_size),
        inodes,
        ("-m", u32::from(options.reserved_percent)),
    ] {
        argv.extend([option.to_owned(), value.to_string()]);
    }
    if let Some(mib) = options.journal_mib.filter(|_| options.features.has("has_journal")) {
        argv.extend(["-J".to_owned(), format!("size={mib}")]);
    }
    // Of several -E only the last counts.
    let most = options.most_blocks.map(|blocks| format!("resize={blocks}"));
    let seed = options.hash_seed.map(|seed| format!("hash_seed={seed}"));
    let extended: Vec<_> = most.into_iter().chain(seed).collect();
    if !extended.is_empty() {
        argv.extend(["-E".to_owned(), extended.join(",")]);
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifiers_are_those_of_the_layout() {
        let options = Ext4Options::default();
        let filesystem = Filesystem {
            name: "mkfs_root".into(),
            on: goldsmith_images::disk::layout::On::Whole,
            kind: goldsmith_images::disk::layout::FsKind::Ext4(options),
            label: "img-rootfs".into(),
            uuid: uuid::Uuid::nil(),
            mount_point: Some("/".into()),
        };
        let line = command(&filesystem, &options, "/dev/loop0p1").join(" ");
        let nil = uuid::Uuid::nil();
        assert!(line.ends_with(&format!("-U {nil} -L img-rootfs /dev/loop0p1")), "{line}");
    }

    #[test]
    fn every_option_is_passed_on() {
        let usual = mke2fs_options(&Ext4Options::default()).join(" ");
        assert!(usual.contains("-b 4096 -I 256 -i 4096 -m 5 -J size=64"), "{usual}");
        assert!(usual.contains("^metadata_csum_seed") && usual.contains("^orphan_file"));
        let features = Ext4Options::default().features.changed("^has_journal").unwrap();
        let own = Ext4Options {
            inode_count: Some(9),
            most_blocks: Some(1 << 30),
            hash_seed: Some(uuid::Uuid::nil()),
            features,
            ..Ext4Options::default()
        };
        let own = mke2fs_options(&own).join(" ");
        let extended = format!("-N 9 -m 5 -E resize=1073741824,hash_seed={}", uuid::Uuid::nil());
        assert!(own.contains(&extended) && own.matches("-E").count() == 1, "{own}");
        assert!(!own.contains("-J"), "{own}");
    }
}
