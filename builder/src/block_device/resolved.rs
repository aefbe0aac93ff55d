//! A configuration as `disk graph` shows it: what it consists of, whether or not goldsmith can
//! write it.

use serde_json::{Value, json};

use super::config::{Config, MkfsNode, list};
use super::graph::Entry;
use super::volumes::EXTENT;
use super::{Inputs, source, volumes};
use crate::error::Result;

/// A configuration whose names are all resolved.
#[derive(Debug)]
pub struct Graph {
    config: Config,
    list: Vec<Entry>,
}

/// The list form, nothing of it resolved: `[{plugin: {name, base, ...}}]`.
///
/// # Errors
///
/// When it is no list of nodes; file and line are named.
pub fn list_form(inputs: &Inputs<'_>) -> Result<Value> {
    let (file, text) = source::find(inputs)?;
    let list = list(&text).map_err(|wrong| wrong.failure(&file))?;
    Ok(list.iter().map(Entry::json).collect())
}

/// Reads and resolves a configuration.
///
/// # Errors
///
/// When it is wrong; file, line and node are named.
pub fn graph(inputs: &Inputs<'_>) -> Result<Graph> {
    let (file, text) = source::find(inputs)?;
    let wrong = |wrong: super::wrong::Wrong| wrong.failure(&file);
    let list = list(&text).map_err(wrong)?;
    let config = Config::parse(&text, &inputs.defaults()).map_err(wrong)?;
    Ok(Graph { config, list })
}

impl Graph {
    /// `nodes` is the list form, `order` all names as they are made, `mounts` the mount points in
    /// their order, `file_systems` and `volumes` what they say.
    pub fn json(&self) -> Value {
        let nodes: Vec<_> = self.list.iter().map(Entry::json).collect();
        let mut mounts: Vec<_> =
            self.config.filesystems.iter().filter_map(|mkfs| mkfs.mount.as_ref()).collect();
        mounts.sort_by_key(|mount| &mount.point);
        let mounts: Vec<_> = mounts.iter().map(|mount| &mount.point).collect();
        let file_systems: Vec<_> = self.config.filesystems.iter().map(file_system).collect();
        json!({
            "nodes": nodes, "order": self.config.order, "mounts": mounts,
            "file_systems": file_systems, "volumes": self.volumes(),
        })
    }

    fn volumes(&self) -> Vec<Value> {
        let groups = self.config.groups.iter();
        let volumes = groups.flat_map(|group| group.logical.iter().map(move |lv| (group, lv)));
        volumes
            .map(|(group, volume)| {
                let bytes = match volume.wanted {
                    volumes::Wanted::Extents(extents) => Some(extents * EXTENT),
                    _ => None,
                };
                json!({
                    "name": volume.name, "group": group.name, "wanted": volume.written,
                    "size_bytes": bytes, "type": volume.kind.as_ref().map(|(kind, _)| kind),
                    "thin_pool": volume.pool,
                })
            })
            .collect()
    }

    /// One line a name: its plugin, and what it lies on.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for name in &self.config.order {
            let entry = self.list.iter().find(|entry| &entry.name == name);
            let (what, on) = match entry {
                Some(entry) => (entry.plugin, entry.base().unwrap_or_default().to_owned()),
                None => self.inner(name),
            };
            let line = format!("{name:24} {what:16} {on}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Partitions and what `lvm` holds are no entries of their own.
    fn inner(&self, name: &str) -> (&'static str, String) {
        for disk in &self.config.disks {
            if disk.partition(name).is_some() {
                return ("partition", disk.name.clone());
            }
        }
        for group in &self.config.groups {
            if let Some(physical) = group.physical.iter().find(|pv| pv.name == name) {
                return ("physical volume", physical.base.clone());
            }
            if group.name == name {
                let bases: Vec<_> = group.physical.iter().map(|pv| pv.name.as_str()).collect();
                return ("volume group", bases.join(" "));
            }
            if group.logical.iter().any(|volume| volume.name == name) {
                return ("logical volume", group.name.clone());
            }
        }
        ("", String::new())
    }
}

fn file_system(mkfs: &MkfsNode) -> Value {
    json!({
        "name": mkfs.name, "base": mkfs.base, "type": mkfs.kind, "label": mkfs.label,
        "uuid": mkfs.uuid, "opts": mkfs.opts, "mount_point": mkfs.mount_point(),
    })
}
