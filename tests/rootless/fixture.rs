//! A small root file system from the host's own shell, and a way to run commands in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use goldsmith_runtime::{
    Cancel, ExitStatus, Identity, Job, JobInput, Network, OutputSink, OverlayPlan, Privilege,
    RootPlan, SandboxPlan, Stdin, Stream, UserPlan,
};

/// Programs that the cases use.
const PROGRAMS: [&str; 18] = [
    "bash", "cat", "chown", "id", "kill", "ls", "mkdir", "mv", "readlink", "rm", "setsid", "sleep",
    "stat", "stty", "touch", "true", "tty", "mount",
];

/// A temporary place with a root file system in `root`.
pub(crate) struct Fixture {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) identity: Identity,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) scratch: Option<std::os::fd::OwnedFd>,
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl OutputSink for Capture {
    fn line(&mut self, stream: Stream, _: Duration, line: &[u8]) {
        let mut both = self.0.lock().expect("no sink panics");
        let into = match stream {
            Stream::Stdout => &mut both.0,
            Stream::Stderr => &mut both.1,
        };
        into.extend_from_slice(line);
        into.push(b'\n');
    }
}

impl Fixture {
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("goldsmith-rootless-").tempdir()?;
        let root = directory.path().join("root");
        for name in ["bin", "dev", "etc", "lib", "proc", "root", "sys", "tmp", "usr/lib"] {
            fs_err::create_dir_all(root.join(name))?;
        }
        for program in PROGRAMS {
            let found = ["/bin", "/usr/bin"]
                .map(|directory| Path::new(directory).join(program))
                .into_iter()
                .find(|path| path.exists())
                .with_context(|| format!("the host has no {program}"))?;
            copy_with_libraries(&found, &root, &root.join("bin").join(program))?;
        }
        std::os::unix::fs::symlink("bash", root.join("bin/sh"))?;
        fs_err::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        fs_err::write(root.join("etc/group"), "root:x:0:\n")?;
        let identity = Identity::detect()?;
        give(&identity, &root)?;
        Ok(Self { directory, identity })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A plan that runs `script` in bash on an overlay of the root.
    pub(crate) fn plan(&self, script: &str) -> SandboxPlan {
        SandboxPlan {
            id_hint: "test".into(),
            root: RootPlan::Overlay(OverlayPlan {
                lowers: vec![self.path("root")],
                upper: self.path("upper"),
                work: self.path("work"),
            }),
            argv: vec!["/bin/bash".into(), "-c".into(), script.into()],
            env: vec![("HOME".into(), "/root".into()), ("PATH".into(), "/bin".into())],
            cwd: "/".into(),
            mounts: Vec::new(),
            devices: Vec::new(),
            formats: Vec::new(),
            network: Network::None,
            hostname: "box".into(),
            privilege: Privilege::Package,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: Some(60_000),
            stdin: Stdin::Null,
        }
    }

    pub(crate) fn run(&self, plan: &SandboxPlan) -> Result<Ran> {
        self.run_with(plan, &Cancel::default())
    }

    pub(crate) fn run_with(&self, plan: &SandboxPlan, cancel: &Cancel) -> Result<Ran> {
        let capture = Capture::default();
        let outcome =
            goldsmith_runtime::run(&self.identity, plan, Box::new(capture.clone()), cancel)?;
        let both = capture.0.lock().expect("no sink panics");
        Ok(Ran {
            scratch: outcome.scratch,
            status: outcome.status,
            stdout: String::from_utf8_lossy(&both.0).into_owned(),
            stderr: String::from_utf8_lossy(&both.1).into_owned(),
        })
    }

    /// Makes room for another run: an upper directory is mounted once.
    pub(crate) fn reset(&self) -> Result<()> {
        for name in ["upper", "work"] {
            let old = (0..).map(|n| self.path(&format!("{name}-{n}"))).find(|path| !path.exists());
            if let Some(old) = old
                && self.path(name).exists()
            {
                fs_err::rename(self.path(name), old)?;
            }
        }
        Ok(())
    }

    /// Runs a script that must succeed; returns its standard output.
    pub(crate) fn output(&self, script: &str) -> Result<String> {
        let ran = self.run(&self.plan(script))?;
        anyhow::ensure!(ran.status == ExitStatus::Code(0), "{ran:?}");
        Ok(ran.stdout)
    }
}

#[expect(clippy::print_stderr, reason = "a test tells what it left behind")]
impl Drop for Fixture {
    /// Files of mapped ids can only be removed from inside.
    fn drop(&mut self) {
        let path = serde_json::json!(self.directory.path());
        if let Err(error) = goldsmith_runtime::run_job(&self.identity, CLEAR.name, &path, &[]) {
            eprintln!("left behind in {}: {error:#}", self.directory.path().display());
        }
    }
}

/// Empties a directory, as root of a user namespace.
pub(crate) const CLEAR: Job = Job { name: "clear", run: clear };

fn clear(input: JobInput) -> Result<serde_json::Value, String> {
    let path: PathBuf = serde_json::from_value(input.request).map_err(|error| error.to_string())?;
    for entry in fs_err::read_dir(&path).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let removed =
            if path.is_dir() { fs_err::remove_dir_all(&path) } else { fs_err::remove_file(&path) };
        removed.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(serde_json::Value::Null)
}

/// Hands a tree over to the sandbox's root, where that is another user.
fn give(identity: &Identity, root: &Path) -> Result<()> {
    let (uid, gid) = identity.outside_root();
    if uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(root) {
        std::os::unix::fs::lchown(entry?.path(), Some(uid), Some(gid))?;
    }
    Ok(())
}

fn copy_with_libraries(program: &Path, root: &Path, to: &Path) -> Result<()> {
    fs_err::copy(program, to)?;
    let output = Command::new("ldd").arg(program).output()?;
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if !word.starts_with('/') {
            continue;
        }
        let into = root.join(word.trim_start_matches('/'));
        if !into.exists() {
            fs_err::create_dir_all(into.parent().context("a library has a directory")?)?;
            fs_err::copy(word, &into)?;
        }
    }
    Ok(())
}
