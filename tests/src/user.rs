//! Tests of root that run the program as the ordinary test user.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::namespace::as_user;
use crate::{HostInvariant, Namespace, Ran, TestEnv, env};

/// A working directory of the ordinary user, with the cache that the user's tests share.
#[derive(Debug)]
pub struct UserEnv {
    /// The directory, whose elements root writes.
    pub env: TestEnv,
    name: String,
    uid: u32,
}

impl UserEnv {
    /// A fresh directory of the user that `GOLDSMITH_TEST_USER` names.
    ///
    /// # Errors
    ///
    /// When this is not root, or there is no such user.
    pub fn new() -> Result<Self> {
        let name = std::env::var("GOLDSMITH_TEST_USER")
            .context("GOLDSMITH_TEST_USER names nobody; tests/run does")?;
        let ids = |flag: &str| -> Result<u32> {
            let output = Command::new("id").args([flag, &name]).output()?;
            let text = String::from_utf8(output.stdout)?;
            text.trim().parse().with_context(|| format!("no user {name}"))
        };
        let (uid, gid) = (ids("-u")?, ids("-g")?);
        let place = std::env::var_os("GOLDSMITH_TEST_PLACE")
            .context("GOLDSMITH_TEST_PLACE names no directory; tests/run does")?;
        let env = TestEnv::with_cache(Path::new(&place).join(format!("cache-{uid}")))?;
        std::os::unix::fs::chown(env.directory.path(), Some(uid), Some(gid))?;
        Ok(Self { env, name, uid })
    }

    /// Adds the smallest operating system, as element `small`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn with_small_os(self) -> Result<Self> {
        self.env.element("small/element-provides", "operating-system\n")?;
        self.env.element("small/environment.d/10-small.bash", "export DISTRO_NAME=debian\n")?;
        self.env.element(
            "small/base.yaml",
            "debian:\n  suite: bookworm\n  variant: apt\n  include: [python3-minimal]\n",
        )?;
        Ok(self)
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks at the host and at this user's processes; `cache` may lie in a namespace.
    ///
    /// # Errors
    ///
    /// When /proc cannot be read.
    pub fn host(&self, cache: &Path) -> Result<HostInvariant> {
        HostInvariant::take_for(self.uid, cache)
    }

    /// Runs `goldsmith` as the user.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_by("goldsmith", arguments)
    }

    /// Runs the program as the user, called by `name`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run_by(&self, name: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.env.command(name)?;
        self.run_command(command.args(arguments))
    }

    /// Runs a command with its environment and directory as the user.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run_command(&self, command: &Command) -> Result<Ran> {
        let words = as_user(&self.name, command);
        env::ran(Command::new(&words[0]).args(&words[1..]))
    }

    /// Runs `goldsmith` as the user inside of a namespace, with a cache of its own there
    /// unless that is `None`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run_in(
        &self,
        namespace: &Namespace,
        cache: Option<&Path>,
        arguments: &[&str],
    ) -> Result<Ran> {
        let mut command = self.env.command("goldsmith")?;
        if let Some(cache) = cache {
            command.env("GOLDSMITH_CACHE", cache);
        }
        namespace.run_as(&self.name, command.args(arguments))
    }
}
