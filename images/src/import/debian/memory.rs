//! How much memory packages take together that are unpacked side by side: each has a dictionary
//! of a size that it chooses itself.

use std::io::{self, Read};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::xz;

/// What all of them may take: one of the largest that is read at all, two of the largest that the
/// presets of xz make, or fourteen of those that packages usually have. With what else a
/// bootstrap takes that is less than 256 MiB, on however many processors.
const ALL: u64 = 144 << 20;

/// The largest window of Zstandard, the library's own limit.
const WINDOW: u64 = 128 << 20;

/// What a decoder of Zstandard takes beside the window.
const ZSTD: u64 = 1 << 20;

/// Memory that streams share.
#[derive(Debug)]
pub(super) struct Memory {
    left: Mutex<u64>,
    freed: Condvar,
    /// Whether every stream is given as much as any may have.
    most: bool,
}

/// A part of it, given back when it goes.
#[derive(Debug)]
struct Share<'a>(&'a Memory, u64);

impl Memory {
    /// For packages that are unpacked side by side: each has what its first bytes ask for.
    pub(super) fn of_all() -> Self {
        Self { left: Mutex::new(ALL), freed: Condvar::new(), most: false }
    }

    /// For one package after the other.
    pub(super) fn of_one() -> Self {
        Self { most: true, ..Self::of_all() }
    }

    /// Unpacks xz, once there is room for the dictionary.
    pub(super) fn xz<'a>(&'a self, content: &'a mut dyn Read) -> io::Result<Box<dyn Read + 'a>> {
        let front = front(content, xz::FRONT)?;
        let needed = if self.most { xz::MEMORY } else { xz::needs(&front)? };
        let share = self.take(needed);
        let stream = xz::unpack_within(io::Cursor::new(front).chain(content), needed)?;
        Ok(Box::new(Held { stream, _share: share }))
    }

    /// Unpacks Zstandard, once there is room for the window.
    pub(super) fn zstd<'a>(&'a self, content: &'a mut dyn Read) -> io::Result<Box<dyn Read + 'a>> {
        let front = front(content, 18)?;
        let window = window(&front).filter(|_| !self.most).unwrap_or(WINDOW).min(WINDOW);
        let share = self.take(window + ZSTD);
        let mut stream = zstd::stream::read::Decoder::new(io::Cursor::new(front).chain(content))?;
        stream.window_log_max(window.next_power_of_two().ilog2().max(10))?;
        Ok(Box::new(Held { stream, _share: share }))
    }

    /// Waits until so many bytes are left; never for more than all.
    fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(ALL);
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self
            .freed
            .wait_while(left, |left| *left < bytes)
            .unwrap_or_else(PoisonError::into_inner);
        *left -= bytes;
        Share(self, bytes)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += self.1;
        self.0.freed.notify_all();
    }
}

/// A stream and its share; the stream goes first.
struct Held<'a, R> {
    stream: R,
    _share: Share<'a>,
}

impl<R: Read> Read for Held<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

fn front(content: &mut dyn Read, length: u64) -> io::Result<Vec<u8>> {
    let mut front = Vec::new();
    content.take(length).read_to_end(&mut front)?;
    Ok(front)
}

/// The window that the header of the first frame asks for (RFC 8878, 3.1.1.1); nothing when there
/// is no such header.
fn window(front: &[u8]) -> Option<u64> {
    let descriptor = *front.strip_prefix(b"\x28\xb5\x2f\xfd")?.first()?;
    if descriptor & 0x20 == 0 {
        let window = *front.get(5)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The window is the content: its size stands behind the dictionary's number.
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = front.get(at..at + length)?;
    let size = field.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    Some(if length == 2 { size + 256 } else { size })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn zstd_of(window: u32, text: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Unpacks the same by sixteen threads at once; how many did so together at most.
    fn together(packed: &[u8], kind: &str) -> usize {
        let (memory, now, most) = (Memory::of_all(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut text = String::new();
                    let mut bytes = packed;
                    let mut stream = match kind {
                        "xz" => memory.xz(&mut bytes),
                        _ => memory.zstd(&mut bytes),
                    }
                    .unwrap();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    stream.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "content");
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(*memory.left.lock().unwrap(), ALL, "what was taken was given back");
        most.into_inner()
    }

    #[test]
    fn dictionaries_together_have_a_limit_i11() {
        let xz = |exponent| xz::tests::with_dictionary(b"content", exponent);
        // `xz -6` makes the usual ones, `xz -9` the largest.
        assert!(together(&xz(23), "xz") <= 14);
        assert!(together(&xz(26), "xz") <= 2);
        assert!(together(&zstd_of(23, b"content"), "zst") <= 16);
        assert!(together(&zstd_of(27, b"content"), "zst") <= 1);
    }

    #[test]
    fn windows_are_those_of_the_header() {
        for exponent in [10, 19, 23, 27] {
            assert_eq!(window(&zstd_of(exponent, b"content")), Some(1 << exponent));
        }
        for size in [0usize, 200, 300, 70_000] {
            let packed = zstd::bulk::compress(&vec![7; size], 1).unwrap();
            assert_eq!(packed[4] & 0x20, 0x20, "one segment");
            assert_eq!(window(&packed), Some(size as u64));
        }
        assert_eq!(
            (window(b""), window(b"\x28\xb5\x2f\xfd"), window(b"other")),
            (None, None, None)
        );
    }

    /// What follows the first stream may have a larger dictionary: then all memory is needed.
    #[test]
    fn what_the_front_does_not_say_is_read_alone() {
        let packed =
            [xz::tests::with_dictionary(b"one", 20), xz::tests::with_dictionary(b"two", 26)]
                .concat();
        let read = |memory: &Memory| {
            let (mut bytes, mut text) = (packed.as_slice(), String::new());
            memory.xz(&mut bytes).unwrap().read_to_string(&mut text).map(|_| text)
        };
        let error = read(&Memory::of_all()).unwrap_err();
        assert!(error.to_string().contains("10 MiB"), "{error}");
        assert_eq!(read(&Memory::of_one()).unwrap(), "onetwo");
    }
}
