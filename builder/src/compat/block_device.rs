//! `dib-block-device`: what diskimage-builder's own driver asks of a disk (contract 1.5, 4.7).
//!
//! Hooks of host phases reach it by `$_LIB/dib-block-device.py` and get answers from the
//! build's layout. Outside of a build it reads a configuration and answers from that; devices
//! are attached by `--backend loop` alone, within one build.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::block_device::{Inputs, Plan};
use crate::error::{Failure, Kind, Result};
use crate::phase::paths;

const NAME: &str = "dib-block-device";

const USAGE: &str = "\
usage: dib-block-device [--params FILE] COMMAND

Reads the configuration of a disk and answers questions about it.

  init           read the configuration that the parameters name and keep it
  getval SYMBOL  print root-label, root-fstype, boot-label or mount-points; in hooks of
                 host phases also image-block-device and image-block-devices
  writefstab     write etc/fstab into the tree that is to become the image
  umount         succeeds when nothing is mounted
  create, cleanup, delete
                 refused: goldsmith attaches no devices that outlive it

  --params FILE  YAML with config, build-dir, root-fs-type and root-label
                 (default: DIB_BLOCK_DEVICE_PARAMS_YAML)
";

/// Runs `dib-block-device`. Its exit status says what went wrong, as those of native verbs do.
///
/// # Errors
///
/// None: failures are reported here.
pub fn dib_block_device(arguments: &[OsString]) -> Result<u8> {
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(match run(&words) {
        Ok(()) => 0,
        Err(failure) => {
            crate::report::failure(NAME, &failure);
            failure.kind.exit_status()
        }
    })
}

fn run(words: &[String]) -> Result<()> {
    if words.iter().any(|word| word == "-h" || word == "--help") {
        crate::report::print(USAGE);
        return Ok(());
    }
    let usage = |message: String| {
        Failure::new(Kind::Usage, message).hint(format!("{NAME} --help lists the commands"))
    };
    let mut params = std::env::var_os("DIB_BLOCK_DEVICE_PARAMS_YAML").map(PathBuf::from);
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("--params", "") => {
                let file = words.next();
                let file = file.ok_or_else(|| usage("--params needs a file".to_owned()))?;
                params = Some(PathBuf::from(file));
            }
            ("--params", file) => params = Some(PathBuf::from(file)),
            _ if word.starts_with('-') => return Err(usage(format!("unknown option {word}"))),
            _ => rest.push(word.as_str()),
        }
    }
    let command = match rest.as_slice() {
        ["getval", symbol] => Command::Value(symbol),
        ["init"] => Command::Init,
        ["writefstab"] => Command::Fstab,
        ["umount"] => Command::Unmount,
        [name @ ("create" | "cleanup" | "delete")] => Command::Device(name),
        [] => return Err(usage("no command is given".to_owned())),
        ["getval", ..] => return Err(usage("getval takes one symbol".to_owned())),
        [other, ..] => return Err(usage(format!("unknown command {other}"))),
    };
    if Path::new(paths::RUN).is_dir() {
        return inside(&command, |name| std::env::var(name).ok());
    }
    let params = params.ok_or_else(|| {
        Failure::new(Kind::Usage, "no parameters are named")
            .hint("--params or DIB_BLOCK_DEVICE_PARAMS_YAML names their file")
    })?;
    outside(&command, &Params::read(&params)?)
}

