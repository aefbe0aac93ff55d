//! The last steps before the hook's own program: it runs as process 1 of the container,
//! after the root was changed and capabilities were dropped.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::{CStr, CString};

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::execve;

use super::liveness::Liveness;
use super::seccomp;
use crate::plan::SandboxPlan;
use crate::sys::process;

/// Where programs are looked for when the plan's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Clone)]
pub(super) struct HookExecutor {
    filter: seccomp::Programs,
    command: Command,
    helper: Liveness,
}

impl HookExecutor {
    pub(super) fn new(plan: &SandboxPlan) -> Result<Self, String> {
        let helper = Liveness::new()?;
        Ok(Self { filter: seccomp::filter(plan.privilege)?, command: Command::new(plan)?, helper })
    }

    fn prepare(&self) -> Result<(), ExecutorError> {
        let other = |what: &str, error: &dyn std::fmt::Display| {
            ExecutorError::Other(format!("{what}: {error}"))
        };
        super::enter::die_with_parent().map_err(|error| other("death signal", &error))?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
            .map_err(|error| other("sigprocmask", &error))?;
        process::set_handler(Signal::SIGPIPE, SigHandler::SigDfl)
            .map_err(|error| other("signal", &error))?;
        process::close_on_exec_from(3).map_err(|error| other("close_range", &error))?;
        process::new_session_keyring();
        self.filter.apply().map_err(|error| other("seccomp", &error))
    }
}

impl Executor for HookExecutor {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        self.prepare()?;
        let Err(error) = self.command.execute();
        let name = self.command.arguments[0].to_string_lossy();
        let line = format!("goldsmith: {name}: {}\n", error.desc());
        if rustix::io::write(rustix::stdio::stderr(), line.as_bytes()).is_err() {
            tracing::debug!("nobody reads standard error");
        }
        // What a shell says: 127 not found, 126 found and not executable.
        super::finish(if error == Errno::ENOENT { 127 } else { 126 })
    }

    /// Runs in the container's first process, before it waits for its start.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        self.helper.bind().map_err(ExecutorValidationError::ArgValidationError)
    }

    /// The program gets the plan's variables and no others; see [`Command::execute`].
    /// libcontainer would add those of systemd's socket activation.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

/// What is executed, ready for execve(2).
#[derive(Debug, Clone)]
struct Command {
    /// The paths to try, in order.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    fn new(plan: &SandboxPlan) -> Result<Self, String> {
        let text = |value: &str| {
            CString::new(value).map_err(|error| format!("{value:?} in the plan: {error}"))
        };
        let name = plan.argv.first().ok_or("the plan names no program")?;
        let path = plan.env.iter().rev().find(|(name, _)| name == "PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, value)| value.as_str());
        let candidates = if name.contains('/') {
            vec![text(name)?]
        } else {
            path.split(':')
                .map(|directory| if directory.is_empty() { "." } else { directory })
                .map(|directory| text(&format!("{directory}/{name}")))
                .collect::<Result<_, _>>()?
        };
        let arguments = plan.argv.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
        let environment = plan
            .env
            .iter()
            .map(|(name, value)| text(&format!("{name}={value}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { candidates, arguments, environment })
    }

    /// Becomes the program, or says why the best candidate could not be executed.
    fn execute(&self) -> Result<Infallible, Errno> {
        let mut worst = Errno::ENOENT;
        for candidate in &self.candidates {
            let Err(error) = execve(candidate, &self.arguments, &self.environment);
            match error {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::ENOEXEC => return self.by_shell(candidate),
                other => worst = other,
            }
        }
        Err(worst)
    }

    /// A script without an interpreter line is the shell's, as execvp(3) has it.
    fn by_shell(&self, script: &CStr) -> Result<Infallible, Errno> {
        let rest = self.arguments.iter().skip(1).map(CString::as_c_str);
        let arguments: Vec<&CStr> = [c"sh", script].into_iter().chain(rest).collect();
        execve(c"/bin/sh", &arguments, &self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Network, Privilege, RootPlan, Stdin, UserPlan};

    fn plan(argv: &[&str], path: Option<&str>) -> SandboxPlan {
        SandboxPlan {
            id_hint: String::new(),
            root: RootPlan::Directory("/".into()),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect(),
            cwd: "/".into(),
            mounts: Vec::new(),
            devices: Vec::new(),
            formats: Vec::new(),
            network: Network::None,
            hostname: String::new(),
            privilege: Privilege::Package,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: None,
            stdin: Stdin::Null,
        }
    }

    #[test]
    fn programs_are_looked_up_in_the_plans_path() {
        let candidates = |argv: &[&str], path| {
            let command = Command::new(&plan(argv, path)).unwrap();
            command.candidates.iter().map(|c| c.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(candidates(&["a/b"], Some("/x")), ["a/b"]);
        assert_eq!(candidates(&["ls"], Some("/x::/y")), ["/x/ls", "./ls", "/y/ls"]);
        assert_eq!(candidates(&["ls"], None).len(), 6);
        assert!(Command::new(&plan(&[], None)).is_err());
        assert!(Command::new(&plan(&["a\0b"], None)).is_err());
    }
}
