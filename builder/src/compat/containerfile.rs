//! The element that makes its base from a container file: which file, and with what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::containerfile::Wanted;
use crate::element::{ElementGraph, base_yaml};
use crate::error::{Failure, Kind, Result};
use crate::request::Request;

/// The element and the hook that calls a container engine.
pub(super) const ELEMENT: &str = "containerfile";
pub(super) const HOOK: &str = "root.d/08-containerfile";

/// The container file that goldsmith builds itself, and the hook that this replaces; nothing
/// when no element asks for one, or none is found: the hook then says so.
///
/// # Errors
///
/// When `DIB_CONTAINERFILE_BUILDOPTS` asks for what is not supported.
pub fn containerfile(
    request: &Request,
    graph: &ElementGraph,
    cache: &Path,
) -> Result<Option<(String, Wanted)>> {
    let element = graph.elements.iter().find(|element| element.name == ELEMENT);
    if !element.is_some_and(|element| element.path.join(HOOK).exists()) {
        return Ok(None);
    }
    let env = variables(request, graph);
    let get = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let named = get("DIB_CONTAINERFILE_DOCKERFILE").map(|path| request.cwd.join(path));
    let of_release = |release: &String| {
        let inside = Path::new("containerfiles").join(release);
        graph.elements.iter().map(|one| one.path.join(&inside)).find(|path| path.is_file())
    };
    let file = named.or_else(|| get("DIB_RELEASE").and_then(of_release));
    let Some(file) = file.filter(|file| file.is_file()) else { return Ok(None) };
    let context = match (get("DIB_CONTAINER_CONTEXT"), &request.image_cache) {
        (Some(path), _) => request.cwd.join(path),
        (None, Some(cache)) => cache.join("containerfile"),
        (None, None) => cache.join("image-create/containerfile"),
    };
    let mut wanted = Wanted { file, context, ..Wanted::default() };
    options(get("DIB_CONTAINERFILE_BUILDOPTS").map_or("", String::as_str), &mut wanted)?;
    Ok(Some((format!("{ELEMENT}/{HOOK}"), wanted)))
}

/// The caller's variables, and `DIB_*` that elements set in so many words: their files are
/// not run before there is a base.
fn variables(request: &Request, graph: &ElementGraph) -> BTreeMap<String, String> {
    let mut env = request.env.clone();
    for element in &graph.elements {
        let Ok(list) = fs_err::read_dir(element.path.join("environment.d")) else { continue };
        let mut files: Vec<PathBuf> = list.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for text in files.iter().filter_map(|path| fs_err::read_to_string(path).ok()) {
            for line in text.lines() {
                let Some(rest) = line.trim().strip_prefix("export ") else { continue };
                let Some((name, value)) = rest.split_once('=') else { continue };
                if name.starts_with("DIB_") && !value.contains("$(") && !value.contains('`') {
                    let value = base_yaml::expand(value.trim_matches(['"', '\'']), &env);
                    if !value.contains('$') {
                        env.insert(name.to_owned(), value);
                    }
                }
            }
        }
    }
    env
}

/// What of the options of `podman build` changes the image.
fn options(text: &str, wanted: &mut Wanted) -> Result<()> {
    let refuse = |what: &str| {
        let message = format!("DIB_CONTAINERFILE_BUILDOPTS: {what} is not supported");
        Failure::new(Kind::Configuration, message)
            .hint("--build-arg NAME=VALUE and --from IMAGE are")
    };
    let words = shlex::split(text).ok_or_else(|| refuse("a quote without its end"))?;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        match name.as_str() {
            "--build-arg" => {
                let pair = value.or_else(|| words.next()).unwrap_or_default();
                let (name, value) =
                    pair.split_once('=').ok_or_else(|| refuse("--build-arg without a value"))?;
                wanted.arguments.insert(name.to_owned(), value.to_owned());
            }
            "--from" => wanted.from = value.or_else(|| words.next()),
            // They change no image of ours.
            "--pull" | "--no-cache" | "--quiet" | "-q" | "--network"
                if value.is_some() || name != "--network" => {}
            "--network" => drop(words.next()),
            other => return Err(refuse(other)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_change_the_image_are_obeyed_or_refused() {
        let mut wanted = Wanted::default();
        let text = "--build-arg=A=1 --build-arg 'B=x y' --from r.io/x:1 --network host --pull";
        options(text, &mut wanted).unwrap();
        assert_eq!(wanted.from.as_deref(), Some("r.io/x:1"));
        assert_eq!(wanted.arguments["A"], "1");
        assert_eq!(wanted.arguments["B"], "x y");
        for text in ["--target x", "--volume=/:/x", "--build-arg A", "'"] {
            assert!(options(text, &mut Wanted::default()).is_err(), "{text}");
        }
    }
}
