//! A whole build: from a request to outputs.

use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::store::SnapshotId;
use goldsmith_images::tree::Normalise;

use super::cache::{Done, Recipe};
use super::chain::{Chain, Step, Work};
use super::outlook;
use super::output_view::OutputView;
use super::prepare::{Prepared, hooks_base, host_directories, prepare};
use super::run::{Ground, PhaseRun, give};
use super::session::{CACHE_FULL, Session};
use super::state::State;
use crate::block_device;
use crate::error::{Failure, Kind, Result};
use crate::hook::HookTree;
use crate::materialise::built::Packable;
use crate::materialise::complete::Finished;
use crate::materialise::{beside, jobs, outputs, unvouched};
use crate::request::{Backend, Request};

/// Everything that steps need, once base and tools are there.
pub(super) struct Build<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a Request,
    pub(super) prepared: &'a Prepared,
    pub(super) ground: Ground<'a>,
    epoch: i64,
    /// The whole image's, once the layout step settled it.
    size_kib: Option<u64>,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The outputs, and what hooks wrote beside them.
    pub finished: Vec<Finished>,
    /// The image's tree, bottom first.
    pub tree: Vec<SnapshotId>,
    /// The hooks that made it.
    pub hooks: HookTree,
    /// What it takes to pack it for a registry later.
    packable: Option<Packable>,
}

/// Builds what `request` asks for, returns the outputs, and names the image in the store as
/// its output is named.
///
/// # Errors
///
/// When an element is wrong, a hook fails, the host lacks something or the user interrupts.
pub fn build(session: &Session, request: &Request) -> Result<Vec<Finished>> {
    let built = build_unnamed(session, request)?;
    let name = request.output.file_name().unwrap_or_default();
    refer(session, &name.to_string_lossy(), built.packable, &built.tree);
    Ok(built.finished)
}

/// The same for somebody who looks at the outputs and throws them away: no name in the store
/// begins to mean another image.
///
/// # Errors
///
/// As [`build`].
pub fn build_unnamed(session: &Session, request: &Request) -> Result<Built> {
    outputs::check(request)?;
    outputs::warnings(request).into_iter().for_each(|text| session.reporter.warn(text));
    if request.backend == Backend::Loop {
        crate::materialise::loop_disk::host::check(session)?;
    }
    // Whatever is written, outputs excepted, is written there.
    build_checked(session, request)
        .map_err(|failure| failure.on_full_disk("the cache", session.store.root(), CACHE_FULL))
}

fn build_checked(session: &Session, request: &Request) -> Result<Built> {
    let prepared = prepare(session, request)?;
    let request = &crate::compat::settled(request, &prepared.graph);
    super::failed::forget(session)?;
    session.sweep()?;
    let chain = Chain::new(session, request, &prepared)?;
    let (tools, mut base) = bases(&chain)?;
    if let Some(lock) = &session.lock {
        // All of it or nothing: what hooks fetch depends on what is in their cache.
        base.ran |= lock.is_strict() && outlook::some_phase_runs(session, request, &chain)?;
        lock.prepare_cache(session, base.ran && lock.is_strict())?;
    }
    if let Some(plan) = &chain.base {
        refer(session, &plan.reference, None, &base.state.mnt);
    }
    let formats = chain.bootstrap.formats()?;
    let mut host = host_directories(session, request, &prepared, &chain.environment, formats)?;
    let view = OutputView::new(session, &host.output);
    host.output = view.as_ref().map_or(host.output, OutputView::path);
    let ground = Ground {
        session,
        request,
        host: &host,
        graph: &prepared.graph,
        hooks: &prepared.hooks,
        hooks_base: hooks_base(session, &prepared)?,
        tools_base: session.directories(&tools.state.mnt)?,
        empty: session.store.empty(),
        upper: super::scratch::choose(session, request)?,
    };
    let epoch = chain.epoch;
    let mut build = Build { session, request, prepared: &prepared, ground, epoch, size_kib: None };
    let source = chain.base.as_ref().and_then(|plan| plan.source());
    let note = unvouched::Note::begin(request, source)?;
    let ran = build.run(&chain.steps, base);
    let noted = note.end(ran.is_ok());
    let (finished, done) = ran?;
    noted?.into_iter().for_each(|text| session.reporter.warn(text));
    if let Some(lock) = session.lock.as_ref().filter(|lock| lock.records()) {
        lock.keep(session, request, &prepared.graph, &chain)?;
    }
    // The outputs are complete and on disk; unsynced steps are missed after the next boot only.
    if let Err(error) = session.store.sync() {
        session.reporter.warn(format!("the cache could not be forced to disk: {error}"));
    }
    let packable = chain.steps.last().and_then(|step| match &step.work {
        Work::Output { rules, .. } => Some(Packable::of(request, rules)),
        _ => None,
    });
    Ok(Built { finished, tree: done.state.mnt, hooks: prepared.hooks, packable })
}

