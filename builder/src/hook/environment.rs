//! What hooks see of the caller's environment, and what goldsmith adds.
//!
//! Hooks see `DIB_*`, diskimage-builder's own variables, break points, proxies, variables
//! that a file of a chosen element mentions by name, and those that the user names;
//! nothing else, so that neither a key nor an image depends on who builds. Paths are those
//! inside the sandbox.

use std::collections::{BTreeMap, BTreeSet};

use super::host_files;
use crate::element::ElementGraph;
use crate::error::Result;
use crate::phase::paths;
use crate::phase::table::Phase;
use crate::request::Request;

/// Facts about the disk, once they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskFacts {
    /// `DIB_ROOT_LABEL`.
    pub root_label: String,
    /// `DIB_ROOT_FSTYPE`.
    pub root_fstype: String,
    /// `DIB_BOOT_LABEL`.
    pub boot_label: String,
    /// `DIB_MOUNTPOINTS`, joined by `|`.
    pub mount_points: String,
    /// `IMAGE_BLOCK_DEVICE`.
    pub device: String,
    /// `IMAGE_BLOCK_DEVICES`.
    pub devices: String,
    /// `DIB_IMAGE_SIZE` in KiB, when computed.
    pub size_kib: Option<u64>,
}

/// Variables of a build, before a phase adds its own.
#[derive(Debug, Clone)]
pub struct Environment {
    shared: BTreeMap<String, String>,
    host: BTreeMap<String, String>,
    /// Files that variables name: path inside, path outside.
    pub files: host_files::Shown,
    /// The same for files that hooks of host phases find by fixed names.
    pub host_files: host_files::Shown,
    /// Digest of all those files.
    pub files_digest: String,
}

/// Variables that are the session's, whoever mentions them.
const SESSION: &[&str] = &[
    "BASH_ENV",
    "CDPATH",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "EDITOR",
    "ENV",
    "GPG_AGENT_INFO",
    "HOME",
    "HOSTNAME",
    "IFS",
    "LANG",
    "LOGNAME",
    "MAIL",
    "OLDPWD",
    "PATH",
    "PS1",
    "PS4",
    "PWD",
    "SHELL",
    "SHLVL",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "TERM",
    "TMPDIR",
    "TMP",
    "TEMP",
    "USER",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
    "XDG_CACHE_HOME",
    "LC_ALL",
];

/// Variables of the contract that are not spelled `DIB_`.
const CONTRACT: &[&str] = &[
    "ARCH",
    "FS_TYPE",
    "IMAGE_TYPE",
    "ROOT_LABEL",
    "MAX_ONLINE_RESIZE",
    "DOCKER_TARGET",
    "QEMU_IMG_OPTIONS",
    "RAMDISK_ELEMENT",
    "RUN_PARTS_REGEX",
    "break",
    "break_cmd",
    "break_outside_target",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SOURCE_DATE_EPOCH",
];

/// Variables that goldsmith itself sets or reads: the caller's do not pass.
const OWN: &[&str] = &[
    "DIB_IMAGE_CACHE",
    "DIB_LOCKFILES",
    "DIB_ARGS",
    "DIB_ENV",
    "DIB_IMAGE_SIZE",
    "DIB_OFFLINE",
    "DIB_NO_TIMESTAMP",
    "DIB_QUIET",
    "DIB_CHECKSUM",
    "DIB_DEFAULT_INSTALLTYPE",
    "DIB_PYTHON_EXEC",
    "DIB_BLOCK_DEVICE_CONFIG",
    "DIB_NO_TMPFS",
    "DIB_MIN_TMPFS",
    "DIB_DEBIAN_DISTRIBUTION_MIRROR",
    "DIB_DEBIAN_SECURITY_MIRROR",
];

const TARGET_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest file that is searched for names of variables.
const SEARCH_LIMIT: u64 = 1 << 20;

