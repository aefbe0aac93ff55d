//! Gives out blocks in ascending order, around those that are the file system's own.
//!
//! Nothing is left free on the way, so that a block is taken when it lies below the next one
//! to be given out, or is reserved: no map is kept.

use std::ops::Range;

/// No block is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSpace;

/// Blocks of an inode that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// First block within the inode.
    pub(super) logical: u64,
    /// First block of the file system.
    pub(super) start: u64,
    /// How many.
    pub(super) count: u64,
}

/// Hands out blocks.
#[derive(Debug)]
pub(super) struct Allocator {
    /// Blocks that are not given out, ascending, apart from each other.
    reserved: Vec<Range<u64>>,
    /// The first of them that does not lie wholly before `next`.
    ahead: usize,
    next: u64,
    end: u64,
    /// The most blocks of an extent.
    longest: u64,
}

impl Allocator {
    /// Gives out blocks of `blocks` but those that are `reserved`, in extents of at most
    /// `longest`.
    pub(super) fn new(blocks: Range<u64>, reserved: Vec<Range<u64>>, longest: u64) -> Self {
        Self { reserved, ahead: 0, next: blocks.start, end: blocks.end, longest }
    }

    /// The next block.
    pub(super) fn one(&mut self) -> Result<u64, NoSpace> {
        self.piece(1).map(|piece| piece.start)
    }

    /// The next `count` blocks of an inode, from `logical` on, as extents behind `extents`.
    pub(super) fn extend(
        &mut self,
        extents: &mut Vec<Extent>,
        mut logical: u64,
        count: u64,
    ) -> Result<(), NoSpace> {
        let end = logical + count;
        while logical < end {
            let piece = self.piece(end - logical)?;
            let length = piece.end - piece.start;
            let longest = self.longest;
            let joins = |last: &&mut Extent| {
                last.start + last.count == piece.start
                    && last.logical + last.count == logical
                    && last.count + length <= longest
            };
            match extents.last_mut().filter(joins) {
                Some(last) => last.count += length,
                None => extents.push(Extent { logical, start: piece.start, count: length }),
            }
            logical += length;
        }
        Ok(())
    }

    /// Up to `most` blocks in one piece.
    fn piece(&mut self, most: u64) -> Result<Range<u64>, NoSpace> {
        while let Some(reserved) = self.reserved.get(self.ahead)
            && reserved.start <= self.next
        {
            self.next = self.next.max(reserved.end);
            self.ahead += 1;
        }
        let limit = self.reserved.get(self.ahead).map_or(self.end, |reserved| reserved.start);
        let end = limit.min(self.end).min(self.next.saturating_add(most.min(self.longest)));
        if end <= self.next {
            return Err(NoSpace);
        }
        let piece = self.next..end;
        self.next = end;
        Ok(piece)
    }

    /// How many blocks of a range are taken.
    pub(super) fn taken(&self, range: &Range<u64>) -> u64 {
        let from = range.start.max(self.next.min(range.end));
        let first = self.reserved.partition_point(|reserved| reserved.end <= from);
        let ahead = self.reserved.iter().skip(first).take_while(|r| r.start < range.end);
        let ahead: u64 =
            ahead.map(|r| r.end.min(range.end).saturating_sub(r.start.max(from))).sum();
        from - range.start + ahead
    }

    /// The free blocks of a range, ascending.
    pub(super) fn free(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut from = range.start.max(self.next.min(range.end));
        let first = self.reserved.partition_point(|reserved| reserved.end <= from);
        let mut free = Vec::new();
        for reserved in self.reserved.iter().skip(first).take_while(|r| r.start < range.end) {
            if reserved.start > from {
                free.push(from..reserved.start);
            }
            from = from.max(reserved.end);
        }
        if from < range.end {
            free.push(from..range.end);
        }
        free
    }

    /// Marks the taken blocks of a range in a bitmap that begins with its first block.
    pub(super) fn mark(&self, range: &Range<u64>, bitmap: &mut [u8]) {
        let from = range.start.max(self.next.min(range.end));
        set(bitmap, 0..from - range.start);
        let first = self.reserved.partition_point(|reserved| reserved.end <= from);
        for reserved in self.reserved.iter().skip(first).take_while(|r| r.start < range.end) {
            let (start, end) = (reserved.start.max(from), reserved.end.min(range.end));
            set(bitmap, start - range.start..end.max(start) - range.start);
        }
    }
}

/// Sets bits of a bitmap, the lowest of each byte first.
pub(super) fn set(bitmap: &mut [u8], bits: Range<u64>) {
    let mut bit = bits.start;
    while bit < bits.end {
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let Some(byte) = bitmap.get_mut(byte) else { return };
        if bit.is_multiple_of(8) && bits.end - bit >= 8 {
            *byte = 0xff;
            bit += 8;
        } else {
            *byte |= 1 << (bit % 8);
            bit += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_blocks_are_stepped_over_and_counted() {
        let mut allocator = Allocator::new(0..100, vec![0..10, 10..12, 20..30, 50..60], 32_768);
        let mut extents = Vec::new();
        allocator.extend(&mut extents, 5, 12).unwrap();
        assert_eq!(
            extents,
            [
                Extent { logical: 5, start: 12, count: 8 },
                Extent { logical: 13, start: 30, count: 4 }
            ]
        );
        allocator.extend(&mut extents, 17, 1).unwrap();
        assert_eq!(extents.last().unwrap().count, 5, "what follows joins");
        assert_eq!(allocator.one().unwrap(), 35);
        assert_eq!(allocator.taken(&(0..32)), 32);
        assert_eq!(allocator.taken(&(32..64)), 4 + 10);
        assert_eq!(allocator.free(&(32..64)), [36..50, 60..64]);
        let mut bitmap = [0; 4];
        allocator.mark(&(32..64), &mut bitmap);
        assert_eq!(bitmap, [0x0f, 0, 0xfc, 0x0f]);
        assert!(allocator.extend(&mut extents, 100, 99) == Err(NoSpace));
    }
}
