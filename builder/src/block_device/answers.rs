//! What hooks and boot loaders are told about the disk.

use goldsmith_images::disk::layout::{derived_u32, derived_uuid, derived_volume_id};
use goldsmith_images::disk::shown_id;

use super::config::{Disk, MkfsNode};
use super::{Plan, layout, types};

impl Plan {
    fn root(&self) -> Option<&MkfsNode> {
        self.config.mounted_at("/")
    }

    /// Label of the root file system (`DIB_ROOT_LABEL`).
    pub fn root_label(&self) -> &str {
        self.root().map_or("", |root| &root.label)
    }

    /// Type of the root file system (`DIB_ROOT_FSTYPE`).
    pub fn root_fstype(&self) -> &str {
        self.root().map_or("", |root| &root.kind)
    }

    /// Whether a file system of that type is on a disk.
    pub fn has(&self, kind: &str) -> bool {
        self.config.filesystems.iter().any(|mkfs| mkfs.kind == kind)
    }

    /// Label of the file system at /boot, or nothing (`DIB_BOOT_LABEL`).
    pub fn boot_label(&self) -> &str {
        self.config.mounted_at("/boot").map_or("", |mkfs| &mkfs.label)
    }

    /// Mount points, the latest in the configuration's order first (`DIB_MOUNTPOINTS`).
    pub fn mount_points(&self) -> String {
        let points: Vec<_> =
            self.config.filesystems.iter().filter_map(MkfsNode::mount_point).collect();
        points.join("|")
    }

    /// The logical volume, as GROUP/VOLUME, that the root file system is on.
    pub fn root_volume(&self) -> Option<String> {
        let (group, _) = self.config.volume(&self.root()?.base)?;
        Some(format!("{}/{}", self.config.groups.get(group)?.name, self.root()?.base))
    }

