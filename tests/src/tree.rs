//! Trees in tar archives, compared: paths, kinds, modes, owners, extended attributes, content.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What one path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// `f`, `d`, `l`, `c`, `b`, `p`.
    kind: char,
    mode: u32,
    owner: (u64, u64),
    /// Extended attributes, in bytes as they are.
    attributes: BTreeMap<String, Vec<u8>>,
    /// Digest of a file's content, a link's target, a device's numbers.
    content: String,
}

/// A tree; hard links stand for what they link to.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    texts: BTreeMap<String, String>,
}

/// Which of the two trees has something that the other lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
    /// Both, in different ways.
    Both,
}

/// A difference that is there on purpose: where, in which tree, why. A path that ends in
/// `*` names all that begin so, one that begins with `*` all that end so.
pub type Known = (&'static str, Side, &'static str);

impl Tree {
    /// Reads an archive; the text of files that `keep` names stays at hand.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(archive: &Path, keep: &[&str]) -> Result<Self> {
        let (mut nodes, mut texts) = (BTreeMap::new(), BTreeMap::new());
        let mut archive = tar::Archive::new(fs_err::File::open(archive)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = absolute(&entry.path()?);
            let header = entry.header().clone();
            let attributes = attributes(&mut entry)?;
            let link = entry.link_name()?.map(|link| link.to_string_lossy().into_owned());
            let kind = header.entry_type();
            if kind.is_hard_link() {
                let to = absolute(Path::new(&link.context("a link without a target")?));
                let node: &Node = nodes.get(&to).with_context(|| format!("no {to}"))?;
                nodes.insert(name, node.clone());
                continue;
            }
            // Empty in what is no device.
            let devices = format!("{:?}", (header.device_major().ok(), header.device_minor().ok()));
            let (letter, content) = match kind {
                tar::EntryType::Directory => ('d', String::new()),
                tar::EntryType::Symlink => ('l', link.unwrap_or_default()),
                tar::EntryType::Char => ('c', devices),
                tar::EntryType::Block => ('b', devices),
                tar::EntryType::Fifo => ('p', String::new()),
                _ => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    let mut hasher = DefaultHasher::new();
                    bytes.hash(&mut hasher);
                    if keep.iter().any(|pattern| matches(pattern, &name)) {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        texts.insert(name.clone(), text);
                    }
                    ('f', format!("{} bytes, {:x}", bytes.len(), hasher.finish()))
                }
            };
            let owner = (header.uid()?, header.gid()?);
            let mode = header.mode()? & 0o7777;
            nodes.insert(name, Node { kind: letter, mode, owner, attributes, content });
        }
        ensure!(nodes.len() > 100, "the archive holds next to nothing");
        Ok(Self { nodes, texts })
    }

    /// Whether the path is there.
    pub fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// The text of a file that was to be kept.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.texts.get(name).map(String::as_str).with_context(|| format!("no {name}"))
    }

    /// The paths of all files kept, with their texts.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }
}

/// What GNU tar and we ourselves keep in records of the extended header.
fn attributes<R: std::io::Read>(
    entry: &mut tar::Entry<'_, R>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if let Some(name) = record.key()?.strip_prefix("SCHILY.xattr.") {
            found.insert(name.to_owned(), record.value_bytes().to_vec());
        }
    }
    Ok(found)
}

/// Fails at every difference that is not known, and at every known one that is not there.
///
/// # Errors
///
/// Naming all of them.
pub fn compare(first: &Tree, second: &Tree, known: &[Known]) -> Result<()> {
    let mut unknown = Vec::new();
    let mut used = vec![false; known.len()];
    let paths: std::collections::BTreeSet<_> =
        first.nodes.keys().chain(second.nodes.keys()).collect();
    for path in paths {
        let side = match (first.nodes.get(path), second.nodes.get(path)) {
            (one, other) if one == other => continue,
            (Some(_), None) => Side::First,
            (None, Some(_)) => Side::Second,
            _ => Side::Both,
        };
        let at = known.iter().position(|(pattern, of, _)| *of == side && matches(pattern, path));
        match at {
            Some(at) => used[at] = true,
            None => unknown.push(format!(
                "{path}: {:?} / {:?}",
                first.nodes.get(path),
                second.nodes.get(path)
            )),
        }
    }
    let stale: Vec<_> = known.iter().zip(used).filter(|(_, used)| !used).map(|(k, _)| k).collect();
    ensure!(unknown.is_empty(), "{} differences:\n{}", unknown.len(), unknown.join("\n"));
    ensure!(stale.is_empty(), "these are the same by now: {stale:#?}");
    Ok(())
}

fn matches(pattern: &str, path: &str) -> bool {
    if let Some(end) = pattern.strip_prefix('*') {
        return path.ends_with(end);
    }
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

fn absolute(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.strip_prefix('.').unwrap_or(&text);
    format!("/{}", text.trim_matches('/'))
}
