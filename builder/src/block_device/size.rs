//! Sizes: of images (contract 4.6) and as configurations spell them (4.3).

/// The log of an xfs of up to 128 GiB, and the least that an image with an xfs root may have:
/// the 300 MiB below which there is none, and partitions.
const XFS_LOG_KIB: u64 = 64 << 10;
const LEAST_XFS_KIB: u64 = 320 << 10;

/// How large the image becomes, in KiB.
///
/// `du_kib` is what the tree takes. Without an explicit size the tree may fill 60 % of the
/// image, or has `extra_mib` to spare, and an ext4 root file system adds its journal, an xfs its
/// log. An EFI layout adds 525 MiB in any case. The result is a multiple of 64 KiB.
pub fn image_size_kib(
    du_kib: u64,
    explicit_kib: Option<u64>,
    extra_mib: Option<u64>,
    journal_mib: u32,
    root_fstype: &str,
    efi: bool,
) -> u64 {
    let mut size = match (explicit_kib, extra_mib) {
        (Some(size), _) => size,
        (None, Some(extra)) => du_kib + extra * 1024,
        (None, None) => du_kib * 5 / 3,
    };
    size = match (explicit_kib, root_fstype) {
        (None, "ext4") => size + u64::from(journal_mib) * 1024,
        (None, "xfs") => (size + XFS_LOG_KIB).max(LEAST_XFS_KIB),
        _ => size,
    };
    if efi {
        size += 525 * 1024;
    }
    size.div_ceil(64) * 64
}

/// The image's size in KiB as far as it is known before the tree is: when it is explicit.
pub fn explicit_size_kib<'a>(
    explicit_kib: Option<u64>,
    elements: impl IntoIterator<Item = &'a str>,
) -> Option<u64> {
    let efi = is_efi(elements);
    explicit_kib.map(|size| image_size_kib(0, Some(size), None, 0, "", efi))
}

/// Whether one of these elements lays a disk out for EFI, which counts in its size.
pub fn is_efi<'a>(elements: impl IntoIterator<Item = &'a str>) -> bool {
    elements.into_iter().any(|name| name.contains("block-device-efi"))
}

/// What a configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Bytes(u64),
    /// Of what remains, in millionths of a percent.
    Part(u64),
}

/// A percent.
const PERCENT: u64 = 1_000_000;

impl Size {
    /// Reads a size with a unit, or `N%`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("{text:?} is no size: write 10GiB, 500MB, 1048576 or 20%");
        if let Some(percent) = text.strip_suffix('%') {
            let part = scaled(percent.trim(), PERCENT).ok_or_else(wrong)?;
            return Some(Self::Part(part)).filter(|_| part <= 100 * PERCENT).ok_or_else(wrong);
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim());
        let factor: u64 = match unit {
            "" | "B" => 1,
            "K" | "KB" => 1000,
            "M" | "MB" => 1_000_000,
            "G" | "GB" => 1_000_000_000,
            "T" | "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(wrong()),
        };
        if text.is_empty() {
            return Err(wrong());
        }
        if number.is_empty() {
            return Ok(Self::Bytes(factor));
        }
        scaled(number, factor).map(Self::Bytes).ok_or_else(wrong)
    }

    /// The bytes when `remaining` are left.
    pub(super) fn of(self, remaining: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Part(part) => {
                let bytes = u128::from(remaining) * u128::from(part) / u128::from(100 * PERCENT);
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        }
    }

    /// The bytes, unless they depend on what is left.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Part(_) => None,
        }
    }
}

/// Reads a number of bytes with a unit, for instance `20GiB`.
///
/// # Errors
///
/// When it is none, or a part of something, with the message for the user.
pub fn absolute(text: &str) -> Result<u64, String> {
    let wanted = || format!("{text:?} is of nothing: a number of bytes is wanted");
    Size::parse(text)?.bytes().ok_or_else(wanted)
}

/// A decimal number times `factor`, rounded down; nine digits of its fraction count.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits: String = fraction.chars().take(9).collect();
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let part: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let part = u64::try_from(u128::from(part) * u128::from(factor) / scale).ok()?;
    whole.checked_mul(factor)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absolute_is_of_nothing() {
        assert_eq!(absolute("2GiB"), Ok(2 << 30));
        assert!(absolute("50%").is_err() && absolute("many").is_err());
    }

    #[test]
    fn units_and_percent() {
        for (text, size) in [
            ("8MiB", 8 << 20),
            ("1.5 GiB", 3 << 29),
            ("10MB", 10_000_000),
            ("1.2TB", 1_200_000_000_000),
            ("2.4T", 2_400_000_000_000),
            ("512B", 512),
            ("42", 42),
            ("KiB", 1024),
            ("50%", 500),
            ("33.3%", 333),
            ("100%", 1000),
        ] {
            assert_eq!(Size::parse(text).map(|size| size.of(1000)), Ok(size), "{text}");
        }
        for text in ["3 parsecs", "x", "", "%", "101%", "-5%", "1.2.3M", "747InVaLiDUnIt", "_+!-="]
        {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        assert_eq!(Size::parse("5%").map(Size::bytes), Ok(None));
        assert_eq!(Size::parse("100%").map(|size| size.of(u64::MAX)), Ok(u64::MAX));
    }

    // contract 9.16
    #[test]
    fn image_sizes_follow_the_contract() {
        let all = [(None, None, "btrfs", false), (None, None, "ext4", false)];
        let explicit = [(Some(1 << 20), None, "ext4", false), (Some(1 << 20), None, "ext4", true)];
        let other = [(None, Some(1), "btrfs", false), (None, None, "xfs", false)];
        let sizes = [all, explicit, other]
            .concat()
            .into_iter()
            .map(|(size, extra, root, efi)| image_size_kib(600, size, extra, 64, root, efi));
        let wanted = [1024, 1024 + 65_536, 1 << 20, (1 << 20) + 537_600, 1664, 320 << 10];
        assert_eq!(sizes.collect::<Vec<_>>(), wanted);
        assert_eq!(image_size_kib(600 << 10, None, Some(50), 64, "xfs", false), 714 << 10);
    }
}
