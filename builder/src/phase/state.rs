//! What a build has made so far: stacks of snapshots, one for each tree that steps write.

use std::path::PathBuf;

use goldsmith_images::store::SnapshotId;
use serde::{Deserialize, Serialize};

/// The trees after a step; a cached step restores all of them.
///
/// Stacks are bottom first. `hooks` and `tools` hold only what steps added: their bases are
/// generated from the elements and bootstrapped from the archive. The shared download
/// caches are no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The image's tree.
    pub mnt: Vec<SnapshotId>,
    /// Additions to the generated hooks tree.
    pub hooks: Vec<SnapshotId>,
    /// Additions to the tools container: its root, its private `/tmp` and home.
    pub tools: Vec<SnapshotId>,
    /// New files in the directory that outputs go to.
    pub output: Vec<SnapshotId>,
    /// What the boot loader shims recorded.
    pub boot: Option<SnapshotId>,
    /// Bind mounts that hooks made and that later sandboxes see again.
    pub mounts: Vec<RecordedMount>,
}

impl State {
    /// Every snapshot that the state needs.
    pub fn snapshots(&self) -> impl Iterator<Item = &SnapshotId> {
        [&self.mnt, &self.hooks, &self.tools, &self.output].into_iter().flatten().chain(&self.boot)
    }
}

/// A bind mount that a hook of a host phase made below the image's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedMount {
    /// Where it comes from, as the tools container names it.
    pub source: PathBuf,
    /// Where it lies in the image, absolute inside the image.
    pub target: PathBuf,
    /// Whether it was made read-only.
    pub read_only: bool,
}

/// Reads what the mount shim recorded: lines of source, target and options, separated by
/// tabs, `mnt` being the image's tree as the tools container names it.
///
/// Lines whose target is not below `mnt` concern the tools container alone and end with
/// the phase.
pub fn parse_recorded(text: &str, mnt: &str) -> Vec<RecordedMount> {
    let mut mounts = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (Some(source), Some(target)) = (fields.next(), fields.next()) else { continue };
        let options = fields.next().unwrap_or_default();
        let Some(inside) = target.strip_prefix(mnt).filter(|rest| rest.starts_with('/')) else {
            continue;
        };
        mounts.push(RecordedMount {
            source: source.into(),
            target: inside.into(),
            read_only: options.split(',').any(|option| option == "ro"),
        });
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_image_are_kept() {
        let text = "/goldsmith/cache/image-create/apt\t/tmp/b/mnt/var/cache/apt\tbind\n/a\t/elsewhere\t\n/b\t/tmp/b/mnt/x\tbind,ro\nnonsense\n/c\t/tmp/b/mntother/x\t\n";
        let mounts = parse_recorded(text, "/tmp/b/mnt");
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].target, PathBuf::from("/var/cache/apt"));
        assert!(mounts[1].read_only);
    }
}
