//! `goldsmith image-to-tar`: what the sandbox's `extract-image` has us do; not listed in help.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::disk_image::{Image, system_failure, tidy};
use crate::error::{Failure, Kind, Result};
use crate::materialise::aside::Aside;

/// What `image-to-tar` takes.
#[derive(Debug, Args)]
pub struct ImageToTarArgs {
    /// A disk image
    image: PathBuf,
    /// The archive, compressed by gzip
    archive: PathBuf,
}

/// How well the archive is compressed: it is a cache, read once a build.
const LEVEL: u32 = 3;

/// Runs the verb: packs the system on a disk, with what is mounted below it, all attributes
/// included, the same bytes every time.
///
/// # Errors
///
/// When the image cannot be read or has no system, or the archive cannot be written.
pub fn run(args: &ImageToTarArgs) -> Result<u8> {
    let to = std::path::absolute(&args.archive).map_err(|error| failed(&args.archive, &error))?;
    let scratch = to.parent().unwrap_or(Path::new("/"));
    let image = Image::open(&args.image, scratch)?;
    let about = |failure: Failure| failure.about(args.image.display());
    let Image::Disk(system) = &image else {
        let message = "it is an archive already";
        return Err(about(Failure::new(Kind::Usage, message).hint("tar -xf unpacks it")));
    };
    if !system.has_root() {
        return Err(about(image.lacks("a root file system (with /etc)")));
    }
    let mut tree = system.tree(b"").map_err(|error| about(system_failure(&error)))?;
    tidy(&mut tree, system);
    let file = Aside::new(&to).map_err(|error| failed(&to, &error))?;
    let level = flate2::Compression::new(LEVEL);
    let mut writer = flate2::GzBuilder::new().mtime(0).write(file.file(), level);
    tree.write_tar(&mut writer)
        .and_then(|()| writer.finish().map(|_| ()))
        .map_err(|error| about(failed(&to, &error)))?;
    file.sync().map_err(|error| failed(&to, &error))?;
    file.persist(&to).map_err(|error| failed(&to, &error))?;
    Ok(0)
}

fn failed(to: &Path, error: &std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, to.display(), error)
}
