//! A real registry for tests.

use std::net::TcpStream;
use std::path::Path;
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

impl DockerRegistry {
    /// Starts it, with its files in `directory`, and waits until it listens.
    ///
    /// # Errors
    ///
    /// When the program is not there, or ends.
    pub fn start(directory: &Path) -> Result<Self> {
        let port = free_port()?;
        let config = directory.join("registry.yml");
        let root = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            root.display()
        );
        fs_err::write(&config, text)?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env_clear()
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
