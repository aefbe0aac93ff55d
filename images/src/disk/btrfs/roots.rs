//! The trees that describe the others: of roots, of extents, of the device, of chunks.

use super::super::sink::{len_of, offset_of};
use super::data::Files;
use super::items::{self, ENTRY, INODE, NAME_OF};
use super::node::{Built, Item, build, push_key, shape};
use super::space::{Chunk, Chunks, DATA, METADATA, SYSTEM};
use super::{GENERATION, Ids, NODE, SECTOR};

/// Trees by their numbers.
const ROOT: u64 = 1;
const EXTENTS: u64 = 2;
const CHUNKS: u64 = 3;
const DEVICE: u64 = 4;
const FILES: u64 = 5;
const SUMS: u64 = 7;
/// Where the kernel keeps what it moves.
const MOVING: u64 = 9_u64.wrapping_neg();
/// The directory in the tree of roots that names the default one.
const DIRECTORY: u64 = 6;
/// What chunks belong to.
const CHUNK_OBJECT: u64 = 256;
/// Kinds of items.
const ROOT_ITEM: u8 = 132;
const EXTENT_ITEM: u8 = 168;
const NODE_ITEM: u8 = 169;
const GROUP: u8 = 192;
const DEVICE_EXTENT: u8 = 204;
const DEVICE_ITEM: u8 = 216;
pub(super) const CHUNK_ITEM: u8 = 228;

/// Every node, and what the superblock says of trees.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) nodes: Vec<(u64, Vec<u8>)>,
    /// Address and level of the tree of roots, and of that of chunks.
    pub(super) roots: (u64, u8),
    pub(super) chunks: (u64, u8),
}

/// A tree that has its places but no bytes.
struct Placed {
    owner: u64,
    items: Vec<Item>,
    places: Vec<u64>,
    levels: Vec<u64>,
}

impl Placed {
    fn root(&self) -> (u64, u8) {
        let level = u8::try_from(self.levels.len().saturating_sub(1)).unwrap_or_default();
        (self.places.last().copied().unwrap_or_default(), level)
    }

    /// Address and level of every node.
    fn nodes(&self) -> impl Iterator<Item = (u64, u64)> {
        let levels = (0..).zip(&self.levels);
        let levels = levels.flat_map(|(level, count)| (0..*count).map(move |_| level));
        self.places.iter().copied().zip(levels)
    }
}

impl Roots {
    /// Builds all trees of a file system of `len` bytes; the chunks get the sizes that they
    /// need.
    pub(super) fn new(
        files: Vec<Item>,
        data: &Files<'_>,
        chunks: &mut Chunks,
        len: u64,
        ids: Ids,
        epoch: i64,
    ) -> Self {
        let moving = vec![
            ((256, INODE, 0), items::directory(epoch)),
            ((256, NAME_OF, 256), items::name_of(0, b"..")),
        ];
        // Sizes of items do not depend on what is in them: first all get their places.
        let mut trees: Vec<(u64, Vec<Item>)> = vec![
            (FILES, files),
            (SUMS, items::of_sums(data)),
            (MOVING, moving),
            (DEVICE, device(chunks, ids)),
            (ROOT, roots(&[], epoch)),
        ];
        let sizes = |items: &[Item]| shape(items.iter().map(|(_, data)| data.len()));
        let shapes: Vec<_> = trees.iter().map(|(_, items)| sizes(items)).collect();
        let others: u64 = shapes.iter().flatten().sum();
        let own = extent_shape(data, others, chunks);
        let total = others + own.iter().sum::<u64>();
        let mut places = chunks.nodes(METADATA, total).into_iter();
        chunks.grow(chunks.nodes(METADATA, total).last().map_or(0, |last| last + NODE));
        let mut take = |levels: &[u64]| {
            let count = len_of(levels.iter().sum());
            places.by_ref().take(count).collect::<Vec<_>>()
        };
        let mut placed: Vec<Placed> = trees
            .drain(..)
            .zip(shapes)
            .map(|((owner, items), levels)| {
                let places = take(&levels);
                Placed { owner, items, places, levels }
            })
            .collect();
        let extents = take(&own);
        placed.push(Placed { owner: EXTENTS, items: Vec::new(), places: extents, levels: own });
        let system = chunks.nodes(SYSTEM, 1);
        let of_chunks =
            Placed { owner: CHUNKS, items: Vec::new(), places: system, levels: vec![1] };
        for chunk in &mut chunks.0 {
            chunk.used = match chunk.kind {
                DATA => data.extents.iter().map(|extent| extent.len).sum(),
                SYSTEM => NODE,
                _ => total * NODE,
            };
        }
        let known: Vec<_> =
            placed.iter().map(|tree| (tree.owner, tree.root(), tree.places.len())).collect();
        let owned: Vec<_> = placed
            .iter()
            .chain([&of_chunks])
            .flat_map(|tree| {
                tree.nodes().map(|(at, level)| (at, level, tree.owner)).collect::<Vec<_>>()
            })
            .collect();
        let mut nodes = Vec::new();
        let (mut root, of_chunks_root) = ((0, 0), of_chunks.root());
        for tree in placed {
            let items = match tree.owner {
                ROOT => roots(&known, epoch),
                DEVICE => device(chunks, ids),
                EXTENTS => extent_items(data, &owned, chunks),
                _ => tree.items,
            };
            let Built { nodes: built, root: at, level } =
                build(tree.owner, &items, &tree.places, ids);
            if tree.owner == ROOT {
                root = (at, level);
            }
            nodes.extend(built);
        }
        let items = chunk_items(chunks, len, ids);
        nodes.extend(build(CHUNKS, &items, &of_chunks.places, ids).nodes);
        Self { nodes, roots: root, chunks: of_chunks_root }
    }
}