impl Environment {
    /// Chooses what hooks see.
    ///
    /// `base` holds variables that come from the base and not from the caller, for
    /// instance the mirror that was chosen.
    ///
    /// # Errors
    ///
    /// When a file that a variable names cannot be read.
    pub fn new(
        request: &Request,
        graph: &ElementGraph,
        base: &BTreeMap<String, String>,
        epoch: i64,
    ) -> Result<Self> {
        let mut shared = visible(request, graph);
        let host_files = host_files::mentioned(graph, request.env.get("HOME").map(String::as_str));
        let (files, files_digest) = host_files::expose(&mut shared, &host_files)?;
        shared.extend(base.clone());
        let set = |shared: &mut BTreeMap<String, String>, name: &str, value: String| {
            shared.insert(name.to_owned(), value);
        };
        let own = |name: &str, default: &str| {
            request.env.get(name).cloned().unwrap_or_else(|| default.to_owned())
        };
        for (name, value) in [
            ("ARCH", request.arch.clone()),
            ("DIB_DEBUG_TRACE", request.trace.to_string()),
            ("DIB_OFFLINE", if request.offline { "1".into() } else { String::new() }),
            ("DIB_CHECKSUM", u8::from(!request.checksums.is_empty()).to_string()),
            ("DIB_IMAGE_CACHE", format!("{}/image-create", paths::CACHE)),
            ("DIB_LOCKFILES", format!("{}/lockfiles", paths::CACHE)),
            ("DIB_MIN_TMPFS", own("DIB_MIN_TMPFS", "2")),
            ("DIB_NO_TMPFS", own("DIB_NO_TMPFS", "0")),
            ("DIB_PYTHON_EXEC", "python3".into()),
            ("FS_TYPE", request.fs_type.clone()),
            ("IMAGE_ELEMENT", graph.names()),
            ("IMAGE_ELEMENT_YAML", element_yaml(graph)),
            ("IMAGE_NAME", image_name(request)),
            ("LC_ALL", "C".into()),
            ("SOURCE_DATE_EPOCH", epoch.to_string()),
            ("TMP_BUILD_DIR", paths::BUILD.into()),
            ("TMP_HOOKS_PATH", paths::HOOKS.into()),
            ("TMP_IMAGE_DIR", "/tmp/dib_image.goldsmit".into()),
            ("TMP_MOUNT_PATH", paths::MNT.into()),
            ("_LIB", paths::LIB.into()),
            ("DIB_BLOCK_DEVICE_PARAMS_YAML", format!("{}/block-device/params.yaml", paths::BUILD)),
        ] {
            set(&mut shared, name, value);
        }
        let kind = shared.get("IMAGE_TYPE").cloned().unwrap_or_else(|| "qcow2".into());
        set(&mut shared, "IMAGE_TYPE", kind);
        set(&mut shared, "ELEMENTS_PATH", elements_path(graph));
        if request.skip_base {
            set(&mut shared, "SKIP_BASE", "1".into());
        }
        set(&mut shared, "DIB_ARGS", request.arguments.clone());
        let declared = declare(&shared);
        set(&mut shared, "DIB_ENV", declared);
        let mut host = BTreeMap::from([
            ("HOME".to_owned(), "/root".to_owned()),
            ("USER".to_owned(), "root".to_owned()),
            ("LOGNAME".to_owned(), "root".to_owned()),
            ("OUT_IMAGE_PATH".to_owned(), String::new()),
            ("GOLDSMITH_INSTALL_TYPE".to_owned(), request.install_type.clone()),
        ]);
        host.insert("PATH".into(), format!("{}:{TARGET_PATH}", paths::SHIMS));
        host.insert("BASH_FUNC_get_image_element_array%%".into(), element_function(graph));
        host.insert("BASH_FUNC_die%%".into(), "() { echo \"ERROR: $*\" >&2; exit 1; }".into());
        Ok(Self { shared, host, files, host_files, files_digest })
    }

