//! `goldsmith image-to-tar`: what the sandbox's `extract-image` has us do; not listed in help.

use std::path::{Path, PathBuf};

use clap::Args;
use goldsmith_images::tree::Tree;

use crate::disk_image::Image;
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

/// Runs the verb: packs the system on a disk, with what is mounted below it, the same bytes
/// every time. Security contexts stay behind, as diskimage-builder leaves them.
///
/// # Errors
///
/// When the image cannot be read or has no system, or the archive cannot be written.
pub fn run(args: &ImageToTarArgs) -> Result<u8> {
    let to = std::path::absolute(&args.archive).map_err(|error| failed(&args.archive, &error))?;
    let scratch = to.parent().unwrap_or(Path::new("/"));
    let mut image = Image::open(&args.image, scratch)?;
    let about = |failure: Failure| failure.about(args.image.display());
    let Image::Disk(system) = &image else {
        let message = "it is an archive already";
        return Err(about(Failure::new(Kind::Usage, message).hint("tar -xf unpacks it")));
    };
    if !system.has_root() {
        return Err(about(image.lacks("a root file system (with /etc)")));
    }
    let mounts: Vec<String> = system.mounts().into_iter().map(|(point, _)| point).collect();
    let mut tree = image.tree(b"").map_err(about)?;
    tidy(&mut tree, &mounts);
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

/// Takes out what belongs to the file systems and not to the system.
fn tidy(tree: &mut Tree, mounts: &[String]) {
    let lost: Vec<Vec<u8>> = mounts
        .iter()
        .map(|point| format!("{}/lost+found", point.trim_matches('/')))
        .map(|path| path.trim_start_matches('/').as_bytes().to_vec())
        .collect();
    tree.remove_where(|entry| lost.iter().any(|path| entry.is_below(path)));
    for entry in &mut tree.entries {
        entry.xattrs.retain(|(name, _)| name != b"security.selinux");
    }
}

fn failed(to: &Path, error: &std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, to.display(), error)
}
