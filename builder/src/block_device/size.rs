//! Sizes: of images (contract 4.6) and as configurations spell them (4.3).

/// How large the image becomes, in KiB.
///
/// `du_kib` is what the tree takes. Without an explicit size the tree may fill 60 % of the
/// image, or has `extra_mib` to spare, and an ext4 root file system adds its journal. An EFI
/// layout adds 525 MiB in any case. The result is a multiple of 64 KiB.
pub fn image_size_kib(
    du_kib: u64,
    explicit_kib: Option<u64>,
    extra_mib: Option<u64>,
    journal_mib: u32,
    root_is_ext4: bool,
    efi: bool,
) -> u64 {
    let mut size = match (explicit_kib, extra_mib) {
        (Some(size), _) => size,
        (None, Some(extra)) => du_kib + extra * 1024,
        (None, None) => du_kib * 5 / 3,
    };
    if root_is_ext4 && explicit_kib.is_none() {
        size += u64::from(journal_mib) * 1024;
    }
    if efi {
        size += 525 * 1024;
    }
    size.div_ceil(64) * 64
}

/// Reads a size with a unit into bytes, `N%` being of `remaining`.
pub(super) fn bytes(text: &str, remaining: u64) -> Result<u64, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is no size");
    if let Some(percent) = text.strip_suffix('%') {
        let percent: u64 = percent.trim().parse().ok().ok_or_else(wrong)?;
        return Ok(remaining / 100 * percent + remaining % 100 * percent / 100);
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
    if number.is_empty() {
        return Ok(factor);
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok().ok_or_else(wrong)? };
    let digits: String = fraction.chars().take(9).collect();
    let scale = 10_u64.pow(u32::try_from(digits.len()).unwrap_or(0));
    let part: u64 = if digits.is_empty() { 0 } else { digits.parse().ok().ok_or_else(wrong)? };
    let part = u64::try_from(u128::from(part) * u128::from(factor) / u128::from(scale))
        .ok()
        .ok_or_else(wrong)?;
    whole.checked_mul(factor).and_then(|bytes| bytes.checked_add(part)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_percent() {
        for (text, size) in [
            ("8MiB", 8 << 20),
            ("1.5 GiB", 3 << 29),
            ("10MB", 10_000_000),
            ("42", 42),
            ("KiB", 1024),
            ("50%", 500),
            ("100%", 1000),
        ] {
            assert_eq!(bytes(text, 1000), Ok(size), "{text}");
        }
        assert!(bytes("3 parsecs", 0).is_err() && bytes("x", 0).is_err());
    }

    // contract 9.16
    #[test]
    fn image_sizes_follow_the_contract() {
        assert_eq!(image_size_kib(600, None, None, 64, false, false), 1024);
        assert_eq!(image_size_kib(600, None, None, 64, true, false), 1024 + 65536);
        assert_eq!(image_size_kib(600, Some(1 << 20), None, 64, true, false), 1 << 20);
        assert_eq!(image_size_kib(600, Some(1 << 20), None, 64, true, true), (1 << 20) + 537_600);
        assert_eq!(image_size_kib(1000, None, Some(1), 64, false, false), 2048);
    }
}
