//! Reads one directory out of an archive, into memory.

use std::io::Read;
use std::sync::Arc;

use super::archive::{ArchiveError, Member, MemberKind, Reader};
use super::extract::ExtractError;
use super::writer::RootWriter;
use crate::tree::{Entry, Kind, Source, Tree};

/// The entries of a tar stream in and below the directory `below`, with their content, which
/// together may have `limit` bytes. A later entry of the same path replaces an earlier one.
///
/// # Errors
///
/// When the stream is no archive, can be read in two ways, or a limit is reached.
pub fn select(stream: impl Read, below: &[u8], limit: u64) -> Result<Tree, ExtractError> {
    let mut reader = Reader::new(stream);
    let mut tree = Tree::default();
    let mut left = limit;
    let mut number = 0;
    loop {
        number += 1;
        let archive = |source| ExtractError::Archive { number, source };
        let Some(member) = reader.next().map_err(archive)? else { return Ok(tree) };
        let path = RootWriter::clean(&member.path)?;
        let entry = Entry::new(path, Kind::Dir, member.mode & 0o7777, member.mtime.0);
        if !entry.is_below(below) {
            continue;
        }
        let kind = match member.kind {
            MemberKind::Directory => Kind::Dir,
            MemberKind::Symlink => Kind::Symlink(member.link.clone()),
            MemberKind::HardLink => Kind::Hardlink(RootWriter::clean(&member.link)?),
            MemberKind::File => {
                let too_large = ExtractError::TooLarge { what: "bytes", limit };
                left = left.checked_sub(member.size).ok_or(too_large)?;
                let bytes = content(&mut reader, &member).map_err(archive)?;
                Kind::File { size: member.size, source: Source::Bytes(Arc::from(bytes)) }
            }
            MemberKind::Char | MemberKind::Block | MemberKind::Fifo => continue,
        };
        tree.insert(Entry { kind, ..entry });
    }
}

/// The whole file, holes as zeros; its size was checked.
fn content<R: Read>(reader: &mut Reader<R>, member: &Member) -> Result<Vec<u8>, ArchiveError> {
    let mut stored = Vec::new();
    reader.content().read_to_end(&mut stored)?;
    let Some(map) = &member.map else { return Ok(stored) };
    let mut whole = vec![0; usize::try_from(member.size).map_err(|_large| ArchiveError::Sparse)?];
    let mut rest = stored.as_slice();
    for segment in map {
        let at = usize::try_from(segment.offset).map_err(|_large| ArchiveError::Sparse)?;
        let len = usize::try_from(segment.length).map_err(|_large| ArchiveError::Sparse)?;
        let (now, later) = rest.split_at_checked(len).ok_or(ArchiveError::Sparse)?;
        let place = at.checked_add(len).and_then(|end| whole.get_mut(at..end));
        place.ok_or(ArchiveError::Sparse)?.copy_from_slice(now);
        rest = later;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::test_support::{dir, entry, file, noise, tree};

    #[test]
    fn one_directory_is_taken_and_no_more_than_the_limit() {
        let whole = tree(vec![
            dir(""),
            dir("boot"),
            file("boot/a", &noise(5000)),
            entry("boot/b", Kind::Hardlink(b"boot/a".to_vec())),
            entry("boot/c", Kind::Symlink(b"a".to_vec())),
            file("bootleg", b"no"),
            file("etc", &noise(9000)),
        ]);
        let mut bytes = Vec::new();
        whole.write_tar(&mut bytes).unwrap();
        let found = select(bytes.as_slice(), b"boot", 5000).unwrap();
        let paths: Vec<_> = found.entries.iter().map(|entry| entry.path.as_slice()).collect();
        assert_eq!(paths, [&b"boot"[..], b"boot/a", b"boot/b", b"boot/c"]);
        let mut content = Vec::new();
        found.open(&found.entries[2]).unwrap().read_to_end(&mut content).unwrap();
        assert!(content == noise(5000));
        let error = select(bytes.as_slice(), b"boot", 4999).unwrap_err();
        assert!(matches!(error, ExtractError::TooLarge { .. }), "{error}");
    }
}
