//! The phases, their order and where each runs (contract section 2.1).

/// Where the hooks of a phase run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the tools container, with the image's tree mounted at `TMP_MOUNT_PATH`.
    Host,
    /// Inside the image.
    Target,
}

/// One phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// The hook directory, for instance `install.d`.
    pub directory: &'static str,
    /// Where it runs.
    pub place: Place,
    /// Whether `TARGET_ROOT` is set for it.
    pub target_root: bool,
    /// Whether the disk's facts (`IMAGE_BLOCK_DEVICE` and the like) exist by then.
    pub after_layout: bool,
}

const fn phase(directory: &'static str, place: Place) -> Phase {
    Phase { directory, place, target_root: false, after_layout: false }
}

/// All phases in the order they run.
pub const PHASES: [Phase; 10] = [
    Phase { target_root: true, ..phase("root.d", Place::Host) },
    phase("extra-data.d", Place::Host),
    phase("pre-install.d", Place::Target),
    phase("install.d", Place::Target),
    phase("post-install.d", Place::Target),
    phase("post-root.d", Place::Host),
    phase("block-device.d", Place::Host),
    Phase { after_layout: true, ..phase("pre-finalise.d", Place::Host) },
    Phase { after_layout: true, ..phase("finalise.d", Place::Target) },
    Phase { after_layout: true, target_root: true, ..phase("cleanup.d", Place::Host) },
];

impl Phase {
    /// The phase's name without `.d`, as break points and messages spell it.
    pub fn name(&self) -> &'static str {
        self.directory.strip_suffix(".d").unwrap_or(self.directory)
    }
}
