use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::honest::{Fixture, amd64, reference, store};
use super::server::{Answer, Seen, Server};
use crate::registry::{Pulled, RegistryError};
use crate::store::Store;

/// A server that is honest but for what `lie` says.
fn liar(lie: impl Fn(&Seen, &Fixture) -> Option<Answer> + Send + Sync + 'static) -> Server {
    let fixture = Fixture::new();
    Server::new(move |seen| lie(seen, &fixture).unwrap_or_else(|| fixture.answer(seen)))
}

fn pull(server: &Server, store: &Store, version: &str) -> Result<Pulled, RegistryError> {
    server.client().pull(store, &reference(server, version), &amd64(), &())
}

/// The large layer's path.
fn is_large(seen: &Seen, fixture: &Fixture) -> bool {
    seen.path.ends_with(&fixture.layers[0].digest.to_string())
}

fn large(fixture: &Fixture) -> Vec<u8> {
    fixture.paths[&format!("blobs/{}", fixture.layers[0].digest)].1.clone()
}

/// The pull fails, nothing of the layer is visible, and the error is of this kind.
fn refused(what: &str, server: &Server, expected: impl Fn(&RegistryError) -> bool) {
    let (_directory, store) = store();
    let error = pull(server, &store, ":latest").expect_err(what);
    assert!(expected(&error), "{what}: {error:?}");
    let layer = &Fixture::new().layers[0];
    assert!(!store.has_blob(&layer.digest, layer.size), "{what}");
}

#[test]
fn i12_wrong_bytes_are_refused() {
    let mismatch = |error: &RegistryError| matches!(error, RegistryError::Mismatch { .. });
    let server = liar(|seen, fixture| {
        let mut bytes = large(fixture);
        *bytes.last_mut().unwrap() ^= 1;
        is_large(seen, fixture).then(|| Answer::new(200, bytes))
    });
    refused("the last byte", &server, mismatch);
    let server = liar(|seen, fixture| {
        is_large(seen, fixture).then(|| Answer::new(200, large(fixture)).endless())
    });
    refused("an endless blob", &server, mismatch);
    let server = liar(|seen, fixture| {
        is_large(seen, fixture).then(|| Answer::new(200, &large(fixture)[..100]))
    });
    refused("a blob that is too short", &server, mismatch);
    let server = liar(|seen, fixture| {
        let document = fixture.paths["manifests/one"].clone();
        let digest = fixture.manifest.digest.to_string();
        let other = Answer::new(200, [document.1, b" ".to_vec()].concat());
        seen.path.ends_with(&digest).then(|| other.with("Content-Type", document.0))
    });
    refused("another manifest", &server, mismatch);
    let (_directory, store) = store();
    let pinned = format!("@{}", Fixture::new().manifest.digest);
    assert!(mismatch(&pull(&server, &store, &pinned).unwrap_err()));
    assert!(pull(&server, &store, ":one").is_ok(), "the twin is legal");
}

#[test]
fn i14_the_type_that_the_server_says_is_the_documents_own() {
    for kind in ["application/vnd.oci.image.manifest.v1+json", "text/html", ""] {
        let server = liar(move |seen, fixture| {
            let (_, bytes) = &fixture.paths["manifests/latest"];
            let answer = Answer::new(200, bytes.as_slice()).with("Content-Type", kind);
            seen.path.ends_with("/latest").then_some(answer)
        });
        let document = |error: &RegistryError| matches!(error, RegistryError::Document { .. });
        refused(kind, &server, document);
    }
    let server =
        liar(|seen, _| seen.path.ends_with("/latest").then(|| Answer::new(200, "").endless()));
    refused("an endless index", &server, |error| matches!(error, RegistryError::Document { .. }));
}

