//! Checksums of metadata (`metadata_csum`): CRC-32C, never inverted.

use uuid::Uuid;

/// Carries a checksum on over `bytes`.
pub(super) fn crc(state: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!state, bytes)
}

/// Seals the structures of one file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealer {
    seed: u32,
    on: bool,
}

impl Sealer {
    /// A sealer of the file system `uuid`; one that is not `on` seals nothing.
    pub(super) fn new(uuid: Uuid, on: bool) -> Self {
        Self { seed: crc(u32::MAX, uuid.as_bytes()), on }
    }

    /// Whether structures have checksums at all.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// What every checksum begins with.
    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    /// The checksum of `parts`, one after the other.
    pub(super) fn of(&self, parts: &[&[u8]]) -> u64 {
        u64::from(parts.iter().fold(self.seed, |state, part| crc(state, part)))
    }

    /// The checksum of something that belongs to inode `ino`, whose generation is 0.
    pub(super) fn of_inode(&self, ino: u64, parts: &[&[u8]]) -> u64 {
        let own = crc(crc(self.seed, &ino.to_le_bytes()[..4]), &[0; 4]);
        u64::from(parts.iter().fold(own, |state, part| crc(state, part)))
    }
}
