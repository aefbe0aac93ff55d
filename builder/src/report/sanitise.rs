//! Control sequences made harmless.

/// Turns raw bytes into text that a terminal only prints: C0 (but tab), DEL, C1 and
/// everything that could start an escape sequence are shown as `\xNN`, carriage returns
/// that rewrite a progress line keep only what came last.
pub fn printable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = match line.iter().rposition(|&b| b == b'\r') {
        Some(at) if at + 1 < line.len() => &line[at + 1..],
        _ => line,
    };
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' || !c.is_control() && !is_bidirectional(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\\x{:02x}", u32::from(c)));
        }
    }
    out
}

/// Overrides of writing direction can make a log line read as another.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_shown_not_obeyed() {
        for (raw, shown) in [
            (&b"plain\ttext"[..], "plain\ttext"),
            (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("c1\u{9b}2J".as_bytes(), "c1\\x9b2J"),
            (b"10%\r50%\r100%\r", "100%"),
            (b"bad \xff byte", "bad \u{fffd} byte"),
            ("\u{202e}txt".as_bytes(), "\\x202etxt"),
        ] {
            assert_eq!(printable(raw), shown);
        }
    }
}
