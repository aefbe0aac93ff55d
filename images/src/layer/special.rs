//! What is neither file nor directory: links, pipes, sockets, devices, whiteouts.

use rustix::fs::{
    AtFlags, FileType, Mode, XattrFlags, chmodat, fsetxattr, linkat, major, minor, mknodat,
    readlinkat, statat, symlinkat,
};
use rustix::io::Errno;

use super::attributes::{Attributes, Refused, beside, dress, dress_at, name, set_at};
use super::writer::{RootWriter, WriteError, call};
use crate::tree::notes;

impl RootWriter {
    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn symlink(
        &mut self,
        path: &[u8],
        to: &[u8],
        attributes: &Attributes,
    ) -> Result<(), WriteError> {
        let (parent, last) = self.parent(path)?;
        let link = || symlinkat(name(to), parent, name(last));
        match link() {
            Err(Errno::EXIST) => {
                // One that is there already stays: others may be on their way through it.
                let there = readlinkat(parent, name(last), Vec::new());
                if there.is_ok_and(|there| there.as_bytes() == to) {
                    Ok(())
                } else {
                    Self::make_way(parent, last, path)?;
                    link()
                }
            }
            other => other,
        }
        .map_err(call("symlink", path))?;
        self.finish_special(path, attributes)
    }

    /// Makes `path` another name of the file at `to`, an earlier entry.
    ///
    /// # Errors
    ///
    /// When a call fails; a link to anything outside the root cannot be expressed.
    pub fn hard_link(&mut self, path: &[u8], to: &[u8]) -> Result<(), WriteError> {
        let (above, target) = match to.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&to[..at], &to[at + 1..]),
            None => (&b""[..], to),
        };
        let from = self.directory_fd(above)?;
        let stat =
            statat(&from, name(target), AtFlags::SYMLINK_NOFOLLOW).map_err(call("stat", to))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err(call("link", path)(Errno::PERM)),
            // A whiteout is no file that the archive brought.
            FileType::CharacterDevice if stat.st_rdev == 0 => {
                return Err(call("link", path)(Errno::NOENT));
            }
            _ => {}
        }
        let (parent, last) = self.parent(path)?;
        let same = statat(parent, name(last), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino));
        if !same {
            Self::make_way(parent, last, path)?;
            linkat(&from, name(target), parent, name(last), AtFlags::empty())
                .map_err(call("link", path))?;
            let noted = self.beside.get(to).to_vec();
            self.beside.set(path, noted);
        }
        Ok(())
    }

    /// Makes a pipe, socket or device node; of a device only a note, but on a mounted image.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn node(
        &mut self,
        path: &[u8],
        kind: FileType,
        device: u64,
        attributes: &Attributes,
    ) -> Result<(), WriteError> {
        let block = kind == FileType::BlockDevice;
        if self.refused == Refused::Noted && (block || kind == FileType::CharacterDevice) {
            let file = self.create(path)?;
            let text = notes::device(block, major(device), minor(device));
            fsetxattr(&file, notes::NODE, text.as_bytes(), XattrFlags::empty())
                .map_err(call("fsetxattr", path))?;
            return dress(&file, path, attributes, self.refused);
        }
        let (parent, last) = self.parent(path)?;
        Self::make_way(parent, last, path)?;
        mknodat(parent, name(last), kind, Mode::from_raw_mode(0o600), device)
            .map_err(call("mknod", path))?;
        self.finish_special(path, attributes)?;
        let (parent, last) = self.parent(path)?;
        chmodat(parent, name(last), Mode::from_raw_mode(attributes.mode), AtFlags::empty())
            .map_err(call("chmod", path))
    }

    /// Gives what cannot be opened its attributes.
    fn finish_special(&mut self, path: &[u8], attributes: &Attributes) -> Result<(), WriteError> {
        let refused = self.refused;
        let (parent, last) = self.parent(path)?;
        dress_at(parent, last, path, attributes)?;
        match refused {
            Refused::Set => set_at(parent, last, path, attributes)?,
            Refused::Noted => self.beside.set(path, beside(attributes)),
        }
        Ok(())
    }

    /// Makes a whiteout, which hides what lower layers have at `path`.
    pub(super) fn whiteout(&mut self, path: &[u8]) -> Result<(), WriteError> {
        let (parent, last) = self.parent(path)?;
        Self::make_way(parent, last, path)?;
        mknodat(parent, name(last), FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(call("mknod", path))
    }
}
