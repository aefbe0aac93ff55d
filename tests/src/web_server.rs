//! A web server of the test's own on the loopback interface: what it answers is a function of
//! what it is asked, and it remembers that.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// In capitals.
    pub method: String,
    /// With the query, beginning with a slash.
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// What came after the headers.
    pub body: Vec<u8>,
}

impl Asked {
    /// The value of a header, whose name is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where the range begins that is asked for.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What the server sends.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent before the connection breaks.
    cut: Option<usize>,
}

impl Answer {
    /// An answer of this status.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None }
    }

    /// The same with a header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same, but the connection breaks after so many bytes of the body.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.cut = Some(length);
        self
    }

    fn send(&self, mut to: TcpStream) -> std::io::Result<()> {
        let length = self.body.len();
        let mut head = format!(
            "HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {length}\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        to.write_all(format!("{head}\r\n").as_bytes())?;
        to.write_all(&self.body[..self.cut.unwrap_or(length).min(length)])?;
        to.shutdown(Shutdown::Write)
    }
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct WebServer {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
}

impl WebServer {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// When no port is to be had.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (asked, ends): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicBool>) = Default::default();
        let (log, end, answer) = (Arc::clone(&asked), Arc::clone(&ends), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), log, answer) = (stream, Arc::clone(&log), Arc::clone(&answer))
                else {
                    continue;
                };
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    if let Ok(mut log) = log.lock() {
                        log.push(request.clone());
                    }
                    let answer = answer(&request);
                    // A client that has heard enough hangs up.
                    drop(answer.send(stream));
                });
            }
        });
        Ok(Self { port, asked, ends })
    }

    /// Serves the files of a directory.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn of_directory(directory: PathBuf) -> Result<Self> {
        Self::start(move |asked| {
            let path = asked.path.split('?').next().unwrap_or_default();
            match fs_err::read(directory.join(path.trim_start_matches('/'))) {
                Ok(bytes) => Answer::new(200, bytes),
                Err(_) => Answer::new(404, ""),
            }
        })
    }

    /// Host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://HOST:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().map(|list| list.clone()).unwrap_or_default()
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.asked.lock().map(|list| list.len()).unwrap_or_default()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// Reads the head of a request and the body that it promises.
pub(crate) fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked { method, path, ..Asked::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut asked.body).ok()?;
    Some(asked)
}
