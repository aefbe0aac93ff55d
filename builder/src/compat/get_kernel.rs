//! `disk-image-get-kernel`, as diskimage-builder had it before version 1.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::getopt::{Known, parse};
use crate::error::{Failure, Kind, Result};
use crate::kernel::extract;

const fn known(short: char, value: bool) -> Known {
    Known { short: Some(short), long: None, value }
}

const KNOWN: &[Known] =
    &[known('h', false), known('x', false), known('d', true), known('i', true), known('o', true)];

const USAGE: &str = "\
usage: disk-image-get-kernel [-d DIR] [-o BASE] [-i] IMAGE

Takes the newest kernel and its initial RAM disk out of an image, without mounting it:
DIR/BASE-vmlinuz and DIR/BASE-initrd.

  -i IMAGE   the image: raw, qcow2, a tar archive, one of these compressed; vmdk, vdi, vhd
             and vhdx where qemu-img is installed
  -d DIR     directory of the files (default: /tmp)
  -o BASE    what their names begin with (default: baremetal)
  -x         accepted: there is no shell to trace
  -h         print this

goldsmith kernel does the same with names like those of disk-image-create's outputs.
";

/// Runs `disk-image-get-kernel` with these arguments.
///
/// # Errors
///
/// When the options are wrong, or the image cannot be read or has no kernel.
pub fn disk_image_get_kernel(arguments: &[OsString]) -> Result<u8> {
    let usage = |message: String| {
        Failure::new(Kind::Usage, message).hint("disk-image-get-kernel -h lists the options")
    };
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (options, rest) = parse(KNOWN, &words).map_err(usage)?;
    let (mut directory, mut base, mut image) =
        (PathBuf::from("/tmp"), "baremetal".to_owned(), None);
    for (name, value) in options {
        match (name.as_str(), value) {
            ("h", _) => {
                crate::report::print(USAGE);
                return Ok(0);
            }
            ("d", Some(value)) => directory = value.into(),
            ("o", Some(value)) => base = value,
            ("i", Some(value)) => image = Some(value),
            _ => {}
        }
    }
    let mut images = image.into_iter().chain(rest);
    let image = images.next();
    let image = image.ok_or_else(|| usage("name an image to read from, by -i IMAGE".into()))?;
    if let Some(other) = images.next() {
        return Err(usage(format!("one image at a time: {image}, then {other}")));
    }
    let to = |ending: &str| directory.join(format!("{base}-{ending}"));
    let patterns = crate::cli::kernel::patterns();
    let done = extract(Path::new(&image), patterns.as_ref(), &to("vmlinuz"), &to("initrd"))?;
    for written in [done.kernel, done.ramdisk] {
        let to = crate::report::printable(written.to.display().to_string().as_bytes());
        crate::report::print(&format!("{to}\n"));
    }
    Ok(0)
}
