//! POSIX access control lists: what the kernel shows, as ext4 stores it.

/// Version of the form that getxattr and archives use.
const SHOWN_VERSION: u32 = 2;
/// Version of the form on the disk.
const STORED_VERSION: u32 = 1;
/// Entries that name a user or group; only these keep an id on the disk.
const NAMED: [u16; 2] = [0x02, 0x08];

/// The stored form of a shown list, or nothing when it is no list.
pub(super) fn stored(shown: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = shown.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != SHOWN_VERSION || entries.len() % 8 != 0 {
        return None;
    }
    let mut stored = STORED_VERSION.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        let (short, id) = entry.split_at(4);
        let [tag_low, tag_high, ..] = short else { return None };
        stored.extend(short);
        if NAMED.contains(&u16::from_le_bytes([*tag_low, *tag_high])) {
            stored.extend(id);
        }
    }
    Some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_entries_keep_their_id() {
        let entry = |tag: u16, perm: u16, id: u32| {
            [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let none = u32::MAX;
        let shown = [
            2_u32.to_le_bytes().to_vec(),
            entry(0x01, 6, none),
            entry(0x02, 4, 1000),
            entry(0x04, 4, none),
            entry(0x10, 4, none),
            entry(0x20, 0, none),
        ]
        .concat();
        let stored = stored(&shown).unwrap();
        assert_eq!(stored.len(), 4 + 4 * 4 + 8);
        assert_eq!(stored[..4], [1, 0, 0, 0]);
        assert_eq!(stored[8..16], entry(0x02, 4, 1000)[..]);
    }

    #[test]
    fn anything_else_is_no_list() {
        for bytes in [&[][..], &[1, 0, 0, 0], &[2, 0, 0, 0, 1]] {
            assert_eq!(stored(bytes), None);
        }
    }
}
