//! Runs one phase: looks the result up, or runs the hooks in a sandbox and keeps what they wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use goldsmith_images::store::Pending;
use goldsmith_runtime::{DevicePlan, ExitStatus, Network, SandboxPlan};

use super::breaks;
use super::cache::{Done, Recipe};
use super::paths;
use super::sandbox::{HostDirectories, Ran, TreeMount, Trees};
use super::scratch::{self, Upper};
use super::session::Session;
use super::shared_caches;
use super::state::{RecordedMount, State, parse_recorded};
use super::table::{PHASES, Phase, Place};
use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};
use crate::hook::HookTree;
use crate::request::Request;

/// The largest record of mounts that is read back.
const RECORD_LIMIT: u64 = 1 << 20;

/// What all phases of a build share.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Store, identity, reporter.
    pub session: &'a Session,
    /// What the user wants.
    pub request: &'a Request,
    /// Host directories that sandboxes see.
    pub host: &'a HostDirectories,
    /// The elements.
    pub graph: &'a ElementGraph,
    /// The generated hooks tree.
    pub hooks: &'a HookTree,
    /// The same, as a directory.
    pub hooks_base: PathBuf,
    /// The tools container, bottom first.
    pub tools_base: Vec<PathBuf>,
    /// A directory that is always empty: an overlay needs a lower one.
    pub empty: PathBuf,
    /// Where phases write to.
    pub(super) upper: Upper,
}

/// One phase, ready to run.
#[derive(Debug, Clone)]
pub struct PhaseRun {
    /// Which.
    pub phase: Phase,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// What hooks see.
    pub env: BTreeMap<String, String>,
    /// Whether hooks reach the network.
    pub network: Network,
    /// The facts file for boot loader shims, in finalise.d.
    pub facts: Option<String>,
    /// The disk, when the phase works on that and not on layers.
    pub disk: Option<MountedDisk>,
    /// No element has hooks for it: it runs only if earlier hooks put some into its directory.
    pub optional: bool,
    /// What `break_outside_target` asks for: runs in the tools container when a hook failed.
    pub outside: Option<Box<Self>>,
}

impl Default for PhaseRun {
    fn default() -> Self {
        Self {
            phase: PHASES[0],
            argv: Vec::new(),
            env: BTreeMap::new(),
            network: Network::None,
            facts: None,
            disk: None,
            optional: false,
            outside: None,
        }
    }
}

impl PhaseRun {
    /// The mounts of earlier host phases that it sees: none once the tree is sealed.
    fn mounts<'a>(&self, before: &'a State) -> &'a [RecordedMount] {
        if self.phase.after_layout { &[] } else { &before.mounts }
    }

    /// Whether there is nothing to run, given the trees that the phase starts from.
    ///
    /// # Errors
    ///
    /// When a snapshot is gone.
    pub fn is_empty(&self, session: &Session, before: &State) -> Result<bool> {
        if !self.optional {
            return Ok(false);
        }
        let added = session.directories(&before.hooks)?;
        let holds_one = |tree: &PathBuf| {
            fs_err::read_dir(tree.join(self.phase.directory))
                .is_ok_and(|mut entries| entries.next().is_some())
        };
        Ok(!added.iter().any(holds_one))
    }
}

/// A disk that phases work on: the loop backend's.
#[derive(Debug, Clone)]
pub struct MountedDisk {
    /// Where its tree is mounted.
    pub view: PathBuf,
    /// Its block devices.
    pub devices: Vec<DevicePlan>,
}

/// The directories a run writes; each becomes a snapshot or is removed.
pub(super) struct Workspace {
    pub(super) mnt: Pending,
    hooks: Pending,
    tools: Option<Pending>,
    pub(super) output: Option<Pending>,
    boot: Option<Pending>,
    run: tempfile::TempDir,
}

/// How an attempt at a phase ended.
enum Attempt {
    /// With a result, good or bad.
    Ended(Box<Workspace>, Ran),
    /// Because of the place that it wrote to; another may do, and why.
    Again(Box<Workspace>, Upper, String),
}

