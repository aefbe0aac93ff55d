//! `disk-image-create` and `ramdisk-image-create`: diskimage-builder's options (contract 1.2),
//! read into a [`Request`].

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::getopt::{Given, Known, parse};
use super::qemu_options::apply as qemu_img_options;
use crate::error::{Failure, Kind, Result};
use crate::request::{Codec, ImageType, Request, checksums, gib};

const fn flag(short: Option<char>, long: Option<&'static str>) -> Known {
    Known { short, long, value: false }
}

const fn option(short: Option<char>, long: Option<&'static str>) -> Known {
    Known { short, long, value: true }
}

const KNOWN: &[Known] = &[
    flag(Some('h'), Some("help")),
    flag(None, Some("version")),
    option(Some('a'), None),
    option(Some('o'), None),
    option(Some('t'), None),
    flag(Some('x'), None),
    flag(Some('u'), None),
    flag(Some('c'), None),
    flag(Some('n'), None),
    option(Some('p'), None),
    flag(None, Some("checksum")),
    option(None, Some("image-size")),
    option(None, Some("image-extra-size")),
    option(None, Some("image-cache")),
    option(None, Some("max-online-resize")),
    option(None, Some("mkfs-journal-size")),
    option(None, Some("mkfs-options")),
    option(None, Some("qemu-img-options")),
    option(None, Some("docker-target")),
    option(None, Some("min-tmpfs")),
    flag(None, Some("no-tmpfs")),
    flag(None, Some("offline")),
    option(None, Some("root-label")),
    option(None, Some("ramdisk-element")),
    option(None, Some("install-type")),
    option(None, Some("logfile")),
];

const USAGE: &str = "\
usage: disk-image-create [OPTION]... ELEMENT...

