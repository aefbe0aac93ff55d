//! Two that want one file at the same time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::*;
use crate::sums::Sum;

const TEXT: &str = "bytes";

/// Gives everybody the same, each on a thread of its own and late: whoever does not wait for
/// another's download has asked by then. Returns the address and how many have asked.
fn late(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let wait = || std::thread::sleep(Duration::from_millis(300));
    behind(status, Arc::new(wait))
}

/// The same, each answer behind what `wait` waits for.
fn behind(status: &'static str, wait: Arc<dyn Fn() + Send + Sync>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/x", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), Arc::clone(&count));
            let wait = Arc::clone(&wait);
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
                assert!(head.count() > 0);
                count.fetch_add(1, Ordering::Relaxed);
                wait();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{TEXT}",
                    TEXT.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
            });
        }
    });
    (address, asked)
}

/// Has four clients do the same at once; what came of it.
fn at_once<T: Send>(fetch: impl Fn(&Client) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(4);
    let one = || {
        let client = Client::new(&Proxies::default()).unwrap();
        start.wait();
        fetch(&client)
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn names(place: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(place).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_that_several_want_at_once_is_fetched_once_i30() {
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("x.deb");
    // What a killed process left is nobody's.
    fs_err::write(place.path().join("x.deb.part"), "of another").unwrap();
    let expect = Expect { digest: Digest::of(TEXT), size: TEXT.len() as u64 };
    let (url, asked) = late("200 OK");
    for done in at_once(|client| client.file(&url, &expect, &to)) {
        done.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(fs_err::read_to_string(&to).unwrap(), TEXT);
    assert_eq!(names(place.path()), ["x.deb"]);
}

#[test]
fn an_image_that_several_want_at_once_is_fetched_once_i30() {
    let place = tempfile::tempdir().unwrap();
    let sum: Sum = Digest::of(TEXT).to_string().parse().unwrap();
    let (url, asked) = late("200 OK");
    let large = |client: &Client| client.large(&url, Some(&sum), 99, place.path(), &|_, _| {});
    for done in at_once(large) {
        let (path, found) = done.unwrap();
        assert_eq!((fs_err::read_to_string(path).unwrap().as_str(), &found), (TEXT, &sum));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(names(place.path()).len(), 1);
}

/// How many wait for the lock of the part in a directory.
fn waiting(place: &Path) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let part = names(place).into_iter().find(|name| name.ends_with(".part"));
    let Some(part) = part.and_then(|name| fs_err::metadata(place.join(name)).ok()) else {
        return 0;
    };
    let file = format!(":{} ", part.ino());
    let locks = fs_err::read_to_string("/proc/locks").unwrap();
    locks.lines().filter(|line| line.contains("->") && line.contains(&file)).count()
}

// Where nobody knows what will come, what came while one waited is as good as what one would get.
#[test]
fn an_image_without_a_checksum_is_fetched_once_i30() {
    let place = tempfile::tempdir().unwrap();
    let (path, is_first) = (place.path().to_owned(), std::sync::atomic::AtomicBool::new(true));
    let others_wait = move || {
        let end = std::time::Instant::now() + Duration::from_secs(30);
        let is_first = is_first.swap(false, Ordering::Relaxed);
        while is_first && waiting(&path) < 3 && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let (url, asked) = behind("200 OK", Arc::new(others_wait));
    let large = |client: &Client| client.large(&url, None, 99, place.path(), &|_, _| {});
    for done in at_once(large) {
        let (path, found) = done.unwrap();
        assert_eq!(fs_err::read_to_string(path).unwrap(), TEXT);
        assert_eq!(found.to_string(), Digest::of(TEXT).to_string());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(names(place.path()).len(), 1);
    // Later it is fetched again: it may have changed.
    large(&Client::new(&Proxies::default()).unwrap()).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

/// Whoever waited for one that failed tries for himself.
#[test]
fn a_failure_is_not_shared() {
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("x.deb");
    let expect = Expect { digest: Digest::of(TEXT), size: TEXT.len() as u64 };
    let (url, asked) = late("404 Not Found");
    for done in at_once(|client| client.file(&url, &expect, &to)) {
        assert!(matches!(done, Err(FetchError::Status { status: 404, .. })), "{done:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert_eq!(names(place.path()).len(), 0);
}
