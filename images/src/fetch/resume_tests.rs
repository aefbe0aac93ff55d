//! Large downloads that break off, and servers that answer otherwise than asked.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Client, FetchError, Proxies};
use crate::sums::{Algorithm, Sum};

/// What a server says: status, headers, body, and how much of that it sends.
struct Said {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    cut: usize,
}

/// A request, by its `Range` and `If-Range`.
type Asked = (Option<String>, Option<String>);

/// Answers each request by `answer`; returns the address and what was asked.
fn serve(
    answer: impl Fn(usize, &Asked) -> Said + Send + 'static,
) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/image", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let header = |name: &str| {
                head.iter().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
            };
            let one = (header("range:"), header("if-range:"));
            let said = answer(at, &one);
            log.lock().unwrap().push(one);
            let length = said.body.len();
            let mut text = format!(
                "HTTP/1.1 {} X\r\nContent-Length: {length}\r\nConnection: close\r\n",
                said.status
            );
            for header in &said.headers {
                text.push_str(&format!("{header}\r\n"));
            }
            stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
            stream.write_all(&said.body[..said.cut.min(length)]).unwrap();
        }
    });
    (address, asked)
}

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn sum(bytes: &[u8]) -> Sum {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), bytes).unwrap();
    super::sum_of(file.path(), Algorithm::Sha256).unwrap()
}

fn begin(range: &str) -> usize {
    range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
}

/// The right answer, of a state, of which `cut` bytes come.
fn right(bytes: &[u8], asked: &Asked, etag: &str, cut: usize) -> Said {
    let state = format!("ETag: {etag}");
    match asked {
        (Some(range), validator) if validator.as_deref().is_none_or(|known| known == etag) => {
            let from = begin(range);
            let span = format!("Content-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Said { status: 206, headers: vec![state, span], body: bytes[from..].to_vec(), cut }
        }
        _ => Said { status: 200, headers: vec![state], body: bytes.to_vec(), cut },
    }
}

fn refusal() -> Said {
    Said { status: 404, headers: Vec::new(), body: Vec::new(), cut: 0 }
}

fn large(url: &str, expected: Option<&Sum>, place: &Path) -> Result<Vec<u8>, FetchError> {
    let client = Client::new(&Proxies::default()).unwrap();
    let found = client.large(url, expected, 1 << 30, place, &|_, _| {});
    found.map(|(path, sum)| {
        assert_eq!(path, place.join(sum.to_string().replace(':', "-")));
        let left = fs_err::read_dir(place).unwrap().count();
        assert_eq!(left, 1, "a part stayed behind");
        fs_err::read(path).unwrap()
    })
}

#[test]
fn what_broke_off_is_gone_on_with() {
    let (bytes, place) = (content(), tempfile::tempdir().unwrap());
    let expected = sum(&bytes);
    let all = bytes.clone();
    // Ten times a bit more comes, which is more often than a try that brings nothing is
    // repeated.
    let (url, asked) = serve(move |_, asked| right(&all, asked, "\"1\"", 130_000));
    assert_eq!(large(&url, Some(&expected), place.path()).unwrap(), bytes);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 10, "{asked:?}");
    assert_eq!(asked[0], (None, None));
    assert_eq!(asked[3], (Some("bytes=390000-".to_owned()), Some("\"1\"".to_owned())));
}

#[test]
fn another_process_goes_on_too() {
    let (bytes, place) = (content(), tempfile::tempdir().unwrap());
    let expected = sum(&bytes);
    for pinned in [Some(&expected), None] {
        let all = bytes.clone();
        let (url, asked) = serve(move |at, asked| match at {
            0 => right(&all, asked, "\"1\"", 500_000),
            1 => refusal(),
            _ => right(&all, asked, "\"1\"", usize::MAX),
        });
        let error = large(&url, pinned, place.path()).unwrap_err();
        assert!(matches!(error, FetchError::Status { status: 404, .. }), "{error:?}");
        assert_eq!(large(&url, pinned, place.path()).unwrap(), bytes);
        assert_eq!(asked.lock().unwrap()[2].0.as_deref(), Some("bytes=500000-"));
        let file = fs_err::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
        fs_err::remove_file(file).unwrap();
    }
}

#[test]
fn another_state_is_fetched_anew() {
    let (old, new) = (content(), content().into_iter().rev().collect::<Vec<_>>());
    let expected = sum(&new);
    type Server = fn(&[u8], &Asked) -> Said;
    let servers: [(&str, Server); 5] = [
        ("as asked", |new, asked| right(new, asked, "\"2\"", usize::MAX)),
        ("200 instead of 206", |new, _| right(new, &(None, None), "\"1\"", usize::MAX)),
        ("If-Range ignored", |new, asked| {
            right(new, &(asked.0.clone(), None), "\"2\"", usize::MAX)
        }),
        ("another part", |new, asked| {
            let mut said = right(new, &(asked.0.clone(), None), "\"1\"", usize::MAX);
            if said.status == 206 {
                said.headers[1] = "Content-Range: bytes 7-8/9".to_owned();
            }
            said
        }),
        ("a part of nothing", |new, asked| {
            let mut said = right(new, &(asked.0.clone(), None), "\"1\"", usize::MAX);
            said.headers.truncate(1);
            said
        }),
    ];
    for (what, server) in servers {
        for pinned in [Some(&expected), None] {
            let place = tempfile::tempdir().unwrap();
            let (before, after) = (old.clone(), new.clone());
            let (url, _) = serve(move |at, asked| match at {
                0 => right(&before, asked, "\"1\"", 500_000),
                1 => refusal(),
                _ => server(&after, asked),
            });
            assert!(large(&url, pinned, place.path()).is_err());
            let found = large(&url, pinned, place.path());
            assert!(found.is_ok_and(|found| found == new), "{what}, {pinned:?}");
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_thrown_away_once() {
    let (old, new) = (content(), content().into_iter().rev().collect::<Vec<_>>());
    let expected = sum(&new);
    let place = tempfile::tempdir().unwrap();
    let (before, after) = (old.clone(), new.clone());
    // A server that says of another state that it is the same.
    let (url, asked) = serve(move |at, asked| match at {
        0 => right(&before, asked, "\"1\"", 500_000),
        _ => right(&after, asked, "\"1\"", usize::MAX),
    });
    assert_eq!(large(&url, Some(&expected), place.path()).unwrap(), new);
    assert_eq!(asked.lock().unwrap().len(), 3);
    // It stays another one: that is told, and nothing of it kept.
    let before = old.clone();
    let (url, asked) = serve(move |at, asked| {
        right(&before, asked, "\"1\"", if at == 0 { 500_000 } else { usize::MAX })
    });
    let place = tempfile::tempdir().unwrap();
    let error = large(&url, Some(&expected), place.path()).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error:?}");
    assert_eq!(asked.lock().unwrap().len(), 3);
    assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_state_without_a_name_is_not_joined_unless_the_sum_is_known() {
    let bytes = content();
    let expected = sum(&bytes);
    for (pinned, range) in [(Some(&expected), Some("bytes=500000-")), (None, None)] {
        let place = tempfile::tempdir().unwrap();
        let all = bytes.clone();
        let (url, asked) = serve(move |at, asked| {
            let mut said =
                right(&all, asked, "W/\"1\"", if at == 0 { 500_000 } else { usize::MAX });
            said.headers.retain(|header| !header.starts_with("ETag") || at > 0);
            said
        });
        assert_eq!(large(&url, pinned, place.path()).unwrap(), bytes);
        assert_eq!(asked.lock().unwrap()[1], (range.map(str::to_owned), None));
    }
}
