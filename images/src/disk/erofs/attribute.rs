//! Extended attributes, which lie behind their inode.

use super::super::view::Item;
use super::ErofsError;

/// Bytes in front of the attributes of an inode, of which nothing is used.
pub(super) const HEADER: usize = 12;
/// Names are kept without these; the number is that of the name space.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];
/// The most bytes of all attributes of an inode: its count of words has 16 bits.
const MOST: usize = 4 * 65_535;

/// The attributes of an item as they are stored; nothing when it has none.
pub(super) fn stored(item: &Item<'_>) -> Result<Vec<u8>, ErofsError> {
    if item.entry.xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; HEADER];
    for (name, value) in &item.entry.xattrs {
        let refused = || ErofsError::Attribute {
            path: item.display(),
            attribute: name.escape_ascii().to_string(),
        };
        let (rest, space) = PREFIXES
            .iter()
            .find_map(|(prefix, space)| Some((name.strip_prefix(*prefix)?, *space)))
            .filter(|(rest, space)| rest.is_empty() == matches!(space, 2 | 3))
            .ok_or_else(refused)?;
        bytes.push(u8::try_from(rest.len()).map_err(|_error| refused())?);
        bytes.push(space);
        bytes.extend(u16::try_from(value.len()).map_err(|_error| refused())?.to_le_bytes());
        bytes.extend(rest);
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        if bytes.len() > MOST {
            return Err(refused());
        }
    }
    Ok(bytes)
}