/// Makes the tools container and the image's base, side by side: neither needs the other, and
/// much of a bootstrap has one process at work.
fn bases(chain: &Chain<'_>) -> Result<(Done, Done)> {
    std::thread::scope(|scope| {
        let tools = scope.spawn(|| match &chain.tools_done {
            Some(done) => Ok(done.clone()),
            None => chain.bootstrap.make(&chain.tools),
        });
        let base = match &chain.base {
            Some(base) => chain.bootstrap.make(base),
            None => Ok(Done::default()),
        };
        let tools = tools.join().unwrap_or_else(|_panic| {
            Err(Failure::new(Kind::Internal, "the thread of the tools container panicked"))
        });
        Ok((tools?, base?))
    })
}

/// Hides a `lost+found` that came with the tree: it is a file system's own (contract 2.2).
fn hide_lost_and_found(layers: &[PathBuf], upper: &Path) -> Result<()> {
    let name = "lost+found";
    if !layers.iter().any(|layer| layer.join(name).symlink_metadata().is_ok()) {
        return Ok(());
    }
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
    rustix::fs::mknodat(rustix::fs::CWD, upper.join(name), kind, mode, 0)
        .map_err(|error| Failure::wrap(Kind::Host, name, &std::io::Error::from(error)))
}

/// Names the image's trees for `run --image` and `push`. A name is a convenience: a build that
/// cannot give one has not failed.
fn refer(session: &Session, name: &str, built: Option<Packable>, tree: &[SnapshotId]) {
    let notes = built.and_then(|built| serde_json::to_value(built).ok());
    if let Err(error) = session.store.put_noted_ref(name, tree, notes) {
        session.reporter.warn(format!("`run --image` will not know {name}: {error}"));
    }
}

