//! The last steps before the hook's own program: it runs as process 1 of the container,
//! after the root was changed and capabilities were dropped.

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

use super::seccomp;
use crate::plan::Privilege;
use crate::sys::process;

#[derive(Clone)]
pub(super) struct HookExecutor {
    filter: seccomp::Programs,
}

impl HookExecutor {
    pub(super) fn new(privilege: Privilege) -> Result<Self, String> {
        Ok(Self { filter: seccomp::filter(privilege)? })
    }
}

impl Executor for HookExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
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
        self.filter.apply().map_err(|error| other("seccomp", &error))?;
        DefaultExecutor {}.exec(spec)
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }
}
