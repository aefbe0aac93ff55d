//! `opts` of file systems that are not ext4: what their mkfs would be told, as far as a writer of
//! files can obey it.

use goldsmith_images::disk::layout::{VfatOptions, XfsOptions};

use super::xfs_options;

/// Options that change nothing of what is written, by the type of the file system: to be quiet, to
/// overwrite, to discard nothing.
const NEEDLESS: [(&str, &[&str]); 4] = [
    ("vfat", &["-I", "-v"]),
    ("xfs", &["-f", "-K", "-q"]),
    ("btrfs", &["-f", "--force", "-K", "--nodiscard", "-q", "--quiet"]),
    ("swap", &["-f", "--force", "-q", "--quiet"]),
];

/// Takes options of mkfs.fat(8) into `vfat`: `-F`, the bits of its tables, and `-i`, the volume's
/// serial number in hexadecimal. The error is the first one that cannot be obeyed.
pub(super) fn vfat(opts: &str, vfat: &mut VfatOptions) -> Result<(), String> {
    let mut words = opts.split_whitespace();
    while let Some(word) = words.next() {
        if is_needless("vfat", word) {
            continue;
        }
        let (option, attached) = word.split_at_checked(2).unwrap_or((word, ""));
        let value = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
        let taken = match option {
            "-F" => {
                let bits = value.parse().ok().filter(|bits| [12, 16, 32].contains(bits));
                bits.map(|bits| vfat.fat_bits = Some(bits))
            }
            "-i" => {
                let digits = value.replacen('-', "", 1);
                let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let id = u32::from_str_radix(&digits, 16).ok().filter(|_| hex);
                id.map(|id| vfat.volume_id = id)
            }
            _ => None,
        };
        taken.ok_or_else(|| format!("{option} {value}").trim_end().to_owned())?;
    }
    Ok(())
}

/// Checks options of another type, which has none that change what is written; the error is the
/// first one that would.
pub(super) fn check(kind: &str, opts: &str) -> Result<(), String> {
    match kind {
        "vfat" => vfat(opts, &mut VfatOptions { volume_id: 0, fat_bits: None }),
        "xfs" => xfs_options::apply(opts, &mut XfsOptions::default()),
        _ => match opts.split_whitespace().find(|word| !is_needless(kind, word)) {
            Some(word) => Err(word.to_owned()),
            None => Ok(()),
        },
    }
}

/// Whether an option changes nothing of a file system of that kind.
pub(super) fn is_needless(kind: &str, word: &str) -> bool {
    NEEDLESS.iter().any(|(name, words)| *name == kind && words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fat_takes_bits_and_a_number() {
        let mut options = VfatOptions { volume_id: 1, fat_bits: None };
        vfat("-F 32 -i CAFE-0123 -I", &mut options).unwrap();
        assert_eq!(options, VfatOptions { volume_id: 0xcafe_0123, fat_bits: Some(32) });
        vfat("-F16 -i 7", &mut options).unwrap();
        assert_eq!(options, VfatOptions { volume_id: 7, fat_bits: Some(16) });
    }

    #[test]
    fn what_would_change_more_is_refused_by_name() {
        for (kind, opts, named) in [
            ("vfat", "-F 24", "-F 24"),
            ("vfat", "-F", "-F"),
            ("vfat", "-i 123456789", "-i 123456789"),
            ("vfat", "-i +1", "-i +1"),
            ("vfat", "-I -s 4", "-s 4"),
            ("vfat", "-n LABEL", "-n LABEL"),
            ("xfs", "-f -i size=1024", "-i size=1024"),
            ("btrfs", "--force -O none", "-O"),
            ("swap", "-p 4096", "-p"),
            ("erofs", "-zlz4", "-zlz4"),
        ] {
            assert_eq!(check(kind, opts).unwrap_err(), named, "{kind} {opts}");
        }
        for (kind, opts) in [
            ("xfs", "-f -q"),
            ("xfs", "-m reflink=1"),
            ("btrfs", "-f"),
            ("swap", " "),
            ("vfat", "-v"),
        ] {
            assert_eq!(check(kind, opts), Ok(()), "{kind} {opts}");
        }
    }
}
