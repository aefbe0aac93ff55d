//! The features of an ext4, by the names that mke2fs(8) gives them.

use serde::{Deserialize, Serialize};

use super::ExtKind;

/// The three words of the superblock that say what is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ext4Features {
    /// What a kernel may ignore.
    pub compatible: u32,
    /// What a kernel must know to read.
    pub incompatible: u32,
    /// What a kernel must know to write.
    pub read_only: u32,
}

impl Default for Ext4Features {
    /// Those of e2fsprogs 1.45 to 1.47.0, which every GRUB since 2.02 can read.
    fn default() -> Self {
        Self::only(|row| row.default)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Compatible,
    Incompatible,
    ReadOnly,
}

/// Which way the writer can have a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Can {
    Either,
    On,
    Off,
}

struct Row {
    names: &'static [&'static str],
    word: Word,
    bit: u32,
    default: bool,
    can: Can,
}

const fn row(names: &'static [&'static str], word: Word, bit: u32, default: bool, can: Can) -> Row {
    Row { names, word, bit, default, can }
}

const FEATURES: &[Row] = &[
    row(&["has_journal"], Word::Compatible, 0x4, true, Can::Either),
    row(&["ext_attr"], Word::Compatible, 0x8, true, Can::On),
    row(&["resize_inode"], Word::Compatible, 0x10, true, Can::Either),
    row(&["dir_index"], Word::Compatible, 0x20, true, Can::Either),
    row(&["sparse_super2"], Word::Compatible, 0x200, false, Can::Off),
    row(&["fast_commit"], Word::Compatible, 0x400, false, Can::Off),
    row(&["stable_inodes"], Word::Compatible, 0x800, false, Can::Either),
    row(&["orphan_file"], Word::Compatible, 0x1000, false, Can::Off),
    row(&["filetype"], Word::Incompatible, 0x2, true, Can::On),
    row(&["meta_bg"], Word::Incompatible, 0x10, false, Can::Off),
    row(&["extent", "extents"], Word::Incompatible, 0x40, true, Can::Either),
    row(&["64bit"], Word::Incompatible, 0x80, true, Can::Either),
    row(&["mmp"], Word::Incompatible, 0x100, false, Can::Off),
    row(&["flex_bg"], Word::Incompatible, 0x200, true, Can::Either),
    row(&["ea_inode"], Word::Incompatible, 0x400, false, Can::Either),
    row(&["metadata_csum_seed"], Word::Incompatible, 0x2000, false, Can::Either),
    row(&["large_dir"], Word::Incompatible, 0x4000, false, Can::Either),
    row(&["inline_data"], Word::Incompatible, 0x8000, false, Can::Off),
    row(&["encrypt"], Word::Incompatible, 0x1_0000, false, Can::Off),
    row(&["casefold"], Word::Incompatible, 0x2_0000, false, Can::Off),
    row(&["sparse_super"], Word::ReadOnly, 0x1, true, Can::On),
    row(&["large_file"], Word::ReadOnly, 0x2, true, Can::On),
    row(&["huge_file"], Word::ReadOnly, 0x8, true, Can::Either),
    row(&["uninit_bg", "uninit_groups"], Word::ReadOnly, 0x10, false, Can::Off),
    row(&["dir_nlink"], Word::ReadOnly, 0x20, true, Can::Either),
    row(&["extra_isize"], Word::ReadOnly, 0x40, true, Can::Either),
    row(&["quota"], Word::ReadOnly, 0x100, false, Can::Off),
    row(&["bigalloc"], Word::ReadOnly, 0x200, false, Can::Off),
    row(&["metadata_csum"], Word::ReadOnly, 0x400, true, Can::Either),
    row(&["project"], Word::ReadOnly, 0x2000, false, Can::Either),
    row(&["verity"], Word::ReadOnly, 0x8000, false, Can::Either),
];

/// What an ext2 has, as mke2fs has it; an ext3 has a journal beside.
const EXT2: [&str; 6] =
    ["ext_attr", "resize_inode", "dir_index", "filetype", "sparse_super", "large_file"];

