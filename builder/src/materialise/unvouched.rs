//! What stands beside an image whose base nobody vouches for: `NAME.d/base.json`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::aside::Aside;
use crate::base::{Source, Trust};
use crate::error::{Failure, Kind, Result};
use crate::request::Request;

/// The file's name in `NAME.d`.
const NAME: &str = "base.json";

/// Says beside the output that nobody vouches for its base; takes away what an earlier build of
/// the same name said when that does not hold any more.
///
/// # Errors
///
/// When the file cannot be written.
pub fn note(request: &Request, base: Option<&Source>) -> Result<()> {
    let path = path(request);
    let failed = |error: std::io::Error| {
        Failure::wrap(Kind::Host, path.display().to_string(), &error)
            .hint("it says that nobody vouches for the base; name another place by -o")
    };
    match base.filter(|source| source.trust == Trust::Insecure) {
        Some(source) => write(&path, source).map_err(failed),
        None if !is_ours(&path) => Ok(()),
        None => match fs_err::remove_file(&path) {
            Err(error) if path.symlink_metadata().is_ok() => Err(failed(error)),
            _ => Ok(()),
        },
    }
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

fn write(path: &Path, source: &Source) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    match fs_err::create_dir(directory) {
        // A hook may have made it, and as a link, which is not followed.
        Err(_) if fs_err::symlink_metadata(directory).is_ok_and(|data| data.is_dir()) => {}
        other => other?,
    }
    let value = serde_json::json!({ "base": {
        "kind": "image",
        "url": without_secrets(&source.url),
        "checksum": source.sum.to_string(),
        "trust": source.trust,
        "note": "nobody vouches for it: it was taken by --insecure-base",
    }});
    let file = Aside::new(path)?;
    writeln!(file.file(), "{value:#}")?;
    file.sync()?;
    file.persist(path)
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

    #[test]
    fn the_note_is_there_exactly_when_nobody_vouches() {
        let place = tempfile::tempdir().unwrap();
        let mut request =
            Request::new(std::collections::BTreeMap::new(), place.path().to_path_buf());
        request.set_output("image");
        let file = place.path().join("image.d/base.json");
        note(&request, None).unwrap();
        assert!(!file.parent().unwrap().exists());
        for _ in 0..2 {
            note(&request, Some(&source(Trust::Insecure))).unwrap();
            let text = fs_err::read_to_string(&file).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["base"]["url"], "https://h:1/a@b.raw");
            assert_eq!(value["base"]["trust"], "insecure");
        }
        // The same name again, of a base that is believed.
        note(&request, Some(&source(Trust::Pinned))).unwrap();
        assert!(!file.exists());
        // A hook's own is not ours to take away, nor what a hook's link leads to.
        fs_err::write(&file, "{}").unwrap();
        note(&request, None).unwrap();
        assert!(file.exists());
    }

    #[test]
    fn a_link_that_a_hook_made_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let canary = place.path().join("canary");
        fs_err::create_dir(&canary).unwrap();
        std::os::unix::fs::symlink(&canary, place.path().join("image.d")).unwrap();
        let mut request =
            Request::new(std::collections::BTreeMap::new(), place.path().to_path_buf());
        request.set_output("image");
        let failure = note(&request, Some(&source(Trust::Insecure))).unwrap_err();
        assert_eq!(failure.kind, Kind::Host);
        assert_eq!(fs_err::read_dir(&canary).unwrap().count(), 0);
    }
}
