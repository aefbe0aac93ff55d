//! Bases that container files make: each RUN in a sandbox of ours, no container engine.

mod context;
mod ignore;
pub mod parse;
mod pattern;
mod steps;
pub mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use goldsmith_images::oci::{Platform, Reference};
use goldsmith_images::store::SnapshotId;
use goldsmith_runtime::{
    ExitStatus, MountPlan, MountSource, Network, Privilege, RootPlan, SandboxPlan, Stdin, UserPlan,
};

use super::oci::OciBase;
use super::{BasePlan, Bootstrap, Origin};
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::key::KeyBuilder;
use crate::phase::sandbox::Ran;
use crate::phase::session::overlay;
use crate::phase::state::State;
use crate::registry::user::{self, User};
use context::Context;
use parse::{Containerfile, Refused};
use steps::{Step, platform_arguments};

/// A container file that an element asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The file.
    pub file: PathBuf,
    /// Where COPY takes files from.
    pub context: PathBuf,
    /// Values of ARG.
    pub arguments: BTreeMap<String, String>,
    /// An image instead of the file's own.
    pub from: Option<String>,
}

/// A container file that was read, on an image whose digest is known.
#[derive(Debug, Clone)]
pub(super) struct FileBase {
    wanted: Wanted,
    from: OciBase,
    /// With the number of their line.
    steps: Vec<(usize, Step)>,
}

/// Where the context lies in sandboxes.
const CONTEXT: &str = "/run/goldsmith-context";

impl FileBase {
    /// The image that it begins with.
    pub(super) fn image(&self) -> &OciBase {
        &self.from
    }
}

