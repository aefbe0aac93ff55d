//! What stands beside an image whose base nobody vouches for: `NAME.d/base.json`.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::aside::Aside;
use super::outputs;
use crate::base::{Source, Trust};
use crate::error::{Failure, Kind, Result};
use crate::request::{ImageType, Request};

/// The file's name in `NAME.d`.
const NAME: &str = "base.json";

/// The note of one build, from before it writes anything until its outputs have their names.
#[derive(Debug)]
pub struct Note<'a> {
    request: &'a Request,
    /// The base, when nobody vouches for it.
    source: Option<&'a Source>,
    /// What an earlier build of that name said.
    before: Option<Vec<u8>>,
    /// Its images.
    images: Vec<Option<Stamp>>,
}

/// By which a file is known to be another one.
type Stamp = (u64, u64, i64, i64);

impl<'a> Note<'a> {
    /// Says beside the output that nobody vouches for its base, when that is so: no image is ever
    /// there without its note.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn begin(request: &'a Request, base: Option<&'a Source>) -> Result<Self> {
        let source = base.filter(|source| source.trust == Trust::Insecure);
        let path = path(request);
        let before = is_ours(&path).then(|| fs_err::read(&path).ok()).flatten();
        let note = Self { request, source, before, images: stamps(request) };
        note.write()?;
        Ok(note)
    }

    /// Settles the note when the build has ended. One whose outputs are named takes away what an
    /// earlier build of that name said, unless images of that one are still there, which the text
    /// that it returns tells people; one that named none leaves what it found.
    ///
    /// # Errors
    ///
    /// When the file cannot be written or removed.
    pub fn end(self, built: bool) -> Result<Option<String>> {
        let path = path(self.request);
        let failed = |error| failure(&path, &error);
        match (self.source, built) {
            // A hook may have written one of that name meanwhile.
            (Some(_), true) => self.write()?,
            (Some(_), false) if stamps(self.request) == self.images => match &self.before {
                Some(text) => write(&path, text).map_err(failed)?,
                None => take_away(&path).map_err(failed)?,
            },
            (None, true) if is_ours(&path) => {
                let kept = |kind: &ImageType| !self.request.types.contains(kind);
                let mut others = ImageType::all().into_iter().filter(kept);
                let other = others.find_map(|kind| {
                    let image = outputs::path(self.request, kind);
                    fs_err::symlink_metadata(&image).is_ok().then_some(image)
                });
                if let Some(image) = other {
                    return Ok(Some(format!(
                        "{} says that nobody vouches for the base of an earlier build; it stays for {}: remove that, or build it too",
                        path.display(),
                        image.display()
                    )));
                }
                take_away(&path).map_err(failed)?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn write(&self) -> Result<()> {
        let Some(source) = self.source else { return Ok(()) };
        let path = path(self.request);
        write(&path, &text(source)).map_err(|error| failure(&path, &error))
    }
}

fn failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, path.display().to_string(), error)
        .hint("it says that nobody vouches for the base; name another place by -o")
}

/// Every image of that name that there is.
fn stamps(request: &Request) -> Vec<Option<Stamp>> {
    let stamp = |kind| {
        let data = fs_err::symlink_metadata(outputs::path(request, kind)).ok()?;
        Some((data.dev(), data.ino(), data.ctime(), data.ctime_nsec()))
    };
    ImageType::all().into_iter().map(stamp).collect()
}

/// Removes a note of ours, and its directory when nothing else is in it.
fn take_away(path: &Path) -> std::io::Result<()> {
    if is_ours(path) {
        fs_err::remove_file(path)?;
        if let Some(directory) = path.parent() {
            let _in_use = rustix::fs::rmdir(directory);
        }
    }
    Ok(())
}

/// Whether an earlier build wrote the file: a hook may have one of that name.
fn is_ours(path: &Path) -> bool {
    let directory = path.parent().and_then(|parent| fs_err::symlink_metadata(parent).ok());
    let file = fs_err::symlink_metadata(path);
    directory.is_some_and(|data| data.is_dir())
        && file.is_ok_and(|data| data.is_file())
        && fs_err::read(path)
            .ok()
            .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
            .is_some_and(|value| value["base"]["trust"] == "insecure")
}

