//! How much room a tree takes, as du(1) counts.

use std::collections::BTreeMap;

use super::{Entry, Kind, Tree};

impl Tree {
    /// What `du -a -c -x` of diskimage-builder would add up to, in KiB: whole blocks of
    /// 4 KiB, each file once.
    pub fn du_kib(&self) -> u64 {
        self.entries.iter().map(Entry::du_kib).sum()
    }

    /// What lies on each of these absolute mount points, in KiB: an entry counts for the longest
    /// that it lies at or below.
    pub fn kib_by_mount(&self, mounts: &[String]) -> Vec<u64> {
        let points: Vec<_> =
            mounts.iter().map(|point| point.trim_start_matches('/').as_bytes()).collect();
        let mut sums = vec![0; mounts.len()];
        for entry in &self.entries {
            let holds = |point: &[u8]| {
                let rest = entry.path.strip_prefix(point);
                point.is_empty()
                    || rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
            };
            let longest = points.iter().enumerate().filter(|(_, point)| holds(point));
            let longest = longest.max_by_key(|(_, point)| point.len());
            if let Some(sum) = longest.and_then(|(index, _)| sums.get_mut(index)) {
                *sum += entry.du_kib();
            }
        }
        sums
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
    fn what_is_mounted_counts_where_it_lies() {
        let mut tree = Tree::default();
        for path in ["", "srv", "srv/a", "srv/a/b", "srv-not"] {
            tree.insert(Entry::directory(path, 0o755, 0));
        }
        let sums = |mounts: &[&str]| {
            tree.kib_by_mount(&mounts.iter().map(|point| (*point).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(sums(&["/srv/a", "/", "/srv"]), [8, 8, 4]);
        assert_eq!(sums(&["/srv"]), [12]);
    }

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
