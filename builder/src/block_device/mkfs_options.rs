//! `--mkfs-options`: what the root file system is made with beside the usual.

use goldsmith_images::disk::layout::Ext4Options;

use crate::error::{Failure, Kind, Result};

/// Takes options of mke2fs(8) into `ext4`; an empty text changes nothing.
///
/// Taken are `-i`, `-J size=`, `-m` and `-E resize=`, which needs nothing done: what
/// goldsmith writes grows online in any case.
///
/// # Errors
///
/// For any other option: it would be silently left out.
pub(super) fn apply(text: &str, ext4: &mut Ext4Options) -> Result<()> {
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let (option, value) = match word.char_indices().nth(2) {
            Some((at, _)) if !word.starts_with("--") => (&word[..at], &word[at..]),
            _ => (word, words.next().unwrap_or_default()),
        };
        let number = |text: &str| text.parse::<u32>().ok();
        let taken = match option {
            "-i" => number(value).map(|ratio| ext4.inode_ratio = ratio),
            "-m" => number(value).and_then(|percent| {
                ext4.reserved_percent =
                    u8::try_from(percent).ok().filter(|percent| *percent <= 50)?;
                Some(())
            }),
            "-J" => value.strip_prefix("size=").and_then(number).map(|mib| {
                ext4.journal_mib = Some(mib);
            }),
            "-E" => value.strip_prefix("resize=").map(|_| ()),
            _ => None,
        };
        if taken.is_none() {
            let named = format!("{option} {value}");
            let message = format!("--mkfs-options: {} cannot be written", named.trim_end());
            return Err(Failure::new(Kind::Configuration, message)
                .hint("-i BYTES, -J size=MIB, -m PERCENT and -E resize=SIZE can"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_or_refused_by_name() {
        let mut ext4 = Ext4Options::default();
        apply("-i 8192 -J size=16 -m1 -E resize=4294967296", &mut ext4).unwrap();
        let wanted = Ext4Options { inode_ratio: 8192, journal_mib: Some(16), reserved_percent: 1 };
        assert_eq!(ext4, wanted);
        for (text, named) in [
            ("-O ^metadata_csum", "-O ^metadata_csum"),
            ("-i many", "-i many"),
            ("-m 51", "-m 51"),
            ("-E lazy_itable_init=1", "-E lazy"),
            ("-F", "-F cannot"),
        ] {
            let failure = apply(text, &mut ext4).unwrap_err();
            assert!(failure.message.contains(named), "{text}: {failure}");
        }
    }
}
