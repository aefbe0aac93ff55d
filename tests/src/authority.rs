//! An authority that nobody believes, and the certificates that it gives.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// An authority of the test's own, made by openssl(1).
#[derive(Debug)]
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, of RSA.
    pub key: PathBuf,
    directory: PathBuf,
}

impl Authority {
    /// Makes an authority whose files lie in `directory`, which is made.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn new(directory: &Path) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        let this = Self {
            certificate: directory.join("ca.pem"),
            key: directory.join("ca.key"),
            directory: directory.to_owned(),
        };
        let usual = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let words = directory.display().to_string().replace('/', " ");
        let name = format!("/CN=authority of{words}");
        let own = ["-subj", &name, "-keyout", "ca.key", "-out", "ca.pem"];
        this.openssl(&[&usual[..], &own].concat(), b"")?;
        Ok(this)
    }

    /// Gives a certificate for these names (`IP:127.0.0.1`, `DNS:registry.test`): the paths of
    /// certificate and key.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn give(&self, names: &[&str]) -> Result<(PathBuf, PathBuf)> {
        let names = format!("subjectAltName={}", names.join(","));
        let usual = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "host.key", "-out", "host.pem"];
        let what = ["-subj", "/CN=a host", "-addext", "basicConstraints=critical,CA:FALSE"];
        self.openssl(&[&usual[..], &by, &what, &["-addext", &names]].concat(), b"")?;
        Ok((self.directory.join("host.pem"), self.directory.join("host.key")))
    }

    /// Signs with the authority's key: PKCS #1 and SHA-256, as `RS256` of JSON Web Tokens.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.openssl(&["dgst", "-sha256", "-sign", "ca.key"], bytes)
    }

    fn openssl(&self, words: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        use std::io::Write as _;
        let mut child = Command::new("openssl")
            .args(words)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("openssl, of the package of that name")?;
        child.stdin.take().context("a pipe")?.write_all(input)?;
        let output = child.wait_with_output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl {words:?}: {told}");
        Ok(output.stdout)
    }
}
