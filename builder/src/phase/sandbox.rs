//! The sandboxes of a build: host phases in the tools container, target phases in the image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use goldsmith_images::store::Pending;
use goldsmith_runtime::{
    DevicePlan, ExitStatus, FormatPlan, MountPlan, MountSource, Network, Outcome, Privilege,
    RootPlan, SandboxPlan, Stdin, UserPlan,
};

use super::output_tail::{PhaseSink, Watch};
use super::paths;
use super::session::{Session, overlay};
use super::state::RecordedMount;
use crate::error::{Failure, Kind, Result};

/// Directories of the host that sandboxes see.
#[derive(Debug, Clone)]
pub struct HostDirectories {
    /// `_LIB`, unpacked.
    pub lib: PathBuf,
    /// Shims of host phases.
    pub shims: PathBuf,
    /// Shims of finalise.d.
    pub boot_shims: PathBuf,
    /// This program's file.
    pub program: PathBuf,
    /// The entries of `ELEMENTS_PATH`, in order.
    pub elements: Vec<PathBuf>,
    /// `DIB_IMAGE_CACHE`.
    pub image_cache: PathBuf,
    /// `DIB_LOCKFILES`.
    pub lockfiles: PathBuf,
    /// The user's working directory.
    pub output: PathBuf,
    /// Single files that variables name: sandbox path, host path.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// The same that host phases alone see.
    pub host_files: Vec<(PathBuf, PathBuf)>,
    /// What runs the image's programs, when this machine does not.
    pub formats: Vec<FormatPlan>,
    /// The text of the builder's resolv.conf.
    pub resolv_conf: String,
}

