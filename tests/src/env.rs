//! The program under test and a place to run it in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

/// A temporary working directory with elements of the test's own, and the shared cache.
#[derive(Debug)]
pub struct TestEnv {
    /// The working directory.
    pub directory: tempfile::TempDir,
    cache: PathBuf,
}

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Whether CI demands that this feature is there: then a test must not be skipped.
pub fn require(feature: &str) -> bool {
    std::env::var("GOLDSMITH_REQUIRE").unwrap_or_default().split(',').any(|word| word == feature)
}

impl TestEnv {
    /// A fresh directory, with the cache that all tests of this user share.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn new() -> Result<Self> {
        let place =
            std::env::var_os("GOLDSMITH_TEST_PLACE").map_or_else(std::env::temp_dir, PathBuf::from);
        let user = rustix::process::geteuid().as_raw();
        Self::with_cache(place.join(format!("cache-{user}")))
    }

    /// The same, with the element `small`: an operating system of nothing but what is essential.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn with_small_os() -> Result<Self> {
        let env = Self::new()?;
        env.small_os()?;
        Ok(env)
    }

    /// Writes the element `small`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn small_os(&self) -> Result<()> {
        self.element("small/element-provides", "operating-system\n")?;
        self.element("small/environment.d/10-small.bash", "export DISTRO_NAME=debian\n")?;
        self.element(
            "small/base.yaml",
            "debian:\n  suite: bookworm\n  variant: apt\n  include: [python3-minimal]\n",
        )
    }

    /// A fresh directory with a cache of its own.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn with_cache(cache: PathBuf) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("goldsmith-test-").tempdir()?;
        Ok(Self { directory, cache })
    }

    /// A fresh directory with its own cache in it: for what keeps no tree of mapped ids, which
    /// this process could not remove.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn with_own_cache() -> Result<Self> {
        let mut env = Self::new()?;
        env.cache = env.path("cache");
        Ok(env)
    }

    /// A path in the working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Writes a file of an element below `elements/`; a script becomes executable.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn element(&self, path: &str, text: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("elements").join(path);
        fs_err::create_dir_all(path.parent().context("an element's file has a directory")?)?;
        fs_err::write(&path, text)?;
        if text.starts_with("#!") {
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// The program, called by `name`, with a clean environment.
    ///
    /// # Errors
    ///
    /// When the program is not where `GOLDSMITH_BIN` says.
    pub fn command(&self, name: &str) -> Result<Command> {
        let binary = match std::env::var_os("GOLDSMITH_BIN") {
            Some(path) => PathBuf::from(path),
            None => {
                // target/debug/deps/TEST -> target/debug/goldsmith
                let own = std::env::current_exe()?;
                let deps = own.parent().and_then(Path::parent).context("no target directory")?;
                deps.join("goldsmith")
            }
        };
        ensure!(binary.exists(), "{} is not built", binary.display());
        let mut command = Command::new(&binary);
        if name != "goldsmith" {
            let link = self.path(&format!("bin-{name}")).join(name);
            if !link.exists() {
                fs_err::create_dir_all(link.parent().context("a link has a directory")?)?;
                std::os::unix::fs::symlink(&binary, &link)?;
            }
            command = Command::new(link);
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .env("GOLDSMITH_CACHE", &self.cache)
            .env("DIB_RELEASE", "bookworm")
            .env("ELEMENTS_PATH", self.path("elements"))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        fs_err::create_dir_all(self.path("elements"))?;
        Ok(command)
    }

    /// Runs `goldsmith` with these arguments.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command("goldsmith")?;
        ran(command.args(arguments))
    }

    /// Runs a personality with these arguments.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run_as(&self, name: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command(name)?;
        ran(command.args(arguments))
    }
}

/// Runs a command to its end and takes what it printed.
///
/// # Errors
///
/// When it cannot be started.
pub fn ran(command: &mut Command) -> Result<Ran> {
    let output = command.output()?;
    Ok(Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Demands that a command succeeded.
///
/// # Errors
///
/// When it did not: the last 60 lines that it printed to standard error, so that they are not
/// lost among thousands.
pub fn succeeded(output: &Output) -> Result<()> {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(60)..].join("\n");
    ensure!(output.status.success(), "{}: {last}", output.status);
    Ok(())
}
