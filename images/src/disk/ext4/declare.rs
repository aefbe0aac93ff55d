//! Tells mkext4 what the file system holds.

use std::collections::HashMap;

use mkext4::{FsBuilder, InodeHandle, Meta, ROOT, SpecialKind};

use super::super::view::{Item, Node, View};
use super::{Ext4Error, acl};
use crate::tree::Entry;

/// The directory that mkext4 makes by itself.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// A file whose content is still to come.
pub(super) struct Pending<'a> {
    pub(super) handle: InodeHandle,
    pub(super) entry: &'a Entry,
    pub(super) size: u64,
}

/// Declares every item; returns the files with content, in order.
pub(super) fn declare<'a>(
    builder: &mut FsBuilder,
    view: &View<'a>,
    epoch: i64,
) -> Result<Vec<Pending<'a>>, Ext4Error> {
    let mut handles: HashMap<&[u8], InodeHandle> = HashMap::new();
    let mut pending = Vec::new();
    for item in &view.items {
        if is_lost_and_found(item)? {
            continue;
        }
        let refused = |source| Ext4Error::Entry { path: item.display(), source };
        if item.path.is_empty() {
            builder.set_meta(ROOT, meta(item.entry, epoch)?).map_err(refused)?;
            attributes(builder, ROOT, item)?;
            handles.insert(item.path, ROOT);
            continue;
        }
        let (parent, name) = item.split();
        let parent = handles.get(parent).copied().ok_or_else(|| orphan(item))?;
        let name = text(item, name)?;
        if let Node::Link(first) = item.node {
            let first = handles.get(first).copied().ok_or_else(|| orphan(item))?;
            builder.hardlink(parent, name, first).map_err(refused)?;
            handles.insert(item.path, first);
            continue;
        }
        let handle = inode(builder, item, parent, name, epoch)?;
        attributes(builder, handle, item)?;
        handles.insert(item.path, handle);
        if let Node::File { size } = item.node
            && size > 0
        {
            pending.push(Pending { handle, entry: item.entry, size });
        }
    }
    Ok(pending)
}

fn inode(
    builder: &mut FsBuilder,
    item: &Item<'_>,
    parent: InodeHandle,
    name: &str,
    epoch: i64,
) -> Result<InodeHandle, Ext4Error> {
    let meta = meta(item.entry, epoch)?;
    let special = |builder: &mut FsBuilder, kind| builder.mknod(parent, name, meta, kind);
    match item.node {
        Node::File { size } => builder.file(parent, name, meta, size),
        Node::Dir => builder.mkdir(parent, name, meta),
        Node::Symlink(target) => builder.symlink(parent, name, text(item, target)?, meta),
        Node::Char { major, minor } => special(builder, SpecialKind::Char { major, minor }),
        Node::Block { major, minor } => special(builder, SpecialKind::Block { major, minor }),
        Node::Fifo => special(builder, SpecialKind::Fifo),
        Node::Socket => special(builder, SpecialKind::Socket),
        Node::Link(_) => return Err(orphan(item)),
    }
    .map_err(|source| Ext4Error::Entry { path: item.display(), source })
}

/// Whether the item is the directory that is there anyway.
fn is_lost_and_found(item: &Item<'_>) -> Result<bool, Ext4Error> {
    let Some(rest) = item.path.strip_prefix(LOST_AND_FOUND) else { return Ok(false) };
    match (rest, &item.node) {
        ([], Node::Dir) => Ok(true),
        ([], _) | ([b'/', ..], _) => Err(Ext4Error::LostAndFound { path: item.display() }),
        _ => Ok(false),
    }
}

fn orphan(item: &Item<'_>) -> Ext4Error {
    Ext4Error::Orphan { path: item.display() }
}

fn text<'t>(item: &Item<'_>, bytes: &'t [u8]) -> Result<&'t str, Ext4Error> {
    std::str::from_utf8(bytes).map_err(|_ignored| Ext4Error::NotUtf8 {
        path: item.display(),
        bytes: bytes.escape_ascii().to_string(),
    })
}

/// Mode, owner and times. Access and change are the modification, birth is the build.
fn meta(entry: &Entry, epoch: i64) -> Result<Meta, Ext4Error> {
    let mode = u16::try_from(entry.mode & 0o7777).unwrap_or(0);
    let nanoseconds = entry.mtime_nsec;
    if !(i64::from(i32::MIN)..(1 << 34)).contains(&entry.mtime) || nanoseconds >= 1_000_000_000 {
        return Err(Ext4Error::Time {
            path: super::super::view::display(&entry.path),
            time: entry.mtime,
        });
    }
    let mut meta = Meta::new(mode, entry.uid, entry.gid, (entry.mtime, nanoseconds));
    meta.crtime = Some((epoch, 0));
    Ok(meta)
}

fn attributes(
    builder: &mut FsBuilder,
    handle: InodeHandle,
    item: &Item<'_>,
) -> Result<(), Ext4Error> {
    for (name, value) in &item.entry.xattrs {
        let attribute = || String::from_utf8_lossy(name).into_owned();
        let broken = || Ext4Error::Attribute { path: item.display(), attribute: attribute() };
        let text = std::str::from_utf8(name).map_err(|_ignored| broken())?;
        let list;
        let value = if text.starts_with("system.posix_acl_") {
            list = acl::stored(value).ok_or_else(broken)?;
            &list
        } else {
            value
        };
        builder.set_xattr(handle, text, value).map_err(|_ignored| broken())?;
    }
    Ok(())
}
