//! How much room a tree takes, as du(1) counts.

use std::collections::BTreeMap;

use super::{Entry, Kind, Tree};

impl Tree {
    /// What `du -a -c -x` of diskimage-builder would add up to, in KiB: whole blocks of
    /// 4 KiB, each file once.
    pub fn du_kib(&self) -> u64 {
        self.entries.iter().map(Entry::du_kib).sum()
    }

    /// Paths that take at least `least_kib` KiB, directories with all below, smallest first.
    /// The root is the empty path.
    pub fn usage(&self, least_kib: u64) -> Vec<(Vec<u8>, u64)> {
        let mut sums: BTreeMap<&[u8], u64> = BTreeMap::new();
        for entry in &self.entries {
            let size = entry.du_kib();
            *sums.entry(&entry.path).or_default() += size;
            let mut path = entry.path.as_slice();
            while !path.is_empty() {
                path = path.iter().rposition(|&byte| byte == b'/').map_or(&[], |at| &path[..at]);
                *sums.entry(path).or_default() += size;
            }
        }
        let mut list: Vec<_> = sums
            .into_iter()
            .filter(|(_, size)| *size >= least_kib)
            .map(|(path, size)| (path.to_vec(), size))
            .collect();
        list.sort_by(|(a, small), (b, large)| small.cmp(large).then_with(|| a.cmp(b)));
        list
    }
}

impl Entry {
    fn du_kib(&self) -> u64 {
        match &self.kind {
            Kind::File { size, .. } => size.div_ceil(4096) * 4,
            Kind::Dir => 4,
            Kind::Symlink(to) if to.len() >= 60 => 4,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_count_what_is_below_them() {
        let mut tree = Tree::default();
        for path in ["", "a", "a/b", "c"] {
            tree.insert(Entry::directory(path, 0o755, 0));
        }
        let all = tree.usage(0);
        let named: Vec<_> = all
            .iter()
            .map(|(path, kib)| (String::from_utf8_lossy(path).into_owned(), *kib))
            .collect();
        let named: Vec<_> = named.iter().map(|(path, kib)| (path.as_str(), *kib)).collect();
        assert_eq!(named, [("a/b", 4), ("c", 4), ("a", 8), ("", 16)]);
        assert_eq!(tree.usage(8).len(), 2);
        assert_eq!(tree.du_kib(), 16);
    }
}
