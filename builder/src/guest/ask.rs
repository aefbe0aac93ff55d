//! A guest runs a script, over ssh or typed at its serial line, and what it prints comes back.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use goldsmith_runtime::Cancel;

use super::console::{Guest, Waited};
use super::io;
use super::script::is_complete;
use super::seed::Settings;
use super::spec::{Login, Transport};
use crate::error::{Failure, Kind, Result};

/// The user that cloud-init makes when the spec names none.
const USER: &str = "goldsmith";
/// How long a script may run, beyond what the guest takes to start.
const RUNNING: Duration = Duration::from_secs(600);
/// How long to wait before trying to log in once more.
const PAUSE: Duration = Duration::from_secs(2);
/// The most bytes of a line that is typed: a terminal takes 4095.
const LINE: usize = 1024;

/// Somebody who can log in.
#[derive(Debug)]
pub struct Account {
    login: Login,
    user: String,
    key: Option<PathBuf>,
    password: String,
    /// What cloud-init has to do first; nothing for a user of the image's own.
    pub settings: Option<Settings>,
    /// Holds a key that was made for this one guest.
    _place: Option<tempfile::TempDir>,
}

impl Account {
    /// The account that a spec names, else a new one.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn new(login: &Login) -> Result<Self> {
        if let Some(user) = &login.user {
            return Ok(Self {
                user: user.clone(),
                key: login.key.clone(),
                password: login.password.clone().unwrap_or_default(),
                login: login.clone(),
                settings: None,
                _place: None,
            });
        }
        let place = tempfile::tempdir().map_err(io)?;
        let password = uuid_like(&place);
        let mut user = serde_json::json!({
            "name": USER,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "shell": "/bin/sh",
            "lock_passwd": false,
            "plain_text_passwd": password,
        });
        let mut key = None;
        if login.transport == Transport::Ssh {
            let path = place.path().join("key");
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", USER, "-f"]).arg(&path);
            let made = command.status().map_err(|error| no_ssh("ssh-keygen", &error))?;
            if !made.success() {
                return Err(Failure::new(Kind::Host, "ssh-keygen makes no key"));
            }
            let public = fs_err::read_to_string(path.with_extension("pub")).map_err(io)?;
            user["ssh_authorized_keys"] = serde_json::json!([public.trim()]);
            key = Some(path);
        }
        // JSON is YAML, too.
        let users = serde_json::json!({ "users": ["default", user] });
        let settings =
            Settings { user_data: format!("#cloud-config\n{users}\n"), keys: Vec::new() };
        Ok(Self {
            login: login.clone(),
            user: USER.to_owned(),
            key,
            password,
            settings: Some(settings),
            _place: Some(place),
        })
    }

    /// Has the guest run `script` as root, once it is up, and returns what it printed: all of
    /// it, or what came before the guest fell silent.
    ///
    /// # Errors
    ///
    /// When the guest does not come up in time or nobody can log in, with the console's last
    /// lines; when the user wants to stop.
    pub fn ask(
        &self,
        guest: &mut Guest,
        ssh_port: u16,
        script: &str,
        cancel: &Cancel,
    ) -> Result<String> {
        let until = Instant::now() + Duration::from_secs(self.login.timeout);
        self.see(guest, &self.login.wait, until, cancel)?;
        match self.login.transport {
            Transport::Ssh => self.by_ssh(guest, ssh_port, script, until, cancel),
            Transport::Serial => self.by_serial(guest, script, until, cancel),
        }
    }

    fn see(&self, guest: &mut Guest, text: &str, until: Instant, cancel: &Cancel) -> Result<()> {
        let why = match guest.wait_for(text, until, cancel)? {
            Waited::Seen => return Ok(()),
            Waited::TimeUp => format!("within {} seconds", self.login.timeout),
            Waited::Ended => "before the guest ended".to_owned(),
        };
        Err(with_tail(guest, format!("the console did not show {text:?} {why}")))
    }

    fn root_shell(&self) -> &'static str {
        if self.user == "root" { "sh" } else { "sudo -n sh" }
    }

    fn by_ssh(
        &self,
        guest: &mut Guest,
        port: u16,
        script: &str,
        until: Instant,
        cancel: &Cancel,
    ) -> Result<String> {
        loop {
            let mut command = Command::new("ssh");
            for option in [
                "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null",
                "GlobalKnownHostsFile=/dev/null",
                "IdentitiesOnly=yes",
                "BatchMode=yes",
                "ConnectTimeout=20",
                "LogLevel=ERROR",
            ] {
                command.arg("-o").arg(option);
            }
            command.arg("-F").arg("none").arg("-p").arg(port.to_string());
            if let Some(key) = &self.key {
                command.arg("-i").arg(key);
            }
            command
                .arg(format!("{}@127.0.0.1", self.user))
                .arg(format!("{} -s", self.root_shell()));
            let (status, printed, complaint) = run(command, script, cancel)?;
            if status != 255 || is_complete(&printed) {
                if printed.is_empty() && status != 0 {
                    let message = format!("{} is no root of the guest: {complaint}", self.user);
                    return Err(Failure::new(Kind::Build, message));
                }
                return Ok(printed);
            }
            if Instant::now() > until || guest.ended()?.is_some() {
                let message = format!("nobody can log in by ssh: {complaint}");
                return Err(with_tail(guest, message));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn by_serial(
        &self,
        guest: &mut Guest,
        script: &str,
        until: Instant,
        cancel: &Cancel,
    ) -> Result<String> {
        // The user may be made after the prompt has come: who is refused tries again.
        loop {
            guest.send(format!("{}\r", self.user).as_bytes())?;
            self.see(guest, "assword:", until, cancel)?;
            guest.send(format!("{}\r", self.password).as_bytes())?;
            guest.send(b"echo goldsmith-is-$((40 + 2))\r")?;
            let soon = Instant::now() + Duration::from_secs(20);
            if guest.wait_for("goldsmith-is-42", soon.min(until), cancel)? == Waited::Seen {
                break;
            }
            if Instant::now() > until {
                return Err(with_tail(guest, format!("{} cannot log in", self.user)));
            }
            guest.send(b"\r")?;
            self.see(guest, "login:", until, cancel)?;
        }
        guest.send(b"f=$(mktemp); stty -echo\r")?;
        let text = BASE64_STANDARD.encode(script);
        for line in text.as_bytes().chunks(LINE) {
            guest.send(b"echo ")?;
            guest.send(line)?;
            guest.send(b" >> $f\r")?;
        }
        guest.send(format!("base64 -d < $f | {} -s\r", self.root_shell()).as_bytes())?;
        let end = Instant::now() + RUNNING;
        loop {
            let printed = String::from_utf8_lossy(&guest.since()).into_owned();
            if is_complete(&printed) || Instant::now() > end || guest.ended()?.is_some() {
                return Ok(printed);
            }
            if cancel.is_cancelled() {
                return Err(Failure::new(Kind::Interrupted, "interrupted"));
            }
            std::thread::sleep(PAUSE / 4);
        }
    }
}

/// A password that nobody guesses: the kernel's random name of a directory that only we may
/// enter.
fn uuid_like(place: &tempfile::TempDir) -> String {
    let name = place.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let random = fs_err::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or(name);
    random.trim().to_owned()
}

fn no_ssh(program: &str, error: &std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, program, error)
        .hint("as root: apt-get install openssh-client, or write transport = \"serial\"")
}

fn with_tail(guest: &Guest, message: String) -> Failure {
    let failure = Failure::new(Kind::Build, message).hint("the console's last lines:");
    guest.tail(25).into_iter().fold(failure, |failure, line| failure.hint(format!("  | {line}")))
}

/// Runs a command with `input`: its status, what it printed, and its complaint.
fn run(mut command: Command, input: &str, cancel: &Cancel) -> Result<(i32, String, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    goldsmith_runtime::die_with_parent(&mut command);
    let mut child = command.spawn().map_err(|error| no_ssh("ssh", &error))?;
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let read = |from: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = from.map_or(Ok(0), |mut from| from.read_to_end(&mut bytes));
            (read.is_ok(), String::from_utf8_lossy(&bytes).into_owned())
        })
    };
    let out = read(stdout.map(|out| Box::new(out) as _));
    let complaints = read(stderr.map(|err| Box::new(err) as _));
    if let Some(stdin) = &mut stdin
        && let Err(error) = stdin.write_all(input.as_bytes())
    {
        // Whoever could not log in reads nothing.
        tracing::debug!(%error, "ssh");
    }
    drop(stdin);
    let end = Instant::now() + RUNNING;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            break status.code().unwrap_or(255);
        }
        if cancel.is_cancelled() || Instant::now() > end {
            child.kill().and_then(|()| child.wait()).map_err(io)?;
            if cancel.is_cancelled() {
                return Err(Failure::new(Kind::Interrupted, "interrupted"));
            }
            break 255;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let text = |thread: std::thread::JoinHandle<(bool, String)>| {
        thread.join().map_or_else(|_panic| String::new(), |(_, text)| text)
    };
    Ok((status, text(out), text(complaints).trim().to_owned()))
}
