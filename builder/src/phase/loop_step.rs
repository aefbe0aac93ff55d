//! The last phases on the disk itself: what the loop backend does after pre-finalise.d.

use goldsmith_images::disk::{BiosBoot, boot_code};
use goldsmith_images::tree::Normalise;

use super::build::Build;
use super::cache::{Done, Recipe};
use super::run::{Ground, MountedDisk, PhaseRun};
use super::sandbox::HostDirectories;
use super::scratch::Upper;
use super::state::State;
use crate::error::{Failure, Kind, Result};
use crate::materialise::aside::Aside;
use crate::materialise::complete::Finished;
use crate::materialise::loop_disk::LoopImage;
use crate::materialise::{beside, outputs};

/// Bytes that are as good as none.
const LEAST_LEFT: u64 = 1 << 20;

impl Build<'_> {
    /// Lays the tree out on a loop device, runs `phases` (finalise.d and cleanup.d) on it and
    /// makes the outputs from it. One step: what these hooks do to a disk cannot be replayed.
    ///
    /// # Errors
    ///
    /// When the host refuses, a hook fails or an output cannot be written.
    pub(super) fn write_on_loop(
        &self,
        recipe: &Recipe,
        rules: &Normalise,
        phases: &[PhaseRun],
        before: &Done,
    ) -> Result<Vec<Finished>> {
        let layout = self
            .disk()?
            .ok_or_else(|| Failure::new(Kind::Internal, "the loop backend without a disk"))?;
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
        let mut finished = Vec::new();
        self.session.fresh(recipe, before, || {
            let raw =
                Aside::new(&outputs::path(self.request, self.request.types[0])).map_err(io)?;
            let file =
                fs_err::OpenOptions::new().read(true).write(true).open(raw.path()).map_err(io)?;
            let tools = &self.ground.tools_base;
            let made = || {
                let mut image = LoopImage::create(self.session, &layout, &file, tools)?;
                image.fill(self.session.directories(&before.state.mnt)?, rules)?;
                let state = self.last_phases_on(&mut image, phases, &before.state)?;
                image.finish(rules)?;
                Ok(state)
            };
            let state = made().map_err(|failure| self.unwritten(failure, &file))?;
            if let Some((boot_img, core_img)) = self.boot_code(&layout, &state)? {
                let bios = BiosBoot { boot_img, core_img };
                boot_code(&layout, &bios, &file)
                    .map_err(|error| Failure::wrap(Kind::Build, "the boot loader", &error))?;
            }
            let extra = self.session.directories(&state.output)?;
            let beside = beside::export(self.session, self.request, extra)?;
            finished = outputs::convert(self.session, self.request, &layout, raw)?;
            finished.extend(beside);
            let data = serde_json::to_value(&finished)
                .map_err(|error| Failure::wrap(Kind::Internal, "outputs", &error))?;
            Ok(Done { state, data, ran: true })
        })?;
        Ok(finished)
    }

    /// A device tells of a full host as of any other mistake, and hooks see a disk that broke.
    fn unwritten(&self, failure: Failure, file: &fs_err::File) -> Failure {
        // Blocks that are kept for root as well: it is root who writes.
        let left = rustix::fs::fstatvfs(file.file()).map(|data| data.f_bfree * data.f_frsize);
        if !left.is_ok_and(|left| left < LEAST_LEFT) {
            return failure;
        }
        let full = std::io::Error::from(rustix::io::Errno::NOSPC);
        let cures = ["free space there, or name another place by -o"];
        Failure::wrap(Kind::Host, failure.message, &full).on_full_disk(
            "the output",
            &beside::directory(self.request),
            &cures,
        )
    }

    fn last_phases_on(
        &self,
        image: &mut LoopImage<'_>,
        phases: &[PhaseRun],
        state: &State,
    ) -> Result<State> {
        let disk = MountedDisk { view: image.view(), devices: image.devices()? };
        let names = image.device_names()?;
        let output = image.without_mounts(&self.ground.host.output)?;
        let host = HostDirectories { output, ..self.ground.host.clone() };
        let ground = Ground {
            session: self.session,
            request: self.ground.request,
            host: &host,
            graph: self.ground.graph,
            hooks: self.ground.hooks,
            hooks_base: self.ground.hooks_base.clone(),
            tools_base: self.ground.tools_base.clone(),
            empty: self.ground.empty.clone(),
            upper: Upper::Disk,
        };
        let mut state = state.clone();
        for run in phases {
            if run.is_empty(self.session, &state)? {
                continue;
            }
            let mut run = self.sized(run);
            run.disk = Some(disk.clone());
            if run.facts.is_some() {
                let facts = self.prepared.disk.facts_named(&names);
                run.facts = Some(format!("{facts}backend=loop\n"));
            }
            if let Some(whole) = names.first() {
                run.env.insert("IMAGE_BLOCK_DEVICE".into(), whole.clone());
            }
            let devices = self.prepared.disk.devices_named(&names);
            run.env.insert("IMAGE_BLOCK_DEVICES".into(), devices);
            state = ground.phase_on_disk(&run, &state)?;
        }
        Ok(state)
    }
}
