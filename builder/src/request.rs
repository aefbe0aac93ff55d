//! What the user wants, as a value.
//!
//! Built once from the command line and the environment; nothing downstream reads either.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
pub use crate::image_type::{FormatOptions, ImageType};

/// How qcow2 clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Not at all (`-u`).
    None,
    /// As diskimage-builder does: every QEMU reads it.
    Zlib,
    /// Smaller and ten times faster; needs QEMU 5.1.
    Zstd,
}

/// Who lays the tree out as a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// We do, byte by byte: no privilege, the same bytes every time.
    Image,
    /// The kernel does, on a loop device; finalise.d sees real devices. Needs root.
    Loop,
}

/// A checksum file to write beside an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// `NAME.md5`.
    Md5,
    /// `NAME.sha256`.
    Sha256,
}

/// Everything that a build depends on.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The elements that the user named.
    pub elements: Vec<String>,
    /// dpkg's name of the architecture.
    pub arch: String,
    /// The output's path without its ending.
    pub output: PathBuf,
    /// The formats, in the user's order.
    pub types: Vec<ImageType>,
    /// Packages to install beside those of elements (`-p`).
    pub packages: Vec<String>,
    /// A finished tree to lay out, instead of phases: a file, a name in the store or an image of
    /// a registry.
    pub tree: Option<String>,
    /// A ramdisk instead of a disk: the element that makes it, which is added in front.
    pub ramdisk: Option<String>,
    /// Do not add the element `base`.
    pub skip_base: bool,
    /// Hooks are told to do without the network (`DIB_OFFLINE`).
    pub offline: bool,
    /// Sandboxes get no network at all.
    pub isolated: bool,
    /// Checksum files.
    pub checksums: Vec<Checksum>,
    /// How qcow2 clusters are compressed.
    pub codec: Codec,
    /// Layers of images for registries are compressed by Zstandard instead of gzip.
    pub layer_zstd: bool,
    /// How disks of other formats are written.
    pub formats: FormatOptions,
    /// The manifest of ACI images (`ACI_MANIFEST`).
    pub aci_manifest: Option<PathBuf>,
    /// Who lays the tree out as a disk.
    pub backend: Backend,
    /// The whole image's size in KiB, or by the tree's.
    pub image_size_kib: Option<u64>,
    /// MiB to add to the tree's size instead of two thirds of it.
    pub image_extra_mib: Option<u64>,
    /// The journal of the root file system, in MiB.
    pub journal_mib: u32,
    /// Options of mkfs for the root file system.
    pub mkfs_options: String,
    /// Label of the root file system, unless the layout names one.
    pub root_label: Option<String>,
    /// Type of the root file system, unless the layout names one.
    pub fs_type: String,
    /// `DIB_DEFAULT_INSTALLTYPE`.
    pub install_type: String,
    /// `DIB_DEBUG_TRACE`.
    pub trace: u32,
    /// The Debian mirror that the user names.
    pub mirror: Option<String>,
    /// Take a base image that nobody vouches for.
    pub insecure_base: bool,
    /// Packages of the tools container beside those that hooks seem to need.
    pub tools_packages: Vec<String>,
    /// Ignore cached steps.
    pub refresh: bool,
    /// The user's element directories, before the shipped ones.
    pub elements_path: Vec<PathBuf>,
    /// Leave the shipped elements out.
    pub no_builtin_elements: bool,
    /// `DIB_IMAGE_CACHE`; below the store when absent.
    pub image_cache: Option<PathBuf>,
    /// The caller's environment, of which hooks see what `hook::environment` lets through.
    #[serde(skip)]
    pub env: BTreeMap<String, String>,
    /// Variables that hooks see because the user names them.
    pub pass: Vec<String>,
    /// The command line without its program, for `DIB_ARGS`.
    pub arguments: String,
    /// The directory that the command was given in.
    #[serde(skip)]
    pub cwd: PathBuf,
    /// A native verb: an output that is up to date is left alone.
    pub native: bool,
    /// The lock file that the user names; else one in the working directory counts.
    pub lock: Option<PathBuf>,
    /// Read nothing but what the lock has.
    pub locked: bool,
    /// How a lock is made again: the arguments of `goldsmith lock`.
    pub lock_arguments: Vec<String>,
    /// Keep an existing output by renaming it (`OVERWRITE_OLD_IMAGE` unset).
    pub keep_old: bool,
}

