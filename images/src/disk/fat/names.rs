//! Names of a directory: long ones in UTF-16, and the short ones every entry has.

use std::collections::{BTreeMap, BTreeSet};

/// Units that one entry of a long name holds.
const UNITS: usize = 13;
/// Longest name in UTF-16 units.
const MAX_UNITS: usize = 255;

/// Base and extension, filled with spaces.
pub(super) type Short = [u8; 11];

/// A name as a directory stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The short name.
    pub(super) short: Short,
    /// The long name, empty when the short one says it all.
    pub(super) long: Vec<u16>,
}

/// Why a directory's names cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NameProblem {
    /// The name of that index has characters or a length that FAT does not know.
    Impossible(usize),
    /// The names of these indices differ by case only.
    Clash(usize, usize),
    /// No short name is left for that index.
    NoShort(usize),
}

impl Name {
    /// Directory entries it takes.
    pub(super) fn entries(&self) -> u64 {
        super::offset_of(self.long.len().div_ceil(UNITS)) + 1
    }

    /// The entries of the long name, the last part first, as they precede the short entry.
    pub(super) fn long_entries(&self) -> Vec<[u8; 32]> {
        let parts: Vec<&[u16]> = self.long.chunks(UNITS).collect();
        let count = parts.len();
        let sum = checksum(&self.short);
        parts
            .into_iter()
            .enumerate()
            .rev()
            .map(|(i, part)| long_entry(part, i, i + 1 == count, sum))
            .collect()
    }
}

fn long_entry(part: &[u16], index: usize, last: bool, sum: u8) -> [u8; 32] {
    let mut units: Vec<u16> = part.to_vec();
    if units.len() < UNITS {
        units.push(0);
    }
    units.resize(UNITS, 0xffff);
    let mut entry = [0; 32];
    let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
    for (place, unit) in places.zip(units) {
        if let Some(bytes) = entry.get_mut(place..place + 2) {
            bytes.copy_from_slice(&unit.to_le_bytes());
        }
    }
    let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
    entry[0] = if last { number | 0x40 } else { number };
    entry[11] = 0x0f;
    entry[13] = sum;
    entry
}

/// Ties a long name to its short one.
fn checksum(short: &Short) -> u8 {
    short.iter().fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

/// Names for all entries of a directory, in their order.
pub(super) fn assign(names: &[&str]) -> Result<Vec<Name>, NameProblem> {
    let mut folded = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut exact = Vec::new();
    for (i, name) in names.iter().enumerate() {
        if !is_possible(name) {
            return Err(NameProblem::Impossible(i));
        }
        if let Some(other) = folded.insert(name.to_uppercase(), i) {
            return Err(NameProblem::Clash(other, i));
        }
        let short = exact_short(&name.to_ascii_uppercase());
        taken.extend(short);
        exact.push(short);
    }
    let mut assigned = Vec::new();
    for (i, (name, exact)) in names.iter().zip(exact).enumerate() {
        let short = match exact {
            Some(short) => short,
            None => numbered_short(name, &mut taken).ok_or(NameProblem::NoShort(i))?,
        };
        let plain = exact.is_some() && *name == name.to_ascii_uppercase();
        let long = if plain { Vec::new() } else { name.encode_utf16().collect() };
        assigned.push(Name { short, long });
    }
    Ok(assigned)
}

fn is_possible(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.encode_utf16().count() <= MAX_UNITS
        && !name.ends_with(['.', ' '])
        && name.chars().all(|c| c >= ' ' && c != '\x7f' && !"\"*/:<>?\\|".contains(c))
}

fn is_short_char(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || "$%'-_@~`!(){}^#&".contains(c)
}

/// A name that is a short name as it stands.
fn exact_short(name: &str) -> Option<Short> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && (extension.is_empty() != name.contains('.'))
        && base.chars().chain(extension.chars()).all(is_short_char);
    fits.then(|| padded(base, extension))
}

fn padded(base: &str, extension: &str) -> Short {
    let mut short = [b' '; 11];
    let (front, back) = short.split_at_mut(8);
    for (to, from) in front.iter_mut().zip(base.bytes()) {
        *to = from;
    }
    for (to, from) in back.iter_mut().zip(extension.bytes()) {
        *to = from;
    }
    short
}

/// A short name made of a long one, with the first number that is free.
fn numbered_short(name: &str, taken: &mut BTreeSet<Short>) -> Option<Short> {
    let name = name.trim_start_matches(['.', ' ']);
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let clean = |text: &str| -> String {
        text.chars()
            .filter(|c| !matches!(c, ' ' | '.'))
            .map(|c| c.to_ascii_uppercase())
            .map(|c| if is_short_char(c) { c } else { '_' })
            .collect()
    };
    let (mut base, mut extension) = (clean(base), clean(extension));
    if base.is_empty() {
        base.push('_');
    }
    extension.truncate(3);
    (1..1_000_000_u32).find_map(|n| {
        let tail = format!("~{n}");
        let stem = base.get(..base.len().min(8 - tail.len()))?;
        let short = padded(&format!("{stem}{tail}"), &extension);
        taken.insert(short).then_some(short)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(names: &[&str]) -> Vec<(String, usize)> {
        let text = |s: Short| String::from_utf8(s.to_vec()).unwrap();
        assign(names).unwrap().into_iter().map(|n| (text(n.short), n.long.len())).collect()
    }

    #[test]
    fn short_names_are_kept_derived_or_numbered() {
        let names = [
            "BOOTX64.EFI",
            "grub.cfg",
            "EFI",
            "long file name.text",
            "long file nest.text",
            ".hidden",
            "ünicode",
            "a.b.c",
            "LONGFI~1.TEX",
            "A.",
        ];
        let got = shorts(&names[..9]);
        let expected = [
            ("BOOTX64 EFI", 0),
            ("GRUB    CFG", 8),
            ("EFI        ", 0),
            ("LONGFI~2TEX", 19),
            ("LONGFI~3TEX", 19),
            ("HIDDEN~1   ", 7),
            ("_NICOD~1   ", 7),
            ("AB~1    C  ", 5),
            ("LONGFI~1TEX", 0),
        ];
        let expected: Vec<(String, usize)> =
            expected.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn impossible_names_are_refused() {
        for name in ["", ".", "..", "a:b", "a*", "end.", "end ", "bell\x07", &"x".repeat(256)] {
            assert_eq!(assign(&[name]), Err(NameProblem::Impossible(0)), "{name}");
        }
        assert_eq!(assign(&["x", "Ab", "aB"]), Err(NameProblem::Clash(1, 2)));
    }

    #[test]
    fn a_long_name_is_cut_from_behind() {
        let name = &assign(&["fourteen chars"]).unwrap()[0];
        let entries = name.long_entries();
        assert_eq!((entries.len(), name.entries()), (2, 3));
        assert_eq!((entries[0][0], entries[1][0]), (0x42, 1));
        assert_eq!(entries[0][1..7], [b's', 0, 0, 0, 0xff, 0xff]);
        assert_eq!(entries[0][13], entries[1][13]);
    }
}