/// The shape of the tree of extents, which describes its own nodes, too.
fn extent_shape(data: &Files<'_>, others: u64, chunks: &Chunks) -> Vec<u64> {
    let mut own = vec![1];
    loop {
        let places = chunks.nodes(METADATA, others + own.iter().sum::<u64>());
        let nodes: Vec<_> =
            places.into_iter().chain(chunks.nodes(SYSTEM, 1)).map(|at| (at, 0, 0)).collect();
        let items = extent_items(data, &nodes, chunks);
        let next = shape(items.iter().map(|(_, data)| data.len()));
        if next == own {
            return own;
        }
        own = next;
    }
}

fn extent_items(data: &Files<'_>, nodes: &[(u64, u64, u64)], chunks: &Chunks) -> Vec<Item> {
    let head = |flags: u64| {
        [1, GENERATION, flags].iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<u8>>()
    };
    let mut items: Vec<Item> = Vec::new();
    for extent in &data.extents {
        let mut item = head(1);
        item.push(178);
        for field in [FILES, extent.inode, extent.from] {
            item.extend(field.to_le_bytes());
        }
        item.extend(1_u32.to_le_bytes());
        items.push(((extent.at, EXTENT_ITEM, extent.len), item));
    }
    for (at, level, owner) in nodes {
        let mut item = head(2);
        item.push(176);
        item.extend(owner.to_le_bytes());
        items.push(((*at, NODE_ITEM, *level), item));
    }
    for chunk in &chunks.0 {
        let fields = [chunk.used, CHUNK_OBJECT, chunk.kind];
        let item = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        items.push(((chunk.start, GROUP, chunk.len), item));
    }
    items.sort_by_key(|(key, _)| *key);
    items
}

/// The tree of roots, of trees that are known with root, level and number of nodes.
fn roots(known: &[(u64, (u64, u8), usize)], epoch: i64) -> Vec<Item> {
    let mut items = vec![
        ((DIRECTORY, INODE, 0), items::directory(epoch)),
        ((DIRECTORY, NAME_OF, DIRECTORY), items::name_of(0, b"..")),
        ((FILES, NAME_OF, DIRECTORY), items::name_of(0, b"default")),
    ];
    let to = (FILES, ROOT_ITEM, u64::MAX);
    let entry = items::entry(to, b"default", &[], 2);
    items.push(((DIRECTORY, ENTRY, items::hash(b"default")), entry));
    for owner in [EXTENTS, DEVICE, FILES, SUMS, MOVING] {
        let found = known.iter().find(|(other, _, _)| *other == owner);
        let (root, count) = found.map_or(((0, 0), 0), |(_, root, count)| (*root, *count));
        items.push(((owner, ROOT_ITEM, 0), root_item(owner, root, count, epoch)));
    }
    items.sort_by_key(|(key, _)| *key);
    items
}

