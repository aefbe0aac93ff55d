//! Kernels by the entries of the Boot Loader Specification: systemd-boot's way, and that of
//! images whose kernels have no names of their own.

use std::io::Read as _;

use goldsmith_images::tree::Tree;

use super::names::newer;
use super::{Pair, file, joined};
use crate::error::{Failure, Kind, Result};

/// The longest entry that is read.
const ENTRY: u64 = 1 << 16;

/// The newest entry below `place` whose kernel and RAM disk are there.
pub(super) fn from_entries(tree: &Tree, place: &[u8]) -> Result<Option<Pair>> {
    let mut best: Option<(String, Pair)> = None;
    for entry in &tree.entries {
        let Some(root) = entry_root(&entry.path, place) else { continue };
        let Some(found) = file(tree, &entry.path) else { continue };
        let mut text = Vec::new();
        tree.open(found).and_then(|content| content.take(ENTRY).read_to_end(&mut text)).map_err(
            |error| Failure::wrap(Kind::Verification, "an entry of the boot loader", &error),
        )?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned())
        };
        // Paths count from the root of the file system that the entry lies on.
        let there = |path: String| {
            let path = joined(b"", path.split_whitespace().next()?.as_bytes());
            let inside = [root, b"/", path.as_slice()].concat();
            [inside, path].into_iter().find(|path| file(tree, path).is_some())
        };
        let pair = value("linux").and_then(there).zip(value("initrd").and_then(there));
        let Some((kernel, ramdisk)) = pair else { continue };
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        if name.contains("rescue") {
            continue;
        }
        let version = value("version").unwrap_or(name);
        if best.as_ref().is_none_or(|(other, _)| newer(&version, other).is_gt()) {
            best = Some((version, Pair { kernel, ramdisk }));
        }
    }
    Ok(best.map(|(_, pair)| pair))
}

/// The mount point whose `loader/entries` an entry is in.
fn entry_root<'a>(path: &'a [u8], place: &[u8]) -> Option<&'a [u8]> {
    let middle: &[u8] = b"/loader/entries/";
    let at = path.windows(middle.len()).position(|window| window == middle)?;
    let (root, name) = (path.get(..at)?, path.get(at + middle.len()..)?);
    let direct = !name.contains(&b'/') && name.ends_with(b".conf");
    let near = root.starts_with(place) && root.iter().filter(|&&byte| byte == b'/').count() < 2;
    (direct && near).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldsmith_images::tree::{Entry, Kind as Node, Source};

    #[test]
    fn the_newest_entry_whose_files_are_there() {
        let mut tree = Tree::default();
        let mut put = |path: &str, text: &str| {
            let source = Source::Bytes(std::sync::Arc::from(text.as_bytes()));
            let kind = Node::File { size: text.len() as u64, source };
            tree.insert(Entry::new(path, kind, 0o644, 0));
        };
        for version in ["6.9.1", "6.10.2", "6.11.0"] {
            put(
                &format!("boot/efi/loader/entries/abc-{version}.conf"),
                &format!(
                    "title X\nversion {version}\nlinux /abc/{version}/linux\ninitrd\t/abc/{version}/initrd\n"
                ),
            );
            put(&format!("boot/efi/abc/{version}/linux"), "k");
        }
        for version in ["6.9.1", "6.10.2"] {
            put(&format!("boot/efi/abc/{version}/initrd"), "r");
        }
        put("boot/efi/loader/entries/notes.txt", "linux /a\ninitrd /b\n");
        let pair = from_entries(&tree, b"boot").unwrap().unwrap();
        assert_eq!(pair.kernel, b"boot/efi/abc/6.10.2/linux");
        assert_eq!(pair.ramdisk, b"boot/efi/abc/6.10.2/initrd");
        assert!(from_entries(&tree, b"efi").unwrap().is_none());
    }
}