impl Bootstrap<'_> {
    /// Plans a base that a container file makes.
    ///
    /// # Errors
    ///
    /// When the file says what is not supported, or its image is not to be had.
    pub fn plan_containerfile(
        &self,
        name: &str,
        wanted: &Wanted,
        arch: &str,
        epoch: i64,
    ) -> Result<BasePlan> {
        let shown = wanted.file.display();
        let text = fs_err::read_to_string(&wanted.file)
            .map_err(|error| Failure::wrap(Kind::Configuration, "the container file", &error))?;
        let refused = |refused: Refused| {
            let message = format!("{shown}, line {}: {}", refused.line, refused.reason);
            Failure::new(Kind::Configuration, message)
                .hint("FROM, RUN, COPY, ENV, ARG, WORKDIR and USER are understood")
        };
        let mut arguments = platform_arguments(&Platform::of_debian(arch));
        arguments.extend(wanted.arguments.clone());
        let file = Containerfile::read(&text, &arguments).map_err(refused)?;
        let image = wanted.from.as_ref().unwrap_or(&file.from);
        let reference: Reference = image.parse().map_err(|error| {
            Failure::wrap(Kind::Configuration, format!("{shown}: FROM"), &error)
        })?;
        let (from, resolved) = self.image(&reference, arch)?;
        let steps = file.steps(&resolved.run, &arguments).map_err(refused)?;
        let mut key = KeyBuilder::new("containerfile")
            .part("manifest", resolved.manifest.to_string())
            .part("unpacker", crate::registry::layers::UNPACKER)
            .part("steps", format!("{steps:?}"))
            .part("offline", self.offline.to_string());
        for (line, step) in &steps {
            if let Step::Copy { sources, .. } = step {
                let digest = Context::open(&wanted.context, &wanted.file)?
                    .take(sources)
                    .and_then(|taken| taken.digest())
                    .map_err(|failure| failure.about(format!("{shown}, line {line}")))?;
                key = key.part("copying", COPYING).part("context", digest);
            }
        }
        if let Some(lock) = &self.session.lock {
            key = key.part("lock", lock.key());
        }
        if let Some(emulation) = &self.emulation {
            key = key.parent(&emulation.key());
        }
        let networked = !self.offline
            && self.session.lock.is_none()
            && steps.iter().any(|(_, step)| matches!(step, Step::Run { .. }));
        let recipe = Recipe { name: name.to_owned(), key: key.finish(), networked };
        let epoch = Some(resolved.made.unwrap_or(epoch));
        let base = FileBase { wanted: wanted.clone(), from, steps };
        let reference = format!("containerfile:{shown}");
        Ok(BasePlan { recipe, epoch, reference, origin: Origin::File(Box::new(base)) })
    }

    /// Makes the base: the image, then one layer for each RUN and COPY.
    pub(super) fn follow(&self, base: &FileBase) -> Result<Done> {
        let done = self.take(&base.from)?;
        let mut stack = done.state.mnt;
        for (line, step) in &base.steps {
            let at = format!("{}, line {line}", base.wanted.file.display());
            self.obey(base, step, &at, &mut stack)?;
        }
        let state = State { mnt: stack, ..State::default() };
        Ok(Done { state, data: done.data, ran: true })
    }

    fn obey(
        &self,
        base: &FileBase,
        step: &Step,
        at: &str,
        stack: &mut Vec<SnapshotId>,
    ) -> Result<()> {
        match step {
            Step::Run { argv, env, directory, user } => {
                let mut env = env.clone();
                let user = match user.as_str() {
                    "" | "0" | "root" => User::default(),
                    wanted => {
                        let layers = self.session.directories(stack)?;
                        let found = user::find(self.session, &layers, wanted);
                        found.map_err(|mut failure| {
                            failure.kind = Kind::Configuration;
                            failure.about(at)
                        })?
                    }
                };
                let home = if user.uid == 0 { Some("/root") } else { user.home.as_deref() };
                let home = home.unwrap_or("/").to_owned();
                env.entry("HOME".to_owned()).or_insert(home);
                let (argv, user) = (argv.clone(), user.plan());
                let command = Command { argv, env, directory: directory.clone(), user };
                self.sandbox(&command, None, at, stack)
            }
            Step::Copy { owner, sources, to } => {
                // Once more: it may have changed since.
                let context = Context::open(&base.wanted.context, &base.wanted.file)?;
                let taken = context.take(sources)?;
                let argv = copying(owner.as_deref().unwrap_or_default(), &taken.sources, to);
                // The sandbox sees what is copied and nothing else.
                let aside = self.session.pending()?;
                let done = taken.lay_down(&aside.upper()).and_then(|()| {
                    self.sandbox(&Command::own(argv), Some(&aside.upper()), at, stack)
                });
                self.session.discard(aside)?;
                done
            }
            Step::Directory(path) => {
                let path = path.display().to_string();
                let argv = ["/bin/mkdir", "-p", path.as_str()].map(str::to_owned).to_vec();
                self.sandbox(&Command::own(argv), None, at, stack)
            }
        }
    }

    /// Runs one command on the stack and puts what it wrote on top; on a plain copy of the
    /// tree when it cannot cope with the overlay.
    fn sandbox(
        &self,
        command: &Command,
        context: Option<&Path>,
        at: &str,
        stack: &mut Vec<SnapshotId>,
    ) -> Result<()> {
        let session = self.session;
        session.check_interrupted()?;
        let lowers = session.directories(stack)?;
        let pending = session.pending()?;
        let root = RootPlan::Overlay(overlay(lowers.clone(), &pending));
        let mut plan = self.sandbox_plan(command, context, root)?;
        let ran = session.run("containerfile", &plan)?;
        if ran.outcome.status == ExitStatus::Code(0) {
            return session.push(stack, pending, "containerfile");
        }
        session.discard(pending)?;
        if !ran.watch.cross_device() {
            return Err(self.failed(&ran, at));
        }
        let pending = session.pending()?;
        crate::phase::jobs::flatten(&session.identity, lowers, pending.upper())?;
        plan.root = RootPlan::Directory(pending.upper());
        let ran = session.run("containerfile", &plan)?;
        if ran.outcome.status == ExitStatus::Code(0) {
            *stack = vec![session.commit(pending, "containerfile", Vec::new(), true)?];
            return Ok(());
        }
        session.discard(pending)?;
        Err(self.failed(&ran, at))
    }

    fn sandbox_plan(
        &self,
        command: &Command,
        context: Option<&Path>,
        root: RootPlan,
    ) -> Result<SandboxPlan> {
        let mut mounts = Vec::new();
        if let Some(context) = context {
            let source = MountSource::Bind(context.to_path_buf());
            mounts.push(MountPlan { target: CONTEXT.into(), source, read_only: true });
        }
        if self.online()
            && let Ok(text) = fs_err::read_to_string("/etc/resolv.conf")
        {
            let source = MountSource::Text(text);
            mounts.push(MountPlan { target: "/etc/resolv.conf".into(), source, read_only: true });
        }
        Ok(SandboxPlan {
            id_hint: "containerfile".to_owned(),
            root,
            argv: command.argv.clone(),
            env: command.env.clone().into_iter().collect(),
            cwd: command.directory.clone(),
            mounts,
            devices: Vec::new(),
            formats: self.formats()?,
            network: if self.online() { Network::Host } else { Network::None },
            hostname: "goldsmith".to_owned(),
            privilege: Privilege::Package,
            time_limit_ms: None,
            stdin: Stdin::Null,
            user: command.user.clone(),
            scratch_bytes: None,
        })
    }

    /// Whether commands reach the network; under a lock that is what the lock gives.
    fn online(&self) -> bool {
        !self.offline || self.session.lock.is_some()
    }

    fn failed(&self, ran: &Ran, at: &str) -> Failure {
        let status = match ran.outcome.status {
            ExitStatus::Code(code) => format!("status {code}"),
            other => format!("{other:?}"),
        };
        let mut failure = Failure::new(Kind::Build, format!("{at}: the command failed, {status}"));
        let tail = ran.watch.tail();
        let space = self.session.space_hint(&tail);
        failure.hints.extend(tail.iter().map(|line| format!("  | {line}")).chain(space));
        failure
    }
}

/// What runs in one sandbox.
struct Command {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    directory: PathBuf,
    user: UserPlan,
}

impl Command {
    /// A command of goldsmith's own, by root.
    fn own(argv: Vec<String>) -> Self {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let env =
            BTreeMap::from([pair("HOME", "/root"), pair("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]);
        Self { argv, env, directory: PathBuf::from("/"), user: UserPlan::default() }
    }
}

/// What copies in the sandbox: an owner or nothing, the destination, the sources. Part of keys.
const COPYING: &str = r#"set -eu
umask 0
owner=$1 to=$2
shift 2
make() { (umask 22; mkdir -p "$1"); }
case $to in */) make "$to" ;; *) [ $# = 1 ] || { echo "COPY of several files needs a directory" >&2; exit 1; }; make "$(dirname "$to")" ;; esac
for from in "$@"; do
    if [ -d "$from" ]; then
        make "$to"
        cp -RP "$from/." "$to"
    else
        cp "$from" "$to"
    fi
    [ -z "$owner" ] || chown -hR "$owner" "$to"
done"#;

/// Copies from the context as root, the context's own owners forgotten; links stay links.
fn copying(owner: &str, sources: &[PathBuf], to: &str) -> Vec<String> {
    let mut argv = ["/bin/sh", "-c", COPYING, "copy", owner, to].map(str::to_owned).to_vec();
    argv.extend(sources.iter().map(|path| format!("{CONTEXT}/{}", path.display())));
    argv
}
