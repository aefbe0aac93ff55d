//! What COPY takes: files below the context, and nothing that a link leads out of it to.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

use goldsmith_images::digest::{Digest, Digesting};

use crate::error::{Failure, Kind, Result};

/// Digests the sources: names, permissions and content.
///
/// # Errors
///
/// When one is missing, climbs out of the context, or is a symbolic link or special file.
pub(super) fn digest(context: &Path, sources: &[String]) -> Result<String> {
    let mut text = String::new();
    for source in sources {
        let wrong = |reason: &str| {
            Failure::new(Kind::Configuration, format!("COPY {source}: {reason}"))
                .hint(format!("the context is {} (DIB_CONTAINER_CONTEXT)", context.display()))
        };
        let inside = Path::new(source.trim_start_matches('/'));
        if inside.components().any(|part| part == Component::ParentDir) {
            return Err(wrong("it climbs out of the context"));
        }
        if source.contains(['*', '?', '[']) {
            return Err(wrong("patterns are not supported"));
        }
        let top = context.join(inside);
        let real = |path: &Path| fs_err::canonicalize(path).map_err(|e| wrong(&e.to_string()));
        if !real(&top)?.starts_with(real(context)?) {
            return Err(wrong("it leads out of the context"));
        }
        for entry in walkdir::WalkDir::new(&top).follow_root_links(false).sort_by_file_name() {
            let entry = entry.map_err(|error| wrong(&error.to_string()))?;
            let name = entry.path().strip_prefix(context).unwrap_or(entry.path());
            let data = entry.metadata().map_err(|error| wrong(&error.to_string()))?;
            let content = if data.is_dir() {
                String::new()
            } else if data.is_file() {
                content(entry.path()).map_err(|error| wrong(&error.to_string()))?.to_string()
            } else {
                let message = format!("{} is neither a file nor a directory", name.display());
                return Err(wrong(&message));
            };
            text.push_str(&format!("{name:?} {:o} {content}\n", data.permissions().mode()));
        }
    }
    Ok(Digest::of(text).to_string())
}

fn content(path: &Path) -> std::io::Result<Digest> {
    let mut reader = Digesting::new(fs_err::File::open(path)?);
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(reader.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_context_are_copied() {
        let place = tempfile::tempdir().unwrap();
        let context = place.path().join("context");
        fs_err::create_dir_all(context.join("d")).unwrap();
        fs_err::write(context.join("d/x"), "one").unwrap();
        fs_err::write(place.path().join("secret"), "s").unwrap();
        let digest = |source: &str| digest(&context, &[source.to_owned()]);
        let first = digest("d").unwrap();
        assert_eq!(digest("/d").unwrap(), first);
        fs_err::write(context.join("d/x"), "two").unwrap();
        assert_ne!(digest("d").unwrap(), first);
        assert!(digest("d/../../secret").is_err() && digest("none").is_err());
        assert!(digest("d/*").is_err());
        std::os::unix::fs::symlink("../secret", context.join("d/link")).unwrap();
        assert!(digest("d").is_err() && digest("d/link").is_err() && digest("d/x").is_ok());
    }
}
