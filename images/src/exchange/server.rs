//! Accepts connections and answers their requests, one thread for each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::authority::Authority;
use super::message::{self, AsReply, Reply, Request};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(600);

/// Decides what is answered.
pub trait Answers: Send + Sync {
    /// Answers one request.
    ///
    /// # Errors
    ///
    /// When the client is gone; the connection is then closed.
    fn answer(&self, request: &Request, reply: &mut Reply<'_>) -> io::Result<()>;
}

/// A running proxy; dropping it closes the listening socket. Requests that are being answered
/// go on until their clients have what they asked for.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    accepting: Option<JoinHandle<()>>,
}

/// Serves every connection to `listener`.
///
/// # Errors
///
/// When the socket cannot be shared with a thread.
pub fn serve(
    listener: TcpListener,
    answers: Arc<dyn Answers>,
    authority: Arc<Authority>,
) -> io::Result<Server> {
    let own = listener.try_clone()?;
    let accepting = std::thread::spawn(move || {
        // Ends when the socket is shut down.
        while let Ok((stream, _)) = own.accept() {
            let (answers, authority) = (answers.clone(), authority.clone());
            std::thread::spawn(move || {
                if let Err(error) = connection(stream, answers.as_ref(), &authority) {
                    tracing::debug!(%error, "a connection to the proxy ended");
                }
            });
        }
    });
    Ok(Server { listener, accepting: Some(accepting) })
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both) {
            tracing::debug!(%error, "the proxy's socket cannot be shut down");
            return;
        }
        if let Some(accepting) = self.accepting.take()
            && accepting.join().is_err()
        {
            tracing::warn!("the proxy's thread panicked");
        }
    }
}

fn connection(stream: TcpStream, answers: &dyn Answers, authority: &Authority) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = message::read(&mut stream, None)? {
        if request.method != "CONNECT" {
            respond(&request, stream.get_mut(), answers)?;
            continue;
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        return tunnel(stream, &request.url, answers, authority);
    }
    Ok(())
}

/// What lies behind CONNECT: TLS, or plain HTTP when the first byte is that of a word.
fn tunnel(
    mut stream: BufReader<TcpStream>,
    server: &str,
    answers: &dyn Answers,
    authority: &Authority,
) -> io::Result<()> {
    const HANDSHAKE: u8 = 0x16;
    if stream.fill_buf()?.first() != Some(&HANDSHAKE) {
        let origin = format!("http://{}", server.strip_suffix(":80").unwrap_or(server));
        return requests(stream, &origin, answers);
    }
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let config = authority
        .server(host.trim_matches(['[', ']']))
        .map_err(|error| io::Error::other(format!("{server}: {error}")))?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let secret = StreamOwned::new(session, Unread(stream));
    let origin = format!("https://{}", server.strip_suffix(":443").unwrap_or(server));
    requests(BufReader::new(secret), &origin, answers)
}

fn requests<S: Read + Write>(
    mut stream: BufReader<S>,
    origin: &str,
    answers: &dyn Answers,
) -> io::Result<()>
where
    BufReader<S>: AsReply,
{
    while let Some(request) = message::read(&mut stream, Some(origin))? {
        respond(&request, stream.get_mut(), answers)?;
    }
    Ok(())
}

fn respond(request: &Request, to: &mut dyn Write, answers: &dyn Answers) -> io::Result<()> {
    let mut reply = Reply::new(to, request);
    answers.answer(request, &mut reply)
}

/// A stream of which a part has been read into a buffer already.
struct Unread(BufReader<TcpStream>);

impl Read for Unread {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Unread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

impl<S: Read + Write> AsReply for BufReader<S> {
    fn answer(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.get_mut().write_all(bytes)?;
        self.get_mut().flush()
    }
}