#[test]
fn what_breaks_off_is_resumed_by_206_alone() {
    // Each connection gives 100,000 bytes more.
    let server =
        liar(|seen, fixture| is_large(seen, fixture).then(|| fixture.answer(seen).cut(100_000)));
    let (_directory, one) = store();
    pull(&server, &one, ":latest").unwrap();
    let ranges: Vec<_> =
        server.seen().iter().filter_map(|seen| seen.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["bytes=100000-", "bytes=200000-"]);

    // 200 instead of 206: all of it again. 206 of another place: the same.
    for place in [None, Some("bytes 0-299999/300000")] {
        let server = liar(move |seen, fixture| {
            let bytes = large(fixture);
            if !is_large(seen, fixture) {
                return None;
            }
            Some(match (seen.header("range"), place) {
                (None, _) if place.is_none() => Answer::new(200, bytes).cut(1000),
                (Some(_), None) => Answer::new(200, bytes),
                (Some(_), Some(place)) => Answer::new(206, bytes).with("Content-Range", place),
                (None, _) => Answer::new(200, bytes),
            })
        });
        let (_directory, store) = store();
        let layer = Fixture::new().layers[0].clone();
        let mut half = store.incoming(&layer.digest, layer.size).unwrap().unwrap();
        std::io::Write::write_all(&mut half, &[b'1'; 50]).unwrap();
        drop(half);
        pull(&server, &store, ":latest").unwrap();
        assert!(store.has_blob(&layer.digest, layer.size));
    }

    // What an earlier run left was wrong: the whole is fetched anew.
    let server = liar(|_, _| None);
    let (_directory, store) = store();
    let layer = Fixture::new().layers[0].clone();
    let mut half = store.incoming(&layer.digest, layer.size).unwrap().unwrap();
    std::io::Write::write_all(&mut half, b"rubbish").unwrap();
    drop(half);
    pull(&server, &store, ":latest").unwrap();
    assert!(store.has_blob(&layer.digest, layer.size));
}

#[test]
fn busy_registries_are_asked_again_and_refusals_are_final() {
    for status in [429, 500, 503] {
        let count = Arc::new(AtomicUsize::new(0));
        let tries = Arc::clone(&count);
        let server = liar(move |seen, fixture| {
            let first = is_large(seen, fixture) && tries.fetch_add(1, Ordering::Relaxed) < 2;
            first.then(|| Answer::new(status, "").with("Retry-After", "0"))
        });
        let (_directory, store) = store();
        pull(&server, &store, ":latest").unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 3, "{status}");
    }
    let busy = liar(|seen, fixture| is_large(seen, fixture).then(|| Answer::new(503, "")));
    refused("always busy", &busy, |error| {
        matches!(error, RegistryError::Status { status: 503, .. })
    });
    let told = r#"{"errors":[{"code":"DENIED","message":"no \u001b[31mway"}]}"#;
    let denied = liar(move |seen, fixture| is_large(seen, fixture).then(|| Answer::new(403, told)));
    refused("denied", &denied, |error| {
        matches!(error, RegistryError::Denied { .. })
            && error.to_string().ends_with("(403): DENIED no [31mway")
    });
    let asked = denied.seen().iter().filter(|seen| is_large(seen, &Fixture::new())).count();
    assert_eq!(asked, 1);
}

