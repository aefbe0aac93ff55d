//! The last phases on the disk itself: what the loop backend does after pre-finalise.d.

use goldsmith_images::disk::layout::DiskLayout;

use super::build::Build;
use super::cache::Done;
use super::key::Key;
use super::run::{Ground, MountedDisk};
use super::sandbox::HostDirectories;
use super::state::State;
use super::table::{PHASES, Phase};
use crate::error::{Failure, Kind, Result};
use crate::materialise::aside::Aside;
use crate::materialise::loop_disk::LoopImage;
use crate::materialise::outputs;

impl Build<'_> {
    /// Lays the tree out on a loop device, runs finalise.d and cleanup.d on it and makes the
    /// outputs from it. One step: what these hooks do to a disk cannot be replayed.
    ///
    /// # Errors
    ///
    /// When the host refuses, a hook fails or an output cannot be written.
    pub(super) fn write_on_loop(
        &self,
        before: &Done,
        key: &Key,
        layout: &DiskLayout,
    ) -> Result<Vec<outputs::Finished>> {
        let rules = self.rules();
        let mut key = key.clone();
        for phase in last_phases() {
            if let Some(run) = self.phase_run(phase, &key)? {
                key = run.key;
            }
        }
        let recipe = self.output_recipe(&key, &rules)?;
        if let Some(finished) = self.up_to_date(&recipe, before)? {
            return Ok(finished);
        }
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "an output", &error);
        let mut finished = Vec::new();
        self.session.fresh(&recipe, before, || {
            let raw =
                Aside::new(&outputs::path(self.request, self.request.types[0])).map_err(io)?;
            let file =
                fs_err::OpenOptions::new().read(true).write(true).open(raw.path()).map_err(io)?;
            let tools = &self.ground.tools_base;
            let mut image = LoopImage::create(self.session, layout, &file, tools)?;
            image.fill(self.session.directories(&before.state.mnt)?, &rules)?;
            let state = self.last_phases_on(&mut image, &before.state)?;
            image.finish(&rules)?;
            finished = outputs::convert(self.session, self.request, raw)?;
            let data = serde_json::to_value(&finished)
                .map_err(|error| Failure::wrap(Kind::Internal, "outputs", &error))?;
            Ok(Done { state, data, ran: true })
        })?;
        Ok(finished)
    }

    fn last_phases_on(&self, image: &mut LoopImage<'_>, state: &State) -> Result<State> {
        let disk = MountedDisk { view: image.view(), devices: image.devices()? };
        let names = image.device_names()?;
        let output = image.without_mounts(&self.ground.host.output)?;
        let host = HostDirectories { output, ..self.ground.host.clone() };
        let ground = Ground {
            session: self.session,
            host: &host,
            hooks_base: self.ground.hooks_base.clone(),
            tools_base: self.ground.tools_base.clone(),
            empty: self.ground.empty.clone(),
        };
        let mut state = state.clone();
        // A digest of nothing: these runs have no results of their own.
        let key = super::key::KeyBuilder::new("on-disk").finish();
        for phase in last_phases() {
            let Some(mut run) = self.phase_run(phase, &key)? else { continue };
            run.disk = Some(&disk);
            if let Some(facts) = &mut run.facts {
                facts.push_str("backend=loop\n");
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

/// The phases that work on the disk.
fn last_phases() -> impl Iterator<Item = &'static Phase> {
    PHASES.iter().skip_while(|phase| phase.directory != "finalise.d")
}
