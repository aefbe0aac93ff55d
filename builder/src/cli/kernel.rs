//! `goldsmith kernel`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Failure, Kind, Result};
use crate::kernel::{Patterns, extract};

/// What `kernel` takes.
#[derive(Debug, Args)]
pub struct KernelArgs {
    /// The image: raw, qcow2, a tar archive, one of these compressed; vmdk, vdi, vhd and vhdx
    /// where qemu-img is installed
    image: PathBuf,
    /// Name of the files, without .vmlinuz and .initrd [default: the image's]
    #[arg(short, long, value_name = "BASE")]
    output: Option<String>,
    /// Directory of the files
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Say what was written as JSON
    #[arg(long)]
    json: bool,
}

/// Endings that are no part of an image's name.
const ENDINGS: [&str; 16] = [
    ".gz",
    ".xz",
    ".zst",
    ".qcow2",
    ".raw",
    ".img",
    ".vmdk",
    ".vdi",
    ".vhd",
    ".vhdx",
    ".tar",
    ".tgz",
    ".txz",
    ".tzst",
    ".squashfs",
    ".bz2",
];

/// Runs the verb: writes BASE.vmlinuz and BASE.initrd.
///
/// # Errors
///
/// When the image cannot be read or has no kernel, or the directory cannot be written.
pub fn run(args: &KernelArgs) -> Result<u8> {
    let base = match &args.output {
        Some(base) => base.clone(),
        None => name(&args.image)?,
    };
    let to = |ending: &str| args.directory.join(format!("{base}.{ending}"));
    let done = extract(&args.image, patterns().as_ref(), &to("vmlinuz"), &to("initrd"))?;
    if args.json {
        let text = serde_json::to_string_pretty(&done)
            .map_err(|error| Failure::wrap(Kind::Internal, "what was written", &error))?;
        crate::report::print(&format!("{text}\n"));
        return Ok(0);
    }
    for written in [&done.kernel, &done.ramdisk] {
        let to = crate::report::printable(written.to.display().to_string().as_bytes());
        let from = crate::report::printable(written.from.as_bytes());
        crate::report::print(&format!("{to}: {from}, {} bytes\n", written.size));
    }
    Ok(0)
}

/// `DIB_BAREMETAL_KERNEL_PATTERN` and `DIB_BAREMETAL_INITRD_PATTERN`, which count together.
pub(crate) fn patterns() -> Option<Patterns> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let kernel = variable("DIB_BAREMETAL_KERNEL_PATTERN")?;
    Some(Patterns { kernel, ramdisk: variable("DIB_BAREMETAL_INITRD_PATTERN")? })
}

/// The image's file name without the endings of formats.
fn name(image: &Path) -> Result<String> {
    let name = image.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut name = name
        .ok_or_else(|| Failure::new(Kind::Usage, format!("{} names no file", image.display())))?;
    while let Some(short) = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
        && !short.is_empty()
    {
        name = short.to_owned();
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_endings_of_formats() {
        for (image, expected) in [
            ("/a/server.qcow2", "server"),
            ("debian-12.raw.xz", "debian-12"),
            ("x.tar.gz", "x"),
            ("plain", "plain"),
            (".img", ".img"),
            ("v1.2", "v1.2"),
        ] {
            assert_eq!(name(Path::new(image)).unwrap(), expected);
        }
        assert!(name(Path::new("/")).is_err());
    }
}
