//! Names of images in registries: `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no image of a registry: {reason}")]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host and port, as written; `docker.io` when left out.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// A name that can move; `latest` when there is neither tag nor digest.
    pub tag: Option<String>,
    /// What never moves, and counts when both are there.
    pub digest: Option<Digest>,
}

/// Where images without a host come from, as with every other tool.
const HUB: &str = "docker.io";

impl Reference {
    /// Whether a text names a host, so that it is meant as a name in a registry.
    pub fn names_host(text: &str) -> bool {
        text.starts_with("docker://") || text.split_once('/').is_some_and(|(host, _)| is_host(host))
    }

    /// What a manifest is asked for by: the digest, else the tag.
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same image by what never moves.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |reason| ReferenceError { text: text.to_owned(), reason };
        let name = text.strip_prefix("docker://").unwrap_or(text);
        let (name, digest) = match name.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse::<Digest>();
                (name, Some(digest.or(Err(wrong("its digest is no sha256 digest")))?))
            }
            None => (name, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (host, path),
            _ => (HUB, name),
        };
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag.to_owned())),
            None => (path, None),
        };
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag has other characters than letters, digits, . _ and -"));
        }
        let repository = if host == HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if repository.len() > 255 || !repository.split('/').all(is_component) {
            return Err(wrong(
                "its repository is not made of lower-case letters, digits, . _ - and /",
            ));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if !host.chars().all(plain) {
            return Err(wrong("its host has other characters than letters, digits, . - and :"));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { host: host.to_owned(), repository, tag, digest })
    }
}

fn is_host(text: &str) -> bool {
    let port = text.rsplit_once(':').map(|(_, port)| port);
    let port =
        port.is_some_and(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
    text == "localhost" || text.contains('.') || port
}

fn is_tag(tag: &str) -> bool {
    let begin = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(begin) && tag.len() <= 128 && tag.chars().all(|c| begin(c) || ".-".contains(c))
}

fn is_component(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(inner)
        && text.ends_with(inner)
        && text.chars().all(|c| inner(c) || "._-".contains(c))
        && !text.contains("..")
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}
