//! A web server of a test's own: files of a directory, and git repositories below it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};

/// Serves until the test's process ends.
#[derive(Debug)]
pub struct Web {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Serves `directory` on a port of its own.
    ///
    /// # Errors
    ///
    /// When no port is to be had.
    pub fn serve(directory: PathBuf) -> Result<Self> {
        let server = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", server.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in server.incoming().map_while(|stream| stream.ok()) {
                // A client that has seen enough goes away.
                let _gone = answer(stream, &directory, &log);
            }
        });
        Ok(Self { address, asked })
    }

    /// The paths that were asked for since this was called last.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().map(|mut asked| std::mem::take(&mut *asked)).unwrap_or_default()
    }
}

fn answer(mut stream: TcpStream, directory: &Path, log: &Mutex<Vec<String>>) -> Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().context("method")?, words.next().context("path")?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').context("a header line")?;
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(one, _)| one == name).map(|(_, v)| v.as_str());
    let length = header("content-length").unwrap_or("0").parse()?;
    let mut body = Vec::new();
    lines.take(length).read_to_end(&mut body)?;
    if let Ok(mut log) = log.lock() {
        log.push(target.clone());
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if path.contains(".git/") {
        let mut git = Command::new("git");
        git.arg("http-backend")
            .env("GIT_PROJECT_ROOT", directory)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &method)
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding").unwrap_or_default())
            .env("GIT_PROTOCOL", header("git-protocol").unwrap_or_default())
            .env_remove("GIT_DIR");
        let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("git")?;
        child.stdin.take().context("a pipe")?.write_all(&body)?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "git http-backend");
        let text = String::from_utf8_lossy(&output.stdout);
        let status = text.lines().find_map(|line| line.strip_prefix("Status: "));
        write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n", status.unwrap_or("200 OK"))?;
        stream.write_all(&output.stdout)?;
        return Ok(());
    }
    let (status, bytes) = match fs_err::read(directory.join(path.trim_start_matches('/'))) {
        Ok(bytes) => ("200 OK", bytes),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = bytes.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&bytes)?;
    Ok(())
}
