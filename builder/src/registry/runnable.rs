//! What runs in an image of a registry, where and as whom: its configuration, and what the
//! caller wants instead, put together as docker does.

use std::path::PathBuf;

use goldsmith_images::oci::{Config, Document, MANIFEST_LIMIT, Run};
use goldsmith_images::store::StoreError;

use crate::error::{Failure, Kind, Result};
use crate::phase::session::{Session, store_failure};

/// Where programs are looked for in images that do not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the image of that name in the store wants to be run; nothing when it was not pulled.
///
/// # Errors
///
/// When the store cannot be read, or holds another configuration than its manifest says.
pub fn configuration(session: &Session, name: &str) -> Result<Option<Run>> {
    let stored = |error: StoreError| store_failure(&error);
    let Some(image) = session.store.pulled(name).map_err(stored)? else { return Ok(None) };
    let wrong = |error| Failure::wrap(Kind::Verification, name, &error);
    let bytes = session.store.read_blob(&image.digest, MANIFEST_LIMIT).map_err(stored)?;
    let Document::Manifest(manifest) = Document::read(&bytes, &image.media_type).map_err(wrong)?
    else {
        return Ok(None);
    };
    let bytes = session.store.read_blob(&manifest.config.digest, MANIFEST_LIMIT).map_err(stored)?;
    Ok(Some(Config::read(&bytes).map_err(wrong)?.config.unwrap_or_default()))
}

/// What the caller wants otherwise than the image.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Another entry point; an empty one is none.
    pub entrypoint: Option<String>,
    /// Another command.
    pub command: Vec<String>,
    /// Variables, the last of equal names counting.
    pub env: Vec<(String, String)>,
    /// Another working directory.
    pub directory: Option<PathBuf>,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runnable {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its environment, without `HOME` if nobody names one.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub directory: PathBuf,
}

impl Runnable {
    /// Puts both together.
    ///
    /// # Errors
    ///
    /// When neither names a program.
    pub fn new(image: &Run, wishes: Wishes) -> Result<Self> {
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        // Another entry point has nothing to do with the image's own arguments.
        let (mut argv, usual) = match wishes.entrypoint {
            Some(program) if program.is_empty() => (Vec::new(), Vec::new()),
            Some(program) => (vec![program], Vec::new()),
            None => (words(&image.entrypoint), words(&image.cmd)),
        };
        argv.extend(if wishes.command.is_empty() { usual } else { wishes.command });
        if argv.is_empty() {
            return Err(Failure::new(Kind::Usage, "nothing says what to run")
                .hint("write the command behind --, for instance -- sh"));
        }
        let mut env = vec![("PATH".to_owned(), PATH.to_owned())];
        for (name, value) in image.variables().into_iter().chain(wishes.env) {
            env.retain(|(other, _)| *other != name);
            env.push((name, value));
        }
        let directory = wishes.directory.unwrap_or_else(|| image.directory());
        Ok(Self { argv, env, directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn entry_point_and_command_are_joined_as_by_docker() {
        for (entrypoint, cmd, wish, command, expected) in [
            (Some("git"), Some("help"), None, "", "git help"),
            (Some("git"), Some("help"), None, "log -1", "git log -1"),
            (None, Some("sh -l"), None, "", "sh -l"),
            (None, Some("sh -l"), None, "true", "true"),
            (Some("git"), Some("help"), Some("sh"), "", "sh"),
            (Some("git"), Some("help"), Some("sh"), "-c true", "sh -c true"),
            (Some("git"), Some("help"), Some(""), "true", "true"),
            (Some("git"), Some("help"), Some(""), "", ""),
            (None, None, None, "", ""),
        ] {
            let image =
                Run { entrypoint: entrypoint.map(words), cmd: cmd.map(words), ..Run::default() };
            let entrypoint = wish.map(str::to_owned);
            let wishes = Wishes { entrypoint, command: words(command), ..Wishes::default() };
            match Runnable::new(&image, wishes) {
                Ok(runnable) => assert_eq!(runnable.argv, words(expected)),
                Err(failure) => assert!(expected.is_empty(), "{failure}"),
            }
        }
    }

    #[test]
    fn the_callers_variables_and_directory_come_first() {
        let image = Run {
            env: Some(words("PATH=/own A=image B=image")),
            working_dir: Some("/srv/../opt".to_owned()),
            ..Run::default()
        };
        let env = vec![("A".to_owned(), "caller".to_owned())];
        let wishes = Wishes { env, command: words("x"), ..Wishes::default() };
        let runnable = Runnable::new(&image, wishes.clone()).unwrap();
        let expected = [("PATH", "/own"), ("B", "image"), ("A", "caller")];
        assert_eq!(runnable.env, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(runnable.directory, PathBuf::from("/opt"));
        let directory = Some(PathBuf::from("/tmp"));
        let runnable = Runnable::new(&Run::default(), Wishes { directory, ..wishes }).unwrap();
        assert_eq!(runnable.directory, PathBuf::from("/tmp"));
        assert_eq!(runnable.env[0].1, PATH);
    }
}
