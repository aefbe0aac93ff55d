//! What is expected of a guest: the TOML file of `goldsmith test`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Failure, Kind, Result};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spec {
    /// How the guest is talked to.
    #[serde(default)]
    pub guest: Login,
    /// What systemd has to say of all of it: `running`, or `degraded` when units may fail.
    pub system: Option<String>,
    /// Units.
    #[serde(default)]
    pub unit: Vec<Unit>,
    /// Ports that somebody listens at.
    #[serde(default)]
    pub port: Vec<Port>,
    /// Files.
    #[serde(default)]
    pub file: Vec<FileSpec>,
    /// Words of the kernel's command line.
    #[serde(default)]
    pub kernel_argument: Vec<String>,
    /// Packages.
    #[serde(default)]
    pub package: Vec<Package>,
    /// Commands, run by root.
    #[serde(default)]
    pub command: Vec<CommandSpec>,
}

/// How the guest is talked to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Login {
    /// By which way.
    pub transport: Transport,
    /// What the console shows when the guest is up.
    pub wait: String,
    /// How many seconds until then, and until somebody can log in.
    pub timeout: u64,
    /// A user of the image who may become root by sudo without a password, or is root; else
    /// cloud-init makes one.
    pub user: Option<String>,
    /// The user's private key, for ssh; relative to the file.
    pub key: Option<PathBuf>,
    /// The user's password, for the serial line.
    pub password: Option<String>,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            transport: Transport::Ssh,
            wait: "login:".to_owned(),
            timeout: 420,
            user: None,
            key: None,
            password: None,
        }
    }
}

/// A way to talk to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The guest's ssh server.
    Ssh,
    /// The login prompt on its serial line.
    Serial,
}

/// A unit of systemd.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Its name with its ending.
    pub name: String,
    /// What `systemctl is-active` says.
    #[serde(default = "active")]
    pub state: String,
    /// What `systemctl is-enabled` says, if that counts.
    pub enabled: Option<String>,
}

fn active() -> String {
    "active".to_owned()
}

/// A port.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// For which protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Its absolute path.
    pub path: String,
    /// It must not be there.
    #[serde(default)]
    pub absent: bool,
    /// Permission bits in octal.
    pub mode: Option<String>,
    /// `USER:GROUP`.
    pub owner: Option<String>,
    /// A text on one of its lines.
    pub contains: Option<String>,
}

/// A package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// It must not be there.
    #[serde(default)]
    pub absent: bool,
    /// How its version begins.
    pub version: Option<String>,
}

/// A command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// For `sh -c`.
    pub run: String,
    /// What it is called in reports, instead of its text.
    pub name: Option<String>,
    /// Its exit status.
    #[serde(default)]
    pub status: u8,
    /// A text in what it prints.
    pub stdout: Option<String>,
}

impl Spec {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, says something that means nothing, or asserts nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)
            .map_err(|error| Failure::wrap(Kind::Usage, "--spec", &error))?;
        let mut spec = Self::parse(&text).map_err(|failure| failure.about(path.display()))?;
        if let (Some(key), Some(directory)) = (&spec.guest.key, path.parent()) {
            spec.guest.key = Some(directory.join(key));
        }
        Ok(spec)
    }

    fn parse(text: &str) -> Result<Self> {
        let wrong = |message: String| Failure::new(Kind::Configuration, message);
        let spec: Self = toml::from_str(text).map_err(|error| wrong(located(text, &error)))?;
        if spec.checks().is_empty() {
            return Err(wrong("it asserts nothing".to_owned())
                .hint("docs/guests.md lists what can be asserted"));
        }
        for file in &spec.file {
            let bits = file.mode.as_deref().unwrap_or("0");
            if u32::from_str_radix(bits, 8).is_err() {
                return Err(wrong(format!("mode = {bits:?} of {} is no octal number", file.path)));
            }
        }
        let login = &spec.guest;
        let by = match login.transport {
            Transport::Ssh => ("key", login.key.is_some()),
            Transport::Serial => ("password", login.password.is_some()),
        };
        if login.user.is_some() && !by.1 {
            return Err(wrong(format!("[guest] names a user and no {}", by.0)));
        }
        Ok(spec)
    }
}

/// The error with its line, on one line.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default().trim();
    format!("line {}: {}: {line}", number + 1, error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_is_told_with_its_line() {
        for (text, told) in [
            ("", "asserts nothing"),
            ("[[unit]]\nname = \"x\"\nstat = \"active\"\n", "line 3"),
            ("[[port]]\nnumber = 70000\n", "number = 70000"),
            ("[[file]]\npath = \"/x\"\nmode = \"rwx\"\n", "no octal number"),
            ("kernel-argument = [\"x\"]\n[guest]\nuser = \"me\"\n", "no key"),
            ("kernel-argument = [\"x\"]\n[guest]\ntransport = \"telnet\"\n", "telnet"),
        ] {
            let failure = Spec::parse(text).unwrap_err();
            assert_eq!(failure.kind, Kind::Configuration);
            assert!(failure.message.contains(told), "{text}: {}", failure.message);
        }
    }
}
