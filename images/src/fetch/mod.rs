//! Verified downloads: HTTP, HTTPS and directories (`file:`).

mod aside;
#[cfg(test)]
mod at_once_tests;
mod large;
mod partial;
#[cfg(test)]
mod resume_tests;
mod retry;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::blocking::Client as Http;

use crate::digest::{Digest, Digesting};
use aside::Aside;

pub use large::sum_of;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The client cannot be made.
    #[error("the HTTP client")]
    Client(#[source] reqwest::Error),
    /// No answer came, or it broke off, after all tries.
    #[error("{url} cannot be fetched")]
    Transport {
        /// The address.
        url: String,
        /// The last try's error.
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("{url}: the server answers {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// When it wants to be asked again, if it says so.
        after: Option<Duration>,
    },
    /// Other bytes came than were promised.
    #[error("{url}: {what} is {actual}, not {expected}")]
    Mismatch {
        /// The address.
        url: String,
        /// Size or digest.
        what: &'static str,
        /// What was promised.
        expected: String,
        /// What came.
        actual: String,
    },
    /// More bytes came than are allowed.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The body cannot be read.
    #[error("{url}")]
    Io {
        /// The address.
        url: String,
        /// Names the path, where there is one.
        source: io::Error,
    },
    /// The local file cannot be written, for instance because the disk is full.
    #[error("{path} cannot be written")]
    Write {
        /// Where the file was to appear.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
}

/// How long a file may take, from the request to the end of its body: the blocking client
/// knows no other limit. It lets any package through.
const TIME: Duration = Duration::from_secs(600);
/// How much of a body is read and written at once.
const CHUNK: usize = 128 << 10;

/// What the bytes must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// Their digest.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// Proxies by scheme, as values: the library reads no environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` addresses.
    pub http: Option<String>,
    /// For `https:` addresses.
    pub https: Option<String>,
    /// Hosts that are asked directly, separated by commas.
    pub none: Option<String>,
}

/// Fetches; cheap to share between threads.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// When a proxy's address is malformed or TLS cannot be set up.
    pub fn new(proxies: &Proxies) -> Result<Self, FetchError> {
        let builder = http(proxies)?;
        Ok(Self { http: builder.build().map_err(FetchError::Client)? })
    }

    /// Fetches a small file into memory.
    ///
    /// # Errors
    ///
    /// When it cannot be had or exceeds `limit` bytes.
    pub fn bytes(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        retry::retry(|| {
            let mut body = Vec::new();
            self.open(url)?
                .take(limit + 1)
                .read_to_end(&mut body)
                .map_err(|source| FetchError::Io { url: url.to_owned(), source })?;
            if body.len() as u64 > limit {
                return Err(FetchError::TooLarge { url: url.to_owned(), limit });
            }
            Ok(body)
        })
    }

    /// Fetches `url` to `destination`, where it appears only when size and digest are as
    /// expected. A file that is there already and has them is kept; while somebody else fetches
    /// it, this waits.
    ///
    /// # Errors
    ///
    /// When it cannot be had or is not what was expected.
    pub fn file(&self, url: &str, expect: &Expect, destination: &Path) -> Result<(), FetchError> {
        let write_error = |source| FetchError::Write { path: destination.to_owned(), source };
        let found = || {
            let found = is_there(expect, destination);
            if found {
                crate::store::touch(destination);
            }
            found
        };
        if found() {
            return Ok(());
        }
        let mut aside = Aside::open(destination).map_err(write_error)?;
        // Whoever had it before us may have fetched the file.
        if found() {
            return Ok(());
        }
        retry::retry(|| {
            aside.empty().map_err(write_error)?;
            self.pour(url, expect, &aside, destination)
        })?;
        aside.name(destination).map_err(write_error)
    }

    /// Writes what comes, and sees to it that it is what was expected.
    fn pour(&self, url: &str, expect: &Expect, aside: &Aside, to: &Path) -> Result<(), FetchError> {
        let read_error = |source| FetchError::Io { url: url.to_owned(), source };
        let write_error = |source| FetchError::Write { path: to.to_owned(), source };
        let mut writer = Digesting::new(aside.file());
        let mut body = self.open(url)?.take(expect.size + 1);
        // Not io::copy, which does not tell which side failed: only the network's faults
        // are worth another try.
        let mut chunk = vec![0; CHUNK];
        loop {
            match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => writer.write_all(&chunk[..count]).map_err(write_error)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(error)),
            }
        }
        let size = writer.passed();
        let (_file, digest) = writer.finish();
        let mismatch = |what, expected: String, actual: String| FetchError::Mismatch {
            url: url.to_owned(),
            what,
            expected,
            actual,
        };
        if size != expect.size {
            return Err(mismatch("the size", expect.size.to_string(), size.to_string()));
        }
        if digest != expect.digest {
            return Err(mismatch("the digest", expect.digest.to_string(), digest.to_string()));
        }
        Ok(())
    }

    fn open(&self, url: &str) -> Result<Box<dyn Read>, FetchError> {
        Ok(self.open_from(url, TIME, None, None)?.reader)
    }

    /// Opens a file, which must be there within `time`: the whole, or what is behind its first
    /// `from` bytes if the server can give that and has the state that `validator` names.
    fn open_from(
        &self,
        url: &str,
        time: Duration,
        from: Option<u64>,
        validator: Option<&str>,
    ) -> Result<Body, FetchError> {
        if let Some(path) = local(url) {
            return match fs_err::File::open(&path) {
                Ok(file) => {
                    let left = file.metadata().ok().map(|data| data.len());
                    let state = partial::State::default();
                    Ok(Body { reader: Box::new(file), begins: 0, left, state })
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(FetchError::Status { url: url.to_owned(), status: 404, after: None })
                }
                Err(source) => Err(FetchError::Io { url: url.to_owned(), source }),
            };
        }
        let mut request = self.http.get(url).timeout(time);
        if let Some(from) = from {
            request = request.header("Range", format!("bytes={from}-"));
            if let Some(validator) = validator {
                request = request.header("If-Range", validator);
            }
        }
        let answer = request
            .send()
            .map_err(|source| FetchError::Transport { url: url.to_owned(), source })?;
        let status = answer.status().as_u16();
        match (status, from) {
            (200..=299, _) => Ok(Body::of(answer)),
            // It is shorter than what we have of it: another file.
            (416, Some(_)) => self.open_from(url, time, None, None),
            _ => {
                let after = crate::retry::asked_by(&answer);
                Err(FetchError::Status { url: url.to_owned(), status, after })
            }
        }
    }
}

