//! Identifiers derived from a seed instead of drawn.

use uuid::{Uuid, uuid};

/// The name space of every identifier that goldsmith derives.
const NAMESPACE: Uuid = uuid!("6e1b1d0e-6f3c-5b0a-9a51-35f1a0f7c2d4");

/// The UUID (version 5) that `role` has in a disk grown from `seed`.
///
/// `seed` names the image (its elements, its epoch); `role` the thing within it, for
/// instance `disk`, `partition/1` or `filesystem/mkfs_root`.
pub fn derived_uuid(seed: &str, role: &str) -> Uuid {
    let space = Uuid::new_v5(&NAMESPACE, seed.as_bytes());
    Uuid::new_v5(&space, role.as_bytes())
}

/// A 32-bit identifier, never zero: an MBR's disk id, a FAT's serial number.
pub fn derived_u32(seed: &str, role: &str) -> u32 {
    let [a, b, c, d, ..] = derived_uuid(seed, role).into_bytes();
    match u32::from_le_bytes([a, b, c, d]) {
        0 => 1,
        id => id,
    }
}

/// An identifier of LVM: 32 letters and digits, which LVM shows with hyphens between them.
pub fn derived_volume_id(seed: &str, role: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let bytes = [1, 2].map(|half| derived_uuid(seed, &format!("{role}/{half}")).into_bytes());
    let letter = |byte: &u8| LETTERS.get(usize::from(*byte) % 62).copied().unwrap_or(b'0');
    bytes.iter().flatten().map(|byte| char::from(letter(byte))).collect()
}
