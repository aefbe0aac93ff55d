//! Trees: nodes of keys, checked as they are read. Keys ascend over the whole of a tree and
//! each node begins with the key that its parent names, so that none is reached twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::crc32c::crc32c;
use super::super::fields::{agrees, index, le32, le64};
use super::super::medium::{Medium, bytes};
use super::superblock::{Map, Root, Superblock};
use super::{Result, VolumeError};

/// How long the header of a node is.
const HEADER: usize = 101;
/// How many nodes are kept.
const KEPT: usize = 512;
/// The highest level of a root.
const DEPTH: u8 = 7;

/// What items are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) object: u64,
    pub(super) kind: u8,
    pub(super) offset: u64,
}

impl Key {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let kind = bytes.get(8).copied().unwrap_or(0);
        Self { object: le64(bytes, 0), kind, offset: le64(bytes, 9) }
    }
}

/// What is done with an item.
type Visit<'a> = dyn FnMut(Key, &[u8]) -> Result<()> + 'a;

/// Reads nodes.
#[derive(Debug)]
pub(super) struct Trees {
    pub(super) medium: Arc<dyn Medium>,
    pub(super) map: Map,
    node_size: usize,
    uuid: [u8; 16],
    kept: Mutex<HashMap<u64, Arc<[u8]>>>,
}

impl Trees {
    pub(super) fn new(medium: Arc<dyn Medium>, superblock: &Superblock) -> Self {
        Self {
            medium,
            map: superblock.system.clone(),
            node_size: superblock.node_size,
            uuid: superblock.uuid,
            kept: Mutex::default(),
        }
    }

    /// Visits the items of an object that are of a kind, in the order of their keys.
    pub(super) fn items(
        &self,
        root: Root,
        object: u64,
        kind: u8,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let low = Key { object, kind, offset: 0 };
        let high = Key { object, kind, offset: u64::MAX };
        self.range(root, low, high, visit)
    }

    /// Visits all items from a key to another one.
    pub(super) fn range(
        &self,
        root: Root,
        low: Key,
        high: Key,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let (address, level) = root;
        if level > DEPTH {
            return Err(damaged(address, "its level is out of range"));
        }
        let node = self.node(address, level)?;
        let search = Search { trees: self, low, high };
        search.node(address, &node, level, None, visit)
    }

    fn node(&self, address: u64, level: u8) -> Result<Arc<[u8]>> {
        let right = |node: &[u8]| node.get(100) == Some(&level);
        if let Ok(kept) = self.kept.lock()
            && let Some(node) = kept.get(&address)
        {
            let node = Arc::clone(node);
            return if right(&node) {
                Ok(node)
            } else {
                Err(damaged(address, "its level is wrong"))
            };
        }
        let place = self.map.offset(address, self.node_size as u64);
        let place = place.ok_or_else(|| damaged(address, "it lies in no chunk"))?;
        let node = bytes(self.medium.as_ref(), place, self.node_size)?;
        if !agrees(crc32c(&[node.get(32..).unwrap_or_default()]), le32(&node, 0)) {
            return Err(damaged(address, "its checksum is wrong"));
        }
        if le64(&node, 48) != address || node.get(32..48) != Some(&self.uuid) {
            return Err(damaged(address, "it is another one, or that of another file system"));
        }
        if !right(&node) {
            return Err(damaged(address, "its level is wrong"));
        }
        let node: Arc<[u8]> = Arc::from(node);
        if let Ok(mut kept) = self.kept.lock() {
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(address, Arc::clone(&node));
        }
        Ok(node)
    }
}

fn damaged(address: u64, reason: &'static str) -> VolumeError {
    VolumeError::damaged(format!("the node at {address}"), reason)
}

struct Search<'a> {
    trees: &'a Trees,
    low: Key,
    high: Key,
}

impl Search<'_> {
    /// Goes through a node; its keys lie before `end`.
    fn node(
        &self,
        address: u64,
        node: &[u8],
        level: u8,
        end: Option<Key>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let count = index(le32(node, 96));
        let each = if level == 0 { 25 } else { 33 };
        let body = node.get(HEADER..).unwrap_or_default();
        let table = body.get(..count.saturating_mul(each));
        let table = table.ok_or_else(|| damaged(address, "it has too many items"))?;
        let keys: Vec<Key> = table.chunks_exact(each).map(Key::read).collect();
        if !keys.is_sorted_by(|one, other| one < other)
            || keys.last().zip(end).is_some_and(|(last, end)| *last >= end)
        {
            return Err(damaged(address, "its keys do not ascend"));
        }
        for (number, (key, entry)) in keys.iter().zip(table.chunks_exact(each)).enumerate() {
            if *key > self.high {
                break;
            }
            if level == 0 {
                if *key >= self.low {
                    let (from, len) = (index(le32(entry, 17)), index(le32(entry, 21)));
                    let item = body.get(from..from.saturating_add(len));
                    visit(*key, item.ok_or_else(|| damaged(address, "an item is cut off"))?)?;
                }
                continue;
            }
            let next = keys.get(number + 1).copied().or(end);
            if next.is_some_and(|next| next <= self.low) {
                continue;
            }
            let below = le64(entry, 17);
            let child = self.trees.node(below, level - 1)?;
            if Key::read(child.get(HEADER..).unwrap_or_default()) != *key || le32(&child, 96) == 0 {
                return Err(damaged(below, "it is not what its parent says"));
            }
            self.node(below, &child, level - 1, next, visit)?;
        }
        Ok(())
    }
}
