//! One header block of 512 bytes: ustar, GNU, or older than both.

use std::io::{self, Read};
use std::ops::Range;

use super::ArchiveError;

/// The size of every block.
pub(super) const BLOCK: usize = 512;

/// A header whose sum is right.
#[derive(Debug)]
pub(super) struct Block(pub(super) [u8; BLOCK]);

impl Block {
    /// Reads a header; nothing at the end mark or where the stream ends between entries.
    pub(super) fn read(stream: &mut impl Read) -> Result<Option<Self>, ArchiveError> {
        let Some(bytes) = read_block(stream)? else { return Ok(None) };
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let block = Self(bytes);
        let sum: u64 = block
            .0
            .iter()
            .enumerate()
            .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u64::from(byte) })
            .sum();
        if block.number("chksum", 148..156)? == sum {
            Ok(Some(block))
        } else {
            Err(ArchiveError::Checksum)
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn is_gnu(&self) -> bool {
        self.0[257..265] == *b"ustar  \0"
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let prefix = match self.0[257..263] == *b"ustar\0" {
            true => self.text(345..500),
            false => &[],
        };
        let mut path = prefix.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(self.text(0..100));
        path
    }

    pub(super) fn link(&self) -> Vec<u8> {
        self.text(157..257).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u32, ArchiveError> {
        // Some writers put the file type's bits in as well.
        let mode = self.number("mode", 100..108)?;
        u32::try_from(mode & 0o7777).map_err(|_error| ArchiveError::Number { field: "mode" })
    }

    pub(super) fn uid(&self) -> Result<u64, ArchiveError> {
        self.number("uid", 108..116)
    }

    pub(super) fn gid(&self) -> Result<u64, ArchiveError> {
        self.number("gid", 116..124)
    }

    pub(super) fn size(&self) -> Result<u64, ArchiveError> {
        let size = self.number("size", 124..136)?;
        in_range("size", size)
    }

    pub(super) fn mtime(&self) -> Result<(i64, u32), ArchiveError> {
        let field = &self.0[136..148];
        // GNU's way to write a time before 1970: two's complement in base 256.
        if field[0] == 0xff {
            let mut low = [0; 8];
            low.copy_from_slice(&field[4..]);
            let time = i64::from_be_bytes(low);
            let all_ones = field[..4].iter().all(|&byte| byte == 0xff);
            return if all_ones && time < 0 {
                Ok((time, 0))
            } else {
                Err(ArchiveError::Number { field: "mtime" })
            };
        }
        let time = self.number("mtime", 136..148)?;
        let time = i64::try_from(time).map_err(|_error| ArchiveError::Number { field: "mtime" })?;
        Ok((time, 0))
    }

    pub(super) fn device(&self) -> Result<(u32, u32), ArchiveError> {
        let part = |field, range| {
            u32::try_from(self.number(field, range)?)
                .map_err(|_error| ArchiveError::Number { field })
        };
        Ok((part("devmajor", 329..337)?, part("devminor", 337..345)?))
    }

    /// Octal digits, or base 256 where the first bit is set.
    pub(super) fn number(
        &self,
        field: &'static str,
        range: Range<usize>,
    ) -> Result<u64, ArchiveError> {
        number(&self.0[range]).ok_or(ArchiveError::Number { field })
    }

    fn text(&self, range: Range<usize>) -> &[u8] {
        let bytes = &self.0[range];
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        &bytes[..end]
    }
}

/// No file is larger than the kernel's signed offsets can say.
pub(super) fn in_range(field: &'static str, size: u64) -> Result<u64, ArchiveError> {
    match i64::try_from(size) {
        Ok(_) => Ok(size),
        Err(_) => Err(ArchiveError::Number { field }),
    }
}

/// Reads a block whole; nothing where the stream ends.
pub(super) fn read_block(stream: &mut impl Read) -> io::Result<Option<[u8; BLOCK]>> {
    let mut bytes = [0; BLOCK];
    let mut filled = 0;
    while filled < BLOCK {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(super::short()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(bytes))
}

pub(super) fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // 0xff begins a negative number.
        let start = if first == 0xff { return None } else { u64::from(first & 0x7f) };
        return rest
            .iter()
            .try_fold(start, |value, &byte| Some(value.checked_mul(256)? + u64::from(byte)));
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| match digit {
        b'0'..=b'7' => Some(value.checked_mul(8)? + u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_nothing_else() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o7777_7777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"\x80\0\0\0\0\0\x01\x02", Some(258)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", Some(1 << 63)),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"-000644\0", None),
            (b"+000644\0", None),
            (b"0x1F\0\0\0\0", None),
            (b"0000008\0", None),
            (b"644\0junk", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
