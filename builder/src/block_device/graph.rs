//! The list form of a configuration: a tree's inner nodes become entries of their own that
//! name the outer ones as their base.

use super::wrong::{Checked, Wrong};
use super::yaml::{Key, Node, Value};

/// The plugins and the keys that each takes beside `name` and `base`.
const PLUGINS: [(&str, &[&str]); 6] = [
    ("local_loop", &["size", "directory", "block_size"]),
    ("partitioning", &["label", "align", "partitions"]),
    ("lvm", &["pvs", "vgs", "lvs"]),
    ("mkfs", &["type", "label", "opts", "uuid"]),
    ("mount", &["mount_point"]),
    ("fstab", &["options", "dump-freq", "fsck-passno"]),
];

/// The lists of plugins, and the keys that the maps in them take.
const LISTS: [(&str, &[&str]); 4] = [
    ("partitions", &["name", "base", "size", "type", "flags"]),
    ("pvs", &["name", "base", "options"]),
    ("vgs", &["name", "base", "options"]),
    ("lvs", &["name", "base", "size", "extents", "options", "type", "thin-pool"]),
];

/// One entry of the list form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) plugin: &'static str,
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) base: Option<Node>,
    /// Its own values: neither name nor base, no plugins.
    pub(super) values: Vec<(Key, Node)>,
}

fn plugin(name: &str) -> Option<&'static str> {
    PLUGINS.iter().map(|(plugin, _)| *plugin).find(|plugin| *plugin == name)
}

fn plugins() -> String {
    PLUGINS.map(|(name, _)| name).join(", ")
}

impl Entry {
    /// A value and its line.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        get(&self.values, key)
    }

    /// A scalar value, as it is written.
    pub(super) fn word(&self, key: &str) -> Checked<Option<(String, u64)>> {
        word(&self.values, &self.name, key)
    }

    /// A mistake in this entry.
    pub(super) fn wrong(&self, what: impl Into<String>) -> Wrong {
        Wrong::new(self.line, &self.name, what)
    }

    /// What the entry lies on.
    pub(super) fn base(&self) -> Checked<&str> {
        let base = self.base.as_ref().ok_or_else(|| self.wrong("base is missing"))?;
        base.value.word().ok_or_else(|| {
            Wrong::new(base.line, &self.name, format!("base is {}", base.value.kind()))
        })
    }

    /// Keys that mean nothing to the plugin.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &Key> {
        let known = PLUGINS.iter().find(|(plugin, _)| *plugin == self.plugin);
        let known = known.map(|(_, keys)| *keys).unwrap_or_default();
        self.values.iter().map(|(key, _)| key).filter(|key| !known.contains(&key.name.as_str()))
    }

    /// The same in the maps of its lists: what a map calls itself, and the key.
    pub(super) fn unknown_inside(&self) -> impl Iterator<Item = (String, &Key)> {
        let lists = LISTS.iter().filter_map(|(list, keys)| Some((*list, *keys, self.get(list)?)));
        lists.flat_map(|(list, known, node)| {
            let maps: &[Node] = match &node.value {
                Value::List(maps) => maps,
                _ => &[],
            };
            maps.iter().flat_map(move |map| {
                let values: &[(Key, Node)] = match &map.value {
                    Value::Map(values) => values,
                    _ => &[],
                };
                let name = get(values, "name").and_then(|name| name.value.word());
                let name = format!("{} of {list}", name.unwrap_or("an entry"));
                let keys = values.iter().map(|(key, _)| key);
                keys.filter(|key| !known.contains(&key.name.as_str()))
                    .map(move |key| (name.clone(), key))
            })
        })
    }

    /// `{plugin: {name, base, ...}}`.
    pub(super) fn json(&self) -> serde_json::Value {
        let mut map = serde_json::Map::new();
        map.insert("name".to_owned(), self.name.as_str().into());
        if let Some(base) = &self.base {
            map.insert("base".to_owned(), base.value.json());
        }
        for (key, node) in &self.values {
            map.insert(key.name.clone(), node.value.json());
        }
        serde_json::json!({ self.plugin: map })
    }
}

/// A value of a map.
pub(super) fn get<'a>(values: &'a [(Key, Node)], key: &str) -> Option<&'a Node> {
    values.iter().find(|(own, _)| own.name == key).map(|(_, node)| node)
}

/// A scalar of a map, as it is written, and its line.
pub(super) fn word(
    values: &[(Key, Node)],
    name: &str,
    key: &str,
) -> Checked<Option<(String, u64)>> {
    match get(values, key) {
        None | Some(Node { value: Value::Nothing, .. }) => Ok(None),
        Some(node) => match node.value.word() {
            Some(word) => Ok(Some((word.to_owned(), node.line))),
            None => Err(Wrong::new(
                node.line,
                name,
                format!("{key} is {}, not a word", node.value.kind()),
            )),
        },
    }
}

