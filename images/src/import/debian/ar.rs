//! Members of a Debian package, an ar archive (deb(5)).

use std::io::{self, Read};

use super::memory::Memory;

/// Calls `each` with the name and content of every member.
pub(super) fn members(
    mut input: impl Read,
    mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let malformed = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut magic = [0; 8];
    input.read_exact(&mut magic)?;
    if &magic != b"!<arch>\n" {
        return Err(malformed("no ar archive"));
    }
    loop {
        let mut header = [0; 60];
        match input.read(&mut header[..1])? {
            0 => return Ok(()),
            _ => input.read_exact(&mut header[1..])?,
        }
        if &header[58..] != b"`\n" {
            return Err(malformed("a member without its mark"));
        }
        let name = std::str::from_utf8(&header[..16]).map_err(io::Error::other)?;
        let name = name.trim_end().trim_end_matches('/').to_owned();
        let size = std::str::from_utf8(&header[48..58]).map_err(io::Error::other)?;
        let size: u64 = size.trim_end().parse().map_err(io::Error::other)?;
        let mut content = (&mut input).take(size);
        each(&name, &mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() != 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if size % 2 == 1 {
            input.read_exact(&mut [0])?;
        }
    }
}

/// Unpacks a member by the ending of its name, as soon as `memory` has room for that.
pub(super) fn decompress<'a>(
    name: &str,
    content: &'a mut dyn Read,
    memory: &'a Memory,
) -> io::Result<Box<dyn Read + 'a>> {
    match name.rsplit('.').next() {
        Some("xz") => memory.xz(content),
        Some("zst") => memory.zstd(content),
        Some("gz") => Ok(Box::new(flate2::read::GzDecoder::new(content))),
        Some("tar") => Ok(Box::new(content)),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("the compression of {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_may_not_ask_for_all_memory_i11() {
        let packed = crate::xz::tests::with_dictionary;
        let read = |bytes: Vec<u8>| {
            let (mut bytes, mut text) = (bytes.as_slice(), String::new());
            let memory = Memory::of_one();
            let mut stream = decompress("data.tar.xz", &mut bytes, &memory).unwrap();
            stream.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(packed(b"content", 26)).unwrap(), "content");
        assert!(read(packed(b"content", 28)).unwrap_err().to_string().contains("128 MiB"));
    }
}
