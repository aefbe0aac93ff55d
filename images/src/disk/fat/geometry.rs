//! How a FAT divides its partition.

use super::super::layout::Extent;

/// Tables that are kept.
pub(super) const FATS: u64 = 2;
/// Entries of the root directory of FAT12 and FAT16.
const ROOT_ENTRIES: u64 = 512;
/// Bytes of a directory entry.
pub(super) const ENTRY: u64 = 32;
/// Reserved sectors of FAT32: boot sector, information sector, copies of both.
const RESERVED_32: u64 = 32;
/// Largest cluster that every reader takes.
const MAX_CLUSTER: u64 = 32 << 10;

/// Which FAT: the width of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    B12,
    B16,
    B32,
}

impl Bits {
    /// By its number.
    pub(super) fn new(bits: u8) -> Option<Self> {
        match bits {
            12 => Some(Self::B12),
            16 => Some(Self::B16),
            32 => Some(Self::B32),
            _ => None,
        }
    }

    fn width(self) -> u64 {
        match self {
            Self::B12 => 12,
            Self::B16 => 16,
            Self::B32 => 32,
        }
    }

    /// Numbers of clusters by which readers recognise the width.
    fn clusters(self) -> std::ops::RangeInclusive<u64> {
        match self {
            Self::B12 => 1..=4084,
            Self::B16 => 4085..=65_524,
            Self::B32 => 65_525..=0x0fff_fff5,
        }
    }

    /// Bytes of a cluster to try first.
    fn preferred_cluster(self, len: u64) -> u64 {
        match self {
            Self::B12 | Self::B16 => 2 << 10,
            Self::B32 if len <= 260 << 20 => 512,
            Self::B32 if len <= 8 << 30 => 4 << 10,
            Self::B32 if len <= 16 << 30 => 8 << 10,
            Self::B32 if len <= 32 << 30 => 16 << 10,
            Self::B32 => MAX_CLUSTER,
        }
    }
}

/// A FAT's numbers. Sectors and clusters as the disk counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) bits: Bits,
    pub(super) sector: u64,
    pub(super) sectors: u64,
    pub(super) sectors_per_cluster: u64,
    pub(super) reserved: u64,
    pub(super) fat_sectors: u64,
    /// Sectors of the root directory; none for FAT32.
    pub(super) root_sectors: u64,
    pub(super) clusters: u64,
}

impl Geometry {
    /// The geometry for a partition; `bits` forces the width.
    pub(super) fn new(extent: Extent, sector: u64, bits: Option<Bits>) -> Option<Self> {
        let by_size: &[Bits] = match extent.len {
            len if len >= 512 << 20 => &[Bits::B32],
            len if len >= 16 << 20 => &[Bits::B16, Bits::B12],
            _ => &[Bits::B12, Bits::B16],
        };
        let forced = bits.map(|b| [b]);
        let widths = forced.as_ref().map_or(by_size, <[Bits; 1]>::as_slice);
        widths.iter().find_map(|&bits| {
            let first = bits.preferred_cluster(extent.len).max(sector);
            let larger = std::iter::successors(Some(first), |c| Some(c * 2));
            let smaller = std::iter::successors(Some(first / 2), |c| Some(c / 2));
            larger
                .take_while(|&c| c <= MAX_CLUSTER)
                .chain(smaller.take_while(|&c| c >= sector))
                .find_map(|cluster| Self::with(bits, extent.len / sector, sector, cluster))
        })
    }

    fn with(bits: Bits, sectors: u64, sector: u64, cluster: u64) -> Option<Self> {
        let (reserved, root_sectors) = match bits {
            Bits::B32 => (RESERVED_32, 0),
            Bits::B12 | Bits::B16 => (1, (ROOT_ENTRIES * ENTRY).div_ceil(sector)),
        };
        let sectors_per_cluster = cluster / sector;
        let mut fat_sectors = 1;
        loop {
            let overhead = reserved + root_sectors + FATS * fat_sectors;
            let clusters = sectors.checked_sub(overhead)? / sectors_per_cluster;
            let needed = ((clusters + 2) * bits.width()).div_ceil(8).div_ceil(sector);
            if needed <= fat_sectors {
                return bits.clusters().contains(&clusters).then_some(Self {
                    bits,
                    sector,
                    sectors,
                    sectors_per_cluster,
                    reserved,
                    fat_sectors,
                    root_sectors,
                    clusters,
                });
            }
            fat_sectors = needed;
        }
    }

    /// Bytes of a cluster.
    pub(super) fn cluster(&self) -> u64 {
        self.sectors_per_cluster * self.sector
    }

    /// Entries that a root directory of fixed size has room for.
    pub(super) fn root_entries(&self) -> u64 {
        self.root_sectors * self.sector / ENTRY
    }

    /// Where the root directory of FAT12 and FAT16 begins.
    pub(super) fn root_offset(&self) -> u64 {
        (self.reserved + FATS * self.fat_sectors) * self.sector
    }

    /// Where a cluster begins; the first is number 2.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        self.root_offset()
            + self.root_sectors * self.sector
            + (u64::from(cluster) - 2) * self.cluster()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_and_cluster_follow_the_size() {
        // MiB, sector, width asked for -> width, bytes of a cluster
        let cases = [
            (1, 512, None, Some((Bits::B12, 2048))),
            (8, 512, None, Some((Bits::B12, 2048))),
            (10, 512, None, Some((Bits::B12, 4096))),
            (16, 512, None, Some((Bits::B16, 2048))),
            (100, 512, None, Some((Bits::B16, 2048))),
            (500, 512, None, Some((Bits::B16, 8192))),
            (500, 4096, None, Some((Bits::B16, 8192))),
            (550, 512, None, Some((Bits::B32, 4096))),
            (550, 4096, None, Some((Bits::B32, 4096))),
            (64, 512, Some(Bits::B32), Some((Bits::B32, 512))),
            (64, 4096, Some(Bits::B32), None),
            (16, 512, Some(Bits::B32), None),
            (20 << 10, 512, None, Some((Bits::B32, 16384))),
        ];
        for (mib, sector, bits, expected) in cases {
            let extent = Extent { offset: 0, len: mib << 20 };
            let got = Geometry::new(extent, sector, bits).map(|g| (g.bits, g.cluster()));
            assert_eq!(got, expected, "{mib} MiB, {sector}, {bits:?}");
        }
        assert_eq!(Geometry::new(Extent { offset: 0, len: 4096 }, 512, None), None);
    }
}
