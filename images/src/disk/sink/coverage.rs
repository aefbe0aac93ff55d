//! Which bytes of a disk have been written.

use std::collections::BTreeMap;

use super::SinkError;

/// The covered ranges of a disk, merged where they touch.
///
/// Writers work in few ascending sweeps, so the map stays small.
#[derive(Debug)]
pub struct Coverage {
    size: u64,
    /// Start to end.
    ranges: BTreeMap<u64, u64>,
}

impl Coverage {
    /// Nothing of `size` bytes is covered.
    pub fn new(size: u64) -> Self {
        Self { size, ranges: BTreeMap::new() }
    }

    /// Adds a range.
    ///
    /// # Errors
    ///
    /// It lies outside the disk or overlaps what is covered.
    pub fn add(&mut self, offset: u64, len: u64) -> Result<(), SinkError> {
        let size = self.size;
        let end = offset.checked_add(len).filter(|&end| end <= size).ok_or(SinkError::Outside {
            offset,
            len,
            size,
        })?;
        if len == 0 {
            return Ok(());
        }
        let mut start = offset;
        if let Some((&before, &before_end)) = self.ranges.range(..=offset).next_back() {
            if before_end > offset {
                return Err(SinkError::Twice { offset, len });
            }
            if before_end == offset {
                start = before;
            }
        }
        let mut merged_end = end;
        if let Some((&after, &after_end)) = self.ranges.range(offset..).next() {
            if after < end {
                return Err(SinkError::Twice { offset, len });
            }
            if after == end {
                merged_end = after_end;
                self.ranges.remove(&after);
            }
        }
        self.ranges.insert(start, merged_end);
        Ok(())
    }

    /// Checks that nothing is missing.
    ///
    /// # Errors
    ///
    /// [`SinkError::Missing`] with the first byte that is.
    pub fn complete(&self) -> Result<(), SinkError> {
        let reached = self.ranges.get(&0).copied().unwrap_or(0);
        if reached == self.size { Ok(()) } else { Err(SinkError::Missing { offset: reached }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_that_tiles_the_disk_is_complete() {
        let mut c = Coverage::new(12);
        for (offset, len) in [(8, 4), (0, 3), (3, 0), (3, 5)] {
            c.add(offset, len).unwrap();
        }
        c.complete().unwrap();
    }

    #[test]
    fn overlaps_gaps_and_excess_are_refused() {
        let mut c = Coverage::new(12);
        c.add(2, 4).unwrap();
        for (offset, len) in [(0, 3), (2, 4), (5, 1), (3, 1), (1, 12), (12, 1), (u64::MAX, 2)] {
            assert!(c.add(offset, len).is_err(), "{offset} {len}");
        }
        assert!(matches!(c.complete(), Err(SinkError::Missing { offset: 0 })));
        c.add(0, 2).unwrap();
        assert!(matches!(c.complete(), Err(SinkError::Missing { offset: 6 })));
    }
}
