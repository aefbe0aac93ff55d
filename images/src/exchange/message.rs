//! HTTP/1.1 messages as far as a proxy for programs that fetch files needs them.

use std::io::{self, BufRead, Read as _, Write};

/// The longest head of a request, in bytes.
const HEAD: usize = 64 << 10;
/// The largest body of a request, in bytes.
const BODY: u64 = 64 << 20;
/// The most header lines of a request.
const HEADERS: usize = 100;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// For instance `GET`.
    pub method: String,
    /// The whole address; for CONNECT host and port.
    pub url: String,
    /// Header lines in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from chunks but from nothing else.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header line.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a request with {what}"))
}

/// Reads the next request; `None` when the client has gone. `origin` is put before addresses
/// that are only a path: the server that the client believes to speak with.
pub(super) fn read(
    stream: &mut (impl BufRead + AsReply),
    origin: Option<&str>,
) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    loop {
        let left = HEAD.saturating_sub(head.len()) as u64;
        let count = stream.by_ref().take(left).read_until(b'\n', &mut head)?;
        if count == 0 {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(malformed("a head that ends early"))
            };
        }
        if head == b"\r\n" || head == b"\n" {
            // Between requests empty lines mean nothing.
            head.clear();
        } else if head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n") {
            break;
        }
    }
    let mut lines = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(&head).map_err(|error| malformed(&format!("a bad head: {error}")))?;
    let method = parsed.method.unwrap_or_default().to_owned();
    let target = parsed.path.unwrap_or_default();
    let url = match origin {
        Some(origin) if target.starts_with('/') => format!("{origin}{target}"),
        _ => target.to_owned(),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
    let headers =
        parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
    let mut request = Request { method, url, headers, body: Vec::new() };
    if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.answer(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = body(stream, &request)?;
    Ok(Some(request))
}

/// A stream that can be written to while it is read.
pub(super) trait AsReply {
    /// Writes to the client.
    fn answer(&mut self, bytes: &[u8]) -> io::Result<()>;
}

fn body(stream: &mut impl BufRead, request: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        loop {
            let mut line = String::new();
            stream.by_ref().take(256).read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_error| malformed("a bad chunk"))?;
            if body.len() as u64 + size > BODY {
                return Err(malformed("a body that is too large"));
            }
            stream.by_ref().take(size).read_to_end(&mut body)?;
            // The end of the chunk, or of all of them; nobody sends trailers.
            stream.by_ref().take(256).read_line(&mut line)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let Some(length) = request.header("content-length") else { return Ok(body) };
    let length: u64 = length.parse().map_err(|_error| malformed("a bad length"))?;
    if length > BODY {
        return Err(malformed("a body that is too large"));
    }
    stream.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(malformed("a body that ends early"));
    }
    Ok(body)
}

/// How a body's end is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length,
    Chunks,
}

/// The way back to the client: a head, then a body in pieces.
pub struct Reply<'a> {
    to: &'a mut dyn Write,
    head_only: bool,
    framing: Framing,
    /// Whether a head was sent.
    begun: bool,
}

impl std::fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl<'a> Reply<'a> {
    pub(super) fn new(to: &'a mut dyn Write, request: &Request) -> Self {
        let head_only = request.method == "HEAD";
        Self { to, head_only, framing: Framing::None, begun: false }
    }

    /// Whether a head was sent, after which there is no other answer.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Sends the head; without a length the body goes out in chunks.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn head(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        length: Option<u64>,
    ) -> io::Result<()> {
        self.begun = true;
        let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        self.framing = if self.head_only || matches!(status, 204 | 304) {
            Framing::None
        } else if let Some(length) = length {
            text.push_str(&format!("content-length: {length}\r\n"));
            Framing::Length
        } else {
            text.push_str("transfer-encoding: chunked\r\n");
            Framing::Chunks
        };
        text.push_str("\r\n");
        self.to.write_all(text.as_bytes())
    }

    /// Sends a piece of the body.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.framing {
            _ if bytes.is_empty() => Ok(()),
            Framing::None => Ok(()),
            Framing::Length => self.to.write_all(bytes),
            Framing::Chunks => {
                write!(self.to, "{:x}\r\n", bytes.len())?;
                self.to.write_all(bytes)?;
                self.to.write_all(b"\r\n")
            }
        }
    }

    /// Ends the body; without it the client learns that something is missing.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn end(&mut self) -> io::Result<()> {
        if self.framing == Framing::Chunks {
            self.to.write_all(b"0\r\n\r\n")?;
        }
        self.to.flush()
    }

    /// Sends a whole answer that is a sentence for people.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn refuse(&mut self, status: u16, why: &str) -> io::Result<()> {
        let text = format!("{why}\n");
        self.head(status, &[("content-type", "text/plain")], Some(text.len() as u64))?;
        self.piece(text.as_bytes())?;
        self.end()
    }
}

/// The words that go with a status; programs read the number.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 | 302 | 303 | 307 | 308 => "Redirect",
        404 => "Not Found",
        502 => "Bad Gateway",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