impl Build<'_> {
    fn run(&mut self, steps: &[Step], base: Done) -> Result<(Vec<Finished>, Done)> {
        let mut done = base;
        let mut finished = Vec::new();
        for Step { recipe, work } in steps {
            match work {
                Work::Phase(run) => done = self.phase(recipe, run, &done)?,
                Work::Layout => done = self.settle(recipe, &done)?,
                Work::Output { rules, on_disk } => {
                    finished = self.finish(recipe, rules, on_disk.as_deref(), &done)?;
                }
            }
        }
        Ok((finished, done))
    }

    fn phase(&self, recipe: &Recipe, run: &PhaseRun, before: &Done) -> Result<Done> {
        if run.is_empty(self.session, &before.state)? {
            return Ok(before.clone());
        }
        self.ground.phase(recipe, &self.sized(run), before)
    }

    /// The run with the size that the layout step settled.
    pub(super) fn sized(&self, run: &PhaseRun) -> PhaseRun {
        let mut run = run.clone();
        if let Some(size) = self.size_kib {
            run.env.insert("DIB_IMAGE_SIZE".into(), size.to_string());
        }
        run
    }

    /// Measures the tree, settles the disk's size and writes fstab: what follows sees both.
    fn settle(&mut self, recipe: &Recipe, before: &Done) -> Result<Done> {
        self.show_usage(before)?;
        let done = self.session.step(recipe, before, || {
            let layers = self.session.directories(&before.state.mnt)?;
            let disk = &self.prepared.disk;
            let wanted = jobs::Wanted {
                mounts: disk.mounts(),
                names: self.boot_files(),
                ..jobs::Wanted::default()
            };
            let measured = jobs::run_measure(&self.session.identity, layers.clone(), wanted)?;
            let names = self.prepared.graph.elements.iter().map(|element| element.name.as_str());
            let efi = block_device::is_efi(names);
            let size = block_device::image_size_kib(
                measured.kib,
                self.request.image_size_kib,
                self.request.image_extra_mib,
                self.request.journal_mib,
                disk.root_fstype(),
                efi,
            );
            if self.request.types.iter().any(|kind| kind.is_disk()) {
                disk.check_content(size, &measured.mounts)?;
                self.check_boots(&measured.present)?;
            }
            let mut state = State { mounts: Vec::new(), ..before.state.clone() };
            let pending = self.session.pending()?;
            self.write_fstab(&pending.upper())?;
            hide_lost_and_found(&layers, &pending.upper())?;
            self.session.push(&mut state.mnt, pending, "fstab")?;
            let data = serde_json::json!({ "size_kib": size });
            Ok(Done { state, data, ran: true })
        })?;
        self.size_kib = Some(done.data["size_kib"].as_u64().unwrap_or_default());
        // A disk that is too small is told before more hooks run.
        if let Some(disk) = self.disk()? {
            outputs::check_size(self.request, disk.size_bytes)?;
            if self.request.backend == Backend::Loop {
                self.prepared.disk.need_whole_volumes(self.size_kib.unwrap_or_default())?;
            }
        }
        Ok(done)
    }

    /// `DIB_SHOW_IMAGE_USAGE`: says what takes 10 MiB or more, with `_FULL` all (contract 4.6).
    fn show_usage(&self, before: &Done) -> Result<()> {
        let set =
            |name: &str| self.request.env.get(name).is_some_and(|v| !v.is_empty() && v != "0");
        let least = match (set("DIB_SHOW_IMAGE_USAGE"), set("DIB_SHOW_IMAGE_USAGE_FULL")) {
            (_, true) => 0,
            (true, false) => 10 << 10,
            (false, false) => return Ok(()),
        };
        let layers = self.session.directories(&before.state.mnt)?;
        let wanted = jobs::Wanted { usage_from_kib: Some(least), ..jobs::Wanted::default() };
        let measured = jobs::run_measure(&self.session.identity, layers, wanted)?;
        let reporter = &self.session.reporter;
        reporter.info("Image usage in KiB, largest last:");
        for (path, kib) in &measured.usage {
            reporter.info(format!("{kib:>10} {}", crate::report::printable(path.as_bytes())));
        }
        Ok(())
    }

    /// The disk, when an output is one.
    pub(super) fn disk(&self) -> Result<Option<DiskLayout>> {
        if !self.request.types.iter().any(|kind| kind.is_disk()) {
            return Ok(None);
        }
        let layout = self.prepared.disk.layout(self.size_kib.unwrap_or_default())?;
        Ok(Some(DiskLayout { epoch: self.epoch, ..layout }))
    }

    /// The disks beside the image, and where their files go.
    fn other_disks(&self) -> Result<Vec<(PathBuf, DiskLayout)>> {
        if !self.request.types.iter().any(|kind| kind.is_disk()) {
            return Ok(Vec::new());
        }
        let others = self.prepared.disk.other_disks(self.size_kib.unwrap_or_default())?;
        let place = |disk: block_device::OtherDisk| {
            let directory = self.request.cwd.join(&disk.directory);
            let layout = DiskLayout { epoch: self.epoch, ..disk.layout };
            (directory.join(format!("{}.raw", disk.name)), layout)
        };
        Ok(others.into_iter().map(place).collect())
    }

    /// An upper directory that holds /etc/fstab alone.
    fn write_fstab(&self, upper: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "fstab", &error);
        let etc = upper.join("etc");
        fs_err::create_dir_all(&etc).map_err(io)?;
        let file = etc.join("fstab");
        fs_err::write(&file, self.prepared.disk.fstab()).map_err(io)?;
        for (path, mode) in [(upper, 0o755), (&etc, 0o755), (&file, 0o644)] {
            fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(io)?;
            give(self.session, path)?;
        }
        Ok(())
    }

    /// Leaves outputs alone that are up to date, or writes them.
    fn finish(
        &self,
        recipe: &Recipe,
        rules: &Normalise,
        on_disk: Option<&[PhaseRun]>,
        before: &Done,
    ) -> Result<Vec<Finished>> {
        if let Some((_, finished)) =
            outputs::up_to_date(self.session, self.request, recipe, before)?
        {
            let directory = beside::directory(self.request);
            for output in finished.iter().filter(|o| o.path.parent() == Some(&directory)) {
                self.session.reporter.info(format!("{} is up to date", output.path.display()));
            }
            return Ok(finished);
        }
        match on_disk {
            Some(phases) => self.write_on_loop(recipe, rules, phases, before),
            None => self.write(recipe, rules, before),
        }
    }

    fn write(&self, recipe: &Recipe, rules: &Normalise, before: &Done) -> Result<Vec<Finished>> {
        let state = &before.state;
        if self.request.types.is_empty() {
            return self.write_beside(recipe, before);
        }
        let layout = self.disk()?;
        let bios = match &layout {
            Some(layout) => self.boot_code(layout, state)?,
            None => None,
        };
        let content = outputs::Content {
            layers: self.session.directories(&state.mnt)?,
            rules: rules.clone(),
            bios,
            layout,
            others: self.other_disks()?,
            extra: self.session.directories(&state.output)?,
            tools: self.ground.tools_base.clone(),
            places: self.prepared.disk.places(),
        };
        let mut finished = Vec::new();
        self.session.fresh(recipe, before, || {
            finished = outputs::write(self.session, self.request, content)?;
            let data = serde_json::to_value(&finished)
                .map_err(|error| Failure::wrap(Kind::Internal, "outputs", &error))?;
            Ok(Done { state: state.clone(), data, ran: true })
        })?;
        Ok(finished)
    }

    /// What hooks made is all there is to write: a ramdisk, or an image that an element makes.
    fn write_beside(&self, recipe: &Recipe, before: &Done) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        self.session.fresh(recipe, before, || {
            let extra = self.session.directories(&before.state.output)?;
            finished = beside::export(self.session, self.request, extra)?;
            if let (Some(by), true) = (&self.request.ramdisk, finished.is_empty()) {
                let message = format!("no hook wrote a ramdisk, although {by} is to make one");
                return Err(Failure::new(Kind::Build, message).hint(format!(
                    "a hook of cleanup.d has to write {0}.kernel and {0}.initramfs, as that of ramdisk-base does",
                    self.request.output.display()
                )));
            }
            let data = serde_json::to_value(&finished)
                .map_err(|error| Failure::wrap(Kind::Internal, "outputs", &error))?;
            Ok(Done { state: before.state.clone(), data, ran: true })
        })?;
        Ok(finished)
    }
}
