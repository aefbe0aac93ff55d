//! How much may come out of a compressed file.

/// So many times its size, and what any file may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// How many times its own size.
    pub times: u64,
    /// Bytes that a small one may give all the same.
    pub always: u64,
}

impl Growth {
    /// Of the stream of a layer, zeros included: gzip's best is a thousand.
    pub const STREAM: Self = Self { times: 16_384, always: 1 << 30 };

    /// Of what is stored of an image: holes cost nothing and do not count. Systems are compressed to
    /// a third or a tenth, and what is nearly empty is small.
    pub const STORED: Self = Self { times: 256, always: 2 << 30 };

    /// How many bytes may come out of `size`.
    pub fn of(self, size: u64) -> u64 {
        size.saturating_mul(self.times).max(self.always)
    }
}
