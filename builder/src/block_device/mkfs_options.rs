//! `--mkfs-options`: what the root file system is made with beside the usual.

use std::collections::BTreeMap;
use std::str::FromStr;

use goldsmith_images::disk::layout::{Ext4Errors, Ext4Options, Percent, XfsOptions};

use super::xfs_options;
use crate::error::{Failure, Kind, Result};

/// What is said when an option is refused.
const HINT: &str = "taken are -b, -e, -i, -I, -j, -J size=, -m, -N, -O FEATURES, -E resize=, \
    hash_seed=, stride=, stripe_width= and what changes nothing; --root-label and the node's uuid name the file system";

/// What diskimage-builder puts before them from the environment of its command line.
pub fn implied(env: &BTreeMap<String, String>) -> String {
    let most = env.get("MAX_ONLINE_RESIZE").filter(|blocks| !blocks.is_empty());
    let most = most.map(|blocks| format!("-E resize={blocks} ")).unwrap_or_default();
    let old = env.get("DIB_RELEASE").is_some_and(|release| release == "trusty");
    format!("{most}{}", if old { "-O ^metadata_csum" } else { "" })
}

/// Takes options of mke2fs(8) into `ext4`, in their order; an empty text changes nothing.
///
/// # Errors
///
/// For an option that cannot be obeyed: it would be silently left out.
pub(super) fn apply(text: &str, ext4: &mut Ext4Options) -> Result<()> {
    let mut words = text.split_whitespace();
    let (mut most, mut journal) = (None, false);
    while let Some(word) = words.next() {
        let (option, attached) = match word.char_indices().nth(2) {
            Some((at, _)) if !word.starts_with("--") => word.split_at(at),
            _ => (word, ""),
        };
        let plain = matches!(option, "-F" | "-q" | "-v" | "-D" | "-K" | "-j");
        let value =
            if plain || !attached.is_empty() { attached } else { words.next().unwrap_or_default() };
        journal |= option == "-J" || plain && word.contains('j');
        let refused = match option {
            // Letters may stand together.
            _ if plain => value.chars().find(|c| !"FqvDKj".contains(*c)).map(|c| c.to_string()),
            "-E" | "-J" => extended(option, value, ext4, &mut most).err(),
            "-O" => match ext4.features.changed(value) {
                Ok(features) => {
                    ext4.features = features;
                    None
                }
                Err(name) => Some(name),
            },
            _ => number(option, value, ext4).is_none().then(|| value.to_owned()),
        };
        if let Some(part) = refused {
            let named = format!("{option} {part}");
            let message = format!("--mkfs-options: {} cannot be written", named.trim_end());
            return Err(Failure::new(Kind::Configuration, message).hint(HINT));
        }
    }
    if journal {
        ext4.features = ext4.features.changed("has_journal").unwrap_or(ext4.features);
    }
    // A size is so many blocks, whatever follows it.
    ext4.most_blocks = match most {
        Some(Most::Blocks(blocks)) => Some(blocks),
        Some(Most::Bytes(bytes)) => Some(bytes / u64::from(ext4.block_size)),
        None => ext4.most_blocks,
    };
    Ok(())
}

/// Takes options of mkfs.xfs(8) into `xfs`; an empty text changes nothing.
///
/// # Errors
///
/// As [`apply`].
pub(super) fn xfs(text: &str, xfs: &mut XfsOptions) -> Result<()> {
    xfs_options::apply(text, xfs).map_err(|option| {
        let message = format!("--mkfs-options: {option} cannot be written: the root is xfs");
        Failure::new(Kind::Configuration, message).hint(xfs_options::HINT)
    })
}

/// Refuses options for a root file system of another type.
///
/// # Errors
///
/// When there are any.
pub(super) fn none(text: &str, kind: &str) -> Result<()> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(());
    }
    let message = format!("--mkfs-options: {text} cannot be written: the root is {kind}");
    Err(Failure::new(Kind::Configuration, message)
        .hint("options, --max-online-resize among them, are taken for ext4, ext3 and ext2; for xfs those of mkfs.xfs"))
}

/// An option that has one value.
fn number(option: &str, value: &str, ext4: &mut Ext4Options) -> Option<()> {
    let number: Option<u32> = value.parse().ok();
    match option {
        "-i" => ext4.inode_ratio = number.filter(|ratio| (1024..=1 << 26).contains(ratio))?,
        "-N" => ext4.inode_count = Some(number.filter(|count| *count > 0)?),
        "-m" => {
            let percent: Percent = value.parse().ok()?;
            ext4.reserved_percent = Some(percent).filter(|one| *one <= Percent::whole(50))?;
        }
        "-e" => ext4.errors = Ext4Errors::named(value)?,
        "-b" => ext4.block_size = number.filter(|size| [1024, 2048, 4096].contains(size))?,
        "-I" => {
            let known = |size: &u32| size.is_power_of_two() && (128..=4096).contains(size);
            ext4.inode_size = number.filter(known)?;
        }
        "-t" if value == ext4.kind.name() => {}
        _ => return None,
    }
    Some(())
}