impl Ext4Features {
    /// Those of a file system of that kind.
    pub fn of(kind: ExtKind) -> Self {
        match kind {
            ExtKind::Ext2 => Self::only(|row| row.names.iter().any(|name| EXT2.contains(name))),
            ExtKind::Ext3 => {
                let names = |row: &Row| row.names.iter().any(|name| EXT2.contains(name));
                Self::only(|row| names(row) || row.names.contains(&"has_journal"))
            }
            ExtKind::Ext4 => Self::default(),
        }
    }

    fn only(wanted: impl Fn(&Row) -> bool) -> Self {
        let none = Self { compatible: 0, incompatible: 0, read_only: 0 };
        FEATURES.iter().filter(|row| wanted(row)).fold(none, |all, row| all.switch(row, true))
    }

    /// Whether a feature that this crate writes is on; false for others.
    pub fn has(&self, name: &str) -> bool {
        find(name).is_some_and(|row| self.word(row.word) & row.bit != 0)
    }

    /// These, changed by a list such as `^64bit,large_dir` of `-O`.
    ///
    /// # Errors
    ///
    /// The first word that names nothing, or what cannot be had that way.
    pub fn changed(mut self, list: &str) -> Result<Self, String> {
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, on) = match word.strip_prefix(['^', '-']) {
                Some(name) => (name, false),
                None => (word.strip_prefix('+').unwrap_or(word), true),
            };
            let refused = if on { Can::Off } else { Can::On };
            let row = find(name).filter(|row| row.can != refused).ok_or_else(|| word.to_owned())?;
            self = self.switch(row, on);
        }
        Ok(self)
    }

    /// As a list for `-O` of mke2fs(8) that leaves nothing to its configuration.
    pub fn list(&self) -> String {
        let word = |row: &Row| {
            let name = row.names.first().copied().unwrap_or_default();
            if self.word(row.word) & row.bit != 0 { name.to_owned() } else { format!("^{name}") }
        };
        // Switching these two off is an error to a program that does not know them.
        let known = |row: &&Row| row.can != Can::Off || row.names.contains(&"orphan_file");
        FEATURES.iter().filter(known).map(word).collect::<Vec<_>>().join(",")
    }

    fn word(&self, word: Word) -> u32 {
        match word {
            Word::Compatible => self.compatible,
            Word::Incompatible => self.incompatible,
            Word::ReadOnly => self.read_only,
        }
    }

    fn switch(mut self, row: &Row, on: bool) -> Self {
        let word = match row.word {
            Word::Compatible => &mut self.compatible,
            Word::Incompatible => &mut self.incompatible,
            Word::ReadOnly => &mut self.read_only,
        };
        *word = if on { *word | row.bit } else { *word & !row.bit };
        self
    }
}

fn find(name: &str) -> Option<&'static Row> {
    FEATURES.iter().find(|row| row.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ones_are_those_of_mke2fs() {
        let usual = Ext4Features::default();
        let words = (usual.compatible, usual.incompatible, usual.read_only);
        assert_eq!(words, (0x3c, 0x2c2, 0x46b));
        for (kind, expected) in [(ExtKind::Ext2, (0x38, 2, 3)), (ExtKind::Ext3, (0x3c, 2, 3))] {
            let older = Ext4Features::of(kind);
            assert_eq!((older.compatible, older.incompatible, older.read_only), expected);
        }
    }

    #[test]
    fn lists_change_them_or_are_refused_by_name() {
        let usual = Ext4Features::default();
        let other = usual.changed("^64bit,large_dir, ^metadata_csum,^bigalloc").unwrap();
        assert!(!other.has("64bit") && other.has("large_dir") && !other.has("metadata_csum"));
        assert_eq!(other.changed("64bit,metadata_csum,^large_dir"), Ok(usual));
        for (list, refused) in
            [("64bit,bigalloc", "bigalloc"), ("^filetype", "^filetype"), ("nonsense", "nonsense")]
        {
            assert_eq!(usual.changed(list), Err(refused.to_owned()));
        }
        assert!(other.list().contains("^64bit") && other.list().contains("large_dir"));
    }
}
