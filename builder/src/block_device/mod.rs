//! Block-device YAML to disk layouts (contract section 4).

pub mod boot_record;
mod config;
mod layout;
mod mkfs_options;
mod size;

use std::path::PathBuf;

pub use size::image_size_kib;

use goldsmith_images::disk::layout::Ext4Options;

use crate::error::Result;
use config::{Config, MkfsNode};

/// What a layout is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// `DIB_BLOCK_DEVICE_CONFIG`: YAML, or `file://PATH`.
    pub config_override: Option<&'a str>,
    /// `DIB_BLOCK_SIZE`: bytes of a sector, whatever the configuration says.
    pub block_size: Option<&'a str>,
    /// Names and directories of the elements, in their order.
    pub elements: &'a [(String, PathBuf)],
    /// The architecture.
    pub arch: &'a str,
    /// `FS_TYPE`.
    pub fs_type: &'a str,
    /// `--root-label`.
    pub root_label: Option<&'a str>,
    /// Journal of the root file system in MiB.
    pub journal_mib: u32,
    /// `--mkfs-options`, for the root file system.
    pub mkfs_options: &'a str,
    /// Identifiers on the disk derive from it.
    pub seed: &'a str,
    /// The time file systems record.
    pub epoch: i64,
}

/// Reads a configuration that no build uses yet, with everything else at its default.
///
/// # Errors
///
/// When it is wrong, or asks for what is not supported; `file` is named in the failure.
pub fn check(file: &str, text: &str) -> Result<()> {
    let inputs = Inputs {
        config_override: None,
        block_size: None,
        elements: &[],
        arch: crate::request::native_arch(),
        fs_type: "ext4",
        root_label: None,
        journal_mib: 64,
        mkfs_options: "",
        seed: "",
        epoch: 0,
    };
    Config::parse(file, text, &inputs).map(drop)
}

/// A layout that is complete but for the size of the disk.
#[derive(Debug, Clone)]
pub struct Plan {
    config: Config,
    root_ext4: Ext4Options,
    seed: String,
    epoch: i64,
}

impl Plan {
    /// Finds and reads the configuration: the user's own, else that of the first element
    /// that has one, else one file system without partitions.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or asks for what is not supported; the failure names
    /// file and node.
    pub fn load(inputs: &Inputs<'_>) -> Result<Self> {
        let (name, text) = config::find(inputs)?;
        let config = Config::parse(&name, &text, inputs)?;
        let mut root_ext4 =
            Ext4Options { journal_mib: Some(inputs.journal_mib), ..Ext4Options::default() };
        mkfs_options::apply(inputs.mkfs_options, &mut root_ext4)?;
        Ok(Self { config, root_ext4, seed: inputs.seed.to_owned(), epoch: inputs.epoch })
    }

    fn root(&self) -> &MkfsNode {
        self.config.root()
    }

    /// Label of the root file system (`DIB_ROOT_LABEL`).
    pub fn root_label(&self) -> &str {
        &self.root().label
    }

    /// Type of the root file system (`DIB_ROOT_FSTYPE`).
    pub fn root_fstype(&self) -> &str {
        &self.root().kind
    }

    /// Label of the file system at /boot, or nothing (`DIB_BOOT_LABEL`).
    pub fn boot_label(&self) -> &str {
        self.config.mounted_at("/boot").map_or("", |mkfs| &mkfs.label)
    }

    /// Mount points, the latest in the configuration's order first (`DIB_MOUNTPOINTS`).
    pub fn mount_points(&self) -> String {
        let points: Vec<_> =
            self.config.filesystems.iter().filter_map(|mkfs| mkfs.mount_point.clone()).collect();
        points.join("|")
    }

    /// The device that hooks are told the disk is.
    pub fn device(&self) -> &'static str {
        "/dev/loop0"
    }

    /// The devices as pairs of a bash array (`IMAGE_BLOCK_DEVICES`).
    pub fn devices(&self) -> String {
        let mut text = format!(" [{}]={}", self.config.disk, self.device());
        for (index, partition) in self.config.partitions.iter().enumerate() {
            text.push_str(&format!(" [{}]={}", partition.name, partition_device(index)));
        }
        text
    }

    /// The same for a disk and partitions that are really there, the disk first.
    pub fn devices_named(&self, names: &[String]) -> String {
        let nodes = std::iter::once(&self.config.disk)
            .chain(self.config.partitions.iter().map(|partition| &partition.name));
        nodes.zip(names).map(|(node, name)| format!(" [{node}]={name}")).collect()
    }

    /// Whether the disk has a partition table.
    pub fn is_partitioned(&self) -> bool {
        self.config.table.is_some()
    }

    /// The text of /etc/fstab.
    pub fn fstab(&self) -> String {
        let mut mounts: Vec<_> =
            self.config.filesystems.iter().filter(|m| m.fstab.is_some()).collect();
        mounts.sort_by_key(|mkfs| mkfs.mount_point.clone());
        let mut text = String::new();
        for mkfs in mounts {
            let Some(fstab) = &mkfs.fstab else { continue };
            let swap = mkfs.kind == "swap";
            let point = if swap { "none" } else { mkfs.mount_point.as_deref().unwrap_or("none") };
            let options = if swap { "sw" } else { &fstab.options };
            let (dump, pass) = if swap { (0, 0) } else { (fstab.dump, fstab.pass) };
            text.push_str(&format!(
                "LABEL={} {point} {} {options} {dump} {pass}\n",
                mkfs.label, mkfs.kind
            ));
        }
        text
    }

    /// A text that differs when the layout does.
    pub fn digest_text(&self) -> String {
        format!("{:?} {:?} {} {}", self.config, self.root_ext4, self.seed, self.epoch)
    }

    /// What the boot loader shims answer questions from: `key=value` lines. The disk's are
    /// `disk`, `table` (gpt, msdos or none), `bios` (where BIOS code goes: partition, gap or
    /// none), `root_label`; each file system's `fs.N.mount`, `.device`, `.type`, `.uuid`,
    /// `.label`, `.partition`.
    pub fn facts(&self) -> String {
        let table = match self.config.table.as_deref() {
            Some("gpt") => "gpt",
            Some(_) => "msdos",
            None => "none",
        };
        let bios = match table {
            "gpt" if self.config.partitions.iter().any(layout::is_bios_boot) => "partition",
            "msdos" => "gap",
            _ => "none",
        };
        let mut text = format!(
            "disk={}\ntable={table}\nbios={bios}\nroot_label={}\n",
            self.device(),
            self.root_label()
        );
        for (n, mkfs) in self.config.filesystems.iter().enumerate() {
            let at = self.config.partitions.iter().position(|p| p.name == mkfs.base);
            let device = at.map_or_else(|| self.device().to_owned(), partition_device);
            let uuid = layout::filesystem_uuid(&self.seed, &mkfs.name);
            let shown = if mkfs.kind == "vfat" {
                let id = layout::volume_id(&self.seed, &mkfs.name);
                format!("{:04X}-{:04X}", id >> 16, id & 0xffff)
            } else {
                uuid.to_string()
            };
            text.push_str(&format!(
                "fs.{n}.mount={}\nfs.{n}.device={device}\nfs.{n}.type={}\nfs.{n}.uuid={shown}\nfs.{n}.label={}\nfs.{n}.partition={}\n",
                mkfs.mount_point.as_deref().unwrap_or("none"),
                mkfs.kind,
                mkfs.label,
                at.map_or(0, |at| at + 1),
            ));
        }
        text
    }
}

fn partition_device(index: usize) -> String {
    format!("/dev/mapper/loop0p{}", index + 1)
}

#[cfg(test)]
mod tests;
