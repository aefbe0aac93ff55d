//! Reads the configuration: a list of nodes, or a tree whose inner nodes depend on the
//! outer ones.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Inputs;
use crate::error::{Failure, Kind, Result};

/// The nodes that goldsmith writes, put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// Name of the disk.
    pub(super) disk: String,
    /// Sector size.
    pub(super) sector: u32,
    /// `gpt` or `mbr`.
    pub(super) table: Option<String>,
    pub(super) partitions: Vec<PartitionNode>,
    /// In the configuration's order, inner nodes first.
    pub(super) filesystems: Vec<MkfsNode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionNode {
    pub(super) name: String,
    pub(super) size: String,
    pub(super) kind: Option<String>,
    pub(super) flags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MkfsNode {
    pub(super) name: String,
    pub(super) base: String,
    pub(super) kind: String,
    pub(super) label: String,
    pub(super) mount_point: Option<String>,
    pub(super) fstab: Option<Fstab>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fstab {
    pub(super) options: String,
    pub(super) dump: u64,
    pub(super) pass: u64,
}

/// The layout when nobody names one.
const BARE: &str = "
- local_loop:
    name: image0
    mkfs:
      name: mkfs_root
      mount:
        mount_point: /
        fstab:
          fsck-passno: 1
";

const PLUGINS: [&str; 6] = ["local_loop", "partitioning", "lvm", "mkfs", "mount", "fstab"];

/// Finds the configuration's name and text.
pub(super) fn find(inputs: &Inputs<'_>) -> Result<(String, String)> {
    let read = |path: &std::path::Path| -> Result<(String, String)> {
        let text = fs_err::read_to_string(path)
            .map_err(|error| Failure::wrap(Kind::Configuration, "the block device", &error))?;
        Ok((path.display().to_string(), text))
    };
    if let Some(text) = inputs.config_override.filter(|text| !text.is_empty()) {
        return match text.strip_prefix("file://") {
            Some(path) => read(std::path::Path::new(path)),
            None => Ok(("DIB_BLOCK_DEVICE_CONFIG".to_owned(), text.to_owned())),
        };
    }
    let arch = match inputs.arch {
        "ppc64le" => "ppc64el",
        other => other,
    };
    for (_, directory) in inputs.elements {
        for name in [format!("block-device-{arch}.yaml"), "block-device-default.yaml".to_owned()] {
            let path = directory.join(name);
            if path.exists() {
                return read(&path);
            }
        }
    }
    Ok(("the built-in layout".to_owned(), BARE.to_owned()))
}

/// A node before it has found its place.
struct Flat {
    plugin: String,
    name: String,
    base: Option<String>,
    values: Map<String, Value>,
}

impl Config {
    pub(super) fn parse(file: &str, text: &str, inputs: &Inputs<'_>) -> Result<Self> {
        let wrong = |what: String| {
            Failure::new(Kind::Configuration, format!("{file}: {what}"))
                .hint("the block device's configuration is a list of single nodes")
        };
        let value: Value =
            serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let list = value.as_array().ok_or_else(|| wrong("not a list".to_owned()))?;
        let mut nodes = Vec::new();
        for item in list {
            let map = item.as_object().filter(|map| map.len() == 1);
            let map = map.ok_or_else(|| wrong("an entry is not one node".to_owned()))?;
            for (plugin, values) in map {
                flatten(plugin, values, None, &mut nodes).map_err(&wrong)?;
            }
        }
        let mut seen = BTreeSet::new();
        for node in &nodes {
            if !seen.insert(node.name.clone()) {
                return Err(wrong(format!("two nodes are called {}", node.name)));
            }
        }
        let mut config = assemble(nodes, inputs.block_size).map_err(&wrong)?;
        config.settle(inputs).map_err(&wrong)?;
        Ok(config)
    }

    pub(super) fn mounted_at(&self, point: &str) -> Option<&MkfsNode> {
        self.filesystems.iter().find(|mkfs| mkfs.mount_point.as_deref() == Some(point))
    }

    pub(super) fn root(&self) -> &MkfsNode {
        // `settle` has made sure that there is one.
        self.mounted_at("/").unwrap_or(&self.filesystems[0])
    }

    /// Fills defaults in and checks labels and mount points.
    fn settle(&mut self, inputs: &Inputs<'_>) -> std::result::Result<(), String> {
        for mkfs in &mut self.filesystems {
            if mkfs.name == "mkfs_root" {
                if mkfs.kind.is_empty() {
                    inputs.fs_type.clone_into(&mut mkfs.kind);
                }
                if mkfs.label.is_empty() {
                    let default = if mkfs.kind == "xfs" { "img-rootfs" } else { "cloudimg-rootfs" };
                    inputs.root_label.unwrap_or(default).clone_into(&mut mkfs.label);
                }
            }
            if mkfs.label.is_empty() {
                mkfs.label.clone_from(&mkfs.name);
            }
            let longest = match mkfs.kind.as_str() {
                "ext4" | "swap" => 16,
                "vfat" | "fat" => {
                    "vfat".clone_into(&mut mkfs.kind);
                    mkfs.label = mkfs.label.to_ascii_uppercase();
                    11
                }
                "" => return Err(format!("{} has no type", mkfs.name)),
                other => {
                    return Err(format!(
                        "{}: file system {other} cannot be written yet; ext4, vfat and swap can",
                        mkfs.name
                    ));
                }
            };
            if mkfs.label.len() > longest {
                return Err(format!(
                    "{}: the label {} is longer than {longest} bytes",
                    mkfs.name, mkfs.label
                ));
            }
        }
        let mut labels = BTreeSet::new();
        let mut points = BTreeSet::new();
        for mkfs in &self.filesystems {
            if !labels.insert(mkfs.label.clone()) {
                return Err(format!("two file systems are labelled {}", mkfs.label));
            }
            if let Some(point) = &mkfs.mount_point
                && !points.insert(point.clone())
            {
                return Err(format!("two file systems are mounted at {point}"));
            }
        }
        if points.contains("/") { Ok(()) } else { Err("nothing is mounted at /".to_owned()) }
    }
}

fn text(values: &Map<String, Value>, key: &str) -> Option<String> {
    match values.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Lists a node after those inside it, which have it as their base.
fn flatten(
    plugin: &str,
    values: &Value,
    parent: Option<&str>,
    nodes: &mut Vec<Flat>,
) -> std::result::Result<(), String> {
    if !PLUGINS.contains(&plugin) {
        return Err(format!("there is no plugin {plugin}"));
    }
    if plugin == "lvm" {
        return Err("lvm cannot be written yet".to_owned());
    }
    let empty = Map::new();
    let values = values.as_object().unwrap_or(&empty);
    let base = text(values, "base").or_else(|| parent.map(str::to_owned));
    let name = text(values, "name")
        .unwrap_or_else(|| format!("{plugin}_{}", base.as_deref().unwrap_or_default()));
    if plugin == "local_loop" && !values.contains_key("name") {
        return Err("local_loop needs a name".to_owned());
    }
    for (key, inner) in values.iter().filter(|(key, _)| PLUGINS.contains(&key.as_str())) {
        flatten(key, inner, Some(&name), nodes)?;
    }
    if plugin == "partitioning" {
        for partition in values.get("partitions").and_then(Value::as_array).unwrap_or(&Vec::new()) {
            let map = partition.as_object().ok_or("a partition is not a map")?;
            let part = text(map, "name").ok_or("a partition has no name")?;
            for (key, inner) in map.iter().filter(|(key, _)| PLUGINS.contains(&key.as_str())) {
                flatten(key, inner, Some(&part), nodes)?;
            }
        }
    }
    nodes.push(Flat { plugin: plugin.to_owned(), name, base, values: values.clone() });
    Ok(())
}

/// `forced` is `DIB_BLOCK_SIZE`.
fn assemble(nodes: Vec<Flat>, forced: Option<&str>) -> std::result::Result<Config, String> {
    let mut config = Config { sector: 512, ..Config::default() };
    for node in nodes.iter().filter(|node| node.plugin == "local_loop") {
        if !config.disk.is_empty() {
            return Err("more than one local_loop cannot be written yet".to_owned());
        }
        config.disk.clone_from(&node.name);
        let own = text(&node.values, "block_size");
        let (whose, size) = match forced {
            Some(size) => ("DIB_BLOCK_SIZE", size),
            None => (node.name.as_str(), own.as_deref().unwrap_or("512")),
        };
        config.sector = match size {
            "512" => 512,
            "4096" => 4096,
            other => return Err(format!("{whose}: sectors of {other} bytes")),
        };
    }
    for node in nodes.iter().filter(|node| node.plugin == "partitioning") {
        let label = text(&node.values, "label").unwrap_or_default();
        if !matches!(label.as_str(), "gpt" | "mbr") {
            return Err(format!("{}: label must be gpt or mbr", node.name));
        }
        if config.table.replace(label).is_some() {
            return Err("two partition tables on one disk".to_owned());
        }
        for value in node.values.get("partitions").and_then(Value::as_array).unwrap_or(&Vec::new())
        {
            config.partitions.push(partition(value)?);
        }
    }
    for node in nodes.iter().filter(|node| node.plugin == "mkfs") {
        let base = node.base.clone().unwrap_or_default();
        if base != config.disk && !config.partitions.iter().any(|p| p.name == base) {
            return Err(format!("{}: there is no {base} to make a file system on", node.name));
        }
        config.filesystems.push(MkfsNode {
            name: node.name.clone(),
            kind: text(&node.values, "type").unwrap_or_default(),
            label: text(&node.values, "label").unwrap_or_default(),
            mount_point: None,
            fstab: None,
            base,
        });
    }
    for node in nodes.iter().filter(|node| node.plugin == "mount") {
        let base = node.base.clone().unwrap_or_default();
        let point =
            text(&node.values, "mount_point").ok_or(format!("{}: no mount_point", node.name))?;
        let mkfs = config.filesystems.iter_mut().find(|mkfs| mkfs.name == base);
        let mkfs = mkfs.ok_or(format!("{}: there is no file system {base}", node.name))?;
        mkfs.mount_point = Some(point).filter(|_| mkfs.kind != "swap");
        let fstab =
            nodes.iter().find(|n| n.plugin == "fstab" && n.base.as_ref() == Some(&node.name));
        mkfs.fstab = fstab.map(|fstab| {
            let number = |key: &str, default| {
                text(&fstab.values, key).and_then(|text| text.parse().ok()).unwrap_or(default)
            };
            Fstab {
                options: text(&fstab.values, "options").unwrap_or_else(|| "defaults".to_owned()),
                dump: number("dump-freq", 0),
                pass: number("fsck-passno", 2),
            }
        });
    }
    Ok(config)
}

fn partition(value: &Value) -> std::result::Result<PartitionNode, String> {
    let map = value.as_object().ok_or("a partition is not a map")?;
    let name = text(map, "name").ok_or("a partition has no name")?;
    let flags = match map.get("flags") {
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Ok(PartitionNode {
        size: text(map, "size").ok_or(format!("partition {name} has no size"))?,
        kind: text(map, "type"),
        flags,
        name,
    })
}