impl Request {
    /// A request for the caller's environment with everything else at its default.
    ///
    /// # Errors
    ///
    /// When a variable that is a size or a list of checksums is none.
    pub fn new(env: BTreeMap<String, String>, cwd: PathBuf) -> Result<Self> {
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let elements_path = get("ELEMENTS_PATH").unwrap_or_default();
        Ok(Self {
            elements: Vec::new(),
            arch: get("ARCH").unwrap_or_else(|| native_arch().to_owned()),
            output: PathBuf::from(get("IMAGE_NAME").unwrap_or_else(|| "image".to_owned())),
            types: vec![ImageType::Qcow2],
            packages: Vec::new(),
            tree: None,
            ramdisk: None,
            skip_base: false,
            offline: get("DIB_OFFLINE").is_some(),
            isolated: false,
            checksums: checksums(get("DIB_CHECKSUM").as_deref().unwrap_or("0"))
                .map_err(|failure| failure.about("DIB_CHECKSUM"))?,
            codec: Codec::Zstd,
            layer_zstd: false,
            formats: FormatOptions::default(),
            aci_manifest: get("ACI_MANIFEST").map(|path| cwd.join(path)),
            backend: Backend::Image,
            image_size_kib: number(&env, "DIB_IMAGE_SIZE", "GiB, as in 2.5", gib)?,
            image_extra_mib: number(&env, "DIB_IMAGE_EXTRA_SIZE", "MiB", |v| v.parse().ok())?,
            journal_mib: number(&env, "DIB_JOURNAL_SIZE", "MiB", |v| v.parse().ok())?.unwrap_or(64),
            mkfs_options: String::new(),
            root_label: get("ROOT_LABEL"),
            fs_type: get("FS_TYPE").unwrap_or_else(|| "ext4".to_owned()),
            install_type: get("DIB_DEFAULT_INSTALLTYPE").unwrap_or_else(|| "source".to_owned()),
            trace: get("DIB_DEBUG_TRACE").and_then(|v| v.parse().ok()).unwrap_or(0),
            mirror: None,
            insecure_base: get("GOLDSMITH_INSECURE_BASE").is_some_and(|v| v != "0"),
            tools_packages: get("GOLDSMITH_TOOLS_PACKAGES")
                .unwrap_or_default()
                .split([',', ' '])
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            refresh: false,
            elements_path: elements_path
                .split(':')
                .filter(|entry| !entry.is_empty())
                .map(|entry| cwd.join(entry))
                .collect(),
            no_builtin_elements: get("GOLDSMITH_NO_BUILTIN_ELEMENTS").is_some_and(|v| v != "0"),
            image_cache: get("DIB_IMAGE_CACHE").map(|path| cwd.join(path)),
            keep_old: get("OVERWRITE_OLD_IMAGE").is_none_or(|value| value == "0"),
            pass: Vec::new(),
            arguments: String::new(),
            native: false,
            lock: None,
            locked: false,
            lock_arguments: Vec::new(),
            env,
            cwd,
        })
    }

    /// Turns the request into one for a ramdisk, made by the element `by`, else the one that
    /// `RAMDISK_ELEMENT` names. Archives of the tree may still be asked for, disks are not.
    pub fn set_ramdisk(&mut self, by: Option<String>) {
        let named = self.env.get("RAMDISK_ELEMENT").filter(|name| !name.is_empty()).cloned();
        let by = by.or(named).unwrap_or_else(|| crate::compat::RAMDISK_ELEMENT.to_owned());
        self.env.insert("RAMDISK_ELEMENT".to_owned(), by.clone());
        self.ramdisk = Some(by);
        self.types.retain(|kind| !kind.is_disk());
    }

