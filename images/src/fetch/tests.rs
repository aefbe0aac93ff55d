//! Directories and a server on the loopback interface, which answers what it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// Gives each connection the next of `answers`; returns the address and the requests seen
/// so far: their first line and their user agent.
fn serve(answers: &[&str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, answers) = (Arc::clone(&seen), answers.iter().map(|text| (*text).to_owned()));
    let answers: Vec<_> = answers.collect();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let agent = head.iter().find(|line| line.starts_with("user-agent")).unwrap();
            log.lock().unwrap().push(format!("{}; {agent}", head[0]));
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, seen)
}

fn answer(status: &str, promised: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n{body}")
}

fn client() -> Client {
    Client::new(&Proxies::default()).unwrap()
}

fn expect(bytes: &str) -> Expect {
    Expect { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

#[test]
fn only_the_expected_bytes_appear() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    fs_err::write(&source, "bytes").unwrap();
    let url = format!("file://{}", source.display());
    let to = directory.path().join("to");
    let client = client();
    let good = expect("bytes");
    for (bad, what) in [
        (Expect { digest: Digest::of("other"), size: 5 }, "the digest"),
        (Expect { size: 4, ..good }, "the size"),
        (Expect { size: 6, ..good }, "the size"),
    ] {
        match client.file(&url, &bad, &to) {
            Err(FetchError::Mismatch { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{other:?}"),
        }
        assert!(!to.exists());
    }
    client.file(&url, &good, &to).unwrap();
    fs_err::remove_file(&source).unwrap();
    client.file(&url, &good, &to).unwrap();
    assert!(matches!(client.bytes(&url, 9), Err(FetchError::Status { status: 404, .. })));
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_copy_is_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let (source, to) = (directory.path().join("source"), directory.path().join("to"));
    fs_err::write(&source, "bytes").unwrap();
    let url = format!("file:{}", source.display());
    for damaged in ["bytez", "byte", ""] {
        fs_err::write(&to, damaged).unwrap();
        client().file(&url, &expect("bytes"), &to).unwrap();
        assert_eq!(fs_err::read(&to).unwrap(), b"bytes");
    }
}

#[test]
fn chance_is_given_another_try() {
    let good = answer("200 OK", 5, "bytes");
    for (what, chance) in [
        ("busy", answer("503 Service Unavailable", 0, "")),
        ("too many", answer("429 Too Many Requests", 0, "")),
        ("cut short", answer("200 OK", 5, "byt")),
        ("hung up", String::new()),
        ("stale length", answer("200 OK", 3, "byt")),
    ] {
        let (url, seen) = serve(&[&chance, &chance, &good]);
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("to");
        client().file(&url, &expect("bytes"), &to).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(fs_err::read(&to).unwrap(), b"bytes", "{what}");
        assert_eq!(seen.lock().unwrap().len(), 3, "{what}");
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1, "{what}");
    }
}

#[test]
fn refusals_and_lies_are_final() {
    let refused = answer("404 Not Found", 0, "");
    let lie = answer("200 OK", 5, "bytez");
    let endless = answer("200 OK", 5, "bytes");
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("to");

    let (url, seen) = serve(&[&refused, &refused]);
    let error = client().file(&url, &expect("bytes"), &to).unwrap_err();
    assert_eq!(error.to_string(), format!("{url}: the server answers 404"));
    assert_eq!(seen.lock().unwrap().len(), 1);

    let (url, seen) = serve(&[&lie, &lie]);
    let error = client().file(&url, &expect("bytes"), &to).unwrap_err();
    let (wanted, found) = (Digest::of("bytes"), Digest::of("bytez"));
    assert_eq!(error.to_string(), format!("{url}: the digest is {found}, not {wanted}"));
    assert_eq!(seen.lock().unwrap().len(), 1);

    let (url, seen) = serve(&[&endless, &endless]);
    let error = client().bytes(&url, 4).unwrap_err();
    assert_eq!(error.to_string(), format!("{url} is larger than 4 bytes"));
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_written_is_fetched_once() {
    let good = answer("200 OK", 5, "bytes");
    let (url, seen) = serve(&[&good, &good]);
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("to");
    fs_err::create_dir(&in_the_way).unwrap();
    let error = client().file(&url, &expect("bytes"), &in_the_way).unwrap_err();
    assert!(matches!(error, FetchError::Write { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("{} cannot be written", in_the_way.display()));
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn hopeless_servers_are_given_up() {
    let busy = answer("500 Internal Server Error", 0, "");
    let (url, seen) = serve(&[busy.as_str(); 9]);
    assert!(matches!(client().bytes(&url, 9), Err(FetchError::Status { status: 500, .. })));
    assert_eq!(seen.lock().unwrap().len(), 4);
    // What it wishes is heard.
    let busy = answer("503 Busy\r\nRetry-After: 90", 0, "");
    let (url, _) = serve(&[busy.as_str(); 4]);
    let error = client().bytes(&url, 9).unwrap_err();
    let after = Some(Duration::from_secs(90));
    assert!(matches!(&error, FetchError::Status { after: a, .. } if *a == after), "{error:?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client().bytes(&url, 9).unwrap_err();
    assert!(matches!(error, FetchError::Transport { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("{url} cannot be fetched"));
}

#[test]
fn proxies_are_asked_unless_excepted() {
    let good = answer("200 OK", 5, "bytes");
    let (proxy, at_proxy) = serve(&[&good]);
    let (direct, at_direct) = serve(&[&good]);
    let none = Some("127.0.0.1,localhost".to_owned());
    let client = Client::new(&Proxies { http: Some(proxy), https: None, none }).unwrap();
    let agent = concat!("user-agent: goldsmith/", env!("CARGO_PKG_VERSION"));

    assert_eq!(client.bytes("http://archive.invalid/x", 9).unwrap(), b"bytes");
    let seen = at_proxy.lock().unwrap().clone();
    assert_eq!(seen, [format!("GET http://archive.invalid/x HTTP/1.1; {agent}")]);

    assert_eq!(client.bytes(&format!("{direct}/x"), 9).unwrap(), b"bytes");
    assert_eq!(*at_direct.lock().unwrap(), [format!("GET /x HTTP/1.1; {agent}")]);

    let malformed = Proxies { http: Some("http://:not a proxy".into()), ..Proxies::default() };
    assert!(matches!(Client::new(&malformed), Err(FetchError::Client(_))));
}
