//! Attached files: by registries that list them, and by those that do not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::honest::{Fixture, reference};
use super::server::{Answer, Seen, Server};
use crate::digest::Digest;
use crate::oci::{Descriptor, Index, Manifest, media_type};
use crate::registry::{Artifact, RegistryError};

/// What was put, by its path.
type Kept = Arc<Mutex<BTreeMap<String, Seen>>>;

/// A registry that keeps what it is sent, but for what `other` answers.
fn keeper(
    other: impl Fn(&Seen, &Kept) -> Option<Answer> + Send + Sync + 'static,
) -> (Server, Kept) {
    let kept = Kept::default();
    let (there, fixture) = (Arc::clone(&kept), Fixture::new());
    let server = Server::new(move |seen| {
        if let Some(answer) = other(seen, &kept) {
            return answer;
        }
        let mut kept = kept.lock().unwrap();
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        match seen.method.as_str() {
            "POST" => Answer::new(202, "").with("Location", "/v2/x/upload?state=1"),
            "PUT" => {
                let name = query
                    .split_once("digest=")
                    .map(|(_, digest)| format!("/v2/x/blobs/{}", digest.replace("%3A", ":")));
                kept.insert(name.unwrap_or_else(|| path.to_owned()), seen.clone());
                Answer::new(201, "")
            }
            _ => match kept.get(&seen.path) {
                Some(put) => Answer::new(200, put.body.clone())
                    .with("Content-Type", put.header("content-type").unwrap_or_default()),
                None => fixture.answer(seen),
            },
        }
    });
    (server, there)
}

/// Whose an artifact is.
fn subject(body: &[u8]) -> Option<String> {
    let manifest: Manifest = serde_json::from_slice(body).ok()?;
    Some(manifest.subject?.digest.to_string())
}

/// A registry of the specification's version 1.1, whose lists have one artifact a part.
fn native() -> (Server, Kept) {
    keeper(|seen, kept| {
        if seen.method == "PUT" && seen.path.contains("/manifests/") {
            let subject = subject(&seen.body)?;
            kept.lock().unwrap().insert(seen.path.clone(), seen.clone());
            return Some(Answer::new(201, "").with("OCI-Subject", subject));
        }
        let rest = seen.path.strip_prefix("/v2/x/referrers/")?;
        let (digest, at) = rest.split_once("?at=").unwrap_or((rest, "0"));
        let at: usize = at.parse().unwrap();
        let kept = kept.lock().unwrap();
        let all: Vec<_> = kept
            .values()
            .filter(|put| subject(&put.body).as_deref() == Some(digest))
            .map(|put| Descriptor {
                artifact_type: Some("application/spdx+json".to_owned()),
                ..Descriptor::of(media_type::MANIFEST, &put.body)
            })
            .collect();
        let page = Index::new(all.get(at).cloned().into_iter().collect());
        let answer = Answer::new(200, serde_json::to_vec(&page).unwrap());
        let answer = answer.with("Content-Type", media_type::INDEX);
        let next = format!("</v2/x/referrers/{digest}?at={}>; rel=\"next\"", at + 1);
        Some(if at + 1 < all.len() { answer.with("Link", next) } else { answer })
    })
}

/// Attaches two files to the fixture's image.
fn attached(server: &Server) -> Vec<Digest> {
    let attach = |text: &str| {
        let artifact = Artifact {
            kind: "application/spdx+json".to_owned(),
            name: "sbom.json".to_owned(),
            bytes: text.into(),
        };
        server.client().attach(&reference(server, ":one"), &artifact).unwrap()
    };
    ["first", "second"].map(attach).to_vec()
}

fn listed(server: &Server, of: &Digest) -> Vec<Descriptor> {
    server.client().referrers(&reference(server, ":one"), of).unwrap()
}

fn digests(listed: &[Descriptor]) -> Vec<Digest> {
    listed.iter().map(|one| one.digest).collect()
}

/// The tag that stands in for the list of the fixture's image.
fn tag() -> String {
    format!("/v2/x/manifests/sha256-{}", Fixture::new().manifest.digest.hex())
}

#[test]
fn attached_files_are_listed_where_the_registry_does_not() {
    let subject = Fixture::new().manifest.digest;
    let (server, kept) = keeper(|_, _| None);
    assert_eq!(listed(&server, &subject), []);
    let attached = attached(&server);
    let listed = listed(&server, &subject);
    assert_eq!(digests(&listed), attached);
    assert_eq!(listed[0].artifact_type.as_deref(), Some("application/spdx+json"));
    assert!(kept.lock().unwrap().contains_key(&tag()));
}

#[test]
fn a_registry_that_lists_them_itself_is_sent_no_tag() {
    let subject = Fixture::new().manifest.digest;
    let (server, kept) = native();
    assert_eq!(listed(&server, &subject), []);
    let mut attached = attached(&server);
    attached.sort();
    // The list comes in two parts.
    let mut found = digests(&listed(&server, &subject));
    found.sort();
    assert_eq!(found, attached);
    assert!(!kept.lock().unwrap().contains_key(&tag()));
    assert!(server.seen().iter().all(|seen| seen.path != tag()), "the tag was asked for");
    // What somebody else's image has is another list.
    assert_eq!(listed(&server, &Digest::of("other")), []);
}

#[test]
fn a_registry_that_speaks_of_another_image_does_not_know_this_one() {
    let (server, kept) = keeper(|seen, kept| {
        let put = seen.method == "PUT" && subject(&seen.body).is_some();
        put.then(|| {
            kept.lock().unwrap().insert(seen.path.clone(), seen.clone());
            Answer::new(201, "").with("OCI-Subject", Digest::of("other").to_string())
        })
    });
    let attached = attached(&server);
    assert!(kept.lock().unwrap().contains_key(&tag()));
    assert_eq!(digests(&listed(&server, &Fixture::new().manifest.digest)), attached);
}

#[test]
fn i15_a_list_without_an_end_or_elsewhere_is_refused() {
    let subject = Fixture::new().manifest.digest;
    let list = |link: &'static str| {
        let (server, _) = keeper(move |seen, _| {
            let page = serde_json::to_vec(&Index::new(Vec::new())).unwrap();
            let answer = Answer::new(200, page).with("Content-Type", media_type::INDEX);
            seen.path.contains("/referrers/").then(|| answer.with("Link", link))
        });
        let found = server.client().referrers(&reference(&server, ":one"), &subject);
        (found, server)
    };
    let (endless, server) = list("</v2/x/referrers/sha256:0>; rel=\"next\"");
    assert!(matches!(endless, Err(RegistryError::Answer { .. })), "{endless:?}");
    assert_eq!(server.seen().len(), 100);
    let (elsewhere, server) = list("<http://169.254.169.254/x>; rel=next");
    assert!(matches!(elsewhere, Err(RegistryError::Redirect { .. })), "{elsewhere:?}");
    assert_eq!(server.seen().len(), 1);
    // Another relation is no next part.
    let (one, _) = list("</v2/x/referrers/sha256:0>; rel=\"prev\"");
    assert_eq!(one.unwrap(), []);
}
