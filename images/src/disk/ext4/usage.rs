//! What a tree needs of an ext4.

/// What a tree needs of an ext4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ext4Usage {
    /// Blocks, of the size that the options name, for files, directories, long links and
    /// attributes. Holes of files take none.
    pub blocks: u64,
    /// Inodes, those of the file system itself included.
    pub inodes: u64,
}
