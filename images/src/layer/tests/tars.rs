//! Builds archives that no honest writer would.

use std::io::Write as _;

/// An archive in the making: every field can be wrong.
#[derive(Debug, Default, Clone)]
pub(super) struct Tar(Vec<u8>);

/// One header block before its sum is written.
#[derive(Debug, Clone)]
pub(super) struct Head(pub(super) [u8; 512]);

impl Head {
    /// A ustar header of the caller's own ids, so that anybody may run the tests.
    pub(super) fn new(name: impl AsRef<[u8]>, kind: u8) -> Self {
        let mut head = Self([0; 512]);
        let name = name.as_ref();
        head.put(0, &name[..name.len().min(100)]);
        head.octal(100, 8, if kind == b'5' { 0o755 } else { 0o644 });
        head.octal(108, 8, rustix::process::geteuid().as_raw().into());
        head.octal(116, 8, rustix::process::getegid().as_raw().into());
        head.octal(124, 12, 0);
        head.octal(136, 12, 1_000_000);
        head.0[156] = kind;
        head.put(257, b"ustar\x0000");
        head
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(super) fn octal(&mut self, at: usize, width: usize, value: u64) -> &mut Self {
        self.put(at, format!("{value:0digits$o}\0", digits = width - 1).as_bytes())
    }

    pub(super) fn mode(&mut self, mode: u64) -> &mut Self {
        self.octal(100, 8, mode)
    }

    pub(super) fn size(&mut self, size: u64) -> &mut Self {
        self.octal(124, 12, size)
    }

    pub(super) fn gnu(&mut self) -> &mut Self {
        self.put(257, b"ustar  \0")
    }
}

impl Tar {
    /// Adds a header with the right sum, then raw content, padded.
    pub(super) fn raw(mut self, head: &Head, content: &[u8]) -> Self {
        let mut head = head.clone();
        head.put(148, b"        ");
        let sum: u64 = head.0.iter().map(|&byte| u64::from(byte)).sum();
        head.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&head.0);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn sized(self, head: &mut Head, content: &[u8]) -> Self {
        head.size(content.len() as u64);
        self.raw(head, content)
    }

    pub(super) fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.sized(&mut Head::new(name, b'0'), content)
    }

    pub(super) fn directory(self, name: &str, mode: u64) -> Self {
        self.raw(Head::new(name, b'5').mode(mode), b"")
    }

    pub(super) fn link(self, kind: u8, name: &str, to: &str) -> Self {
        let long = if to.len() > 100 { self.long(b'K', to.as_bytes()) } else { self };
        long.raw(Head::new(name, kind).put(157, &to.as_bytes()[..to.len().min(100)]), b"")
    }

    pub(super) fn symlink(self, name: &str, to: &str) -> Self {
        self.link(b'2', name, to)
    }

    /// A GNU long name (`L`) or long link target (`K`).
    pub(super) fn long(self, kind: u8, name: &[u8]) -> Self {
        let mut text = name.to_vec();
        text.push(0);
        self.sized(Head::new("././@LongLink", kind).gnu(), &text)
    }

    /// A pax header with well-formed records.
    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length = rest + length.to_string().len();
            }
            write!(bytes, "{length} {key}=").unwrap();
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.sized(&mut Head::new("pax", b'x'), &bytes)
    }

    /// The bytes with the mark of the end.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// The bytes as they are.
    pub(super) fn open(self) -> Vec<u8> {
        self.0
    }
}