    /// The variables of one phase.
    pub fn of_phase(&self, phase: &Phase, facts: &DiskFacts) -> BTreeMap<String, String> {
        let mut env = self.shared.clone();
        for (name, value) in [
            ("DIB_ROOT_LABEL", &facts.root_label),
            ("DIB_ROOT_FSTYPE", &facts.root_fstype),
            ("DIB_BOOT_LABEL", &facts.boot_label),
            ("DIB_MOUNTPOINTS", &facts.mount_points),
        ] {
            env.insert(name.to_owned(), value.clone());
        }
        if phase.after_layout {
            env.insert("IMAGE_BLOCK_DEVICE".into(), facts.device.clone());
            env.insert("IMAGE_BLOCK_DEVICES".into(), facts.devices.clone());
        }
        if let Some(size) = facts.size_kib {
            env.insert("DIB_IMAGE_SIZE".into(), size.to_string());
        }
        if phase.place == crate::phase::table::Place::Host {
            env.extend(self.host.clone());
        } else {
            env.insert("HOME".into(), "/root".into());
            env.insert("USER".into(), "root".into());
            env.insert("LOGNAME".into(), "root".into());
            for (name, value) in [("SUDO_UID", "0"), ("SUDO_GID", "0"), ("SUDO_USER", "root")] {
                env.insert(name.into(), value.into());
            }
            let path = if phase.after_layout {
                format!("{}:{TARGET_PATH}", paths::SHIMS)
            } else {
                TARGET_PATH.to_owned()
            };
            env.insert("PATH".into(), path);
        }
        if phase.target_root {
            env.insert("TARGET_ROOT".into(), paths::MNT.into());
        }
        env
    }
}

/// The caller's variables that pass.
fn visible(request: &Request, graph: &ElementGraph) -> BTreeMap<String, String> {
    let mentioned = mentioned(graph);
    let passes = |name: &str| {
        if OWN.contains(&name) || SESSION.contains(&name) {
            return request.pass.iter().any(|own| own == name);
        }
        name.starts_with("DIB_")
            || CONTRACT.contains(&name)
            || mentioned.contains(name)
            || request.pass.iter().any(|own| own == name)
    };
    request
        .env
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Names in capitals that files of the elements mention.
fn mentioned(graph: &ElementGraph) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for element in &graph.elements {
        for entry in walkdir::WalkDir::new(&element.path).into_iter().filter_map(|entry| entry.ok())
        {
            let small =
                entry.metadata().is_ok_and(|data| data.is_file() && data.len() < SEARCH_LIMIT);
            let documentation = entry.path().extension().is_some_and(|e| e == "rst" || e == "md");
            if !small || documentation {
                continue;
            }
            let Ok(text) = fs_err::read_to_string(entry.path()) else { continue };
            let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            names.extend(
                text.split(|c: char| !word(c))
                    .filter(|name| {
                        name.len() > 2 && name.starts_with(|c: char| c.is_ascii_uppercase())
                    })
                    .map(str::to_owned),
            );
        }
    }
    names
}

fn image_name(request: &Request) -> String {
    request.output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn elements_path(graph: &ElementGraph) -> String {
    let entries: Vec<_> =
        (0..graph.search_path.len()).map(|index| format!("{}/{index}", paths::ELEMENTS)).collect();
    entries.join(":")
}

fn element_yaml(graph: &ElementGraph) -> String {
    let pairs: Vec<_> = graph
        .elements
        .iter()
        .map(|element| format!("{}: {}", element.name, graph.inside(element)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn element_function(graph: &ElementGraph) -> String {
    let pairs: Vec<_> = graph
        .elements
        .iter()
        .map(|element| format!("[{}]={}", element.name, graph.inside(element)))
        .collect();
    format!("() {{ echo '{}'; }}", pairs.join(" "))
}

/// `declare -p` lines of the `DIB_` variables, as `DIB_ENV` holds them.
fn declare(shared: &BTreeMap<String, String>) -> String {
    let lines: Vec<_> = shared
        .iter()
        .filter(|(name, _)| name.starts_with("DIB_"))
        .map(|(name, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('$', "\\$")
                .replace('`', "\\`");
            format!("declare -x {name}=\"{value}\"")
        })
        .collect();
    lines.join("\n")
}
