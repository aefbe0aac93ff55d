//! Writes a plan down, from the first byte to the last.

use super::super::sink::{DiskSink, len_of};
use super::super::sweep::Sweep;
use super::super::view::View;
use super::super::write::Place;
use super::Ext4Error;
use super::draft::Content;
use super::inode;
use super::plan::{Plan, What};

/// Writes the plan, and zeros everywhere else.
pub(super) fn emit(
    plan: &Plan<'_>,
    view: &View<'_>,
    place: &Place,
    sink: &mut dyn DiskSink,
) -> Result<(), Ext4Error> {
    let mut sweep = Sweep::new(sink, place.extent, view);
    for piece in &plan.pieces {
        match &piece.what {
            What::Bytes(bytes) => sweep.put(piece.at, bytes)?,
            What::Descriptors => sweep.put(piece.at, &plan.descriptors)?,
            What::Directory { drafted, from, len } => {
                let (from, end) = (len_of(*from), len_of(from + len));
                let inode = plan.draft.inodes.get(*drafted);
                if let Some(Content::Directory(directory)) = inode.map(|inode| &inode.content)
                    && let Some(blocks) = plan.draft.format.build(directory)
                {
                    sweep.put(piece.at, blocks.bytes.get(from..end).unwrap_or_default())?;
                }
            }
            What::Inodes { first, count } => {
                sweep.put(piece.at, &table(plan, *first, *count, place.epoch))?;
            }
            What::File { entry, size, from, len } => {
                sweep.copy(entry, *size, *from..from + len, piece.at)?;
            }
        }
    }
    Ok(sweep.finish()?)
}

/// The inodes `first` and following.
fn table(plan: &Plan<'_>, first: u64, count: u64, epoch: i64) -> Vec<u8> {
    let (size, block) = (plan.geometry.inode_size, plan.geometry.block);
    let sealer = plan.draft.format.sealer;
    let bytes = |ino| match plan.inode(ino) {
        Some(inode) => inode.bytes(ino, size, block, epoch, sealer),
        None => inode::unused(ino, size, sealer),
    };
    (first..first + count).flat_map(bytes).collect()
}
