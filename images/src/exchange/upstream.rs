//! Passes requests on to the servers that they are meant for.

use std::io::Read;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use super::message::Request;
use crate::fetch::{FetchError, Proxies};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Lines of a request that are between the client and this proxy, that make an answer depend
/// on what the client has already, or that the HTTP client writes itself.
const NOT_PASSED: [&str; 16] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Lines of an answer that say what the body is.
const TELLING: [&str; 6] = [
    "content-encoding",
    "content-type",
    "docker-content-digest",
    "last-modified",
    "location",
    "www-authenticate",
];

/// Asks servers; redirects are answers like others.
#[derive(Debug, Clone)]
pub struct Upstream {
    http: Client,
}

/// An answer whose body is still to be read.
pub struct Incoming {
    /// The HTTP status.
    pub status: u16,
    /// Header lines that say what the body is, names in lower case, sorted.
    pub headers: Vec<(String, String)>,
    /// How long the body is, if the server says so.
    pub length: Option<u64>,
    /// The body.
    pub body: Box<dyn Read>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Makes one that reaches servers by these proxies.
    ///
    /// # Errors
    ///
    /// When a proxy's address is malformed or TLS cannot be set up.
    pub fn new(proxies: &Proxies) -> Result<Self, FetchError> {
        let builder = crate::fetch::http(proxies)?.redirect(Policy::none()).timeout(PATIENCE);
        Ok(Self { http: builder.build().map_err(FetchError::Client)? })
    }

    /// Sends a request on and returns the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When no answer comes.
    pub fn send(&self, request: &Request) -> Result<Incoming, FetchError> {
        let failed =
            |source: reqwest::Error| FetchError::Transport { url: request.url.clone(), source };
        let method = reqwest::Method::from_bytes(request.method.as_bytes());
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            if !NOT_PASSED.contains(&name.as_str())
                && let (Ok(name), Ok(value)) =
                    (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            {
                headers.append(name, value);
            }
        }
        let mut builder = self
            .http
            .request(method.unwrap_or(reqwest::Method::GET), &request.url)
            .headers(headers);
        if !request.body.is_empty() || request.method == "POST" {
            builder = builder.body(request.body.clone());
        }
        let answer = builder.send().map_err(failed)?;
        let mut headers: Vec<_> = answer
            .headers()
            .iter()
            .filter(|(name, _)| TELLING.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        headers.sort();
        let length = answer.headers().get("content-length");
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Incoming { status: answer.status().as_u16(), headers, length, body: Box::new(answer) })
    }
}
