//! Reads ahead in a thread of its own, so that unpacking, digesting and writing overlap.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// How much is passed on at once.
const CHUNK: usize = 128 << 10;
/// How many chunks the thread may be ahead.
const DEPTH: usize = 8;

/// What a thread reads, in order.
#[derive(Debug)]
pub(super) struct Ahead {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

/// Reads `reader` in a thread, up to its end, its first error, or until what is returned is
/// dropped. The thread's result is the reader.
pub(super) fn ahead<'scope, R: Read + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut reader: R,
) -> (Ahead, ScopedJoinHandle<'scope, R>) {
    let (full, chunks) = sync_channel(DEPTH);
    let (empty, spare) = sync_channel::<Vec<u8>>(DEPTH + 2);
    let thread = scope.spawn(move || {
        loop {
            let mut chunk = spare.try_recv().unwrap_or_default();
            let failed = fill(&mut reader, &mut chunk);
            // What came before an error comes before it. Who has gone wants nothing.
            let ended = chunk.is_empty() || failed.is_err();
            let sent = chunk.is_empty() || full.send(Ok(chunk)).is_ok();
            if let (true, Err(error)) = (sent, failed) {
                drop(full.send(Err(error)));
            }
            if ended || !sent {
                return reader;
            }
        }
    });
    (Ahead { full: chunks, empty, chunk: Vec::new(), at: 0 }, thread)
}

/// Fills a chunk as far as the reader goes.
fn fill(reader: &mut impl Read, chunk: &mut Vec<u8>) -> io::Result<()> {
    chunk.resize(CHUNK, 0);
    let mut filled = 0;
    let done = loop {
        match reader.read(&mut chunk[filled..]) {
            Ok(0) => break Ok(()),
            Ok(count) if filled + count == CHUNK => return Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    chunk.truncate(filled);
    done
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let Ok(next) = self.full.recv() else { return Ok(0) };
            // A full list of spare chunks is no matter.
            let _spare = self.empty.try_send(std::mem::replace(&mut self.chunk, next?));
            self.at = 0;
        }
        let rest = &self.chunk[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_in_order_and_errors_do_too() {
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        std::thread::scope(|scope| {
            let (mut reader, thread) = ahead(scope, io::Cursor::new(bytes.clone()));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
            assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
            assert_eq!(thread.join().unwrap().position(), bytes.len() as u64);
        });
        struct Torn;
        impl Read for Torn {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("torn"))
            }
        }
        std::thread::scope(|scope| {
            let (mut reader, _thread) = ahead(scope, (&[7_u8; CHUNK + 3][..]).chain(Torn));
            let mut read = Vec::new();
            assert_eq!(reader.read_to_end(&mut read).unwrap_err().to_string(), "torn");
            assert_eq!(read.len(), CHUNK + 3);
        });
    }

    #[test]
    fn who_stops_reading_ends_the_thread() {
        std::thread::scope(|scope| {
            let (first, one) = ahead(scope, io::repeat(1));
            let (mut second, two) = ahead(scope, first);
            second.read_exact(&mut [0; 3 * CHUNK]).unwrap();
            drop(second);
            drop(two.join().unwrap());
            one.join().unwrap();
        });
    }
}