/// A list of `name=value`; the error is the first part that cannot be obeyed.
fn extended(
    option: &str,
    list: &str,
    ext4: &mut Ext4Options,
    most: &mut Option<Most>,
) -> std::result::Result<(), String> {
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let taken = match (option, name) {
            ("-J", "size") => value.parse().ok().map(|mib| ext4.journal_mib = Some(mib)),
            ("-E", "resize") => Most::parse(value).map(|new| *most = Some(new)),
            ("-E", "stride") => blocks(value).map(|blocks| ext4.stride = Some(blocks)),
            ("-E", "stripe_width" | "stripe-width") => {
                blocks(value).map(|blocks| ext4.stripe_width = Some(blocks))
            }
            ("-E", "hash_seed") => value.parse().ok().map(|seed| ext4.hash_seed = Some(seed)),
            // What is not written is zero, whenever it is looked at.
            ("-E", "lazy_itable_init" | "lazy_journal_init" | "assume_storage_prezeroed")
            | ("-E", "discard" | "nodiscard") => Some(()),
            _ => None,
        };
        taken.ok_or_else(|| part.to_owned())?;
    }
    if list.is_empty() { Err(String::new()) } else { Ok(()) }
}

/// A number of blocks, one at the least.
fn blocks<T: FromStr + From<u8> + PartialOrd>(value: &str) -> Option<T> {
    value.parse().ok().filter(|blocks| *blocks >= T::from(1))
}

/// What it may grow to: a number of blocks, or a size with a unit.
#[derive(Debug, Clone, Copy)]
enum Most {
    Blocks(u64),
    Bytes(u64),
}

impl Most {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().ok()?;
        let unit: u64 = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
            "" => return Some(Self::Blocks(number)).filter(|_| number > 0),
            "s" => 512,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            "t" => 1 << 40,
            _ => return None,
        };
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use goldsmith_images::disk::layout::{Ext4Features, ExtKind};

    use super::*;

    #[test]
    fn options_are_taken() {
        let mut ext4 = Ext4Options::default();
        let seed = "6e1b1d0e-6f3c-5b0a-9a51-35f1a0f7c2d4";
        let text = format!(
            "-E resize=4G,hash_seed={seed} -i 8192 -J size=16 -m0.5 -b 1024 -I512 -N 5000 -qF \
             -E lazy_itable_init=0,nodiscard -O ^64bit,large_dir -O64bit -t ext4 -e remount-ro \
             -E stride=16,stripe-width=64"
        );
        apply(&text, &mut ext4).unwrap();
        let wanted = Ext4Options {
            kind: ExtKind::Ext4,
            block_size: 1024,
            inode_size: 512,
            inode_ratio: 8192,
            inode_count: Some(5000),
            journal_mib: Some(16),
            reserved_percent: "0.5".parse().unwrap(),
            errors: Ext4Errors::RemountRo,
            stride: Some(16),
            stripe_width: Some(64),
            most_blocks: Some(4 << 20),
            hash_seed: Some(seed.parse().unwrap()),
            features: Ext4Features::default().changed("large_dir").unwrap(),
        };
        assert_eq!(ext4, wanted);
        apply("-E resize=4294967296", &mut ext4).unwrap();
        assert_eq!(ext4.most_blocks, Some(1 << 32));
    }

    #[test]
    fn a_journal_is_had_by_its_own_option() {
        for text in ["-j", "-qj", "-J size=16"] {
            let mut ext2 = Ext4Options::of(ExtKind::Ext2);
            apply(text, &mut ext2).unwrap();
            assert_eq!(ext2.features, Ext4Features::of(ExtKind::Ext3), "{text}");
        }
        let mut ext2 = Ext4Options::of(ExtKind::Ext2);
        apply("-t ext2 -q", &mut ext2).unwrap();
        assert_eq!(ext2, Ext4Options::of(ExtKind::Ext2));
        assert!(apply("-t ext3", &mut ext2).is_err());
    }

    #[test]
    fn the_environment_has_a_say() {
        let env = |pairs: &[(&str, &str)]| {
            implied(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        assert_eq!(env(&[("MAX_ONLINE_RESIZE", "9000")]).trim(), "-E resize=9000");
        assert_eq!(env(&[("DIB_RELEASE", "trusty")]), "-O ^metadata_csum");
        assert_eq!(env(&[("DIB_RELEASE", "bookworm"), ("MAX_ONLINE_RESIZE", "")]), "");
    }

    #[test]
    fn an_xfs_root_has_its_own() {
        let mut root = XfsOptions::default();
        xfs("-m reflink=1", &mut root).unwrap();
        assert_ne!(root, XfsOptions::default());
        let failure = xfs("-f -m rmapbt=1", &mut root).unwrap_err();
        assert!(failure.message.contains("-m rmapbt=1 cannot be written: the root is xfs"));
    }

    #[test]
    fn other_file_systems_have_none() {
        assert!(none(" ", "xfs").is_ok());
        let failure = none("-E resize=9", "xfs").unwrap_err();
        assert!(failure.message.contains("-E resize=9 cannot be written: the root is xfs"));
    }

    #[test]
    fn others_are_refused_by_name() {
        for (text, named) in [
            ("-O bigalloc", "-O bigalloc cannot"),
            ("-O 64bit,^filetype", "-O ^filetype cannot"),
            ("-i many", "-i many"),
            ("-m 51", "-m 51"),
            ("-m 50.5", "-m 50.5"),
            ("-e stop", "-e stop"),
            ("-E stride=0", "-E stride=0"),
            ("-E stride=65536", "-E stride=65536"),
            ("-E resize=4G,offset=1", "-E offset=1"),
            ("-E resize=0", "-E resize=0"),
            ("-J device=/dev/sdb", "-J device=/dev/sdb"),
            ("-b 65536", "-b 65536"),
            ("-I 100", "-I 100"),
            ("-T news", "-T news"),
            ("-L mine", "-L mine"),
            ("-Fc", "-F c cannot"),
            ("--big", "--big cannot"),
            ("-c", "-c cannot"),
        ] {
            let failure = apply(text, &mut Ext4Options::default()).unwrap_err();
            assert!(failure.message.contains(named), "{text}: {failure}");
        }
    }
}