/// How the image's tree is mounted.
#[derive(Debug)]
pub enum TreeMount<'a> {
    /// An overlay of these directories (bottom first) with a fresh upper directory.
    Overlay(Vec<PathBuf>, &'a Pending),
    /// A plain directory that holds the whole tree.
    Flat(&'a Pending),
    /// The disk itself, mounted at that directory.
    Mounted(&'a Path),
}

impl TreeMount<'_> {
    fn root(&self) -> RootPlan {
        match self {
            Self::Overlay(lowers, pending) => RootPlan::Overlay(overlay(lowers.clone(), pending)),
            Self::Flat(pending) => RootPlan::Directory(pending.upper()),
            Self::Mounted(view) => RootPlan::Directory(view.to_path_buf()),
        }
    }

    fn source(&self) -> MountSource {
        match self {
            Self::Overlay(lowers, pending) => {
                MountSource::Overlay(overlay(lowers.clone(), pending))
            }
            Self::Flat(pending) => MountSource::Bind(pending.upper()),
            Self::Mounted(view) => MountSource::Bind(view.to_path_buf()),
        }
    }
}

/// What one run of a phase works on.
#[derive(Debug)]
pub struct Trees<'a> {
    /// The image's tree.
    pub mnt: TreeMount<'a>,
    /// The hooks tree: lower directories and the fresh upper one.
    pub hooks: (Vec<PathBuf>, &'a Pending),
    /// The tools container; `None` in target phases.
    pub tools: Option<(Vec<PathBuf>, &'a Pending)>,
    /// New files in the output directory; `None` in target phases.
    pub output: Option<(Vec<PathBuf>, &'a Pending)>,
    /// Block devices of the disk, when it is mounted.
    pub devices: &'a [DevicePlan],
    /// Mounts that earlier host phases made.
    pub mounts: &'a [RecordedMount],
    /// Receives what shims say; mounted at [`paths::RUN`].
    pub run: &'a Path,
    /// What boot loader shims read and record, mounted at [`paths::BOOT`].
    pub boot: Option<&'a Path>,
}

fn mount(target: impl Into<PathBuf>, source: MountSource, read_only: bool) -> MountPlan {
    MountPlan { target: target.into(), source, read_only }
}

fn bind(target: impl Into<PathBuf>, source: &Path, read_only: bool) -> MountPlan {
    mount(target, MountSource::Bind(source.to_path_buf()), read_only)
}

impl HostDirectories {
    /// Plans the sandbox of a host phase: the tools container as root, the image's tree
    /// and the hooks below `BUILD`, elements, caches and the output directory.
    ///
    /// # Errors
    ///
    /// When a recorded mount cannot be made again.
    pub fn host_plan(
        &self,
        trees: &Trees<'_>,
        argv: Vec<String>,
        env: &BTreeMap<String, String>,
        network: Network,
    ) -> Result<SandboxPlan> {
        let tools = trees
            .tools
            .as_ref()
            .ok_or_else(|| Failure::new(Kind::Internal, "a host phase without tools"))?;
        let mut mounts = vec![
            bind(paths::LIB, &self.lib, true),
            bind(paths::SHIMS, &self.shims, true),
            bind(paths::PYTHON, &self.lib.join("python/diskimage_builder"), true),
            bind(paths::PROGRAM, &self.program, true),
            bind(paths::RUN, trees.run, false),
            bind(format!("{}/image-create", paths::CACHE), &self.image_cache, false),
            bind(format!("{}/lockfiles", paths::CACHE), &self.lockfiles, false),
            mount(paths::RESOLV_CONF, MountSource::Text(self.resolv_conf.clone()), true),
            mount("/etc/resolv.conf", MountSource::Text(self.resolv_conf.clone()), true),
        ];
        for (index, directory) in self.elements.iter().enumerate() {
            mounts.push(bind(format!("{}/{index}", paths::ELEMENTS), directory, true));
        }
        for (inside, outside) in self.files.iter().chain(&self.host_files) {
            mounts.push(bind(inside.clone(), outside, true));
        }
        if let Some((uppers, pending)) = &trees.output {
            let mut lowers = vec![self.output.clone()];
            lowers.extend(uppers.iter().cloned());
            let source = MountSource::Overlay(overlay(lowers, pending));
            mounts.push(mount(paths::OUTPUT, source, false));
        }
        let (lowers, pending) = &trees.hooks;
        mounts.push(mount(paths::MNT, trees.mnt.source(), false));
        let hooks = MountSource::Overlay(overlay(lowers.clone(), pending));
        mounts.push(mount(paths::HOOKS, hooks, false));
        for recorded in trees.mounts {
            let target = format!("{}{}", paths::MNT, recorded.target.display());
            mounts.push(self.again(recorded, target.into())?);
        }
        Ok(SandboxPlan {
            id_hint: "host".into(),
            root: RootPlan::Overlay(overlay(tools.0.clone(), tools.1)),
            argv,
            env: env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            cwd: paths::OUTPUT.into(),
            mounts,
            devices: trees.devices.to_vec(),
            formats: self.formats.clone(),
            network,
            hostname: "goldsmith".into(),
            privilege: Privilege::Mounting,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: None,
            stdin: Stdin::Null,
        })
    }

    /// Plans the sandbox of a target phase: the image as root, the hooks read-only.
    ///
    /// # Errors
    ///
    /// When a recorded mount cannot be made again.
    pub fn target_plan(
        &self,
        trees: &Trees<'_>,
        argv: Vec<String>,
        env: &BTreeMap<String, String>,
        network: Network,
    ) -> Result<SandboxPlan> {
        let (lowers, pending) = &trees.hooks;
        let hooks = MountSource::Overlay(overlay(lowers.clone(), pending));
        let mut mounts = vec![
            mount(paths::TARGET_HOOKS, hooks, true),
            mount(paths::RESOLV_CONF, MountSource::Text(self.resolv_conf.clone()), true),
        ];
        if let Some(boot) = trees.boot {
            mounts.push(bind(paths::SHIMS, &self.boot_shims, true));
            mounts.push(bind(paths::BOOT, boot, false));
        }
        for (inside, outside) in &self.files {
            mounts.push(bind(inside.clone(), outside, true));
        }
        for recorded in trees.mounts {
            mounts.push(self.again(recorded, recorded.target.clone())?);
        }
        Ok(SandboxPlan {
            id_hint: "target".into(),
            root: trees.mnt.root(),
            argv,
            env: env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            cwd: "/".into(),
            mounts,
            devices: trees.devices.to_vec(),
            formats: self.formats.clone(),
            network,
            hostname: "goldsmith".into(),
            privilege: Privilege::Package,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: None,
            stdin: Stdin::Null,
        })
    }

    /// A mount that a hook made in the tools container, for another sandbox.
    ///
    /// Its source is what a hook wrote: it counts below the directory that it names, and
    /// only the caches are writable, as they were for the hook.
    fn again(&self, recorded: &RecordedMount, target: PathBuf) -> Result<MountPlan> {
        let below = |inside: String, outside: &Path, read_only: bool| {
            let path = recorded.source.strip_prefix(&inside).ok()?.to_path_buf();
            let source = MountSource::BindBelow { root: outside.to_path_buf(), path };
            Some(mount(target.clone(), source, recorded.read_only || read_only))
        };
        let cache = below(format!("{}/image-create", paths::CACHE), &self.image_cache, false)
            .or_else(|| below(format!("{}/lockfiles", paths::CACHE), &self.lockfiles, false))
            .or_else(|| below(paths::LIB.to_owned(), &self.lib, true));
        let elements = self.elements.iter().enumerate().find_map(|(index, directory)| {
            below(format!("{}/{index}", paths::ELEMENTS), directory, true)
        });
        cache.or(elements).ok_or_else(|| {
            let message = format!(
                "a hook mounted {} on {} in the image, which later phases cannot see again",
                recorded.source.display(),
                recorded.target.display()
            );
            Failure::new(Kind::Configuration, message).hint(
                "bind mounts that outlive a phase must come from DIB_IMAGE_CACHE or an element",
            )
        })
    }
}

/// How a phase ended.
#[derive(Debug)]
pub struct Ran {
    /// Status and time.
    pub outcome: Outcome,
    /// What was seen of its output.
    pub watch: Watch,
}

impl Session {
    /// Runs `plan`, output going to the reporter under the name `step`.
    ///
    /// # Errors
    ///
    /// When the sandbox cannot be set up, or the user interrupts.
    pub fn run(&self, step: &str, plan: &SandboxPlan) -> Result<Ran> {
        let watch = Watch::default();
        let sink = PhaseSink {
            reporter: self.reporter.clone(),
            step: step.to_owned(),
            watch: watch.clone(),
        };
        let gated = self.lock.as_ref().and_then(|lock| lock.gate(plan));
        let run = match &gated {
            None => goldsmith_runtime::run(&self.identity, plan, Box::new(sink), &self.cancel),
            Some((gate, plan)) => goldsmith_runtime::run_with_listener(
                &self.identity,
                plan,
                Box::new(sink),
                &self.cancel,
                |listener| gate.open(listener),
            ),
        };
        let outcome = run.map_err(|error| {
            Failure::wrap(Kind::Host, format!("the sandbox of {step}"), &error)
                .hint("`goldsmith doctor` says what this host lacks")
        })?;
        if outcome.status == ExitStatus::Interrupted {
            return Err(Failure::new(Kind::Interrupted, "interrupted"));
        }
        if let (Some((gate, _)), Some(lock)) = (gated, &self.lock) {
            lock.tell(step, &self.reporter);
            gate.close(step)?;
        }
        Ok(Ran { outcome, watch })
    }
}
