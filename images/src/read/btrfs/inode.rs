//! Inodes, names and attributes.

use super::super::fields::{index, le16, le32, le64};
use super::super::volume::{Name, Node, NodeKind, Xattrs};
use super::tree::Key;
use super::{Btrfs, Place, ROOT_ITEM, Result, VolumeError};

const INODE: u8 = 1;
const XATTR: u8 = 24;
const INDEX: u8 = 96;

/// The most that names, or attributes, of one inode take up.
const LIMIT: usize = 256 << 20;
/// The largest value (xattr(7)).
const VALUE: usize = 65536;
/// Attributes that mean something elsewhere, too.
const SPACES: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system."];

pub(super) fn node(btrfs: &Btrfs, place: Place) -> Result<Node> {
    let mut found = None;
    let root = btrfs.tree(place.tree)?;
    btrfs.trees.items(root, place.inode, INODE, &mut |_, item| {
        found = Some(item.to_vec());
        Ok(())
    })?;
    let damaged = |reason| VolumeError::damaged(place, reason);
    let item = found.ok_or_else(|| damaged("it does not exist"))?;
    if item.len() < 160 {
        return Err(damaged("it is cut off"));
    }
    let (mode, device) = (le32(&item, 52), le64(&item, 56));
    let major = u32::try_from(device >> 20 & 0xfff).unwrap_or(0);
    let minor = u32::try_from(device & 0xf_ffff).unwrap_or(0);
    let kind = NodeKind::of_mode(mode, || Ok((major, minor)))?
        .ok_or_else(|| damaged("its type is unknown"))?;
    let size = le64(&item, 16);
    if size > i64::MAX.cast_unsigned() {
        return Err(damaged("its size is out of range"));
    }
    let links = le32(&item, 40);
    if links == 0 {
        return Err(damaged("it is named but free"));
    }
    Ok(Node {
        kind,
        mode: mode & 0o7777,
        uid: le32(&item, 44),
        gid: le32(&item, 48),
        // Names are kept in trees, not in blocks of their own.
        size: if kind == NodeKind::Dir { 0 } else { size },
        links,
        mtime: (le64(&item, 136).cast_signed(), le32(&item, 144).min(999_999_999)),
    })
}

pub(super) fn list(btrfs: &Btrfs, place: Place) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    let mut left = LIMIT;
    let root = btrfs.tree(place.tree)?;
    btrfs.trees.items(root, place.inode, INDEX, &mut |_, item| {
        entries(place, item, &mut |location, name, _| {
            let to = match location.kind {
                INODE => Place { tree: place.tree, inode: location.object },
                ROOT_ITEM => Place { tree: location.object, inode: super::TOP },
                _ => return Err(VolumeError::damaged(place, "an entry leads nowhere")),
            };
            left = left
                .checked_sub(name.len() + 64)
                .ok_or_else(|| VolumeError::damaged(place, "the directory is too large"))?;
            // What is mounted does not hold itself.
            if location.kind == ROOT_ITEM && btrfs.hides(location.object) {
                return Ok(());
            }
            let name = Name::new(name.to_vec(), to.id()?);
            names.push(
                name.ok_or_else(|| VolumeError::damaged(place, "an entry has an impossible name"))?,
            );
            Ok(())
        })
    })?;
    Ok(names)
}

pub(super) fn xattrs(btrfs: &Btrfs, place: Place) -> Result<Xattrs> {
    let mut found = Xattrs::new();
    let mut left = LIMIT;
    let damaged = || VolumeError::damaged(place, "its extended attributes are broken");
    let root = btrfs.tree(place.tree)?;
    btrfs.trees.items(root, place.inode, XATTR, &mut |_, item| {
        entries(place, item, &mut |_, name, value| {
            left = left.checked_sub(name.len() + value.len() + 64).ok_or_else(damaged)?;
            if value.len() > VALUE || name.contains(&0) {
                return Err(damaged());
            }
            if SPACES.iter().any(|space| name.starts_with(space)) {
                found.push((name.to_vec(), value.to_vec()));
            }
            Ok(())
        })
    })?;
    found.sort();
    if found.windows(2).any(|pair| pair.first().map(|p| &p.0) == pair.get(1).map(|p| &p.0)) {
        return Err(damaged());
    }
    Ok(found)
}

/// What is done with an entry: its place, its name, its value.
type Entry<'a> = dyn FnMut(Key, &[u8], &[u8]) -> Result<()> + 'a;

/// Goes through entries, which are names with a place or a value.
pub(super) fn entries(place: Place, item: &[u8], visit: &mut Entry<'_>) -> Result<()> {
    let damaged = || VolumeError::damaged(place, "an entry is cut off");
    let mut rest = item;
    while !rest.is_empty() {
        let (head, following) = rest.split_at_checked(30).ok_or_else(damaged)?;
        let (value, name) = (index(le16(head, 25)), index(le16(head, 27)));
        let (name, following) = following.split_at_checked(name).ok_or_else(damaged)?;
        let (value, following) = following.split_at_checked(value).ok_or_else(damaged)?;
        visit(Key::read(head), name, value)?;
        rest = following;
    }
    Ok(())
}
