//! What a sandbox is to be: a value, complete before anything runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One command in one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// A word that makes the sandbox's name readable; need not be unique.
    pub id_hint: String,
    /// The root file system.
    pub root: RootPlan,
    /// Program and arguments; the program is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment: nothing is added, nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory inside, absolute.
    pub cwd: PathBuf,
    /// Who the program runs as.
    #[serde(default)]
    pub user: UserPlan,
    /// Mounts beside the root, in the order they are made.
    pub mounts: Vec<MountPlan>,
    /// Device nodes beside those that every sandbox has.
    pub devices: Vec<DevicePlan>,
    /// Programs of other machines that run inside all the same.
    #[serde(default)]
    pub formats: Vec<FormatPlan>,
    /// What of the network it reaches.
    pub network: Network,
    /// Host name inside.
    pub hostname: String,
    /// How much it may do.
    pub privilege: Privilege,
    /// Keep what overlays receive on a tmpfs of at most that many bytes instead of at their
    /// `upper`; [`crate::Outcome::scratch`] hands it out.
    #[serde(default)]
    pub scratch_bytes: Option<u64>,
    /// Kill the whole tree after that many milliseconds.
    pub time_limit_ms: Option<u64>,
    /// Where standard input comes from.
    pub stdin: Stdin,
}

impl SandboxPlan {
    /// Its overlays: the root, if it is one, and those among the mounts.
    pub fn overlays(&self) -> impl Iterator<Item = &OverlayPlan> {
        let root = match &self.root {
            RootPlan::Overlay(overlay) => Some(overlay),
            RootPlan::Directory(_) => None,
        };
        let mounted = self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Overlay(overlay) => Some(overlay),
            _ => None,
        });
        root.into_iter().chain(mounted)
    }
}

/// Who a program runs as, in ids of the sandbox; the default is its root. Anybody else has no
/// capability.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// The root file system of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootPlan {
    /// Layers with a fresh upper directory; what the sandbox writes lands there.
    Overlay(OverlayPlan),
    /// A directory, written in place.
    Directory(PathBuf),
}

/// An overlay mount.
///
/// The upper and work directories are made when absent and then belong to the sandbox's
/// root. An upper directory is mounted once: a volatile overlay refuses it a second time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayPlan {
    /// Read-only directories, bottom first; at least one.
    pub lowers: Vec<PathBuf>,
    /// Receives what is written.
    pub upper: PathBuf,
    /// Scratch space on the same file system as `upper`.
    pub work: PathBuf,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Absolute path inside, resolved below the root as chroot(2) would. A missing mount
    /// point is made and taken away again afterwards, unless it was put to use.
    pub target: PathBuf,
    /// What is mounted.
    pub source: MountSource,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A file or directory of the host with all that is mounted below it.
    Bind(PathBuf),
    /// The same, for a path that somebody inside chose: it is resolved below `root`, and one
    /// that leads out of there, by `..` or a symlink, is refused.
    BindBelow {
        /// A directory of the host.
        root: PathBuf,
        /// Relative to `root`.
        path: PathBuf,
    },
    /// An overlay.
    Overlay(OverlayPlan),
    /// An empty tmpfs.
    Tmpfs {
        /// Permission bits of its root.
        mode: u32,
    },
    /// A small file with this text.
    Text(String),
}

/// A device node that a sandbox is lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// Its path below `/dev`, for instance `mapper/loop0p1`.
    pub name: PathBuf,
    /// A node of the host; the sandbox's root must be allowed to open it.
    pub source: PathBuf,
}

/// Programs that the kernel hands to an interpreter, known by how their files begin
/// (binfmt_misc); needs Linux 6.7.
///
/// With one of its own a sandbox no longer has those that the host registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatPlan {
    /// What the kernel lists it as: letters, digits, `-` and `_`.
    pub name: String,
    /// The first bytes of such a file, at most 128.
    pub magic: Vec<u8>,
    /// The bits of `magic` that count; as long as that.
    pub mask: Vec<u8>,
    /// A static program of the host, opened before anything runs: the sandbox's root need not
    /// hold it, and chroot(2) does not lose it. It is called with its own path, the file's and
    /// the file's arguments.
    pub interpreter: PathBuf,
    /// Pass the file's argument zero, too, after its path (the kernel's flag `P`).
    pub argument_zero: bool,
}

/// What of the network a sandbox reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// A new network namespace without any interface that is up.
    None,
    /// A new network namespace with nothing but a loopback interface, where a socket listens
    /// on that port of 127.0.0.1. [`crate::run_with_listener`] hands the socket out: whoever
    /// accepts its connections is all that the sandbox reaches.
    Listener(u16),
    /// The builder's own network.
    Host,
}

/// How much a sandbox may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privilege {
    /// What package managers need.
    Package,
    /// Mounting file systems inside as well.
    Mounting,
}

/// Where standard input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// The builder's own standard input, unless that is a terminal: a sandbox never holds
    /// the user's terminal and then reads `/dev/null`.
    Inherit,
    /// A terminal of the sandbox's own; the builder's standard input and output are relayed
    /// to and from it, resizes too. Its output goes to standard output as it comes, not to
    /// the sink.
    Terminal,
}
