//! Kernels by their names: the rule of diskimage-builder's `select_boot_kernel_initrd`.

use goldsmith_images::tree::Tree;

use super::names::{matches, newer};
use super::{Pair, file, shown};
use crate::error::{Failure, Kind, Result};

/// Shell patterns that replace the names which distributions use.
#[derive(Debug, Clone)]
pub struct Patterns {
    /// `DIB_BAREMETAL_KERNEL_PATTERN`.
    pub kernel: String,
    /// `DIB_BAREMETAL_INITRD_PATTERN`.
    pub ramdisk: String,
}

/// What kernels' names begin with; the first of these that a directory has counts.
const KERNELS: [&str; 4] = ["vmlinuz-", "vmlinux-", "kernel-", "Image-"];

/// How RAM disks of a version are called: what is before it, and what behind.
const RAMDISKS: [(&str, &str); 5] = [
    ("initrd.img-", ""),
    ("initramfs-", ".img"),
    ("initrd-", ""),
    ("initramfs-", ""),
    ("initrd-", ".img"),
];

/// The newest kernel in a directory and the RAM disk that goes with it; nothing when it has
/// no kernel.
pub(super) fn from_names(
    tree: &Tree,
    directory: &[u8],
    patterns: Option<&Patterns>,
) -> Result<Option<Pair>> {
    let path = |name: &str| [directory, b"/", name.as_bytes()].concat();
    let names: Vec<&str> = tree
        .entries
        .iter()
        .filter_map(|entry| entry.path.strip_prefix(directory)?.strip_prefix(b"/"))
        .filter_map(|name| std::str::from_utf8(name).ok())
        .filter(|name| !name.contains('/') && file(tree, &path(name)).is_some())
        .collect();
    let pick = |wanted: &dyn Fn(&str) -> bool| {
        let found = names.iter().copied().filter(|name| wanted(name));
        found.max_by(|a, b| newer(a, b))
    };
    let lacks = |kernel: &str, looked: String| {
        let message = format!("no initial RAM disk for {}", shown(&path(kernel)));
        Failure::new(Kind::Build, message).hint(format!("looked for {looked} beside it"))
    };
    if let Some(patterns) = patterns {
        let Some(kernel) = pick(&|name| matches(&patterns.kernel, name)) else { return Ok(None) };
        let ramdisk = pick(&|name| matches(&patterns.ramdisk, name))
            .ok_or_else(|| lacks(kernel, patterns.ramdisk.clone()))?;
        return Ok(Some(Pair { kernel: path(kernel), ramdisk: path(ramdisk) }));
    }
    for prefix in KERNELS {
        let honest = |name: &str| {
            name.starts_with(prefix) && !name.contains("rescue") && !name.ends_with(".signed")
        };
        let Some(kernel) = pick(&honest) else { continue };
        let version = kernel.strip_prefix(prefix).unwrap_or_default();
        let wanted = RAMDISKS.map(|(before, after)| format!("{before}{version}{after}"));
        let ramdisk = wanted.iter().find(|name| names.contains(&name.as_str()));
        let ramdisk = ramdisk.ok_or_else(|| lacks(kernel, wanted.join(", ")))?;
        return Ok(Some(Pair { kernel: path(kernel), ramdisk: path(ramdisk) }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldsmith_images::tree::{Entry, Kind as Node, Source};

    fn tree(names: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for name in names {
            let (name, kind) = match name.split_once(" -> ") {
                Some((name, to)) => (name, Node::Symlink(to.as_bytes().to_vec())),
                None => {
                    let source = Source::Bytes(std::sync::Arc::from(&b"x"[..]));
                    (*name, Node::File { size: 1, source })
                }
            };
            tree.insert(Entry::new(format!("boot/{name}"), kind, 0o644, 0));
        }
        tree
    }

    fn choice(names: &[&str], patterns: Option<(&str, &str)>) -> String {
        let patterns = patterns.map(|(kernel, ramdisk)| Patterns {
            kernel: kernel.to_owned(),
            ramdisk: ramdisk.to_owned(),
        });
        match from_names(&tree(names), b"boot", patterns.as_ref()) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(pair)) => format!(
                "{} {}",
                String::from_utf8_lossy(&pair.kernel),
                String::from_utf8_lossy(&pair.ramdisk)
            ),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn the_newest_kernel_of_each_distribution() {
        for (names, expected) in [
            (
                &[
                    "vmlinuz-6.1.0-9-amd64",
                    "initrd.img-6.1.0-9-amd64",
                    "vmlinuz-6.1.0-10-amd64",
                    "initrd.img-6.1.0-10-amd64",
                    "config-6.1.0-10-amd64",
                ][..],
                "boot/vmlinuz-6.1.0-10-amd64 boot/initrd.img-6.1.0-10-amd64",
            ),
            (
                &[
                    "vmlinuz-0-rescue-ab",
                    "initramfs-0-rescue-ab.img",
                    "vmlinuz-5.14.0-70.el9",
                    "initramfs-5.14.0-70.el9.img",
                    "vmlinuz-5.14.0-70.13.el9",
                    "initramfs-5.14.0-70.13.el9.img",
                ],
                "boot/vmlinuz-5.14.0-70.13.el9 boot/initramfs-5.14.0-70.13.el9.img",
            ),
            (
                &["vmlinuz-6.4-default", "initrd-6.4-default", "vmlinuz -> vmlinuz-6.4-default"],
                "boot/vmlinuz-6.4-default boot/initrd-6.4-default",
            ),
            (&["vmlinuz-9 -> gone", "vmlinuz-2", "initrd-2"], "boot/vmlinuz-2 boot/initrd-2"),
            (&["vmlinuz-2 -> /boot/other", "other", "initrd-2"], "boot/vmlinuz-2 boot/initrd-2"),
            (&["kernel-1", "initramfs-1.img"], "boot/kernel-1 boot/initramfs-1.img"),
            (&["vmlinuz-3", "vmlinuz-3.efi.signed", "initrd-3"], "boot/vmlinuz-3 boot/initrd-3"),
            (&["vmlinuz-3", "initrd-2"], "no initial RAM disk for /boot/vmlinuz-3"),
            (&["config-1"], "nothing"),
            (&["vmlinuz-1 -> vmlinuz-1"], "nothing"),
        ] {
            assert_eq!(choice(names, None), expected, "{names:?}");
        }
        let names = ["vmlinuz-1-a", "vmlinuz-2-b", "initrd-1", "mine.gz"];
        let patterns = Some(("vmlinuz-*[a]", "mine.?z"));
        assert_eq!(choice(&names, patterns), "boot/vmlinuz-1-a boot/mine.gz");
        assert!(choice(&names, Some(("vmlinuz*", "no*"))).contains("no initial RAM disk"));
        assert_eq!(choice(&names, Some(("x*", "y*"))), "nothing");
    }
}
