//! A server on the loopback interface whose answers are a function of the request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::registry::{Credentials, Login, Registry, Settings};

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the server sends.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The length that is promised, if another than the body's.
    promised: Option<usize>,
    endless: bool,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), promised: None, endless: false }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends less than it promises.
    pub(super) fn cut(mut self, length: usize) -> Self {
        self.promised = Some(self.body.len());
        self.body.truncate(length);
        self
    }

    /// Goes on until the client hangs up.
    pub(super) fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    fn send(&self, mut to: TcpStream) -> std::io::Result<()> {
        write!(to, "HTTP/1.1 {} X\r\nConnection: close\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(to, "{name}: {value}\r\n")?;
        }
        if !self.endless && !self.headers.iter().any(|(name, _)| name == "Content-Length") {
            write!(to, "Content-Length: {}\r\n", self.promised.unwrap_or(self.body.len()))?;
        }
        to.write_all(b"\r\n")?;
        to.write_all(&self.body)?;
        if self.endless {
            // Until the client hangs up.
            loop {
                to.write_all(&[b'a'; 4096])?;
            }
        }
        to.shutdown(Shutdown::Write)
    }
}

/// A running server; it ends when dropped.
pub(super) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    ends: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn new(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, ends) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end, answer) = (Arc::clone(&seen), Arc::clone(&ends), Arc::new(answer));
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
                    let answer = answer(&request);
                    log.lock().unwrap().push(request);
                    // A client that has heard enough hangs up.
                    drop(answer.send(stream));
                });
            }
        });
        Self { port, seen, ends }
    }

    /// Host and port.
    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A client that knows the server, one user of it, and no other host.
    pub(super) fn client(&self) -> Registry {
        let user = User { host: self.host() };
        let settings = Settings {
            plain_http: vec![self.host()],
            credentials: Some(Box::new(user)),
            ..Settings::default()
        };
        Registry::new(settings).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn read(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut seen = Seen {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..Seen::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut seen.body).ok()?;
    Some(seen)
}

/// Somebody with a password at one host.
#[derive(Debug)]
pub(super) struct User {
    pub(super) host: String,
}

impl Credentials for User {
    fn login(&self, host: &str, _: &str) -> Result<Option<Login>, String> {
        let login = Login { user: "me".to_owned(), secret: "password".to_owned() };
        Ok((host == self.host).then_some(login))
    }
}
