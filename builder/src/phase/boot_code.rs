//! What a disk needs of its tree to be started.

use goldsmith_images::disk::layout::DiskLayout;

use super::build::Build;
use super::state::State;
use crate::block_device::boot_record;
use crate::error::Result;
use crate::materialise::jobs;

impl Build<'_> {
    /// GRUB's images for BIOS: those that were recorded when it was installed, else those that a
    /// finished tree has, where the disk has a place for them.
    pub(super) fn boot_code(
        &self,
        layout: &DiskLayout,
        state: &State,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let Some(id) = &state.boot else { return self.boot_code_of_tree(layout, state) };
        let directory = self.session.directories(std::slice::from_ref(id))?;
        let files = boot_record::read(&directory[0])?;
        let bios = files.bios.filter(|_| self.prepared.disk.is_partitioned());
        Ok(bios.map(|bios| (bios.boot_img, bios.core_img)))
    }

    fn boot_code_of_tree(
        &self,
        layout: &DiskLayout,
        state: &State,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if self.request.tree.is_none() || layout.bios_area().is_none() || layout.sector_size != 512
        {
            return Ok(None);
        }
        jobs::run_boot_code(&self.session.identity, self.session.directories(&state.mnt)?)
    }
}
