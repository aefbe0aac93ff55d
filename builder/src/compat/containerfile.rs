//! The element that makes its base from a container file: which file, and with what.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::containerfile::Wanted;
use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};
use crate::request::Request;

/// The element and the hook that calls a container engine.
pub(super) const ELEMENT: &str = "containerfile";
pub(super) const HOOK: &str = "root.d/08-containerfile";

/// The hook that goldsmith does the work of, when an element has it.
pub fn containerfile_hook(graph: &ElementGraph) -> Option<String> {
    let element = graph.elements.iter().find(|element| element.name == ELEMENT)?;
    element.path.join(HOOK).exists().then(|| format!("{ELEMENT}/{HOOK}"))
}

/// The container file that goldsmith obeys itself; `env` has the variables that say which, as
/// the elements' `environment.d` leaves them.
///
/// # Errors
///
/// When there is no such file, or `DIB_CONTAINERFILE_BUILDOPTS` asks for what is not supported.
pub fn containerfile(
    request: &Request,
    graph: &ElementGraph,
    cache: &Path,
    env: &BTreeMap<String, String>,
) -> Result<Wanted> {
    let get = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let named = get("DIB_CONTAINERFILE_DOCKERFILE").map(|path| request.cwd.join(path));
    let of_release = |release: &String| {
        let inside = Path::new("containerfiles").join(release);
        graph.elements.iter().map(|one| one.path.join(&inside)).find(|path| path.is_file())
    };
    let file = match (named, get("DIB_RELEASE")) {
        (Some(file), _) => Some(file),
        (None, Some(release)) => of_release(release),
        (None, None) => None,
    };
    let file = file.filter(|file| file.is_file()).ok_or_else(|| {
        let release = get("DIB_RELEASE").map_or("RELEASE", String::as_str);
        let message =
            format!("no container file: none of the elements has containerfiles/{release}");
        let message = match get("DIB_CONTAINERFILE_DOCKERFILE") {
            Some(file) => {
                format!("no container file: {file} (DIB_CONTAINERFILE_DOCKERFILE) is none")
            }
            None => message,
        };
        Failure::new(Kind::Configuration, message)
            .hint("DIB_CONTAINERFILE_DOCKERFILE names a file, DIB_RELEASE one of an element's")
    })?;
    let context = match (get("DIB_CONTAINER_CONTEXT"), &request.image_cache) {
        (Some(path), _) => request.cwd.join(path),
        (None, Some(cache)) => cache.join("containerfile"),
        (None, None) => cache.join("image-create/containerfile"),
    };
    let mut wanted = Wanted { file, context, ..Wanted::default() };
    options(get("DIB_CONTAINERFILE_BUILDOPTS").map_or("", String::as_str), &mut wanted)?;
    Ok(wanted)
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
