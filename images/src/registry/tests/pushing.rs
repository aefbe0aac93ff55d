//! Pushing, to a registry that lies and to one that does not; and blobs side by side.

use std::io::{Cursor, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::honest::{Fixture, amd64, reference, store};
use super::server::{Answer, Seen, Server};
use crate::digest::Digest;
use crate::oci::Descriptor;
use crate::registry::push::{Source, SourceError};
use crate::registry::{Registry, RegistryError, Settings};

impl Source for Fixture {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        Ok(self.paths[&format!("manifests/{}", descriptor.digest)].1.clone())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError> {
        let bytes = self.paths[&format!("blobs/{}", descriptor.digest)].1.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }
}

/// An empty registry that takes what it is sent, but for what `lie` says.
fn taker(lie: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Server {
    Server::new(move |seen| {
        lie(seen).unwrap_or_else(|| match seen.method.as_str() {
            "POST" => Answer::new(202, "").with("Location", "/v2/x/upload?state=1"),
            "PUT" => Answer::new(201, ""),
            _ => Answer::new(404, ""),
        })
    })
}

fn push(server: &Server, mount_from: &[String]) -> Result<Digest, RegistryError> {
    let image = Fixture::new();
    let to = reference(server, ":pushed");
    server.client().push(&image, &image.manifest, &to, mount_from)
}

/// How many requests there were of this method whose path has `part` in it.
fn count(server: &Server, method: &str, part: &str) -> usize {
    let fits = |seen: &&Seen| seen.method == method && seen.path.contains(part);
    server.seen().iter().filter(fits).count()
}

#[test]
fn a_registry_that_takes_everything_gets_each_blob_once_and_the_name_last() {
    let server = taker(|_| None);
    assert_eq!(push(&server, &[]).unwrap(), Fixture::new().manifest.digest);
    assert_eq!(count(&server, "PUT", "/upload?"), 3);
    let last = server.seen().pop().unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str()), ("PUT", "/v2/x/manifests/pushed"));
}

#[test]
fn blobs_that_are_mounted_are_not_sent() {
    let mount = |seen: &Seen| seen.method == "POST" && seen.path.contains("mount=");
    let other = ["other".to_owned()];
    let server = taker(move |seen| mount(seen).then(|| Answer::new(201, "")));
    push(&server, &other).unwrap();
    assert_eq!(count(&server, "POST", "&from=other"), 3);
    assert_eq!((count(&server, "PUT", "/upload?"), count(&server, "PUT", "/manifests/")), (0, 1));
    // One that does not mount begins an upload, or refuses: then they are sent.
    for status in [202, 404, 405] {
        let server = taker(move |seen| mount(seen).then(|| Answer::new(status, "")));
        push(&server, &other).unwrap();
        assert_eq!(count(&server, "PUT", "/upload?"), 3, "{status}");
    }
    // What is there already is neither.
    let server = taker(|seen| (seen.method == "HEAD").then(|| Answer::new(200, "")));
    push(&server, &other).unwrap();
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn i15_an_upload_goes_where_it_may() {
    let stranger = Server::new(|_| Answer::new(201, ""));
    let to = format!("http://{}/v2/x/upload", stranger.host());
    let place = to.clone();
    let lie = move |seen: &Seen| {
        let answer = Answer::new(202, "").with("Location", place.as_str());
        (seen.method == "POST").then_some(answer)
    };
    let server = taker(lie.clone());
    match push(&server, &[]) {
        Err(RegistryError::Redirect { to: found, .. }) => assert_eq!(found, to),
        other => panic!("{other:?}"),
    }
    assert!(stranger.seen().is_empty(), "a stranger was sent something");
    // The twin: a server that is listed gets the bytes, but nobody's password.
    let server = taker(lie);
    let plain_http = vec![server.host(), stranger.host()];
    let client = Registry::new(Settings { plain_http, ..Settings::default() }).unwrap();
    let image = Fixture::new();
    client.push(&image, &image.manifest, &reference(&server, ":pushed"), &[]).unwrap();
    assert_eq!(stranger.seen().len(), 3);
    assert!(stranger.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn i12_a_registry_that_lies_about_what_it_took_is_not_believed() {
    // Another digest than what was sent has.
    let server = taker(|seen| {
        let answer = Answer::new(201, "");
        let other = Digest::of("other").to_string();
        (seen.path.contains("/manifests/") && seen.method == "PUT")
            .then(|| answer.with("Docker-Content-Digest", other))
    });
    let error = push(&server, &[]).unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { what: "the digest", .. }), "{error:?}");
    assert!(error.is_verification());
    // An upload without an address.
    let server = taker(|seen| (seen.method == "POST").then(|| Answer::new(202, "")));
    let error = push(&server, &[]).unwrap_err();
    assert!(matches!(error, RegistryError::Answer { .. }), "{error:?}");
    assert_eq!(count(&server, "PUT", ""), 0);
    // Uploads that are forgotten begin again, not for ever; the image then has no name.
    let server = taker(|seen| seen.path.contains("/upload?").then(|| Answer::new(404, "")));
    let error = push(&server, &[]).unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 404, .. }), "{error:?}");
    assert!(count(&server, "PUT", "/upload?") <= 9);
    assert_eq!(count(&server, "PUT", "/manifests/"), 0);
}

#[test]
fn blobs_come_side_by_side() {
    let fixture = Fixture::new();
    let layers: Vec<_> = fixture.layers.iter().map(|layer| layer.digest.to_string()).collect();
    let waiting: Arc<(Mutex<usize>, Condvar)> = Arc::default();
    let server = Server::new(move |seen| {
        if layers.iter().any(|layer| seen.path.ends_with(layer)) {
            // Nobody is answered before both have been asked for.
            let (here, changed) = &*waiting;
            let mut here = here.lock().unwrap();
            *here += 1;
            changed.notify_all();
            let limit = Duration::from_secs(20);
            let (_here, waited) =
                changed.wait_timeout_while(here, limit, |here| *here < 2).unwrap();
            if waited.timed_out() {
                return Answer::new(404, "one after the other");
            }
        }
        fixture.answer(seen)
    });
    let (_directory, store) = store();
    server.client().pull(&store, &reference(&server, ":latest"), &amd64(), &()).unwrap();
}
