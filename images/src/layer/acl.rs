//! POSIX access control lists in archives: the kernel's own form, and GNU tar's text.

/// The version of the form that getxattr(2) shows.
const VERSION: u32 = 2;
/// The id of an entry that names nobody.
const NOBODY: u32 = u32::MAX;

/// Whether the kernel would take these bytes for an access list (posix_acl_valid): the owner's,
/// the group's and the others' entry once each, a mask where somebody is named, in order.
pub(super) fn is_valid(bytes: &[u8]) -> bool {
    let Some((version, entries)) = bytes.split_first_chunk::<4>() else { return false };
    if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
        return false;
    }
    let mut before = (0, None);
    let (mut tags, mut named) = (0_u16, false);
    for entry in entries.chunks_exact(8) {
        let [t0, t1, p0, p1, id @ ..] = entry else { return false };
        let (tag, rights) = (u16::from_le_bytes([*t0, *t1]), u16::from_le_bytes([*p0, *p1]));
        let id = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
        let names = matches!(tag, 0x02 | 0x08);
        let key = (tag, names.then_some(id));
        let known = matches!(tag, 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20);
        if !known || rights > 7 || key <= before || names && id == NOBODY {
            return false;
        }
        named |= names;
        tags |= tag;
        before = key;
    }
    tags & 0x25 == 0x25 && (!named || tags & 0x10 != 0)
}

/// The bytes of a list that is written as acl_to_text(3) does, each entry on its own or behind a
/// comma. Nothing where it is malformed or calls somebody by name: whom, only the image knows.
pub(super) fn from_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    for line in text.split([',', '\n']) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let mut fields = line.split(':');
        let (kind, who, rights) = (fields.next()?, fields.next()?, fields.next()?);
        // A fourth one is the number of whom the second calls by name.
        let who = fields.next().unwrap_or(who);
        let tag: u16 = match (kind, who.is_empty()) {
            ("user" | "u", true) => 0x01,
            ("user" | "u", false) => 0x02,
            ("group" | "g", true) => 0x04,
            ("group" | "g", false) => 0x08,
            ("mask" | "m", true) => 0x10,
            ("other" | "o", true) => 0x20,
            _ => return None,
        };
        let id = if who.is_empty() { NOBODY } else { who.parse().ok()? };
        let mut bits = 0_u16;
        for letter in rights.trim().chars() {
            bits |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return None,
            };
        }
        entries.push((tag, id, bits));
    }
    entries.sort_unstable();
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    is_valid(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_what_the_kernel_shows() {
        let text = "user::rw-\nuser:1000:r--\ngroup::r--\nmask::r--\nother::---\n";
        let bytes = from_text(text.as_bytes()).unwrap();
        assert_eq!(bytes.len(), 4 + 5 * 8);
        assert_eq!(bytes[12..20], [2, 0, 4, 0, 0xe8, 3, 0, 0]);
        for same in [
            "u::rw,g::r,u:lisa:r--:1000,m::r--,o::-",
            "other::---\nmask::r--\nuser::rw-\ngroup::r--\nuser:1000:r-- #effective:r--\n",
        ] {
            assert_eq!(from_text(same.as_bytes()).as_ref(), Some(&bytes), "{same}");
        }
        for bad in [
            "",
            "user::rw-",
            "user::rw-,group::r--,other::---,user:1000:r--",
            "user::rw-,group::r--,other::---,user:lisa:r--,mask::r--",
            "user::rw-,group::r--,other::---,other::---",
            "user::rwz,group::r--,other::---",
            "user::rw-,group::r--,other::---,mask:3:r--",
        ] {
            assert_eq!(from_text(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        let good = from_text(b"u::rwx,g::r,g:7:r,g:9:r,m::r,o::r").unwrap();
        assert!(is_valid(&good));
        let mut swapped = good.clone();
        swapped[20..36].rotate_left(8);
        let mut twice = good.clone();
        twice.extend_from_within(good.len() - 8..);
        let mut rights = good.clone();
        rights[6] = 8;
        let mut version = good.clone();
        version[0] = 1;
        for bad in [&swapped[..], &twice, &rights, &version, &good[..9], &good[..4], b"", b"y"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
