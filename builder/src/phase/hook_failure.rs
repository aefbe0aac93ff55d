//! A hook that failed: what people are told, and how they get to look at what it left.

use goldsmith_runtime::ExitStatus;

use super::breaks;
use super::run::{Ground, PhaseRun, Workspace};
use super::sandbox::{Ran, TreeMount};
use super::state::State;
use super::table::Place;
use crate::element::lint;
use crate::error::{Failure, Kind, Result};
use crate::materialise::beside;

impl Ground<'_> {
    /// Lets somebody look around if asked for, and says what failed.
    pub(super) fn failed(
        &self,
        run: &PhaseRun,
        before: &State,
        workspace: Workspace,
        ran: &Ran,
    ) -> Failure {
        let looked = run
            .outside
            .as_ref()
            .map_or(Ok(()), |outside| self.look_around(outside, before, &workspace));
        let failure = self.hook_failure(run, before, workspace, ran);
        match looked {
            Ok(()) => failure,
            Err(error) => failure.hint(format!("break_outside_target: {error}")),
        }
    }

    /// Runs `outside` in the tools container with the tree as a failed hook left it. Files that
    /// it makes in the output directory come out, what it writes elsewhere is dropped.
    fn look_around(&self, outside: &PhaseRun, before: &State, failed: &Workspace) -> Result<()> {
        let session = self.session;
        let workspace = self.workspace(outside)?;
        let mut lowers = session.directories(&before.mnt)?;
        lowers.push(failed.mnt.upper());
        let mnt = TreeMount::Overlay(lowers, &workspace.mnt);
        let mut plan = self.plan_on(outside, before, &workspace, mnt)?;
        plan.stdin = breaks::persons_stdin();
        session.run("break", &plan)?;
        if let Some(output) = &workspace.output {
            beside::export(session, self.request, vec![output.upper()])?;
        }
        workspace.discard(session)
    }

    /// Says what failed: phase, hook, status, the last lines, how to look at it.
    fn hook_failure(
        &self,
        run: &PhaseRun,
        before: &State,
        workspace: Workspace,
        ran: &Ran,
    ) -> Failure {
        let phase = run.phase.directory;
        let hook = ran.watch.hook().unwrap_or_else(|| phase.to_owned());
        let origin = self.hooks.origin(&hook);
        let hook = match origin {
            Some((element, _)) => format!("{hook} of element {element}"),
            None => hook,
        };
        let (how, status) = match ran.outcome.status {
            // A shell says so of a program that a signal killed.
            ExitStatus::Code(code @ 129..=192) => {
                (format!("exited with status {code}, as after signal {}", code - 128), code)
            }
            ExitStatus::Code(code) => (format!("exited with status {code}"), code),
            ExitStatus::Signal(signal) => (format!("was killed by signal {signal}"), 128 + signal),
            ExitStatus::TimedOut => ("ran into the time limit".to_owned(), 124),
            ExitStatus::Interrupted => ("was interrupted".to_owned(), 130),
        };
        let mut failure = Failure::new(Kind::Build, format!("hook {hook} {how}"));
        failure.hook_status = Some(status);
        if let Some((_, path)) = origin {
            failure = failure.hint(format!("the hook is {}", path.display()));
        }
        let tail = ran.watch.tail();
        // Shells say that of the hook, which is there.
        let mute = ["required file not found", "bad interpreter"];
        if let Some((_, path)) = origin
            && tail.iter().any(|line| mute.iter().any(|text| line.contains(text)))
            && let Some(interpreter) = interpreter(path)
        {
            failure =
                failure.hint(format!("its first line asks for {interpreter}, which is not there"));
        }
        let space = self.session.space_hint(&tail);
        if !tail.is_empty() {
            failure = failure.hint(format!("the last {} lines of {phase}:", tail.len()));
            for line in tail {
                failure = failure.hint(format!("  | {line}"));
            }
        }
        failure.hints.extend(space);
        for element in &self.graph.elements {
            for found in lint::unreadable(&element.path) {
                let (file, line) = (found.file.display(), found.line);
                let name = &element.name;
                failure =
                    failure.hint(format!("{file}:{line} of element {name}: {}", found.reason));
            }
        }
        if status == 127 && run.phase.place == Place::Host {
            failure = failure.hint(
                "a command that host phases lack in the tools container comes with --tools-package PACKAGE or GOLDSMITH_TOOLS_PACKAGES",
            );
        }
        match super::failed::keep(self.session, before, workspace.mnt) {
            Ok(()) => {
                failure.hint("`goldsmith run --failed -- bash` opens the image as the hook left it")
            }
            Err(error) => failure.hint(format!("what the hook wrote could not be kept: {error}")),
        }
    }
}

/// The program that a script's first line names.
fn interpreter(hook: &std::path::Path) -> Option<String> {
    let text = fs_err::read(hook).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = crate::report::printable(line);
    line.split_whitespace().next().map(str::to_owned)
}
