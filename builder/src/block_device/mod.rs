//! Block-device YAML to disk layouts (contract section 4).
//!
//! ```text
//! source       which file                    yaml     its values and their lines
//! graph        the list form                 config   disks, volumes, filesystems: put together
//! order        what lies on what             able     what cannot be written
//! layout       on a disk of a given size     place    partitions and extents
//! mkfs_options, xfs_options, other_options  what mkfs would be told
//! answers      what hooks are told           show, picture, resolved: what people are shown
//! boot_places  what starts the disk
//! ```

mod able;
mod answers;
mod boot_places;
pub mod boot_record;
mod bootable;
mod config;
mod disks;
mod filesystems;
mod graph;
mod layout;
mod mkfs_options;
mod order;
mod other_options;
pub mod picture;
mod place;
mod resolved;
pub mod show;
mod size;
mod source;
mod types;
mod volumes;
mod wrong;
mod xfs_options;
mod yaml;

use std::path::{Path, PathBuf};

pub use bootable::Firmware;
pub use layout::OtherDisk;
pub use mkfs_options::implied as implied_mkfs_options;
pub use resolved::{Graph, graph, list_form};
pub use size::{absolute, explicit_size_kib, image_size_kib, is_efi};

use goldsmith_images::disk::layout::{Ext4Options, ExtKind, XfsOptions};

use crate::error::Result;
use config::{Config, Defaults};

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
    /// What stands before them where that is ext4, as the environment has it.
    pub implied_mkfs_options: &'a str,
    /// Identifiers on the disk derive from it.
    pub seed: &'a str,
    /// The time file systems record.
    pub epoch: i64,
}

impl Inputs<'_> {
    fn defaults(&self) -> Defaults<'_> {
        Defaults { block_size: self.block_size, fs_type: self.fs_type, root_label: self.root_label }
    }
}

/// What identifiers on the disk derive from.
pub fn seed(arch: &str, elements: &str) -> String {
    format!("{arch}/{elements}")
}

/// Reads a size with a unit, `8GiB`, into bytes.
///
/// # Errors
///
/// With what is wrong, when it is none or relative.
pub fn size_bytes(text: &str) -> std::result::Result<u64, String> {
    let size = size::Size::parse(text)?;
    size.bytes().ok_or_else(|| format!("{text:?} is relative"))
}

/// Everything at its default, for a configuration that no build uses yet.
pub fn plain_inputs() -> Inputs<'static> {
    Inputs {
        config_override: None,
        block_size: None,
        elements: &[],
        arch: crate::request::native_arch(),
        fs_type: "ext4",
        root_label: None,
        journal_mib: 64,
        mkfs_options: "",
        implied_mkfs_options: "",
        seed: "",
        epoch: 0,
    }
}

/// What is wrong with a configuration that no build uses yet, or what it asks for that is not
/// supported: the line, 0 when none is to blame, and the words.
pub fn problem(text: &str) -> Option<(u64, String)> {
    let checked = Config::parse(text, &plain_inputs().defaults())
        .and_then(|config| able::check(&config).and_then(|()| able::check_root(&config)));
    checked.err().map(|wrong| wrong.place_and_words())
}

/// A layout that is complete but for the size of the disk.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The configuration's name.
    file: String,
    config: Config,
    root_ext4: Ext4Options,
    root_xfs: XfsOptions,
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
    /// file, line and node.
    pub fn load(inputs: &Inputs<'_>) -> Result<Self> {
        let (name, text) = source::find(inputs)?;
        let plan = Self::of(name, &text, inputs)?;
        plan.need_root()?;
        Ok(plan)
    }

    /// Reads a file, which need not have a root file system.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn read(path: &Path, inputs: &Inputs<'_>) -> Result<Self> {
        let (name, text) = source::read(path)?;
        Self::of(name, &text, inputs)
    }

    fn of(file: String, text: &str, inputs: &Inputs<'_>) -> Result<Self> {
        let config = Config::parse(text, &inputs.defaults())
            .and_then(|config| able::check(&config).map(|()| config))
            .map_err(|wrong| wrong.failure(&file))?;
        let root = config.mounted_at("/").map_or("ext4", |root| root.kind.as_str());
        let kind = ExtKind::named(root);
        // What the size of a journal is, is said of an ext4's alone.
        let journal_mib = Some(inputs.journal_mib).filter(|_| kind == Some(ExtKind::Ext4));
        let mut root_ext4 =
            Ext4Options { journal_mib, ..Ext4Options::of(kind.unwrap_or_default()) };
        let mut root_xfs = XfsOptions::default();
        if kind.is_some() {
            let all = format!("{} {}", inputs.implied_mkfs_options, inputs.mkfs_options);
            mkfs_options::apply(&all, &mut root_ext4)?;
        } else if inputs.implied_mkfs_options.contains("resize=") {
            // What a release implies is for that family alone; how far it may grow the user says.
            mkfs_options::none(inputs.implied_mkfs_options, root)?;
        } else if root == "xfs" {
            mkfs_options::xfs(inputs.mkfs_options, &mut root_xfs)?;
        } else {
            mkfs_options::none(inputs.mkfs_options, root)?;
        }
        let (seed, epoch) = (inputs.seed.to_owned(), inputs.epoch);
        Ok(Self { file, config, root_ext4, root_xfs, seed, epoch })
    }

    /// Refuses a layout that no image can have.
    ///
    /// # Errors
    ///
    /// When nothing is mounted at /, or what is lies on a disk beside the image.
    pub fn need_root(&self) -> Result<()> {
        able::check_root(&self.config).map_err(|wrong| wrong.failure(&self.file))
    }

    /// Refuses a layout that the loop backend cannot make on a disk of any size.
    ///
    /// # Errors
    ///
    /// When it has several disks.
    pub fn need_loop(&self) -> Result<()> {
        able::check_loop(&self.config).map_err(|wrong| wrong.failure(&self.file))
    }

    /// Refuses what the loop backend cannot make on the image's disk of `size_kib` KiB.
    ///
    /// # Errors
    ///
    /// When a logical volume is not one piece, or as [`layout`](Self::layout).
    pub fn need_whole_volumes(&self, size_kib: u64) -> Result<()> {
        let layout = self.layout(size_kib)?;
        able::check_whole(&self.config, &layout).map_err(|wrong| wrong.failure(&self.file))
    }

    /// What the configuration says to no effect, a line each.
    pub fn warnings(&self) -> Vec<String> {
        self.config.warnings.iter().map(|wrong| wrong.text(&self.file)).collect()
    }

    /// A text that differs when the layout does.
    pub fn digest_text(&self) -> String {
        format!(
            "{:?} {:?} {:?} {} {}",
            self.config, self.root_ext4, self.root_xfs, self.seed, self.epoch
        )
    }
}

#[cfg(test)]
mod tests;
