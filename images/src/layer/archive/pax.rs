//! Pax extended headers: `LENGTH KEY=VALUE\n`, counted, so a value may hold any byte.

use super::super::acl;
use super::ArchiveError;
use super::block::in_range;
use super::sparse::Described;

/// What the records of one header say; others are of no use here.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The same in GNU tar's own records, which it writes beside or instead of the others.
    gnu: Vec<(Vec<u8>, Vec<u8>)>,
    /// A sparse file's description.
    pub(super) sparse: Option<Described>,
    /// A key that would change how entries are read, were the header a global one.
    meaning: Option<String>,
}

impl Records {
    /// Reads a whole extended header.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or_else(|| {
                let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
                malformed(&bytes[..end.min(80)], "it is not LENGTH KEY=VALUE and a new line")
            })?;
            records.take(key, value)?;
            bytes = rest;
        }
        for (name, value) in std::mem::take(&mut records.gnu) {
            if records.xattrs.iter().all(|(known, _)| *known != name) {
                records.xattrs.push((name, value));
            }
        }
        Ok(records)
    }

    /// Global headers are read differently by every tar but for comments, which `git
    /// archive` writes.
    pub(super) fn only_comments(self) -> Result<(), ArchiveError> {
        match self.meaning {
            None => Ok(()),
            Some(key) => Err(ArchiveError::Record { key, reason: "it is in a global header" }),
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let number = || {
            decimal(value).ok_or_else(|| malformed(key, "its value is no number, or out of range"))
        };
        let fresh = match key {
            b"path" => self.path.replace(value.to_vec()).is_none(),
            b"linkpath" => self.linkpath.replace(value.to_vec()).is_none(),
            b"size" => self.size.replace(in_range("size", number()?)?).is_none(),
            b"uid" => self.uid.replace(number()?).is_none(),
            b"gid" => self.gid.replace(number()?).is_none(),
            b"mtime" => {
                let time = time(value).ok_or_else(|| malformed(key, "its value is no time"))?;
                self.mtime.replace(time).is_none()
            }
            b"RHT.security.selinux" => {
                // The label as text; the attribute ends with NUL.
                let label = [value, b"\0"].concat();
                self.note(b"security.selinux", Some(label))
            }
            b"SCHILY.acl.access" => self.note(b"system.posix_acl_access", acl::from_text(value)),
            b"SCHILY.acl.default" => self.note(b"system.posix_acl_default", acl::from_text(value)),
            b"comment" => return Ok(()),
            _ if key.starts_with(b"GNU.sparse.") => {
                let sparse = self.sparse.get_or_insert_default();
                sparse.take(&key[11..], value).map_err(|reason| malformed(key, reason))?;
                true
            }
            _ => match key.strip_prefix(b"SCHILY.xattr.") {
                Some(name) => {
                    let fresh = self.xattrs.iter().all(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                    fresh
                }
                None => return Ok(()),
            },
        };
        self.meaning = Some(String::from_utf8_lossy(key).into_owned());
        if fresh { Ok(()) } else { Err(malformed(key, "it comes twice")) }
    }

    /// Notes an attribute of GNU tar's own spelling; tells whether it is the first of its name.
    fn note(&mut self, name: &[u8], value: Option<Vec<u8>>) -> bool {
        let fresh = self.gnu.iter().all(|(known, _)| known != name);
        match value {
            Some(value) => self.gnu.push((name.to_vec(), value)),
            None => tracing::warn!("an access list that calls owners by name is left out"),
        }
        fresh
    }
}

fn malformed(key: &[u8], reason: &'static str) -> ArchiveError {
    ArchiveError::Record { key: String::from_utf8_lossy(key).into_owned(), reason }
}

/// Splits the first record off.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(8).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank])?).ok()?;
    let body = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let key = &body[..equals];
    let plain = !key.is_empty() && !key.contains(&0) && !key.contains(&b'\n');
    plain.then_some((key, &body[equals + 1..], &bytes[length..]))
}

pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds with a fraction; what is finer than nanoseconds is cut off.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nine: Vec<u8> = fraction.iter().copied().chain([b'0'; 9]).take(9).collect();
    let nanoseconds = u32::try_from(decimal(&nine)?).ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_any_byte() {
        let records = Records::parse(b"28 SCHILY.xattr.user.a=\n\0=\xff\n13 path=a/bc\n").unwrap();
        assert_eq!(records.xattrs, [(b"user.a".to_vec(), b"\n\0=\xff".to_vec())]);
        assert_eq!(records.path.as_deref(), Some(&b"a/bc"[..]));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"12 path=a/bc\n"[..],
            b"14 path=a/bc\n",
            b"99999999 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"-5 path=a\n",
            b"+10 path=a\n",
            b"0 path=a\n",
            b"9 path=a",
            b"path=a\n",
            b"10 pathaa\n",
            b"6 =ab\n",
            b"10 pa\0h=a\n",
            b"\n",
            b"10 path=a\n\n",
            b"10 path=a\n\0\0\0",
            b"10 path=a\n10 path=b\n",
            b"10 size=-\n",
            b"11 size=-1\n",
            b"11 size=+1\n",
            b"12 size=0x1\n",
            b"9 size=\n",
            b"29 size=18446744073709551616\n",
            b"28 size=9223372036854775808\n",
            b"13 mtime=nan\n",
            b"15 mtime=1.+5\n",
            b"22 GNU.sparse.minor=x\n",
        ] {
            let text = String::from_utf8_lossy(bad);
            assert!(Records::parse(bad).is_err(), "{text:?}");
        }
    }

    #[test]
    fn times_have_nanoseconds() {
        for (text, value) in [
            ("0", Some((0, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.0000000019", Some((12, 1))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-3", Some((-3, 0))),
            (".5", None),
            ("1e9", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn global_headers_may_only_comment() {
        Records::parse(b"14 comment=abc\n").and_then(Records::only_comments).unwrap_err();
        Records::parse(b"15 comment=abc\n").and_then(Records::only_comments).unwrap();
        Records::parse(b"10 path=a\n").and_then(Records::only_comments).unwrap_err();
    }
}