    /// The device that hooks are told the image is.
    pub fn device(&self) -> &'static str {
        "/dev/loop0"
    }

    /// The image first.
    fn disks(&self) -> Vec<&Disk> {
        let image = self.config.image();
        let others =
            self.config.disks.iter().filter(|disk| image.is_none_or(|i| i.name != disk.name));
        image.into_iter().chain(others).collect()
    }

    /// What a base is called below /dev.
    pub(super) fn device_of(&self, base: &str) -> String {
        if let Some((group, _)) = self.config.volume(base)
            && let Some(group) = self.config.groups.get(group)
        {
            let twice = |name: &str| name.replace('-', "--");
            return format!("/dev/mapper/{}-{}", twice(&group.name), twice(base));
        }
        for (index, disk) in self.disks().into_iter().enumerate() {
            if disk.name == base {
                return format!("/dev/loop{index}");
            }
            if let Some(partition) = disk.partition(base) {
                return format!("/dev/mapper/loop{index}p{}", partition.number);
            }
        }
        self.device().to_owned()
    }

    /// The devices as pairs of a bash array (`IMAGE_BLOCK_DEVICES`).
    pub fn devices(&self) -> String {
        let disks = self.disks().into_iter();
        let disks = disks.flat_map(|disk| {
            std::iter::once(&disk.name).chain(disk.partitions().iter().map(|part| &part.name))
        });
        let volumes = self.config.groups.iter().flat_map(|group| &group.logical);
        let names = disks.chain(volumes.map(|volume| &volume.name));
        names.map(|name| format!(" [{name}]={}", self.device_of(name))).collect()
    }

    /// The same for a disk, its partitions and its volumes that are really there, in this order.
    pub fn devices_named(&self, names: &[String]) -> String {
        let nodes = self.image_nodes().into_iter();
        nodes.zip(names).map(|(node, name)| format!(" [{node}]={name}")).collect()
    }

    /// The nodes of the image that are devices: its disk, partitions and volumes.
    fn image_nodes(&self) -> Vec<&str> {
        let Some(image) = self.config.image() else { return Vec::new() };
        let partitions = image.partitions().iter().map(|partition| &partition.name);
        let volumes = self.config.groups.iter().flat_map(|group| &group.logical);
        let volumes = volumes.map(|volume| &volume.name);
        std::iter::once(&image.name).chain(partitions).chain(volumes).map(String::as_str).collect()
    }

    /// Whether the image has a partition table.
    pub fn is_partitioned(&self) -> bool {
        self.config.image().is_some_and(|image| image.table.is_some())
    }

    /// The text of /etc/fstab.
    pub fn fstab(&self) -> String {
        let mut lines: Vec<_> = self
            .config
            .filesystems
            .iter()
            .filter_map(|mkfs| Some((mkfs, mkfs.mount.as_ref()?)))
            .filter_map(|(mkfs, mount)| Some((mkfs, &mount.point, mount.fstab.as_ref()?)))
            .collect();
        lines.sort_by_key(|(_, point, _)| *point);
        let mut text = String::new();
        for (mkfs, point, fstab) in lines {
            let swap = mkfs.kind == "swap";
            let options = if swap { "sw" } else { &fstab.options };
            let (dump, pass) = if swap { (0, 0) } else { (fstab.dump, fstab.pass) };
            let name = self.fstab_name(mkfs);
            text.push_str(&format!("{name} {point} {} {options} {dump} {pass}\n", mkfs.kind));
        }
        text
    }

    /// What fstab calls a file system: by its label, or what it lies on where it has none.
    fn fstab_name(&self, mkfs: &MkfsNode) -> String {
        if !mkfs.label.is_empty() {
            return format!("LABEL={}", mkfs.label);
        }
        let disk = self.config.disk_of(&mkfs.base);
        let partition = disk.and_then(|disk| Some((disk, disk.partition(&mkfs.base)?)));
        let Some((disk, partition)) = partition else { return self.device_of(&mkfs.base) };
        if disk.table.as_ref().is_some_and(|table| table.gpt) {
            let guid = derived_uuid(&self.seed, &types::guid_role(partition));
            return format!("PARTUUID={guid}");
        }
        let id = derived_u32(&self.seed, &layout::role(disk));
        format!("PARTUUID={id:08x}-{:02x}", partition.number)
    }

    /// Its identifier as blkid shows it.
    pub(super) fn shown_uuid(&self, mkfs: &MkfsNode) -> String {
        if mkfs.kind == "squashfs" {
            return String::new();
        }
        if mkfs.kind == "vfat" {
            let id = layout::vfat(&self.seed, mkfs).map_or(0, |vfat| vfat.volume_id);
            return format!("{:04X}-{:04X}", id >> 16, id & 0xffff);
        }
        layout::filesystem_uuid(&self.seed, mkfs).to_string()
    }

    /// What the boot loader shims answer questions from: `key=value` lines. The disk's are
    /// `disk`, `table` (gpt, msdos or none), `bios` (where BIOS code goes: partition, gap,
    /// none, or sectors: no BIOS reads these), `root_label`; each file system's `fs.N.mount`, `.device`, `.type`, `.uuid`,
    /// `.label`, `.partition` (its number, 0 without one) and, on a logical volume, `.lvm` (GRUB's
    /// name of it).
    pub fn facts(&self) -> String {
        self.facts_of(&|base| self.device_of(base))
    }

    /// The same where devices are really there; `names` are those of
    /// [`devices_named`](Self::devices_named).
    pub fn facts_named(&self, names: &[String]) -> String {
        let nodes = self.image_nodes();
        self.facts_of(&|base| {
            let at = nodes.iter().position(|node| *node == base);
            let name = at.and_then(|at| names.get(at)).cloned();
            name.unwrap_or_else(|| self.device_of(base))
        })
    }

    fn facts_of(&self, device_of: &dyn Fn(&str) -> String) -> String {
        let image = self.config.image();
        let gpt = image.and_then(|image| image.table.as_ref()).map(|table| table.gpt);
        let table = match gpt {
            Some(true) => "gpt",
            Some(false) => "msdos",
            None => "none",
        };
        let partitions = image.map(Disk::partitions).unwrap_or_default();
        let bios = match table {
            _ if image.is_some_and(|image| image.sector != 512) => "sectors",
            "gpt" if partitions.iter().any(types::is_bios_boot) => "partition",
            "msdos" => "gap",
            _ => "none",
        };
        let mut text = format!(
            "disk={}\ntable={table}\nbios={bios}\nroot_label={}\n",
            image.map_or_else(|| self.device().to_owned(), |image| device_of(&image.name)),
            self.root_label()
        );
        for (n, mkfs) in self.config.filesystems.iter().enumerate() {
            let disk = self.config.disk_of(&mkfs.base);
            let partition = disk.and_then(|disk| disk.partition(&mkfs.base));
            text.push_str(&format!(
                "fs.{n}.mount={}\nfs.{n}.device={}\nfs.{n}.type={}\nfs.{n}.uuid={}\nfs.{n}.label={}\nfs.{n}.partition={}\n",
                mkfs.mount_point().unwrap_or("none"),
                device_of(&mkfs.base),
                mkfs.kind,
                self.shown_uuid(mkfs),
                mkfs.label,
                partition.map_or(0, |partition| partition.number),
            ));
            if let Some((group, _)) = self.config.volume(&mkfs.base)
                && let Some(group) = self.config.groups.get(group)
            {
                let id = |role: String| shown_id(&derived_volume_id(&self.seed, &role));
                text.push_str(&format!(
                    "fs.{n}.lvm=lvmid/{}/{}\n",
                    id(format!("volume group {}", group.name)),
                    id(format!("logical volume {}/{}", group.name, mkfs.base)),
                ));
            }
        }
        text
    }
}
