//! Artifacts attached to an image (OCI distribution specification, referrers).

use std::collections::BTreeMap;
use std::io::Read;

use reqwest::blocking::Response;

use super::endpoint::{Endpoint, same_server, shown};
use super::pieces::Pieces;
use super::send::Ask;
use super::{Registry, RegistryError};
use crate::digest::Digest;
use crate::oci::{Descriptor, Document, Index, MANIFEST_LIMIT, OciError, Reference, media_type};

/// In how many parts a list of referrers may come.
const PAGES: usize = 100;

/// A file to attach to an image.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What it is, for instance `application/spdx+json`.
    pub kind: String,
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// Attaches a file to the image that `subject` names, and returns the digest of the
    /// artifact. A registry that says by `OCI-Subject` that it knows whose it is gets nothing else;
    /// another one also gets the tag that stands in for its list.
    ///
    /// # Errors
    ///
    /// When the image is not there or the registry refuses.
    pub fn attach(
        &self,
        subject: &Reference,
        artifact: &Artifact,
    ) -> Result<Digest, RegistryError> {
        let endpoint = self.origin(subject);
        let (image, ..) = self.named(&endpoint, subject)?;
        let mut pieces = Pieces::default();
        let mut layer = pieces.bytes(&artifact.kind, artifact.bytes.clone());
        let title = ("org.opencontainers.image.title".to_owned(), artifact.name.clone());
        layer.annotations = Some(BTreeMap::from([title]));
        let image = Descriptor { annotations: None, platform: None, ..image };
        let top = pieces.artifact(&artifact.kind, layer, Some(image))?;
        let to = Reference { tag: None, digest: Some(top.digest), ..subject.clone() };
        self.push(&pieces, &top, &to, &[])
    }

    /// What is attached to an image, as the registry says or, where it does not know, as the
    /// index of the tag that stands in says.
    ///
    /// # Errors
    ///
    /// When the registry refuses, or its list has no end.
    pub fn referrers(
        &self,
        repository: &Reference,
        image: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let endpoint = self.origin(repository);
        let mut ask = Ask::get(&endpoint, &format!("referrers/{image}"));
        ask.headers.push(("Accept", media_type::INDEX.to_owned()));
        ask.also = &[404, 405];
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let answer = self.send(&endpoint, &ask)?;
            if !answer.status().is_success() {
                return Ok(self.stand_in(&endpoint, image)?.manifests);
            }
            let here = answer.url().clone();
            let next = match next_page(&answer) {
                Some(place) => Some(self.follow(&here, &place)?),
                None => None,
            };
            found.extend(index(answer, &shown(&here))?.manifests);
            let Some(next) = next else { return Ok(found) };
            if !same_server(&here, &next) {
                let problem = format!("its list of referrers goes on at {}", shown(&next));
                return Err(RegistryError::Answer { url: shown(&here), problem });
            }
            ask.url = next.into();
            // Who has begun to list knows referrers.
            ask.also = &[];
        }
        let problem = format!("its list of referrers has more than {PAGES} parts");
        let url = ask.url.split('?').next().unwrap_or_default().to_owned();
        Err(RegistryError::Answer { url, problem })
    }

    /// Adds an artifact to the index of the tag that stands in for the list of referrers.
    pub(super) fn list_referrer(
        &self,
        endpoint: &Endpoint,
        subject: &Descriptor,
        one: &Descriptor,
        document: &Document,
    ) -> Result<(), RegistryError> {
        let mut index = self.stand_in(endpoint, &subject.digest)?;
        let mut one = one.clone();
        let (kind, annotations) = match document {
            Document::Manifest(manifest) => {
                let kind = manifest.artifact_type.clone();
                let kind = kind.unwrap_or_else(|| manifest.config.media_type.clone());
                (Some(kind), manifest.annotations.clone())
            }
            Document::Index(index) => (index.artifact_type.clone(), index.annotations.clone()),
        };
        one.artifact_type = kind;
        one.annotations = annotations;
        index.manifests.retain(|there| there.digest != one.digest);
        index.manifests.push(one);
        let bytes =
            serde_json::to_vec(&index).map_err(|error| RegistryError::Source(Box::new(error)))?;
        let descriptor = Descriptor::of(media_type::INDEX, &bytes);
        self.put_document(endpoint, &descriptor, &bytes, &tag(&subject.digest)).map(|_| ())
    }

    fn stand_in(&self, endpoint: &Endpoint, image: &Digest) -> Result<Index, RegistryError> {
        let rest = format!("manifests/{}", tag(image));
        let mut ask = Ask::get(endpoint, &rest);
        ask.headers.push(("Accept", media_type::INDEX.to_owned()));
        ask.also = &[404];
        let answer = self.send(endpoint, &ask)?;
        if answer.status() == 404 {
            return Ok(Index::new(Vec::new()));
        }
        index(answer, &ask.url)
    }
}

/// The index that a registry sends.
fn index(answer: Response, url: &str) -> Result<Index, RegistryError> {
    let url = url.to_owned();
    let mut bytes = Vec::new();
    answer
        .take(MANIFEST_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| RegistryError::Transport { url: url.clone(), source: Box::new(error) })?;
    Index::read(&bytes).map_err(|source: OciError| RegistryError::Document { url, source })
}

/// Where the list goes on.
fn next_page(answer: &Response) -> Option<String> {
    let mut links = answer.headers().get_all("Link").iter().filter_map(|link| link.to_str().ok());
    links.find_map(next_of).map(str::to_owned)
}

/// The address of a `Link` header whose relation is `next` (RFC 8288): links are parted by commas
/// outside of quotes.
fn next_of(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (place, behind) = rest.split_once('<')?.1.split_once('>')?;
        let mut quoted = false;
        let end = behind.find(|one| {
            quoted ^= one == '"';
            one == ',' && !quoted
        });
        let (parameters, others) = behind.split_at(end.unwrap_or(behind.len()));
        let is_next = |parameter: &str| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
                name.trim().eq_ignore_ascii_case("rel")
                    && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
            })
        };
        if parameters.split(';').any(is_next) {
            return Some(place);
        }
        rest = others;
    }
}

/// The tag that stands in for the list of referrers.
fn tag(image: &Digest) -> String {
    format!("sha256-{}", image.hex())
}

#[cfg(test)]
mod tests {
    use super::next_of;

    #[test]
    fn the_next_part_is_found_among_other_links() {
        for (header, next) in [
            (r#"</p?n=2>; rel="next""#, Some("/p?n=2")),
            (r#"</p?n=2>; rel="next", </p?n=0>; rel="prev""#, Some("/p?n=2")),
            (r#"</p?n=0>; rel="prev", </p?n=2>; rel=next"#, Some("/p?n=2")),
            (r#"</p?a=1,2>; title="a, <b>"; REL="last Next""#, Some("/p?a=1,2")),
            (r#"</p>; rel="prev", </q>; rel="nextish""#, None),
            (r#"</p>; title="rel=next""#, None),
            ("", None),
            ("<", None),
        ] {
            assert_eq!(next_of(header), next, "{header}");
        }
    }
}
