//! A proxy of the test's own: it knows names that nobody else does, and remembers who asked for
//! what.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::web_server::{Asked, read};

/// A proxy; it takes no new connections once it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Host and port.
    pub host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts one that leads to these places alone: names with their port, and where they lead.
    ///
    /// # Errors
    ///
    /// When no port is to be had.
    pub fn to(ways: BTreeMap<String, String>) -> Result<Self> {
        Self::start(move |name| ways.get(name).cloned())
    }

    /// Starts one that leads wherever it is asked to.
    ///
    /// # Errors
    ///
    /// When no port is to be had.
    pub fn open() -> Result<Self> {
        Self::start(|name| Some(name.to_owned()))
    }

    fn start(way: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let (asked, ends): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicBool>) = Default::default();
        let (log, end, way) = (Arc::clone(&asked), Arc::clone(&ends), Arc::new(way));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), log, way) = (stream, Arc::clone(&log), Arc::clone(&way)) else {
                    continue;
                };
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    if let Ok(mut log) = log.lock() {
                        log.push(request.clone());
                    }
                    // Either side hangs up when it has what it wants.
                    drop(serve(stream, &request, &*way));
                });
            }
        });
        Ok(Self { host, asked, ends })
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().map(|list| list.clone()).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(&self.host));
    }
}

fn serve(
    mut client: TcpStream,
    request: &Asked,
    way: &dyn Fn(&str) -> Option<String>,
) -> std::io::Result<()> {
    let refusal = b"HTTP/1.1 502 No Such Host\r\nContent-Length: 0\r\n\r\n";
    let (name, head) = if request.method == "CONNECT" {
        (request.path.clone(), None)
    } else {
        // An address instead of a path: one request, and what is answered to it.
        let Some(rest) = request.path.strip_prefix("http://") else {
            return client.write_all(refusal);
        };
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if name.contains(':') { "" } else { ":80" };
        let mut head = format!("{} /{path} HTTP/1.1\r\nConnection: close\r\n", request.method);
        for (key, value) in &request.headers {
            if !["connection", "proxy-connection"].contains(&key.as_str()) {
                head.push_str(&format!("{key}: {value}\r\n"));
            }
        }
        (format!("{name}{port}"), Some(format!("{head}\r\n")))
    };
    let Some(to) = way(&name) else { return client.write_all(refusal) };
    let mut server = TcpStream::connect(to)?;
    match head {
        Some(head) => {
            server.write_all(head.as_bytes())?;
            std::io::copy(&mut server, &mut client).map(drop)
        }
        None => {
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            tunnel(client, server)
        }
    }
}

fn tunnel(mut client: TcpStream, server: TcpStream) -> std::io::Result<()> {
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    let back = std::thread::spawn(move || {
        let copied = std::io::copy(&mut down, &mut up);
        drop(up.shutdown(Shutdown::Write));
        copied
    });
    std::io::copy(&mut client, &mut &server)?;
    server.shutdown(Shutdown::Write)?;
    drop(back.join());
    Ok(())
}