Builds an image from diskimage-builder elements, without root.

  -a ARCH                 architecture of the image (default: this machine's)
  -o NAME                 output, without its ending (default: image)
  -t TYPE[,TYPE]          qcow2, raw, vhd, vhdx, vmdk, vdi, tar, tgz, tar.zst,
                          squashfs (NAME.squash), aci, oci (NAME.oci, an OCI archive),
                          oci-dir (the same as a directory), docker (NAME.docker.tar)
                          (default: qcow2)
  -x                      trace hooks; twice for more
  -u                      do not compress qcow2
  -c                      start from an empty environment but DIB_* and proxies
  -n                      do not add the element base
  -p PACKAGE[,PACKAGE]    install these packages as well
  --checksum              write NAME.md5 and NAME.sha256, but for oci-dir
  --image-size GIB        size of the whole image
  --image-extra-size MIB  room beside the tree, instead of two thirds of it
  --image-cache DIR       where hooks cache what they download
  --max-online-resize N   blocks that the root file system keeps room to grow to without
                          meta_bg (default: a thousandfold)
  --mkfs-journal-size MIB journal of the root file system (default: 64)
  --mkfs-options TEXT     options of mke2fs for the root: -b, -e, -i, -I, -j, -J size=, -m,
                          -N, -O, -E resize=, hash_seed=, stride=, stripe_width=; of
                          mkfs.xfs where it is xfs (docs/disks.md)
  --qemu-img-options LIST compression_type=zlib or zstd of qcow2; subformat=fixed of vhd;
                          subformat=streamOptimized, adapter_type=, hwversion= of vmdk;
                          and what is the default
  --docker-target NAME    name and tag of the image of -t docker; for hooks DOCKER_TARGET
                          (default: the output's name)
  --min-tmpfs GIB, --no-tmpfs
                          accepted: steps are snapshots on disk
  --offline               tell hooks to do without the network
  --root-label LABEL      label of the root file system
  --install-type TYPE     source or package (default: source)
  --logfile FILE          append all output to FILE, be quiet on the terminal
  -h, --help              print this
  --version               print the version

Element directories are found by ELEMENTS_PATH, then the shipped ones.
";

const RAMDISK_USAGE: &str = "\
usage: ramdisk-image-create [OPTION]... ELEMENT...

Builds NAME.kernel and NAME.initramfs from diskimage-builder elements, without root.

  --ramdisk-element E     the element that makes the ramdisk: ramdisk (busybox, the
                          default) or dracut-ramdisk; also RAMDISK_ELEMENT
  -a ARCH                 architecture of the ramdisk (default: this machine's)
  -o NAME                 output, without its ending (default: image)
  -t TYPE[,TYPE]          tar, tgz, tar.zst, squashfs, aci: write the tree that it is
                          made from as well
  -x                      trace hooks; twice for more
  -c                      start from an empty environment but DIB_* and proxies
  -n                      do not add the element base
  -p PACKAGE[,PACKAGE]    install these packages as well
  --image-cache DIR       where hooks cache what they download
  --offline               tell hooks to do without the network
  --install-type TYPE     source or package (default: source)
  --logfile FILE          append all output to FILE, be quiet on the terminal
  -h, --help              print this
  --version               print the version

The other options of disk-image-create are accepted: no disk is made, so they change nothing.
Element directories are found by ELEMENTS_PATH, then the shipped ones.
";

/// Runs `disk-image-create` with these arguments.
///
/// # Errors
///
/// When the options are wrong or the build fails.
pub fn disk_image_create(arguments: &[OsString]) -> Result<u8> {
    create("disk-image-create", arguments)
}

/// Runs `ramdisk-image-create` with these arguments.
///
/// # Errors
///
/// When the options are wrong or the build fails.
pub fn ramdisk_image_create(arguments: &[OsString]) -> Result<u8> {
    create("ramdisk-image-create", arguments)
}

fn create(program: &str, arguments: &[OsString]) -> Result<u8> {
    let ramdisk = program != "disk-image-create";
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let usage = |message: String| {
        Failure::new(Kind::Usage, message).hint(format!("{program} --help lists the options"))
    };
    let (options, elements) = parse(KNOWN, &words).map_err(usage)?;
    let has = |name: &str| options.iter().any(|(given, _)| given == name);
    if has("help") {
        crate::report::print(if ramdisk { RAMDISK_USAGE } else { USAGE });
        return Ok(0);
    }
    if has("version") {
        crate::report::print(concat!(env!("CARGO_PKG_VERSION"), "\n"));
        return Ok(0);
    }
    let mut request = crate::cli::caller_request()?;
    if has("c") {
        request = Request::new(cleared(request.env), request.cwd)?;
    }
    request.arguments = words.join(" ");
    request.codec = Codec::Zlib;
    let log = apply(&mut request, &options)?;
    request.elements = elements;
    if ramdisk {
        let named = options.iter().rev().find(|(name, _)| name == "ramdisk-element");
        request.set_ramdisk(named.and_then(|(_, value)| value.clone()));
    }
    if request.elements.is_empty() {
        return Err(usage("no element is named".to_owned()));
    }
    let quiet = match request.env.get("DIB_QUIET").filter(|value| !value.is_empty()) {
        Some(value) => value != "0",
        None => log.is_some(),
    };
    let options = crate::report::Options {
        quiet,
        no_timestamp: request.env.get("DIB_NO_TIMESTAMP").is_some_and(|value| value == "1"),
        log,
        stdout: true,
        ..crate::report::Options::default()
    };
    crate::cli::build::execute(&request, options, &crate::cli::cache_directory(None)?)
}

/// What `-c` leaves of an environment: where elements are and how goldsmith works is no
/// setting of theirs.
fn cleared(mut env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    env.retain(|name, _| {
        name.starts_with("DIB_")
            || name == "ELEMENTS_PATH"
            || name.starts_with("GOLDSMITH_")
            || name.to_ascii_lowercase().ends_with("_proxy")
    });
    env
}

/// Takes the options in; returns the log file.
fn apply(request: &mut Request, options: &[Given]) -> Result<Option<crate::report::LogFile>> {
    let wrong = |name: &str, value: &str| {
        Failure::new(Kind::Usage, format!("{value:?} is no value for --{name}"))
    };
    let mut log = None;
    let mut output = None;
    let mut written = request.env.get("QEMU_IMG_OPTIONS").cloned().unwrap_or_default();
    for (name, value) in options {
        let value = value.clone().unwrap_or_default();
        match name.as_str() {
            "a" => request.arch = value,
            "o" => output = Some(value),
            "t" => request.types = types(&value)?,
            "x" => request.trace += 1,
            "u" => request.codec = Codec::None,
            "n" => request.skip_base = true,
            "p" => request
                .packages
                .extend(value.split(',').filter(|p| !p.is_empty()).map(str::to_owned)),
            "checksum" => request.checksums = checksums("1")?,
            "image-size" => {
                request.image_size_kib = Some(gib(&value).ok_or_else(|| wrong(name, &value))?);
            }
            "image-extra-size" => {
                request.image_extra_mib =
                    Some(value.parse().ok().ok_or_else(|| wrong(name, &value))?);
            }
            "image-cache" => request.image_cache = Some(request.cwd.join(value)),
            "mkfs-journal-size" => {
                request.journal_mib = value.parse().ok().ok_or_else(|| wrong(name, &value))?;
            }
            "mkfs-options" => request.mkfs_options = value,
            "qemu-img-options" => written = value,
            // For hooks, too.
            "docker-target" => drop(request.env.insert("DOCKER_TARGET".into(), value)),
            "max-online-resize" => {
                request.env.insert("MAX_ONLINE_RESIZE".into(), value);
            }
            "offline" => request.offline = true,
            "no-tmpfs" => drop(request.env.insert("DIB_NO_TMPFS".into(), "1".into())),
            "min-tmpfs" => drop(request.env.insert("DIB_MIN_TMPFS".into(), value)),
            "root-label" => request.root_label = Some(value),
            "install-type" => request.install_type = value,
            "logfile" => {
                let file = crate::report::LogFile::append(&request.cwd.join(&value))
                    .map_err(|error| Failure::wrap(Kind::Usage, "--logfile", &error))?;
                log = Some(file);
            }
            // -c and --ramdisk-element are applied elsewhere; the others change nothing here.
            _ => {}
        }
    }
    // When all types are known, wherever they stand on the line.
    qemu_img_options(&written, request)?;
    let output = output.unwrap_or_else(|| request.output.display().to_string());
    request.set_output(&output);
    Ok(log)
}

/// Reads a list of types.
///
/// # Errors
///
/// When one is unknown; found out before anything is built.
pub fn types(text: &str) -> Result<Vec<ImageType>> {
    let mut types = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let kind = ImageType::parse(word).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("image type {word} is not known"))
                .hint(format!("this version writes {}", ImageType::names()))
        })?;
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    if types.is_empty() {
        return Err(Failure::new(Kind::Usage, "no image type is named"));
    }
    Ok(types)
}
