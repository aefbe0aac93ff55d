//! xz streams, with a limit on the memory that unpacking them takes: a stream chooses the size of
//! its dictionary itself, up to 4 GiB.

use std::io::{self, Read};

use liblzma::read::XzDecoder;
use liblzma::stream::{Action, CONCATENATED, Error, Stream};

/// The most memory for one stream; the presets of xz need 65 MiB at most.
pub(crate) const MEMORY: u64 = 128 << 20;

/// Amounts of memory for a stream: the presets of xz need 2, 3, 5, 9, 17, 33 and 65 MiB.
const AMOUNTS: [u64; 5] = [10 << 20, 18 << 20, 34 << 20, 66 << 20, MEMORY];

/// How many bytes say what a stream needs: its header, and that of its first block.
pub(crate) const FRONT: u64 = 12 + 1024;

/// Unpacks a stream, or several one after the other.
///
/// # Errors
///
/// When no decoder can be made.
pub(crate) fn unpack(stream: impl Read) -> io::Result<impl Read> {
    unpack_within(stream, MEMORY)
}

/// The same with so many bytes of memory and no more.
///
/// # Errors
///
/// When no decoder can be made.
pub(crate) fn unpack_within<R: Read>(stream: R, memory: u64) -> io::Result<impl Read> {
    let decoder = Stream::new_stream_decoder(memory, CONCATENATED)?;
    Ok(Limited { decoder: XzDecoder::new_stream(stream, decoder), memory })
}

/// How much memory a stream takes that begins like this, rounded up: the library is asked, with
/// one limit after the other. What cannot be unpacked at all takes little.
///
/// # Errors
///
/// When no decoder can be made.
pub(crate) fn needs(front: &[u8]) -> io::Result<u64> {
    for amount in AMOUNTS {
        let mut decoder = Stream::new_stream_decoder(amount, CONCATENATED)?;
        if !matches!(decoder.process(front, &mut [0], Action::Run), Err(Error::MemLimit)) {
            return Ok(amount);
        }
    }
    Ok(MEMORY)
}

/// Says what is wrong with a stream that wants too much.
struct Limited<R: Read> {
    decoder: XzDecoder<R>,
    memory: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| {
            let limit = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            match limit {
                Some(Error::MemLimit) => io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "its xz dictionary takes more than {} MiB of memory; `xz -9` makes smaller ones",
                        self.memory >> 20
                    ),
                ),
                _ => error,
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use super::*;

    /// A stream whose header asks for a dictionary of two to the power of `exponent` bytes.
    pub(crate) fn with_dictionary(text: &[u8], exponent: u8) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text).unwrap();
        let mut packed = encoder.finish().unwrap();
        // Stream header 12 bytes; block header: size, flags, filter 0x21 with one property.
        assert_eq!(packed[14..16], [0x21, 1]);
        packed[16] = (exponent - 12) * 2;
        let length = (usize::from(packed[12]) + 1) * 4;
        let mut sum = flate2::Crc::new();
        sum.update(&packed[12..12 + length - 4]);
        packed[12 + length - 4..12 + length].copy_from_slice(&sum.sum().to_le_bytes());
        packed
    }

    #[test]
    fn what_a_stream_needs_its_front_says() {
        for (exponent, needed) in
            [(12, 10), (20, 10), (23, 10), (24, 18), (25, 34), (26, 66), (28, 128), (31, 128)]
        {
            let packed = with_dictionary(b"content", exponent);
            let front = &packed[..packed.len().min(usize::try_from(FRONT).unwrap())];
            assert_eq!(needs(front).unwrap() >> 20, needed, "{exponent}");
        }
        assert_eq!(needs(b"no xz at all").unwrap() >> 20, 10);
        assert_eq!(needs(b"").unwrap() >> 20, 10);
    }

    #[test]
    fn a_dictionary_has_a_limit_i11() {
        let read = |bytes: &[u8]| {
            let mut text = String::new();
            unpack(bytes).unwrap().read_to_string(&mut text).map(|_| text)
        };
        // What `xz -9` writes, twice.
        let twin = with_dictionary(b"content", 26);
        assert_eq!(read(&twin).unwrap(), "content");
        assert_eq!(read(&[twin.clone(), twin].concat()).unwrap(), "contentcontent");
        for exponent in [28, 31] {
            let error = read(&with_dictionary(b"content", exponent)).unwrap_err();
            assert!(error.to_string().contains("128 MiB"), "{error}");
        }
    }
}
