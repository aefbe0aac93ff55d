//! Builds an image again and says what is not the same: partition, path, attribute, and the
//! phase and hook that wrote it.

pub mod origin;

use std::path::{Path, PathBuf};

use goldsmith_images::compare::{self, CompareError, Difference};
use goldsmith_images::disk::sink::checksums;
use serde::Serialize;

use crate::base::jobs::chain;
use crate::disk_image::{Contents, contents};
use crate::error::{Failure, Kind, Result};
use crate::phase::build::{Built, build_unnamed};
use crate::phase::session::Session;
use crate::request::{Backend, ImageType, Request};
use origin::Origin;

/// How many differing paths are looked up in the build's snapshots.
const LOOKED_UP: usize = 500;

/// What a verification found.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The image.
    pub image: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// That of what the elements make now.
    pub rebuilt: String,
    /// Whether the image is what they make: the same bytes, or with the loop backend, whose
    /// kernel lays them out as it likes, the same files.
    pub verified: bool,
    /// What is not the same, in the order of the disk; empty for equal bytes.
    pub differences: Vec<Told>,
}

/// A difference, and where it comes from.
#[derive(Debug, Serialize)]
pub struct Told {
    /// The partition, or the part of an archive.
    pub place: String,
    /// The absolute path in the image, when a file differs.
    pub path: Option<String>,
    /// What of it.
    pub attribute: String,
    /// Its value in the image, for people; empty for bytes.
    pub image: String,
    /// Its value in what was built now.
    pub rebuilt: String,
    /// Who wrote the path in the build, as far as that is known.
    pub origin: Option<Origin>,
}

/// Builds what `request` asks for into a place of its own in the cache and compares `image` with
/// the output of the format `kind`. The request's output is a bare name; nothing is left of it.
///
/// # Errors
///
/// When the build fails, or an image cannot be read.
pub fn verify(
    session: &Session,
    request: &Request,
    image: &Path,
    kind: ImageType,
) -> Result<Verdict> {
    let place = session.pending()?;
    let outcome = in_place(session, request, image, kind, &place.path().join("output"));
    session.discard(place)?;
    outcome
}

fn in_place(
    session: &Session,
    request: &Request,
    image: &Path,
    kind: ImageType,
    place: &Path,
) -> Result<Verdict> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "the place to build in", &error);
    fs_err::create_dir(place).map_err(failed)?;
    let mut request = request.clone();
    let name = request.output.file_name().unwrap_or_default().to_owned();
    request.output = place.join(&name);
    request.types = vec![kind];
    request.checksums.clear();
    let built = build_unnamed(session, &request)?;
    let ours = crate::materialise::outputs::path(&request, kind);
    let unread = |error: std::io::Error| Failure::wrap(Kind::Usage, "the image", &error);
    let sha256 = checksums(image, false).map_err(unread)?.sha256;
    if !built.finished.iter().any(|finished| finished.path == ours) {
        return Err(Failure::new(Kind::Build, format!("no {} was built", kind.name())));
    }
    let ours_failed =
        |error: std::io::Error| Failure::wrap(Kind::Host, "the rebuilt image", &error);
    let rebuilt = checksums(&ours, false).map_err(ours_failed)?.sha256;
    let mut verdict = Verdict {
        image: image.to_path_buf(),
        verified: sha256 == rebuilt,
        sha256,
        rebuilt,
        differences: Vec::new(),
    };
    if !verdict.verified {
        session.reporter.info("The bytes are not the same: comparing what they say");
        let found = differences(image, &ours, kind, place)?;
        verdict.verified = request.backend == Backend::Loop
            && found.iter().all(|one| matches!(one.attribute, compare::Attribute::Bytes(_)));
        verdict.differences = tell(session, &built, found)?;
    }
    Ok(verdict)
}

/// Compares two images of one format.
fn differences(
    image: &Path,
    rebuilt: &Path,
    kind: ImageType,
    scratch: &Path,
) -> Result<Vec<Difference>> {
    let open = |path: &Path| {
        fs_err::File::open(path).map_err(|error| Failure::wrap(Kind::Host, "the image", &error))
    };
    let failed = |error: CompareError| {
        let message = format!("{} cannot be compared: {}", image.display(), chain(&error));
        Failure::new(Kind::Verification, message)
    };
    if matches!(kind, ImageType::Oci | ImageType::Docker) {
        let (one, other) = (open(image)?.into_parts().0, open(rebuilt)?.into_parts().0);
        return compare::oci_archives(one, other).map_err(failed);
    }
    let read = |path: &Path| {
        contents(open(path)?, path, scratch).map_err(|failure| failure.about(path.display()))
    };
    match (read(image)?, read(rebuilt)?) {
        (Contents::Disk(one), Contents::Disk(other)) => {
            compare::disks(&one, &other).map_err(failed)
        }
        (Contents::Archive(mut one), Contents::Archive(mut other)) => {
            compare::tars(one.stream()?, other.stream()?, "the archive").map_err(failed)
        }
        _ => {
            let message = format!("{} is no {}", image.display(), kind.name());
            Err(Failure::new(Kind::Verification, message))
        }
    }
}

/// Adds to each difference who wrote the path.
fn tell(session: &Session, built: &Built, found: Vec<Difference>) -> Result<Vec<Told>> {
    let paths: Vec<_> = found.iter().filter_map(|one| one.path.clone()).take(LOOKED_UP).collect();
    let mut origins = origin::of_paths(session, built, &paths)?.into_iter();
    let told = |one: Difference| {
        let path = one.path.as_ref();
        Told {
            origin: path.and_then(|_| origins.next().flatten()),
            path: path.map(|path| format!("/{}", String::from_utf8_lossy(path))),
            place: one.place,
            attribute: one.attribute.to_string(),
            image: one.values.0,
            rebuilt: one.values.1,
        }
    };
    Ok(found.into_iter().map(told).collect())
}
