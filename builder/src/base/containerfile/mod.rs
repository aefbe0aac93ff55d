//! Bases that container files make: each RUN in a sandbox of ours, no container engine.

mod context;
pub mod parse;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use goldsmith_images::oci::{Reference, Run};
use goldsmith_images::store::SnapshotId;
use goldsmith_runtime::{
    ExitStatus, MountPlan, MountSource, Network, Privilege, RootPlan, SandboxPlan, Stdin,
};

use super::oci::OciBase;
use super::{BasePlan, Bootstrap, Origin};
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::key::KeyBuilder;
use crate::phase::sandbox::Ran;
use crate::phase::session::overlay;
use crate::phase::state::State;
use parse::{Command, Containerfile, Instruction, expand};

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
    file: Containerfile,
    from: OciBase,
    run: Run,
}

/// What instructions change beside files.
struct Machine {
    env: BTreeMap<String, String>,
    arguments: BTreeMap<String, String>,
    directory: PathBuf,
    user: String,
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
        let file = Containerfile::read(&text, &wanted.arguments).map_err(|refused| {
            let message = format!("{shown}, line {}: {}", refused.line, refused.reason);
            Failure::new(Kind::Configuration, message)
                .hint("FROM, RUN, COPY, ENV, ARG, WORKDIR and USER are understood")
        })?;
        let image = wanted.from.as_ref().unwrap_or(&file.from);
        let reference: Reference = image.parse().map_err(|error| {
            Failure::wrap(Kind::Configuration, format!("{shown}: FROM"), &error)
        })?;
        let (from, resolved) = self.image(&reference, arch)?;
        let mut key = KeyBuilder::new("containerfile")
            .part("manifest", resolved.manifest.to_string())
            .part("unpacker", crate::registry::layers::UNPACKER)
            .part("instructions", format!("{:?}", file.instructions))
            .part("offline", self.offline.to_string())
            .variables(&wanted.arguments);
        for (_, instruction) in &file.instructions {
            if let Instruction::Copy { paths, .. } = instruction {
                let sources = &paths[..paths.len().saturating_sub(1)];
                key = key.part("context", context::digest(&wanted.context, sources)?);
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
            && file.instructions.iter().any(|(_, one)| matches!(one, Instruction::Run(_)));
        let recipe = Recipe { name: name.to_owned(), key: key.finish(), networked };
        let epoch = Some(resolved.made.unwrap_or(epoch));
        let base = FileBase { wanted: wanted.clone(), file, from, run: resolved.run };
        let reference = format!("containerfile:{shown}");
        Ok(BasePlan { recipe, epoch, reference, origin: Origin::File(Box::new(base)) })
    }

    /// Makes the base: the image, then one layer for each RUN and COPY.
    pub(super) fn follow(&self, base: &FileBase) -> Result<Done> {
        let done = self.take(&base.from)?;
        let mut stack = done.state.mnt;
        let user = base.run.user.clone().unwrap_or_default();
        let mut machine = Machine {
            env: base.run.variables().into_iter().collect(),
            arguments: BTreeMap::new(),
            directory: base.run.directory(),
            user,
        };
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        machine.env.entry("PATH".to_owned()).or_insert_with(|| path.to_owned());
        for (line, instruction) in &base.file.instructions {
            let at = format!("{}, line {line}", base.wanted.file.display());
            self.obey(base, &mut machine, instruction, &at, &mut stack)?;
        }
        let state = State { mnt: stack, ..State::default() };
        Ok(Done { state, data: done.data, ran: true })
    }

    fn obey(
        &self,
        base: &FileBase,
        machine: &mut Machine,
        instruction: &Instruction,
        at: &str,
        stack: &mut Vec<SnapshotId>,
    ) -> Result<()> {
        match instruction {
            Instruction::Run(Command::Exec(argv)) => {
                self.sandbox(machine, argv.clone(), None, at, stack)
            }
            Instruction::Run(Command::Shell(script)) => {
                let argv = ["/bin/sh", "-c", script.as_str()].map(str::to_owned).to_vec();
                self.sandbox(machine, argv, None, at, stack)
            }
            Instruction::Copy { owner, paths } => {
                let paths: Vec<_> = paths.iter().map(|path| machine.filled(path)).collect();
                let owner = owner.as_deref().map(|owner| machine.filled(owner));
                let sources = paths.len().saturating_sub(1);
                context::digest(&base.wanted.context, &paths[..sources])?;
                let argv = machine.copying(&paths, owner);
                self.sandbox(&machine.as_root(), argv, Some(&base.wanted.context), at, stack)
            }
            Instruction::Env(pairs) => {
                let filled: Vec<_> = pairs
                    .iter()
                    .map(|(name, value)| (name.clone(), machine.filled(value)))
                    .collect();
                machine.env.extend(filled);
                Ok(())
            }
            Instruction::Arg(name, default) => {
                let given = base.wanted.arguments.get(name).cloned();
                let value = given.or_else(|| default.as_deref().map(|text| machine.filled(text)));
                if let Some(value) = value {
                    machine.arguments.insert(name.clone(), value);
                }
                Ok(())
            }
            Instruction::Workdir(path) => {
                machine.directory = inside(&machine.directory, &machine.filled(path));
                let directory = machine.directory.display().to_string();
                let argv = ["/bin/mkdir", "-p", directory.as_str()].map(str::to_owned).to_vec();
                self.sandbox(&machine.as_root(), argv, None, at, stack)
            }
            Instruction::User(user) => {
                machine.user = machine.filled(user);
                Ok(())
            }
        }
    }

    /// Runs one command on the stack and puts what it wrote on top; on a plain copy of the
    /// tree when it cannot cope with the overlay.
    fn sandbox(
        &self,
        machine: &Machine,
        argv: Vec<String>,
        context: Option<&Path>,
        at: &str,
        stack: &mut Vec<SnapshotId>,
    ) -> Result<()> {
        let session = self.session;
        session.check_interrupted()?;
        let lowers = session.directories(stack)?;
        let pending = session.pending()?;
        let root = RootPlan::Overlay(overlay(lowers.clone(), &pending));
        let mut plan = self.sandbox_plan(machine, argv, context, root)?;
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
        machine: &Machine,
        argv: Vec<String>,
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
        let mut env = machine.arguments.clone();
        env.extend(machine.env.clone());
        env.entry("HOME".to_owned()).or_insert_with(|| "/root".to_owned());
        Ok(SandboxPlan {
            id_hint: "containerfile".to_owned(),
            root,
            argv: machine.by_user(argv),
            env: env.into_iter().collect(),
            cwd: machine.directory.clone(),
            mounts,
            devices: Vec::new(),
            formats: self.formats()?,
            network: if self.online() { Network::Host } else { Network::None },
            hostname: "goldsmith".to_owned(),
            privilege: Privilege::Package,
            time_limit_ms: None,
            stdin: Stdin::Null,
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

impl Machine {
    /// The same for what goldsmith itself runs.
    fn as_root(&self) -> Self {
        Self {
            env: self.env.clone(),
            arguments: BTreeMap::new(),
            directory: PathBuf::from("/"),
            user: String::new(),
        }
    }

    fn filled(&self, text: &str) -> String {
        expand(text, &|name| self.env.get(name).or_else(|| self.arguments.get(name)).cloned())
    }

    /// The command as the user of the image, by its own su.
    fn by_user(&self, argv: Vec<String>) -> Vec<String> {
        let user = self.user.split(':').next().unwrap_or_default();
        if ["", "0", "root"].contains(&user) {
            return argv;
        }
        let words = shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_default();
        ["/bin/su", "-s", "/bin/sh", "-m", user, "-c", words.as_str()].map(str::to_owned).to_vec()
    }

    /// Copies from the context as root, the context's own owners forgotten.
    fn copying(&self, paths: &[String], owner: Option<String>) -> Vec<String> {
        const SCRIPT: &str = r#"set -eu
umask 0
owner=$1 to=$2
shift 2
case $to in */) mkdir -p "$to" ;; *) [ $# = 1 ] || { echo "COPY of several files needs a directory" >&2; exit 1; }; mkdir -p "$(dirname "$to")" ;; esac
for from in "$@"; do
    if [ -d "$from" ]; then
        mkdir -p "$to"
        cp -R "$from/." "$to"
    else
        cp "$from" "$to"
    fi
    [ -z "$owner" ] || chown -R "$owner" "$to"
done"#;
        let (to, from) =
            paths.split_last().map_or(("/", &[][..]), |(to, from)| (to.as_str(), from));
        let mut destination = inside(&self.directory, to).display().to_string();
        if to.ends_with('/') || to == "." {
            destination.push('/');
        }
        let mut argv = ["/bin/sh", "-c", SCRIPT, "copy"].map(str::to_owned).to_vec();
        argv.extend([owner.unwrap_or_default(), destination]);
        argv.extend(from.iter().map(|path| format!("{CONTEXT}/{}", path.trim_start_matches('/'))));
        argv
    }
}

/// `path` seen from `directory`, never above the root.
fn inside(directory: &Path, path: &str) -> PathBuf {
    let start = if path.starts_with('/') { Path::new("/") } else { directory };
    let mut out = start.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}