impl Ground<'_> {
    /// Returns the trees after the phase, which starts from those of `before`.
    ///
    /// A program that cannot cope with EXDEV from rename(2) of a lower directory is given
    /// one plain tree instead of an overlay, and the phase runs again; so it does on disk
    /// when it has filled a tmpfs.
    ///
    /// # Errors
    ///
    /// When a hook fails: the failure names it and carries its status. What it wrote stays
    /// in the store until the next build.
    pub fn phase(&self, recipe: &Recipe, run: &PhaseRun, before: &Done) -> Result<Done> {
        let start = &before.state;
        self.session.step(recipe, before, || {
            let mounts = run.mounts(start);
            let name = run.phase.name();
            let _turn = shared_caches::turn(self.session, &self.host.image_cache, name, mounts)?;
            let mut upper = self.upper;
            loop {
                let (workspace, ran) = match self.attempt(run, start, upper)? {
                    Attempt::Ended(workspace, ran) => (workspace, ran),
                    Attempt::Again(workspace, next, why) => {
                        self.session.reporter.warn(format!("{}: {why}", recipe.name));
                        workspace.discard(self.session)?;
                        upper = next;
                        continue;
                    }
                };
                if ran.outcome.status == ExitStatus::Code(0) {
                    return self.keep(run, start, *workspace, upper == Upper::Flat);
                }
                return Err(self.failed(run, start, *workspace, &ran));
            }
        })
    }

    /// Runs a phase that changes the disk itself; nothing of it is cached.
    ///
    /// # Errors
    ///
    /// When a hook fails.
    pub fn phase_on_disk(&self, run: &PhaseRun, before: &State) -> Result<State> {
        self.session.check_interrupted()?;
        let workspace = self.workspace(run)?;
        let ran = self.run(run, &self.plan(run, before, &workspace, Upper::Disk)?, &workspace)?;
        if ran.outcome.status == ExitStatus::Code(0) {
            return Ok(self.keep(run, before, workspace, false)?.state);
        }
        Err(self.failed(run, before, workspace, &ran))
    }

    fn attempt(&self, run: &PhaseRun, before: &State, upper: Upper) -> Result<Attempt> {
        let workspace = Box::new(self.workspace(run)?);
        let plan = self.plan(run, before, &workspace, upper)?;
        let ran = self.run(run, &plan, &workspace)?;
        if ran.outcome.status != ExitStatus::Code(0)
            && let Some((next, why)) = upper.after(&ran)
        {
            return Ok(Attempt::Again(workspace, next, why));
        }
        if let Some(scratch) = &ran.outcome.scratch
            && (ran.outcome.status != ExitStatus::Code(0) || scratch::received(&plan, scratch))
        {
            scratch::keep(self.session, &plan, scratch)
                .map_err(|failure| failure.about(run.phase.name()))?;
        }
        Ok(Attempt::Ended(workspace, ran))
    }

    fn run(&self, run: &PhaseRun, plan: &SandboxPlan, workspace: &Workspace) -> Result<Ran> {
        if let (Some(boot), Some(facts)) = (&workspace.boot, &run.facts) {
            self.write_facts(boot, facts)?;
        }
        self.session.run(run.phase.name(), plan)
    }

    pub(super) fn workspace(&self, run: &PhaseRun) -> Result<Workspace> {
        let session = self.session;
        let host = run.phase.place == Place::Host;
        let optional = |wanted: bool| wanted.then(|| session.pending()).transpose();
        Ok(Workspace {
            mnt: session.pending()?,
            hooks: session.pending()?,
            tools: optional(host)?,
            output: optional(host)?,
            boot: optional(run.facts.is_some())?,
            run: self.run_directory()?,
        })
    }

    fn plan(
        &self,
        run: &PhaseRun,
        before: &State,
        workspace: &Workspace,
        upper: Upper,
    ) -> Result<SandboxPlan> {
        let session = self.session;
        let mut lowers = session.directories(&before.mnt)?;
        if lowers.is_empty() {
            lowers.push(self.empty.clone());
        }
        let mnt = if let Some(disk) = &run.disk {
            TreeMount::Mounted(&disk.view)
        } else if upper == Upper::Flat {
            super::jobs::flatten(&session.identity, lowers, workspace.mnt.upper())?;
            TreeMount::Flat(&workspace.mnt)
        } else {
            TreeMount::Overlay(lowers, &workspace.mnt)
        };
        let mut plan = self.plan_on(run, before, workspace, mnt)?;
        plan.stdin = breaks::stdin(&run.env, &run.phase);
        plan.scratch_bytes = upper.scratch_bytes();
        Ok(plan)
    }

    pub(super) fn plan_on(
        &self,
        run: &PhaseRun,
        before: &State,
        workspace: &Workspace,
        mnt: TreeMount<'_>,
    ) -> Result<SandboxPlan> {
        let session = self.session;
        let mut hooks = vec![self.hooks_base.clone()];
        hooks.extend(session.directories(&before.hooks)?);
        let mut tools = self.tools_base.clone();
        tools.extend(session.directories(&before.tools)?);
        let boot = workspace.boot.as_ref().map(Pending::upper);
        let trees = Trees {
            mnt,
            hooks: (hooks, &workspace.hooks),
            tools: workspace.tools.as_ref().map(|pending| (tools, pending)),
            output: match &workspace.output {
                Some(pending) => Some((session.directories(&before.output)?, pending)),
                None => None,
            },
            devices: run.disk.as_ref().map_or(&[], |disk| &disk.devices),
            mounts: run.mounts(before),
            run: workspace.run.path(),
            boot: boot.as_deref(),
        };
        match run.phase.place {
            Place::Host => self.host.host_plan(&trees, run.argv.clone(), &run.env, run.network),
            Place::Target => self.host.target_plan(&trees, run.argv.clone(), &run.env, run.network),
        }
    }

    /// Keeps what a phase wrote.
    fn keep(
        &self,
        run: &PhaseRun,
        before: &State,
        workspace: Workspace,
        flat: bool,
    ) -> Result<Done> {
        let session = self.session;
        let name = run.phase.name();
        let mut state = before.clone();
        if run.phase.place == Place::Host {
            let record = workspace.run.path().join("mounts");
            let made = parse_recorded(&read_record(&record)?, paths::MNT);
            state.mounts.retain(|mount| !made.iter().any(|new| new.target == mount.target));
            state.mounts.extend(made);
        }
        if flat {
            let id = session.commit(workspace.mnt, name, Vec::new(), true)?;
            state.mnt = vec![id];
        } else {
            session.push(&mut state.mnt, workspace.mnt, name)?;
        }
        if run.phase.place == Place::Host {
            session.push(&mut state.hooks, workspace.hooks, name)?;
        } else {
            session.discard(workspace.hooks)?;
        }
        if let Some(tools) = workspace.tools {
            session.push(&mut state.tools, tools, name)?;
        }
        if let Some(output) = workspace.output {
            session.push(&mut state.output, output, name)?;
        }
        if let Some(boot) = workspace.boot {
            state.boot = Some(session.commit(boot, name, Vec::new(), true)?);
        }
        Ok(Done { state, ..Done::default() })
    }

    /// A directory that shims write to: owned by the sandbox's root.
    fn run_directory(&self) -> Result<tempfile::TempDir> {
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the cache", &error);
        let directory = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(self.session.store.run_dir())
            .map_err(io)?;
        self.give(directory.path())?;
        Ok(directory)
    }

    fn write_facts(&self, boot: &Pending, facts: &str) -> Result<()> {
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the cache", &error);
        let directory = boot.upper();
        fs_err::create_dir_all(&directory).map_err(io)?;
        let file = directory.join("facts");
        fs_err::write(&file, facts).map_err(io)?;
        self.give(&file)?;
        self.give(&directory)
    }

    /// Hands a path over to the sandbox's root.
    fn give(&self, path: &Path) -> Result<()> {
        give(self.session, path)
    }
}

/// Hands `path` over to the sandbox's root, where that is another user.
///
/// # Errors
///
/// When chown(2) fails.
pub fn give(session: &Session, path: &Path) -> Result<()> {
    let (uid, gid) = session.identity.outside_root();
    if uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(|error| {
        Failure::wrap(Kind::Host, format!("giving {} to the sandbox", path.display()), &error)
    })
}

/// Reads what the mount shim wrote; hooks could have put anything there.
fn read_record(path: &Path) -> Result<String> {
    use std::io::Read as _;
    let failure =
        |error: std::io::Error| Failure::wrap(Kind::Build, "the record of mounts", &error);
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let fd = match rustix::fs::open(path, flags, rustix::fs::Mode::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(String::new()),
        Err(error) => return Err(failure(error.into())),
    };
    let mut text = String::new();
    std::fs::File::from(fd).take(RECORD_LIMIT).read_to_string(&mut text).map_err(failure)?;
    Ok(text)
}

impl Workspace {
    pub(super) fn discard(self, session: &Session) -> Result<()> {
        session.discard(self.mnt)?;
        session.discard(self.hooks)?;
        for pending in [self.tools, self.output, self.boot].into_iter().flatten() {
            session.discard(pending)?;
        }
        Ok(())
    }
}