#[derive(Debug, Clone, Copy)]
enum Command<'a> {
    Init,
    Value(&'a str),
    Fstab,
    Unmount,
    /// What attaches or detaches devices.
    Device(&'a str),
}

/// Symbols that are known from the beginning, and the variables that hooks have them in.
const SYMBOLS: [(&str, &str); 4] = [
    ("root-label", "DIB_ROOT_LABEL"),
    ("root-fstype", "DIB_ROOT_FSTYPE"),
    ("boot-label", "DIB_BOOT_LABEL"),
    ("mount-points", "DIB_MOUNTPOINTS"),
];
/// Those that are known once there is a disk.
const LATER: [(&str, &str); 2] =
    [("image-block-device", "IMAGE_BLOCK_DEVICE"), ("image-block-devices", "IMAGE_BLOCK_DEVICES")];

/// In a host phase: the build has done all this, or will.
fn inside(command: &Command<'_>, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    match *command {
        Command::Value(symbol) => {
            let (_, name) = SYMBOLS
                .iter()
                .chain(&LATER)
                .find(|(known, _)| *known == symbol)
                .ok_or_else(|| unknown(symbol))?;
            let value = variable(name).ok_or_else(|| not_created(symbol))?;
            crate::report::print(&format!("{value}\n"));
            Ok(())
        }
        Command::Init => Ok(()),
        Command::Fstab => Err(by_build("writefstab")),
        Command::Unmount => Err(by_build("umount")),
        Command::Device(name) => Err(by_build(name)),
    }
}

fn by_build(command: &str) -> Failure {
    Failure::new(Kind::Host, format!("{command} is the build's own work, not a hook's"))
        .hint("the disk is laid out when all hooks are done")
}

fn unknown(symbol: &str) -> Failure {
    if symbol == "image-path" {
        let message = "image-path: the disk has no file before it is complete";
        return Failure::new(Kind::Host, message).hint("hooks get no image file to work on");
    }
    let known: Vec<_> = SYMBOLS.iter().chain(&LATER).map(|(name, _)| *name).collect();
    Failure::new(Kind::Build, format!("there is no value {symbol}"))
        .hint(format!("there are {}", known.join(", ")))
}

fn not_created(symbol: &str) -> Failure {
    Failure::new(Kind::Build, format!("{symbol}: there is no disk yet"))
        .hint("it is known from pre-finalise.d on")
}

/// The parameters that are of use here.
#[derive(Debug, PartialEq, Eq)]
struct Params {
    config: PathBuf,
    build_dir: PathBuf,
    fs_type: String,
    root_label: Option<String>,
}

impl Params {
    fn read(path: &Path) -> Result<Self> {
        let failed = |what: &dyn std::error::Error| {
            Failure::wrap(Kind::Configuration, "the parameters", what)
        };
        let text = fs_err::read_to_string(path).map_err(|error| failed(&error))?;
        let value: Value = serde_saphyr::from_str(&text).map_err(|error| failed(&error))?;
        let word = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let needed = |key: &str| {
            word(key).map(PathBuf::from).ok_or_else(|| {
                let message = format!("{}: {key} is missing", path.display());
                Failure::new(Kind::Configuration, message)
            })
        };
        Ok(Self {
            config: needed("config")?,
            build_dir: needed("build-dir")?,
            fs_type: word("root-fs-type").unwrap_or_else(|| "ext4".to_owned()),
            root_label: word("root-label"),
        })
    }

    fn state(&self) -> PathBuf {
        self.build_dir.join("states/block-device")
    }
}

/// What `init` keeps.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    values: Vec<(String, String)>,
    fstab: String,
}

const STATE: &str = "config.json";

fn outside(command: &Command<'_>, params: &Params) -> Result<()> {
    match *command {
        Command::Init => init(params),
        Command::Value(symbol) => {
            let state = kept(params)?;
            let found = state.values.into_iter().find(|(name, _)| name == symbol);
            let Some((_, value)) = found else {
                let later = LATER.iter().any(|(name, _)| *name == symbol);
                return Err(if later { not_created(symbol) } else { unknown(symbol) });
            };
            crate::report::print(&format!("{value}\n"));
            Ok(())
        }
        Command::Fstab => {
            let text = kept(params)?.fstab;
            write(&params.state().join("fstab"), &text)?;
            write(&params.build_dir.join("built/etc/fstab"), &text)
        }
        // Nothing ever is.
        Command::Unmount => Ok(()),
        Command::Device(name) => {
            let message = format!("{name}: devices that outlive a command are not attached");
            Err(Failure::new(Kind::Host, message).hint(
                "`goldsmith build --backend loop`, as root, lays a disk out on a loop device and lets it go",
            ))
        }
    }
}

