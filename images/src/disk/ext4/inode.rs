//! Inodes.

use super::Fields;
use super::checksum::Sealer;
use super::superblock::EXTRA;

/// The root directory's number.
pub(super) const ROOT: u64 = 2;
/// That of the reserve for growth.
pub(super) const RESIZE: u64 = 7;
/// That of the journal.
pub(super) const JOURNAL: u64 = 8;
/// The first that is not the file system's own; `lost+found` has it.
pub(super) const FIRST: u64 = 11;

/// Its blocks are extents.
pub(super) const EXTENTS: u64 = 0x8_0000;
/// It is a directory with an index.
pub(super) const INDEX: u64 = 0x1000;

/// Bytes of an inode that are there in every file system.
const OLD: u64 = 128;

/// An inode that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Type and permissions.
    pub(super) mode: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u64,
    /// Last change of the content, which stands for all times but the birth.
    pub(super) mtime: (i64, u32),
    pub(super) flags: u64,
    /// Extents, a short link's target, a device's number.
    pub(super) block: [u8; 60],
    /// Blocks it takes, those for extents and attributes included.
    pub(super) blocks: u64,
    /// The block with its attributes, or 0.
    pub(super) attributes: u64,
    /// Attributes within the inode.
    pub(super) inside: Vec<u8>,
}

impl Inode {
    /// An inode of root's own that nothing is in.
    pub(super) fn own(mode: u64, epoch: i64) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            links: 1,
            mtime: (epoch, 0),
            flags: 0,
            block: [0; 60],
            blocks: 0,
            attributes: 0,
            inside: Vec::new(),
        }
    }

    /// Its `size` bytes in the table. `block` is a block's size, `birth` when it was made.
    pub(super) fn bytes(
        &self,
        ino: u64,
        size: u64,
        block: u64,
        birth: i64,
        sealer: Sealer,
    ) -> Vec<u8> {
        let mut i = Fields::new(size);
        let (uid, gid) = (u64::from(self.uid), u64::from(self.gid));
        let sectors = self.blocks * (block / 512);
        let (seconds, extra) = time(self.mtime);
        i.u16(0x00, self.mode);
        i.u16(0x02, uid);
        i.u32(0x04, self.size);
        for at in [0x08, 0x0c, 0x10] {
            i.u32(at, seconds); // access, change, modification
        }
        i.u16(0x18, gid);
        i.u16(0x1a, self.links);
        i.u32(0x1c, sectors);
        i.u32(0x20, self.flags);
        i.bytes(0x28, &self.block);
        i.u32(0x68, self.attributes);
        i.u32(0x6c, self.size >> 32);
        i.u16(0x74, sectors >> 32);
        i.u16(0x76, self.attributes >> 32);
        i.u16(0x78, uid >> 16);
        i.u16(0x7a, gid >> 16);
        if size > OLD {
            i.u16(0x80, EXTRA);
            for at in [0x84, 0x88, 0x8c] {
                i.u32(at, extra);
            }
            let (seconds, extra) = time((birth, 0));
            i.u32(0x90, seconds);
            i.u32(0x94, extra);
            i.bytes(0xa0, &self.inside);
        }
        seal(i, ino, size, sealer)
    }
}

/// An inode of the file system's own that is not in use.
pub(super) fn unused(ino: u64, size: u64, sealer: Sealer) -> Vec<u8> {
    // Without the fields behind the first 128 bytes.
    let mut inode = Fields::new(size);
    if sealer.is_on() {
        let checksum = sealer.of_inode(ino, &[inode.get()]);
        inode.u16(0x7c, checksum);
    }
    inode.done()
}

fn seal(mut inode: Fields, ino: u64, size: u64, sealer: Sealer) -> Vec<u8> {
    if sealer.is_on() {
        let checksum = sealer.of_inode(ino, &[inode.get()]);
        inode.u16(0x7c, checksum);
        if size > OLD {
            inode.u16(0x82, checksum >> 16);
        }
    }
    inode.done()
}

/// Bytes for attributes in an inode of `size` bytes.
pub(super) fn room(size: u64) -> usize {
    super::super::sink::len_of(size.saturating_sub(OLD + EXTRA))
}

/// A time's low word, and its nanoseconds above the two bits that carry it on beyond 2038.
fn time((seconds, nanoseconds): (i64, u32)) -> (u64, u64) {
    let low = u64::from_le_bytes(seconds.to_le_bytes()) & 0xffff_ffff;
    // The low word counts as signed.
    let carried = (seconds + (1 << 31)) >> 32;
    (low, u64::try_from(carried).unwrap_or(0) & 3 | u64::from(nanoseconds) << 2)
}

/// Whether an inode of `size` bytes can say that time.
pub(super) fn can_say(seconds: i64, nanoseconds: u32, size: u64) -> bool {
    let end = if size > OLD { (3 << 32) + (1 << 31) } else { 1 << 31 };
    (-(1 << 31)..end).contains(&seconds) && nanoseconds < 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_2038_carry_two_bits() {
        assert_eq!(time((0, 5)), (0, 20));
        assert_eq!(time((-1, 0)), (0xffff_ffff, 0));
        assert_eq!(time((1 << 31, 0)), (1 << 31, 1));
        assert_eq!(time(((3 << 32) + (1 << 31) - 1, 0)), (0x7fff_ffff, 3));
        assert!(can_say((3 << 32) + (1 << 31) - 1, 0, 256));
        assert!(!can_say((3 << 32) + (1 << 31), 0, 256));
        assert!(!can_say(1 << 31, 0, 128));
    }
}