fn root_item(owner: u64, (at, level): (u64, u8), count: usize, epoch: i64) -> Vec<u8> {
    let mut data = Vec::with_capacity(439);
    // An inode that stands for the tree.
    for field in [1, 0, 3, NODE, 0] {
        data.extend(u64::to_le_bytes(field));
    }
    for field in [1, 0, 0, 0o40_755] {
        data.extend(u32::to_le_bytes(field));
    }
    data.resize(160, 0);
    let directory = if matches!(owner, FILES | MOVING) { 256 } else { 0 };
    for field in [GENERATION, directory, at, 0, offset_of(count) * NODE, 0, 0] {
        data.extend(field.to_le_bytes());
    }
    data.extend(1_u32.to_le_bytes());
    data.resize(data.len() + 18, 0);
    data.push(level);
    data.extend(GENERATION.to_le_bytes());
    // Identifiers, which it has none of, and transactions.
    data.resize(data.len() + 48 + 32, 0);
    for time in [epoch, epoch, 0, 0] {
        data.extend(time.to_le_bytes());
        data.extend([0; 4]);
    }
    data.resize(439, 0);
    data
}

fn device(chunks: &Chunks, ids: Ids) -> Vec<Item> {
    let one = |chunk: &Chunk| {
        let mut item = Vec::new();
        for field in [CHUNKS, CHUNK_OBJECT, chunk.start, chunk.len] {
            item.extend(field.to_le_bytes());
        }
        item.extend(ids.chunks.as_bytes());
        ((1, DEVICE_EXTENT, chunk.start), item)
    };
    chunks.0.iter().map(one).collect()
}

fn chunk_items(chunks: &Chunks, len: u64, ids: Ids) -> Vec<Item> {
    let mut items = vec![((1, DEVICE_ITEM, 1), device_item(chunks, len, ids))];
    items.extend(
        chunks
            .0
            .iter()
            .map(|chunk| ((CHUNK_OBJECT, CHUNK_ITEM, chunk.start), chunk_item(chunk, ids))),
    );
    items
}

/// What the tree of chunks and the superblock say of the one device.
pub(super) fn device_item(chunks: &Chunks, len: u64, ids: Ids) -> Vec<u8> {
    let mut item = 1_u64.to_le_bytes().to_vec();
    item.extend(len.to_le_bytes());
    item.extend(chunks.0.iter().map(|chunk| chunk.len).sum::<u64>().to_le_bytes());
    for _ in 0..3 {
        item.extend(u32::try_from(SECTOR).unwrap_or_default().to_le_bytes());
    }
    // Type, generation, begin, group, two speeds.
    item.extend([0; 30]);
    item.extend(ids.device.as_bytes());
    item.extend(ids.own.as_bytes());
    item
}

pub(super) fn chunk_item(chunk: &Chunk, ids: Ids) -> Vec<u8> {
    let mut item = Vec::new();
    for field in [chunk.len, EXTENTS, 64 << 10, chunk.kind] {
        item.extend(field.to_le_bytes());
    }
    for _ in 0..2 {
        item.extend((64_u32 << 10).to_le_bytes());
    }
    item.extend(u32::try_from(SECTOR).unwrap_or_default().to_le_bytes());
    item.extend([1, 0, 0, 0]);
    // The one stripe: device and place.
    item.extend(1_u64.to_le_bytes());
    item.extend(chunk.start.to_le_bytes());
    item.extend(ids.device.as_bytes());
    item
}

/// The key of a chunk in front of its item, as the superblock lists them.
pub(super) fn listed(chunk: &Chunk, ids: Ids) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_key(&mut bytes, (CHUNK_OBJECT, CHUNK_ITEM, chunk.start));
    bytes.extend(chunk_item(chunk, ids));
    bytes
}
