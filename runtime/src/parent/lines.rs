//! Cuts a byte stream into lines.

use std::io::{self, Read};

/// The longest piece that is passed on at once: a hook cannot make the builder hold more.
const LONGEST: usize = 64 << 10;

/// Calls `each` for every line of `input`, without its newline; a longer one comes in
/// pieces of 64 KiB. Returns at the end of the stream.
pub(super) fn each_line(mut input: impl Read, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    let mut chunk = [0u8; 8192];
    loop {
        let count = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for piece in chunk[..count].split_inclusive(|&byte| byte == b'\n') {
            if let Some(line) = piece.strip_suffix(b"\n") {
                buffer.extend_from_slice(line);
                each(&buffer);
                buffer.clear();
            } else {
                buffer.extend_from_slice(piece);
                if buffer.len() >= LONGEST {
                    each(&buffer);
                    buffer.clear();
                }
            }
        }
    }
    if !buffer.is_empty() {
        each(&buffer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_the_endless_one_in_pieces() {
        let mut seen = Vec::new();
        each_line(&b"one\n\ntwo\nrest"[..], |line| seen.push(line.to_vec())).unwrap();
        assert_eq!(seen, [&b"one"[..], b"", b"two", b"rest"]);
        let mut longest = 0;
        each_line(io::repeat(b'x').take(1 << 20), |line| longest = longest.max(line.len()))
            .unwrap();
        assert!(longest <= LONGEST + 8192);
    }
}
