//! Removes trees of any depth.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, chmodat, fchmod, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;

/// How many directories are open at once; what lies deeper is first moved up.
const DEPTH: usize = 64;

/// Removes a directory with all below it; a path that is not there is no error.
///
/// # Errors
///
/// When something cannot be removed; the message names it.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot remove {}: {error}", path.display()))
    };
    let Some(name) = path.file_name() else {
        return Err(named(io::ErrorKind::InvalidInput.into()));
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match openat(CWD, parent, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(named(error.into())),
    };
    remove_at(parent.as_fd(), name.as_bytes()).map_err(|error| named(error.into()))
}

/// Removes `name` in `parent`, whatever it is; nothing is followed.
pub(super) fn remove_at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let name = OsStr::from_bytes(name);
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error),
    }
    let top = open(parent, name)?;
    let mut moved = Moved { top: top.as_fd(), next: 0, waiting: Vec::new() };
    empty(top.as_fd(), 1, &mut moved)?;
    while let Some(deep) = moved.waiting.pop() {
        let name = OsStr::new(&deep);
        empty(open(moved.top, name)?.as_fd(), 2, &mut moved)?;
        unlinkat(moved.top, name, AtFlags::REMOVEDIR)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Directories from too far below, now in the top one.
struct Moved<'a> {
    top: BorrowedFd<'a>,
    next: u64,
    waiting: Vec<String>,
}

impl Moved<'_> {
    fn take(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
        // Writable, or its `..` cannot be changed.
        drop(open(parent, name)?);
        loop {
            let free = format!(".goldsmith-removed-{}", self.next);
            self.next += 1;
            match renameat_with(parent, name, self.top, &*free, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.waiting.push(free);
                    return Ok(());
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Opens a directory so that entries can be removed, even one of mode 0.
fn open(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    // Fails for another's directory, which then is writable or refuses the removal itself.
    match fchmod(&fd, Mode::RWXU) {
        Ok(()) | Err(Errno::PERM) => Ok(fd),
        Err(error) => Err(error),
    }
}

fn empty(directory: BorrowedFd<'_>, depth: usize, moved: &mut Moved<'_>) -> Result<(), Errno> {
    let mut below = Vec::new();
    for item in Dir::read_from(directory)? {
        let item = item?;
        let name = OsStr::from_bytes(item.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => below.push(name.to_owned()),
            Err(error) => return Err(error),
        }
    }
    for name in below {
        if depth < DEPTH {
            empty(open(directory, &name)?.as_fd(), depth + 1, moved)?;
        } else {
            moved.take(directory, &name)?;
            continue;
        }
        unlinkat(directory, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}
