//! How much room a tree takes, as du(1) counts.

use std::collections::BTreeMap;
use std::io;

use super::{Entry, Kind, Tree};

/// Holes are looked for in files from here on: an image is to be no larger for a log of users that
/// says 300 GiB and has 4 KiB, and to look costs reading.
const SPARSE: u64 = 64 << 20;

impl Tree {
    /// What `du -a -c -x` of diskimage-builder would add up to, in KiB: whole blocks of
    /// 4 KiB, each file once. What reads as zeros for 64 KiB or more in a file of 64 MiB or more
    /// does not count, however the host stores it.
    ///
    /// # Errors
    ///
    /// When a large file cannot be read.
    pub fn du_kib(&self) -> io::Result<u64> {
        self.entries.iter().map(|entry| self.entry_kib(entry)).sum()
    }

    /// The same by sizes alone, holes included; nothing is read.
    pub fn apparent_kib(&self) -> u64 {
        self.entries.iter().map(Entry::apparent_kib).sum()
    }

    /// What lies on each of these absolute mount points, in KiB: an entry counts for the longest
    /// that it lies at or below.
    ///
    /// # Errors
    ///
    /// As [`du_kib`](Self::du_kib).
    pub fn kib_by_mount(&self, mounts: &[String]) -> io::Result<Vec<u64>> {
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
                *sum += self.entry_kib(entry)?;
            }
        }
        Ok(sums)
    }

    /// Paths that take at least `least_kib` KiB, directories with all below, smallest first.
    /// The root is the empty path.
    ///
    /// # Errors
    ///
    /// As [`du_kib`](Self::du_kib).
    pub fn usage(&self, least_kib: u64) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let mut sums: BTreeMap<&[u8], u64> = BTreeMap::new();
        for entry in &self.entries {
            let size = self.entry_kib(entry)?;
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
        Ok(list)
    }

    fn entry_kib(&self, entry: &Entry) -> io::Result<u64> {
        Ok(match &entry.kind {
            Kind::File { size, .. } if *size >= SPARSE => {
                let runs = self.runs(entry, *size)?;
                runs.iter().map(|run| (run.end - run.start).div_ceil(4096) * 4).sum()
            }
            _ => entry.apparent_kib(),
        })
    }
}

impl Entry {
    fn apparent_kib(&self) -> u64 {
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
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_mounted_counts_where_it_lies() {
        let mut tree = Tree::default();
        for path in ["", "srv", "srv/a", "srv/a/b", "srv-not"] {
            tree.insert(Entry::directory(path, 0o755, 0));
        }
        let sums = |mounts: &[&str]| {
            let mounts: Vec<_> = mounts.iter().map(|point| (*point).to_owned()).collect();
            tree.kib_by_mount(&mounts).unwrap()
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
        let all = tree.usage(0).unwrap();
        let named: Vec<_> = all
            .iter()
            .map(|(path, kib)| (String::from_utf8_lossy(path).into_owned(), *kib))
            .collect();
        let named: Vec<_> = named.iter().map(|(path, kib)| (path.as_str(), *kib)).collect();
        assert_eq!(named, [("a/b", 4), ("c", 4), ("a", 8), ("", 16)]);
        assert_eq!(tree.usage(8).unwrap().len(), 2);
        assert_eq!(tree.du_kib().unwrap(), 16);
    }

    #[test]
    fn what_is_not_there_takes_no_room() {
        let place = tempfile::tempdir().unwrap();
        let file = fs_err::File::create(place.path().join("lastlog")).unwrap();
        file.set_len(300 << 30).unwrap();
        std::os::unix::fs::FileExt::write_all_at(file.file(), b"somebody", 200 << 30).unwrap();
        let stored = fs_err::File::create(place.path().join("zeros")).unwrap();
        std::io::copy(&mut io::repeat(0).take(SPARSE), &mut &stored).unwrap();
        let small = fs_err::File::create(place.path().join("small")).unwrap();
        small.set_len(1 << 20).unwrap();
        let tree = Tree::merge(&[place.path().to_path_buf()]).unwrap();
        // The directory, one block of the first file, nothing of the second, all of the third.
        assert_eq!(tree.du_kib().unwrap(), 4 + 4 + 1024);
    }
}