/// A list of a map.
pub(super) fn list<'a>(values: &'a [(Key, Node)], name: &str, key: &str) -> Checked<&'a [Node]> {
    match get(values, key) {
        None | Some(Node { value: Value::Nothing, .. }) => Ok(&[]),
        Some(Node { value: Value::List(list), .. }) => Ok(list),
        Some(other) => {
            let what = format!("{key} is {}, not a list", other.value.kind());
            Err(Wrong::new(other.line, name, what))
        }
    }
}

/// Turns a document into entries, each after those inside it.
pub(super) fn entries(document: &Node) -> Checked<Vec<Entry>> {
    let hint = "the block device's configuration is a list of single nodes";
    let Value::List(list) = &document.value else {
        let what = format!("it is {}, not a list", document.value.kind());
        return Err(Wrong::new(document.line, "", what).hint(hint));
    };
    let mut entries = Vec::new();
    for item in list {
        let single = match &item.value {
            Value::Map(pairs) => pairs.as_slice(),
            _ => &[],
        };
        let [(key, values)] = single else {
            let what = format!("an entry is not one node but {}", described(&item.value));
            return Err(Wrong::new(item.line, "", what).hint(hint));
        };
        flatten(key, values, None, &mut entries)?;
    }
    Ok(entries)
}

fn described(value: &Value) -> String {
    match value {
        Value::Map(pairs) => {
            let names: Vec<_> = pairs.iter().map(|(key, _)| key.name.as_str()).collect();
            names.join(" and ")
        }
        other => other.kind().to_owned(),
    }
}

/// Lists a node after those inside it, which have it as their base.
fn flatten(
    key: &Key,
    values: &Node,
    parent: Option<&Node>,
    entries: &mut Vec<Entry>,
) -> Checked<()> {
    let Some(plugin) = plugin(&key.name) else {
        let what = format!("there is no plugin {}", key.name);
        return Err(Wrong::new(key.line, "", what).hint(format!("there are {}", plugins())));
    };
    let pairs = match &values.value {
        Value::Map(pairs) => pairs.as_slice(),
        Value::Nothing => &[],
        other => {
            let what = format!("it is {}, not a map", other.kind());
            return Err(Wrong::new(values.line, plugin, what));
        }
    };
    let base = get(pairs, "base").or(parent).cloned();
    let name = match (word(pairs, plugin, "name")?, &base) {
        (Some((name, _)), _) => name,
        (None, Some(base)) => format!("{plugin}_{}", base.value.word().unwrap_or_default()),
        (None, None) => {
            return Err(Wrong::new(key.line, plugin, "it needs a name"));
        }
    };
    let here = Node { line: key.line, value: Value::Text(name.clone()) };
    let mut own = Vec::new();
    for (inner, node) in pairs {
        match inner.name.as_str() {
            "name" | "base" => {}
            "partitions" => {
                let parts = partitions(node, &name, base.as_ref(), entries)?;
                own.push((inner.clone(), Node { line: node.line, value: Value::List(parts) }));
            }
            _ if self::plugin(&inner.name).is_some() => {
                flatten(inner, node, Some(&here), entries)?;
            }
            _ => own.push((inner.clone(), node.clone())),
        }
    }
    entries.push(Entry { plugin, name, line: key.line, base, values: own });
    Ok(())
}

/// The partitions of a table without what is nested in them, which lists them as its base.
fn partitions(
    node: &Node,
    table: &str,
    base: Option<&Node>,
    entries: &mut Vec<Entry>,
) -> Checked<Vec<Node>> {
    let list = match &node.value {
        Value::List(list) => list.as_slice(),
        Value::Nothing => &[],
        other => {
            let what = format!("partitions is {}, not a list", other.kind());
            return Err(Wrong::new(node.line, table, what));
        }
    };
    let mut parts = Vec::new();
    for part in list {
        let Value::Map(pairs) = &part.value else {
            let what = format!("a partition is {}, not a map", part.value.kind());
            return Err(Wrong::new(part.line, table, what));
        };
        let name = word(pairs, table, "name")?;
        let (name, line) =
            name.ok_or_else(|| Wrong::new(part.line, table, "a partition has no name"))?;
        let here = Node { line, value: Value::Text(name) };
        let mut own = Vec::new();
        for (key, value) in pairs {
            if plugin(&key.name).is_some() {
                flatten(key, value, Some(&here), entries)?;
            } else if key.name != "base" {
                own.push((key.clone(), value.clone()));
            }
        }
        if let Some(base) = base {
            let key = Key { name: "base".to_owned(), line: part.line };
            own.push((key, base.clone()));
        }
        parts.push(Node { line: part.line, value: Value::Map(own) });
    }
    Ok(parts)
}
