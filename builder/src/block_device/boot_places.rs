//! Where firmware looks for a boot loader on the image's disk, and what a tree has to have for it.

use super::wrong::Wrong;
use super::{Plan, types};
use crate::error::Result;

/// GRUB's image for BIOS in a tree, by the names of Debian and of Red Hat.
const BIOS: [&str; 2] = ["boot/grub/i386-pc/core.img", "boot/grub2/i386-pc/core.img"];

/// A place for a boot loader.
struct Place {
    /// What starts it.
    firmware: &'static str,
    line: u64,
    node: String,
    /// How paths of one begin in a tree, without the first slash.
    paths: Vec<String>,
}

impl Plan {
    fn boot_places(&self, arch: &str) -> Vec<Place> {
        let Some(image) = self.config.image() else { return Vec::new() };
        let Some(table) = &image.table else { return Vec::new() };
        let mut places = Vec::new();
        let has_bios = matches!(arch, "amd64" | "x86_64" | "i386") && image.sector == 512;
        for partition in &table.partitions {
            let node = format!("partition {}", partition.name);
            let place = |firmware, paths| Place {
                firmware,
                line: partition.line,
                node: node.clone(),
                paths,
            };
            if has_bios
                && (table.gpt && types::is_bios_boot(partition) || !table.gpt && partition.boot)
            {
                places.push(place("BIOS", BIOS.map(str::to_owned).to_vec()));
            }
            let on_it = self.config.filesystems.iter().filter(|mkfs| mkfs.base == partition.name);
            for mkfs in on_it.filter(|_| types::is_esp(partition, table.gpt)) {
                let Some(point) = mkfs.mount_point() else { continue };
                let below = |name| format!("{}/{name}/", point.trim_matches('/'));
                places.push(place("UEFI", vec![below("EFI"), below("efi")]));
            }
        }
        places
    }

    /// How paths of boot loaders begin in a finished tree.
    pub fn loader_paths(&self, arch: &str) -> Vec<String> {
        self.boot_places(arch).into_iter().flat_map(|place| place.paths).collect()
    }

    /// Refuses a finished tree with a kernel that nothing would start: the disk has places for
    /// boot loaders, and the tree has none for any of them. `present` says which of
    /// [`loader_paths`](Self::loader_paths) it has.
    ///
    /// # Errors
    ///
    /// With line and node of the first place.
    pub fn check_loader(&self, arch: &str, has_kernel: bool, present: &[bool]) -> Result<()> {
        let places = self.boot_places(arch);
        let Some(first) = places.first().filter(|_| has_kernel && !present.contains(&true)) else {
            return Ok(());
        };
        let firmware: Vec<_> = places.iter().map(|place| place.firmware).collect();
        let paths: Vec<_> = places.iter().flat_map(|place| &place.paths).collect();
        let paths: Vec<_> = paths.into_iter().map(|path| format!("/{path}")).collect();
        let what = format!(
            "it is for a boot loader, and the tree, which has a kernel, has none for {}: there is no {}",
            firmware.join(" or "),
            paths.join(", ")
        );
        Err(Wrong::new(first.line, &first.node, what)
            .hint("make the tree with an element that installs one, as bootloader or systemd-boot; a disk that is started in another way needs neither partition nor flag for one")
            .failure(&self.file))
    }
}
