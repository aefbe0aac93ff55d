//! The block devices of a disk: the whole, its partitions, its logical volumes.

use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::{DiskLayout, On, Table};
use goldsmith_runtime::DevicePlan;
use goldsmith_runtime::privileged::{LoopDisk, LoopNode};

use super::{internal, privileged};
use crate::error::Result;

/// The devices, attached as long as this value or a mount of one of them lives.
#[derive(Debug)]
pub(super) struct Devices {
    disk: LoopDisk,
    partitions: Vec<u32>,
    volumes: Vec<Volume>,
}

/// A logical volume: a run of the disk, tied to a device of its own. Device-mapper, which the
/// host shares with everybody, has no part in it.
#[derive(Debug)]
struct Volume {
    on: On,
    device: LoopDisk,
    /// Below /dev, as device-mapper and as LVM call it.
    names: [PathBuf; 2],
}

impl Devices {
    /// Attaches `file`, the disk of the layout, whose volumes are one run each.
    pub(super) fn attach(layout: &DiskLayout, file: &std::fs::File) -> Result<Self> {
        let partitions: Vec<_> = match layout.table {
            Table::None => Vec::new(),
            _ => layout
                .partitions
                .iter()
                .map(|partition| (partition.number, layout.partition_extent(partition)))
                .map(|(number, extent)| (number, extent.offset, extent.len))
                .collect(),
        };
        let disk = LoopDisk::attach(file, layout.sector_size, &partitions).map_err(privileged)?;
        let mut volumes = Vec::new();
        for (group, of) in layout.groups.iter().enumerate() {
            for (volume, logical) in of.logical.iter().enumerate() {
                let runs = layout.volume_extents(group, volume).unwrap_or_default();
                // Refused before anything ran.
                let [run] = runs.as_slice() else {
                    return Err(internal("a volume in pieces for the loop backend"));
                };
                let run = (run.offset, run.len);
                let device =
                    LoopDisk::attach_run(file, layout.sector_size, run).map_err(privileged)?;
                let mapped = Path::new("mapper").join(of.mapped_name(logical));
                let names = [mapped, Path::new(&of.name).join(&logical.name)];
                volumes.push(Volume { on: On::Volume { group, volume }, device, names });
            }
        }
        let partitions = partitions.into_iter().map(|(number, ..)| number).collect();
        Ok(Self { disk, partitions, volumes })
    }

    /// What a file system lies on, as it is called below /dev.
    pub(super) fn name(&self, on: On) -> Result<PathBuf> {
        Ok(match on {
            On::Whole => self.disk.whole().map_err(privileged)?.name.into(),
            On::Partition(number) => self.disk.partition(number).map_err(privileged)?.name.into(),
            On::Volume { .. } => {
                let volume = self.volumes.iter().find(|volume| volume.on == on);
                let volume = volume.ok_or_else(|| internal("a volume that is no device"))?;
                let [mapped, _] = &volume.names;
                mapped.clone()
            }
        })
    }

    /// Names below /dev, one for each: the disk, its partitions, its volumes.
    pub(super) fn names(&self) -> Result<Vec<PathBuf>> {
        let partitions = self.partitions.iter().map(|number| On::Partition(*number));
        let volumes = self.volumes.iter().map(|volume| volume.on);
        std::iter::once(On::Whole)
            .chain(partitions)
            .chain(volumes)
            .map(|on| self.name(on))
            .collect()
    }

    /// Every name below /dev and what it stands for.
    fn nodes(&self) -> Result<Vec<(PathBuf, LoopNode)>> {
        let mut nodes = vec![self.disk.whole().map_err(privileged)?];
        for number in &self.partitions {
            nodes.push(self.disk.partition(*number).map_err(privileged)?);
        }
        let mut named: Vec<_> =
            nodes.into_iter().map(|node| (PathBuf::from(&node.name), node)).collect();
        for volume in &self.volumes {
            let node = volume.device.whole().map_err(privileged)?;
            named.extend(volume.names.iter().map(|name| (name.clone(), node.clone())));
        }
        Ok(named)
    }

    /// Makes the nodes in the empty directory `dev`, which they are found in from then on.
    pub(super) fn make_nodes(&self, dev: &Path, owner: (u32, u32)) -> Result<()> {
        for (name, node) in self.nodes()? {
            let path = dev.join(name);
            if let Some(directory) = path.parent() {
                fs_err::create_dir_all(directory).map_err(super::io)?;
            }
            node.make(&path, owner).map_err(privileged)?;
        }
        Ok(())
    }

    /// The nodes in `dev` as sandboxes are lent them.
    pub(super) fn lent(&self, dev: &Path) -> Result<Vec<DevicePlan>> {
        let nodes = self.nodes()?.into_iter();
        Ok(nodes.map(|(name, _)| DevicePlan { source: dev.join(&name), name }).collect())
    }

    /// Writes back what programs wrote to the nodes, and lets the devices go.
    pub(super) fn detach(self) -> Result<()> {
        for volume in self.volumes {
            volume.device.detach().map_err(privileged)?;
        }
        self.disk.detach().map_err(privileged)
    }
}
