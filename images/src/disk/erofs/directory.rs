//! Directories: blocks of entries, behind which stand their names.

use super::super::sink::{len_of, offset_of};
use super::BLOCK;
use super::draft::Name;
use super::plan::Plan;

/// Bytes of an entry.
const ENTRY: u64 = 12;

/// How many names each block takes.
fn groups<'n, 'a>(names: &'n [Name<'a>]) -> Vec<&'n [Name<'a>]> {
    let mut groups = Vec::new();
    let (mut from, mut used) = (0, 0);
    for (at, name) in names.iter().enumerate() {
        let more = ENTRY + offset_of(name.name.len());
        if used + more > BLOCK {
            groups.push(names.get(from..at).unwrap_or_default());
            (from, used) = (at, 0);
        }
        used += more;
    }
    groups.push(names.get(from..).unwrap_or_default());
    groups
}

/// Bytes of a directory of these names: whole blocks, and what the last one needs.
pub(super) fn size(names: &[Name<'_>]) -> u64 {
    let groups = groups(names);
    let last = groups.last().copied().unwrap_or_default();
    let last: u64 = last.iter().map(|name| ENTRY + offset_of(name.name.len())).sum();
    offset_of(groups.len().saturating_sub(1)) * BLOCK + last
}

/// The blocks of a directory, the last one as short as it can be.
pub(super) fn blocks(names: &[Name<'_>], plan: &Plan) -> Vec<Vec<u8>> {
    let groups = groups(names);
    let count = groups.len();
    let block = |(number, group): (usize, &[Name<'_>])| {
        let (mut entries, mut text) = (Vec::new(), Vec::<u8>::new());
        for name in group {
            let at = ENTRY * offset_of(group.len()) + offset_of(text.len());
            entries.extend(plan.nid(name.inode).to_le_bytes());
            entries.extend(u16::try_from(at).unwrap_or(u16::MAX).to_le_bytes());
            entries.extend([name.kind, 0]);
            text.extend(name.name);
        }
        entries.extend(text);
        if number + 1 < count {
            entries.resize(len_of(BLOCK), 0);
        }
        entries
    };
    groups.into_iter().enumerate().map(block).collect()
}
