//! Decides the name and the clusters of everything before a byte is written.

use std::collections::HashMap;

use super::super::view::{Item, Node, View};
use super::FatError;
use super::geometry::{Bits, ENTRY, Geometry};
use super::names::{self, Name, NameProblem};
use crate::tree::Entry;

/// A file or directory with its place.
pub(super) struct Planned<'a> {
    /// Its path in this file system.
    path: &'a [u8],
    /// What opens its content.
    pub(super) entry: &'a Entry,
    /// The size of a file; nothing for a directory.
    pub(super) file: Option<u32>,
    pub(super) name: Name,
    pub(super) parent: usize,
    /// Indices of a directory's children.
    pub(super) children: Vec<usize>,
    /// First cluster; 0 for empty files and for a root directory of fixed size.
    pub(super) cluster: u32,
    /// Number of clusters, which follow each other.
    pub(super) clusters: u32,
}

/// Everything, the root directory first, clusters ascending.
pub(super) struct Plan<'a> {
    pub(super) nodes: Vec<Planned<'a>>,
    pub(super) used_clusters: u64,
}

pub(super) fn plan<'a>(
    view: &View<'a>,
    g: &Geometry,
    labelled: bool,
) -> Result<Plan<'a>, FatError> {
    let mut nodes = gather(view)?;
    name_all(&mut nodes)?;
    let mut next: u64 = 2;
    for i in 0..nodes.len() {
        let bytes = content_len(&nodes, i, labelled);
        let Some(node) = nodes.get_mut(i) else { continue };
        if i == 0 && g.bits != Bits::B32 {
            if bytes > g.root_entries() * ENTRY {
                return Err(FatError::RootFull { entries: bytes / ENTRY, room: g.root_entries() });
            }
            continue;
        }
        let clusters = match node.file {
            Some(_) => bytes.div_ceil(g.cluster()),
            None => bytes.div_ceil(g.cluster()).max(1),
        };
        if clusters > 0 {
            node.cluster = u32::try_from(next).unwrap_or(u32::MAX);
            node.clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
            next += clusters;
        }
    }
    let used_clusters = next - 2;
    if used_clusters > g.clusters {
        return Err(FatError::Full { missing: (used_clusters - g.clusters) * g.cluster() });
    }
    Ok(Plan { nodes, used_clusters })
}

/// Bytes of a file, or of a directory's entries.
fn content_len(nodes: &[Planned<'_>], index: usize, labelled: bool) -> u64 {
    let Some(node) = nodes.get(index) else { return 0 };
    if let Some(size) = node.file {
        return u64::from(size);
    }
    let own = if index == 0 { u64::from(labelled) } else { 2 };
    let children = node.children.iter().filter_map(|&c| nodes.get(c));
    (own + children.map(|c| c.name.entries()).sum::<u64>()) * ENTRY
}

/// The nodes of a view, not yet named or placed.
fn gather<'a>(view: &View<'a>) -> Result<Vec<Planned<'a>>, FatError> {
    let mut nodes: Vec<Planned<'a>> = Vec::new();
    let mut by_path: HashMap<&[u8], usize> = HashMap::new();
    for item in &view.items {
        let (entry, file) = match item.node {
            Node::Dir => (item.entry, None),
            Node::File { size } => (item.entry, Some(file_size(item, size)?)),
            Node::Link(first) => {
                // FAT knows no links: the file is there twice.
                let original = by_path.get(first).and_then(|&i| nodes.get(i));
                let original = original.ok_or_else(|| unsupported(item))?;
                (original.entry, original.file)
            }
            _ => return Err(unsupported(item)),
        };
        let index = nodes.len();
        let parent = by_path.get(item.split().0).copied().unwrap_or(0);
        if let Some(parent) = nodes.get_mut(parent) {
            parent.children.push(index);
        }
        by_path.insert(item.path, index);
        let name = Name { short: [b' '; 11], long: Vec::new() };
        let children = Vec::new();
        let path = item.path;
        nodes.push(Planned { path, entry, file, name, parent, children, cluster: 0, clusters: 0 });
    }
    Ok(nodes)
}

fn file_size(item: &Item<'_>, size: u64) -> Result<u32, FatError> {
    u32::try_from(size).map_err(|_ignored| FatError::FileTooLarge { path: item.display(), size })
}

fn unsupported(item: &Item<'_>) -> FatError {
    FatError::Unsupported { path: item.display() }
}

/// Names the children of every directory.
fn name_all(nodes: &mut [Planned<'_>]) -> Result<(), FatError> {
    for directory in 0..nodes.len() {
        let children = nodes.get(directory).map(|n| n.children.clone()).unwrap_or_default();
        let mut texts = Vec::new();
        for child in children.iter().filter_map(|&c| nodes.get(c)) {
            let path = child.path;
            let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
            let text = std::str::from_utf8(name)
                .map_err(|_ignored| FatError::Name { path: super::display(path) })?;
            texts.push(text);
        }
        let path = |i: usize| {
            let child = children.get(i).and_then(|&c| nodes.get(c));
            super::display(child.map(|c| c.path).unwrap_or_default())
        };
        let assigned = names::assign(&texts).map_err(|problem| match problem {
            NameProblem::Impossible(i) | NameProblem::NoShort(i) => {
                FatError::Name { path: path(i) }
            }
            NameProblem::Clash(a, b) => FatError::Clash { path: path(b), other: path(a) },
        })?;
        for (&child, name) in children.iter().zip(assigned) {
            if let Some(node) = nodes.get_mut(child) {
                node.name = name;
            }
        }
    }
    Ok(())
}

/// The file allocation table: every chain is a run.
pub(super) fn table(plan: &Plan<'_>, g: &Geometry) -> Vec<u8> {
    let mut entries: Vec<u32> = vec![0x0fff_fff8, 0x0fff_ffff];
    entries.resize(super::len_of(plan.used_clusters) + 2, 0);
    for node in plan.nodes.iter().filter(|n| n.clusters > 0) {
        let last = node.cluster + node.clusters - 1;
        for cluster in node.cluster..=last {
            let next = if cluster == last { 0x0fff_ffff } else { cluster + 1 };
            if let Some(slot) = usize::try_from(cluster).ok().and_then(|i| entries.get_mut(i)) {
                *slot = next;
            }
        }
    }
    let mut bytes: Vec<u8> = match g.bits {
        Bits::B32 => entries.iter().flat_map(|e| e.to_le_bytes()).collect(),
        Bits::B16 => entries.iter().flat_map(|e| e.to_le_bytes().into_iter().take(2)).collect(),
        Bits::B12 => pack_12(&entries),
    };
    bytes.resize(super::len_of(g.fat_sectors * g.sector), 0);
    bytes
}

/// Two entries of twelve bits in three bytes.
fn pack_12(entries: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 2);
    for pair in entries.chunks(2) {
        let first = pair.first().copied().unwrap_or(0) & 0xfff;
        let second = pair.get(1).copied().unwrap_or(0) & 0xfff;
        bytes.extend((first | (second << 12)).to_le_bytes().into_iter().take(3));
    }
    bytes
}