fn path(request: &Request) -> PathBuf {
    let mut directory = request.cwd.join(&request.output).into_os_string();
    directory.push(".d");
    Path::new(&directory).join(NAME)
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    match fs_err::create_dir(directory) {
        // A hook may have made it, and as a link, which is not followed.
        Err(_) if fs_err::symlink_metadata(directory).is_ok_and(|data| data.is_dir()) => {}
        other => other?,
    }
    let file = Aside::new(path)?;
    file.file().write_all(text)?;
    file.sync()?;
    file.persist(path)
}

/// What the note says.
fn text(source: &Source) -> Vec<u8> {
    let value = serde_json::json!({ "base": {
        "kind": "image",
        "url": without_secrets(&source.url),
        "checksum": source.sum.to_string(),
        "trust": source.trust,
        "note": "nobody vouches for it: it was taken by --insecure-base",
    }});
    format!("{value:#}\n").into_bytes()
}

/// An address without the user, the password and the tokens that it may have: images are given
/// away.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    let from = rest[..host].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(trust: Trust) -> Source {
        let sum = format!("sha256:{}", "a".repeat(64));
        serde_json::from_value(serde_json::json!({
            "url": "https://me:secret@h:1/a@b.raw?token=secret", "sum": sum, "form": "raw", "trust": trust,
        }))
        .unwrap()
    }

    /// Builds `image` on that base, writing those formats when it succeeds.
    fn build(request: &Request, base: Option<&Source>, succeeds: bool) -> Option<String> {
        let note = Note::begin(request, base).unwrap();
        for &kind in request.types.iter().filter(|_| succeeds) {
            fs_err::write(outputs::path(request, kind), "bytes").unwrap();
        }
        note.end(succeeds).unwrap()
    }

    fn request(place: &Path) -> Request {
        let mut request =
            Request::new(std::collections::BTreeMap::new(), place.to_path_buf()).unwrap();
        request.set_output("image");
        request.types = vec![ImageType::Qcow2];
        request
    }

    #[test]
    fn the_note_is_there_exactly_when_nobody_vouches() {
        let place = tempfile::tempdir().unwrap();
        let request = request(place.path());
        let file = place.path().join("image.d/base.json");
        build(&request, None, true);
        assert!(!file.parent().unwrap().exists());
        let (insecure, pinned) = (source(Trust::Insecure), source(Trust::Pinned));
        build(&request, Some(&insecure), false);
        assert!(!file.parent().unwrap().exists(), "there is no image that it could be about");
        for succeeds in [true, true, false] {
            build(&request, Some(&insecure), succeeds);
            let text = fs_err::read_to_string(&file).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["base"]["url"], "https://h:1/a@b.raw");
            assert_eq!(value["base"]["trust"], "insecure");
        }
        // The same name again, of a base that is believed: the old image is there until it ends.
        build(&request, Some(&pinned), false);
        assert!(file.exists());
        build(&request, Some(&pinned), true);
        assert!(!file.exists());
        // A hook's own is not ours to take away, nor what a hook's link leads to.
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, "{}").unwrap();
        build(&request, None, true);
        assert!(file.exists());
    }

    #[test]
    fn the_note_stays_for_an_image_of_another_format() {
        let place = tempfile::tempdir().unwrap();
        let mut request = request(place.path());
        build(&request, Some(&source(Trust::Insecure)), true);
        let file = place.path().join("image.d/base.json");
        request.types = vec![ImageType::Tar];
        let said = build(&request, Some(&source(Trust::Pinned)), true).unwrap();
        assert!(file.exists() && said.contains("image.qcow2"), "{said}");
        fs_err::remove_file(place.path().join("image.qcow2")).unwrap();
        build(&request, Some(&source(Trust::Pinned)), true);
        assert!(!file.exists());
    }

    #[test]
    fn a_link_that_a_hook_made_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let canary = place.path().join("canary");
        fs_err::create_dir(&canary).unwrap();
        std::os::unix::fs::symlink(&canary, place.path().join("image.d")).unwrap();
        let insecure = source(Trust::Insecure);
        let failure = Note::begin(&request(place.path()), Some(&insecure)).unwrap_err();
        assert_eq!(failure.kind, Kind::Host);
        assert_eq!(fs_err::read_dir(&canary).unwrap().count(), 0);
    }
}
