//! A real registry for tests.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::free_port;

/// Debian's registry on the loopback interface; it ends when dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    /// Host and port, as references begin.
    pub host: String,
}

/// What a registry asks of its clients.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Certificate and key: it then speaks TLS alone.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The part `auth` of its configuration, in YAML, on one line.
    pub auth: Option<String>,
}

impl DockerRegistry {
    /// Starts it for everybody, with its files in `directory`, and waits until it listens.
    ///
    /// # Errors
    ///
    /// When the program is not there, or ends.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::guarded(directory, &Guard::default())
    }

    /// Starts it; several of one directory have the same images.
    ///
    /// # Errors
    ///
    /// When the program is not there, or ends.
    pub fn guarded(directory: &Path, guard: &Guard) -> Result<Self> {
        let port = free_port()?;
        let config = directory.join(format!("registry-{port}.yml"));
        let root = directory.join("registry");
        let tls = guard.tls.as_ref().map(|(certificate, key)| {
            format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display())
        });
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: '127.0.0.1:{port}'{}}}\n",
            root.display(),
            tls.unwrap_or_default()
        );
        if let Some(auth) = &guard.auth {
            text.push_str(&format!("auth: {auth}\n"));
        }
        fs_err::write(&config, text)?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env_clear()
            // Where it is searched: tests/run may have unpacked it beside the tests.
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("docker-registry, of the package of that name")?;
        let mut registry = Self { child, host: format!("127.0.0.1:{port}") };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(registry);
            }
            if let Some(status) = registry.child.try_wait()? {
                bail!("docker-registry: {status}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("docker-registry does not listen")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