fn init(params: &Params) -> Result<()> {
    let config = format!("file://{}", params.config.display());
    let plan = Plan::load(&Inputs {
        config_override: Some(&config),
        block_size: None,
        elements: &[],
        arch: crate::request::native_arch(),
        fs_type: &params.fs_type,
        root_label: params.root_label.as_deref(),
        journal_mib: 64,
        mkfs_options: "",
        implied_mkfs_options: "",
        seed: "",
        epoch: 0,
    })?;
    let values = [
        ("root-label", plan.root_label().to_owned()),
        ("root-fstype", plan.root_fstype().to_owned()),
        ("boot-label", plan.boot_label().to_owned()),
        ("mount-points", plan.mount_points()),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let state = State { values, fstab: plan.fstab() };
    let text = serde_json::to_string_pretty(&state)
        .map_err(|error| Failure::wrap(Kind::Internal, STATE, &error))?;
    write(&params.state().join(STATE), &text)
}

fn kept(params: &Params) -> Result<State> {
    let path = params.state().join(STATE);
    let failed = |error: &dyn std::error::Error| {
        Failure::wrap(Kind::Build, "what init keeps", error).hint(format!("run {NAME} init before"))
    };
    let text = fs_err::read_to_string(path).map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(directory)
        .and_then(|()| fs_err::write(path, text))
        .map_err(|error| Failure::wrap(Kind::Host, "a file", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(place: &Path) -> Params {
        fs_err::write(place.join("config.yaml"), "- local_loop:\n    name: image0\n    mkfs:\n      name: mkfs_root\n      mount:\n        mount_point: /\n        fstab:\n          fsck-passno: 1\n").unwrap();
        let text = format!(
            "config: {0}/config.yaml\nbuild-dir: {0}/build\nimage-dir: /x\nroot-fs-type: ext4\nroot-label: null\nmount-base: /x\n",
            place.display()
        );
        fs_err::write(place.join("params.yaml"), text).unwrap();
        Params::read(&place.join("params.yaml")).unwrap()
    }

    #[test]
    fn a_configuration_is_kept_and_answers() {
        let place = tempfile::tempdir().unwrap();
        let params = params(place.path());
        let early = outside(&Command::Value("root-label"), &params).unwrap_err();
        assert_eq!(early.kind.exit_status(), 1);
        outside(&Command::Init, &params).unwrap();
        let state = kept(&params).unwrap();
        let value = |name: &str| state.values.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(value("root-label"), "cloudimg-rootfs");
        assert_eq!(value("root-fstype"), "ext4");
        assert_eq!(value("boot-label"), "");
        assert_eq!(value("mount-points"), "/");
        outside(&Command::Fstab, &params).unwrap();
        let fstab = fs_err::read_to_string(place.path().join("build/built/etc/fstab")).unwrap();
        assert_eq!(fstab, "LABEL=cloudimg-rootfs / ext4 defaults 0 1\n");
        outside(&Command::Unmount, &params).unwrap();
        let status = |command| outside(&command, &params).unwrap_err().kind.exit_status();
        assert_eq!(status(Command::Device("create")), 4);
        assert_eq!(status(Command::Value("image-block-device")), 1);
        assert_eq!(status(Command::Value("image-path")), 4);
        assert_eq!(status(Command::Value("nothing")), 1);
    }

    #[test]
    fn hooks_are_answered_from_the_build() {
        let early = |name: &str| (name == "DIB_ROOT_LABEL").then(|| "root".to_owned());
        inside(&Command::Value("root-label"), early).unwrap();
        let failure = inside(&Command::Value("image-block-devices"), early).unwrap_err();
        assert!(failure.hints[0].contains("pre-finalise.d"), "{failure}");
        inside(&Command::Init, early).unwrap();
        for command in [Command::Fstab, Command::Unmount, Command::Device("delete")] {
            assert_eq!(inside(&command, early).unwrap_err().kind.exit_status(), 4);
        }
    }
}
