//! Private mount and user namespaces that root's tests put a broken host into.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Ran;
use crate::env::ran;

/// A namespace with a process that holds it open. Its mounts and settings go with it, also
/// when the test dies: the holder ends at the end of its standard input.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    flags: &'static [&'static str],
}

impl Namespace {
    /// A mount namespace from which nothing leaks.
    ///
    /// # Errors
    ///
    /// When unshare(1) fails, for instance without privilege.
    pub fn mounts() -> Result<Self> {
        Self::start(&["--mount"])
    }

    /// A mount and a user namespace with all ids, mapped to themselves.
    ///
    /// # Errors
    ///
    /// When unshare(1) fails or the maps are refused.
    pub fn users() -> Result<Self> {
        let namespace = Self::start(&["--mount", "--user"])?;
        let pid = namespace.holder.id();
        for file in ["uid_map", "gid_map"] {
            let own = fs_err::read_to_string(format!("/proc/self/{file}"))?;
            let same = own.lines().filter_map(|line| {
                let mut fields = line.split_whitespace();
                let (inside, count) = (fields.next()?, fields.nth(1)?);
                Some(format!("{inside} {inside} {count}\n"))
            });
            fs_err::write(format!("/proc/{pid}/{file}"), same.collect::<String>())?;
        }
        Ok(namespace)
    }

    fn start(flags: &'static [&'static str]) -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(flags)
            .args(["--", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut line = String::new();
        let out = holder.stdout.take().context("the holder's output")?;
        // Kept from here on, so that it is killed whatever happens.
        let namespace = Self { holder, flags };
        BufReader::new(out).read_line(&mut line)?;
        ensure!(line == "ready\n", "no namespace: {line:?}");
        Ok(namespace)
    }

    /// Where a path of the namespace is seen from outside.
    pub fn path(&self, inside: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string());
        command.args(self.flags).arg("--").stdin(Stdio::null());
        command
    }

    /// Runs a script as root inside; it must succeed.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn root(&self, script: &str) -> Result<String> {
        let ran = ran(self.enter().args(["bash", "-euc", script]))?;
        ensure!(ran.status == 0, "{script}: {ran:?}");
        Ok(ran.stdout)
    }

    /// Runs a command with the environment and directory that were set on it as root inside.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run(&self, command: &Command) -> Result<Ran> {
        ran(self.enter().args(alone(command)))
    }

    /// Runs a command with its environment and directory as `user` inside.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run_as(&self, user: &str, command: &Command) -> Result<Ran> {
        ran(self.enter().args(as_user(user, command)))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let ended = self.holder.kill().and_then(|()| self.holder.wait().map(|_| ()));
        assert!(ended.is_ok() || std::thread::panicking(), "a namespace is left: {ended:?}");
    }
}

/// The words of `command`, run by `user` with the environment that was set on it.
pub(crate) fn as_user(user: &str, command: &Command) -> Vec<std::ffi::OsString> {
    let mut words: Vec<std::ffi::OsString> = ["runuser", "-u", user, "--"].map(Into::into).to_vec();
    words.extend(alone(command));
    words
}

/// The words of `command`, with the environment that was set on it and no other.
fn alone(command: &Command) -> Vec<std::ffi::OsString> {
    let mut words: Vec<std::ffi::OsString> = ["env", "-i"].map(Into::into).to_vec();
    if let Some(directory) = command.get_current_dir() {
        words.extend(["-C".into(), directory.into()]);
    }
    for (name, value) in command.get_envs() {
        let mut word = name.to_owned();
        word.push("=");
        word.push(value.unwrap_or_default());
        words.push(word);
    }
    words.push(command.get_program().into());
    words.extend(command.get_args().map(Into::into));
    words
}