#[test]
fn i15_credentials_never_cross_hosts() {
    // The registry wants a token of its own server and sends blobs elsewhere.
    let elsewhere = liar(|_, _| None);
    let to = elsewhere.host();
    let good = |to: String| {
        liar(move |seen, fixture| {
            if seen.path.starts_with("/token") {
                let basic = seen.header("authorization") == Some("Basic bWU6cGFzc3dvcmQ=");
                return Some(Answer::new(if basic { 200 } else { 401 }, r#"{"token":"t0k3n"}"#));
            }
            if seen.header("authorization") != Some("Bearer t0k3n") {
                let host = seen.header("host").unwrap_or_default();
                let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
                return Some(Answer::new(401, "").with("WWW-Authenticate", challenge));
            }
            let location = format!("http://{to}{}", seen.path);
            is_large(seen, fixture).then(|| Answer::new(307, "").with("Location", location))
        })
    };
    let server = good(to.clone());
    // The other server is listed as plain, too; else it would not be asked at all.
    let (_directory, one) = store();
    let unlisted = server.client().pull(&one, &reference(&server, ":latest"), &amd64(), &());
    assert!(matches!(unlisted, Err(RegistryError::Redirect { .. })), "{unlisted:?}");
    assert!(elsewhere.seen().is_empty());
    let settings = crate::registry::Settings {
        plain_http: vec![server.host(), elsewhere.host()],
        credentials: Some(Box::new(super::server::User { host: server.host() })),
        ..Default::default()
    };
    let client = crate::registry::Registry::new(settings).unwrap();
    client.pull(&one, &reference(&server, ":latest"), &amd64(), &()).unwrap();
    let asked = elsewhere.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
    let token = server.seen().into_iter().find(|seen| seen.path.starts_with("/token")).unwrap();
    assert!(token.path.contains("scope=repository%3Ax%3Apull"), "{}", token.path);
}

#[test]
fn i15_token_servers_that_are_strangers_get_no_password() {
    let stranger = Server::new(|_| Answer::new(401, ""));
    // The same machine by another name is another host.
    let realm = format!("http://localhost:{}/token", stranger.host().split_once(':').unwrap().1);
    let challenge = format!("Bearer realm=\"{realm}\"");
    let server = {
        let challenge = challenge.clone();
        liar(move |_, _| Some(Answer::new(401, "").with("WWW-Authenticate", challenge.clone())))
    };
    refused("not encrypted", &server, |error| matches!(error, RegistryError::Redirect { .. }));
    assert!(stranger.seen().is_empty());
    let settings = crate::registry::Settings {
        plain_http: vec![server.host(), realm[7..].replace("/token", "")],
        credentials: Some(Box::new(super::server::User { host: server.host() })),
        ..Default::default()
    };
    let client = crate::registry::Registry::new(settings).unwrap();
    let (_directory, store) = store();
    let error = client.pull(&store, &reference(&server, ":latest"), &amd64(), &()).unwrap_err();
    assert!(error.to_string().contains("is a stranger"), "{error}");
    assert_eq!(stranger.seen()[0].header("authorization"), None);
}

#[test]
fn i15_tokens_end_and_redirects_do() {
    let endless = liar(|seen, _| {
        if seen.path.starts_with("/token") {
            return Some(Answer::new(200, "{\"token\":\"").endless());
        }
        let host = seen.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        Some(Answer::new(401, "").with("WWW-Authenticate", challenge))
    });
    refused("an endless token", &endless, |error| error.to_string().contains("endless"));
    let circle = liar(|seen, _| Some(Answer::new(302, "").with("Location", seen.path.clone())));
    refused("a circle", &circle, |error| matches!(error, RegistryError::Redirect { .. }));
    for to in
        ["file:///etc/passwd", "http://169.254.169.254/", "https://me:x@127.0.0.1/", "http://["]
    {
        let server = liar(move |seen, fixture| {
            is_large(seen, fixture).then(|| Answer::new(307, "").with("Location", to))
        });
        refused(to, &server, |error| matches!(error, RegistryError::Redirect { .. }));
    }
}

#[test]
fn i15_what_may_be_followed() {
    let client = liar(|_, _| None).client();
    let url = |text: &str| reqwest::Url::parse(text).unwrap();
    for (from, to, allowed) in [
        ("https://r.io/v2/", "https://cdn.example.net/x", true),
        ("https://r.io/v2/", "/x", true),
        ("https://r.io/v2/", "http://r.io/x", false),
        ("https://r.io/v2/", "http://cdn.example.net/x", false),
        ("https://r.io/v2/", "https://169.254.169.254/x", false),
        ("https://r.io/v2/", "https://127.0.0.1/x", false),
        ("https://r.io/v2/", "https://10.0.0.1/x", false),
        ("https://r.io/v2/", "https://[::1]/x", false),
        ("https://r.io/v2/", "https://[::ffff:127.0.0.1]/x", false),
        ("https://r.io/v2/", "https://localhost/x", false),
        ("https://10.0.0.2/v2/", "https://10.0.0.1/x", true),
        ("https://r.io/v2/", "https://user@cdn.example.net/x", false),
    ] {
        assert_eq!(client.follow(&url(from), to).is_ok(), allowed, "{from} {to}");
    }
    let related = |one: &str, other: &str| super::super::endpoint::related(&url(one), &url(other));
    assert!(related("https://registry-1.docker.io/", "https://auth.docker.io/token"));
    assert!(related("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"));
    assert!(!related("https://registry.example.com/", "https://example.org/"));
    assert!(!related("https://a.co.uk/", "https://b.co.uk/"));
    assert!(!related("https://127.0.0.1/", "https://127.0.0.2/"));
}