/// What a server sends.
struct Body {
    reader: Box<dyn Read>,
    /// Where in the file it begins.
    begins: u64,
    /// How many bytes it says will come.
    left: Option<u64>,
    /// By what it knows the file's state.
    state: partial::State,
}

impl Body {
    fn of(answer: reqwest::blocking::Response) -> Self {
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let range = header("Content-Range");
        let begins = range
            .as_deref()
            .and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
        // A part that does not say where it belongs belongs nowhere.
        let begins = if answer.status() == 206 { begins.unwrap_or(u64::MAX) } else { 0 };
        // A weak one says that files are alike, not that they are the same.
        let etag = header("ETag").filter(|tag| !tag.starts_with("W/"));
        let validator = etag.or_else(|| header("Last-Modified"));
        Self {
            begins,
            left: answer.content_length(),
            state: partial::State { validator },
            reader: Box::new(answer),
        }
    }
}

/// What every client of ours has: a name, a time limit for connecting, and the proxies.
pub(crate) fn http(proxies: &Proxies) -> Result<reqwest::blocking::ClientBuilder, FetchError> {
    let mut builder = Http::builder()
        .user_agent(concat!("goldsmith/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(20))
        .read_timeout_workaround()
        .no_proxy();
    let exceptions = proxies.none.as_deref().and_then(reqwest::NoProxy::from_string);
    for (address, https) in [(&proxies.http, false), (&proxies.https, true)] {
        if let Some(address) = address {
            let proxy =
                if https { reqwest::Proxy::https(address) } else { reqwest::Proxy::http(address) };
            let proxy = proxy.map_err(FetchError::Client)?.no_proxy(exceptions.clone());
            builder = builder.proxy(proxy);
        }
    }
    Ok(builder)
}

/// No total time limit, which a slow mirror would run into.
trait ReadTimeout {
    fn read_timeout_workaround(self) -> Self;
}

impl ReadTimeout for reqwest::blocking::ClientBuilder {
    /// The blocking client has one timeout, from request to end of body; ten minutes let
    /// any package through.
    fn read_timeout_workaround(self) -> Self {
        self.timeout(Duration::from_secs(600))
    }
}

/// The path of a `file:` address.
fn local(url: &str) -> Option<std::path::PathBuf> {
    let rest = url.strip_prefix("file:")?;
    Some(rest.strip_prefix("//").unwrap_or(rest).into())
}

fn is_there(expect: &Expect, path: &Path) -> bool {
    let Ok(file) = fs_err::File::open(path) else { return false };
    if !file.metadata().is_ok_and(|metadata| metadata.len() == expect.size) {
        return false;
    }
    let mut reader = Digesting::new(file);
    io::copy(&mut reader, &mut io::sink()).is_ok() && reader.finish().1 == expect.digest
}
