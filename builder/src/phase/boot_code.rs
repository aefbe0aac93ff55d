//! What a disk needs of its tree to be started.

use goldsmith_images::disk::layout::DiskLayout;

use super::build::Build;
use super::state::State;
use crate::block_device::boot_record;
use crate::error::Result;
use crate::materialise::jobs;

/// Beginnings of paths: a kernel, then programs of LVM.
const LVM_FILES: [&str; 4] = ["boot/vmlinuz", "usr/sbin/lvm", "sbin/lvm", "usr/bin/lvm"];

impl Build<'_> {
    /// Beginnings of the paths that [`check_boots`](Self::check_boots) asks for. The boot loader
    /// of a tree that is made here is installed later, by hooks that fail without its packages.
    pub(super) fn boot_files(&self) -> Vec<String> {
        let disk = self.request.tree.as_ref().map(|_| &self.prepared.disk);
        let loaders = disk.map(|disk| disk.loader_paths(&self.request.arch));
        LVM_FILES.map(str::to_owned).into_iter().chain(loaders.into_iter().flatten()).collect()
    }

    /// Refuses a tree with a kernel that nothing would start or that would not find its root.
    ///
    /// # Errors
    ///
    /// With line and node of the layout.
    pub(super) fn check_boots(&self, present: &[bool]) -> Result<()> {
        let Some((files, loaders)) = present.split_at_checked(LVM_FILES.len()) else {
            return Ok(());
        };
        let [kernel, lvm @ ..] = files else { return Ok(()) };
        let disk = &self.prepared.disk;
        disk.check_boots(*kernel, lvm.contains(&true))?;
        let finished = *kernel && self.request.tree.is_some();
        disk.check_loader(&self.request.arch, finished, loaders)
    }

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