    /// Takes `-o` and `-t` in: with one type, its ending is no part of the name.
    pub fn set_output(&mut self, name: &str) {
        let endings = match self.types.as_slice() {
            [only] => vec![only.name(), only.ending()],
            _ => Vec::new(),
        };
        let stem = |ending: &str| name.strip_suffix(ending)?.strip_suffix('.');
        let stem = endings.into_iter().find_map(stem).filter(|stem| !stem.is_empty());
        let name = stem.unwrap_or(name);
        self.output = PathBuf::from(name);
    }
}

/// A number of the environment, unless it is empty; `unit` says what is wanted instead of a word.
fn number<T>(
    env: &BTreeMap<String, String>,
    name: &str,
    unit: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(value) = env.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    read(value).map(Some).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{name}={value}: this is no size"))
            .hint(format!("it is a number of {unit}, without its unit"))
    })
}

/// Reads `1` (both), `0` (none), or a list of `md5` and `sha256`.
///
/// # Errors
///
/// When a word is none of them.
pub fn checksums(text: &str) -> Result<Vec<Checksum>> {
    let mut list = Vec::new();
    for word in text.split(',').map(str::trim) {
        match word {
            "" | "0" | "false" | "no" => {}
            "1" | "true" | "yes" => list.extend([Checksum::Md5, Checksum::Sha256]),
            "md5" => list.push(Checksum::Md5),
            "sha256" => list.push(Checksum::Sha256),
            _ => {
                let message = format!("checksum {word} is not known");
                return Err(Failure::new(Kind::Usage, message).hint("there are md5 and sha256"));
            }
        }
    }
    list.dedup();
    Ok(list)
}

/// Reads a size in GiB, decimals allowed, into KiB.
pub fn gib(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths = whole.parse::<u64>().ok()?.checked_mul(1000)? + digits.parse::<u64>().ok()?;
    Some(thousandths.checked_mul(1 << 20)? / 1000).filter(|&size| size > 0)
}

/// dpkg's name of this machine's architecture.
pub fn native_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "armhf",
        "x86" => "i386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_names_and_checksums_are_read() {
        assert_eq!(gib("2"), Some(2 << 20));
        assert_eq!(gib("1.5"), Some(1_572_864));
        assert_eq!(gib("0"), None);
        assert_eq!(gib("x"), None);
        assert_eq!(checksums("1").unwrap(), [Checksum::Md5, Checksum::Sha256]);
        assert_eq!(checksums("sha256, md5").unwrap(), [Checksum::Sha256, Checksum::Md5]);
        assert!(checksums("0").unwrap().is_empty());
        assert!(checksums("sha1").is_err());
        let mut request = Request::new(BTreeMap::new(), "/".into()).unwrap();
        request.set_output("out/x.qcow2");
        assert_eq!(request.output, PathBuf::from("out/x"));
        for (kind, given) in [
            (ImageType::TarZst, "x.tar.zst"),
            (ImageType::Squashfs, "x.squashfs"),
            (ImageType::Squashfs, "x.squash"),
        ] {
            request.types = vec![kind];
            request.set_output(given);
            assert_eq!(request.output, PathBuf::from("x"), "{given}");
        }
        request.types = vec![ImageType::Qcow2, ImageType::Raw];
        request.set_output("out/x.qcow2");
        assert_eq!(request.output, PathBuf::from("out/x.qcow2"));
    }

    #[test]
    fn variables_that_are_no_sizes_are_refused_by_name() {
        let of = |name: &str, value: &str| {
            Request::new([(name.to_owned(), value.to_owned())].into(), "/".into())
        };
        for (name, value, told) in [
            ("DIB_IMAGE_SIZE", "5G", "DIB_IMAGE_SIZE=5G: this is no size"),
            ("DIB_IMAGE_EXTRA_SIZE", "1.5", "DIB_IMAGE_EXTRA_SIZE=1.5: this is no size"),
            ("DIB_JOURNAL_SIZE", "x", "DIB_JOURNAL_SIZE=x: this is no size"),
            ("DIB_CHECKSUM", "sha1", "DIB_CHECKSUM: checksum sha1 is not known"),
        ] {
            assert_eq!(of(name, value).unwrap_err().message, told);
            assert!(of(name, "").is_ok(), "{name}");
        }
        assert_eq!(of("DIB_IMAGE_SIZE", "2.5").unwrap().image_size_kib, Some(5 << 19));
    }
}
