//! What elements' `environment.d` makes of variables that count before there is a base: bash of
//! the tools container reads the files, as it does for hooks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldsmith_runtime::{
    ExitStatus, MountPlan, MountSource, Network, OutputSink, Privilege, RootPlan, SandboxPlan,
    Stdin, Stream, UserPlan,
};

use super::cache::{Done, Recipe};
use super::key::{Key, KeyBuilder};
use super::paths;
use super::prepare::{Prepared, hooks_base};
use super::session::{Session, overlay};
use super::state::State;
use super::table::PHASES;
use crate::base::containerfile::Wanted;
use crate::error::{Failure, Kind, Result};
use crate::hook::environment::{DiskFacts, Environment};
use crate::request::Request;

/// The phase whose hooks would read them first.
const PHASE: &str = "root.d";
/// What of them says which container file is meant.
const CONTAINERFILE: [&str; 4] = [
    "DIB_CONTAINERFILE_BUILDOPTS",
    "DIB_CONTAINERFILE_DOCKERFILE",
    "DIB_CONTAINER_CONTEXT",
    "DIB_RELEASE",
];

/// Reads the files and tells the values of variables, each encoded: a value may have lines.
const SCRIPT: &str = r#"set -eu
set -o pipefail
{
    shopt -s nullglob dotglob
    goldsmith_files=("$TMP_HOOKS_PATH"/environment.d/*)
    shopt -u nullglob dotglob
    for goldsmith_file in "${goldsmith_files[@]+"${goldsmith_files[@]}"}"; do
        goldsmith_name=${goldsmith_file##*/}
        [[ -f $goldsmith_file && $goldsmith_name =~ ^[0-9A-Za-z_.-]+$ ]] || continue
        source "$goldsmith_file"
    done
} >&2
for name in "$@"; do
    [ -z "${!name+set}" ] || echo "goldsmith $name $(printf %s "${!name}" | base64 -w 0)"
done
"#;

/// What a build sees before it has a base.
pub(super) struct Scene<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a Request,
    pub(super) prepared: &'a Prepared,
    /// The tools container's key and trees.
    pub(super) tools: (&'a Key, &'a Done),
    pub(super) environment: Environment,
}

impl Scene<'_> {
    /// The container file that the elements mean.
    ///
    /// # Errors
    ///
    /// When `environment.d` fails, there is no such file, or an option for it is not supported.
    pub(super) fn containerfile(&self) -> Result<Wanted> {
        let mut env = self.declared(&CONTAINERFILE)?;
        for value in env.values_mut() {
            if let Some(outside) = self.outside(value) {
                *value = outside;
            }
        }
        let Self { session, request, prepared, .. } = self;
        crate::compat::containerfile(request, &prepared.graph, session.store.root(), &env)
    }

    /// The host's path for one that bash saw: of an element, or of a file that a variable of
    /// the caller's names.
    fn outside(&self, inside: &str) -> Option<String> {
        let path = Path::new(inside);
        let mut files = self.environment.files.iter();
        if let Some((_, outside)) = files.find(|(shown, _)| shown == path) {
            return Some(outside.display().to_string());
        }
        let below = path.strip_prefix(paths::ELEMENTS).ok()?;
        let mut parts = below.components();
        let index: usize = parts.next()?.as_os_str().to_str()?.parse().ok()?;
        let outside = self.prepared.graph.search_path.get(index)?.join(parts.as_path());
        Some(outside.display().to_string())
    }

    /// The variables `names` as hooks of the first phase would see them; those that nobody
    /// sets are left out. Nothing of it reaches the network: the result counts as long as its
    /// key.
    fn declared(&self, names: &[&str]) -> Result<BTreeMap<String, String>> {
        let phase = PHASES.iter().find(|phase| phase.directory == PHASE);
        let phase = phase.ok_or_else(|| Failure::new(Kind::Internal, "no such phase"))?;
        let env = self.environment.of_phase(phase, &DiskFacts::default());
        let key = KeyBuilder::new("declared")
            .parent(self.tools.0)
            .part("script", SCRIPT)
            .part("hooks", self.prepared.hooks.digest(PHASE)?)
            .part("files", &self.environment.files_digest)
            .part("names", names.join(" "))
            .variables(&env)
            .finish();
        let recipe = Recipe { name: "environment".to_owned(), key, networked: false };
        let failed = |error: serde_json::Error| Failure::wrap(Kind::Internal, "variables", &error);
        let done = self.session.step(&recipe, &Done::default(), || {
            let data = serde_json::to_value(self.read(&env, names)?).map_err(failed)?;
            Ok(Done { state: State::default(), data, ran: true })
        })?;
        serde_json::from_value(done.data).map_err(failed)
    }

    fn read(
        &self,
        env: &BTreeMap<String, String>,
        names: &[&str],
    ) -> Result<BTreeMap<String, String>> {
        let Self { session, prepared, .. } = self;
        let pending = session.pending()?;
        let lowers = session.directories(&self.tools.1.state.mnt)?;
        let mut argv = ["/bin/bash", "-c", SCRIPT, "environment"].map(str::to_owned).to_vec();
        argv.extend(names.iter().map(|name| (*name).to_owned()));
        let plan = SandboxPlan {
            id_hint: "environment".to_owned(),
            root: RootPlan::Overlay(overlay(lowers, &pending)),
            argv,
            env: env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            cwd: "/".into(),
            mounts: self.mounts(hooks_base(session, prepared)?),
            devices: Vec::new(),
            formats: Vec::new(),
            network: Network::None,
            hostname: "goldsmith".to_owned(),
            privilege: Privilege::Package,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: None,
            stdin: Stdin::Null,
        };
        let heard = Heard::default();
        let sink = Box::new(heard.clone());
        let ran = goldsmith_runtime::run(&session.identity, &plan, sink, &session.cancel);
        session.discard(pending)?;
        let outcome = ran.map_err(|error| Failure::wrap(Kind::Host, "the sandbox", &error))?;
        session.check_interrupted()?;
        let (told, said) = heard.take();
        if outcome.status == ExitStatus::Code(0) {
            return Ok(told.iter().filter_map(|line| variable(line)).collect());
        }
        let mut failure =
            Failure::new(Kind::Configuration, "environment.d of the elements cannot be read");
        let tail = &said[said.len().saturating_sub(10)..];
        failure.hints.extend(tail.iter().map(|line| format!("  | {line}")));
        Err(failure)
    }

    fn mounts(&self, hooks: PathBuf) -> Vec<MountPlan> {
        let bind = |target: PathBuf, source: &Path| MountPlan {
            target,
            source: MountSource::Bind(source.to_owned()),
            read_only: true,
        };
        let mut mounts = vec![
            bind(paths::LIB.into(), &self.prepared.shipped.lib),
            bind(paths::HOOKS.into(), &hooks),
        ];
        for (index, directory) in self.prepared.graph.search_path.iter().enumerate() {
            mounts.push(bind(format!("{}/{index}", paths::ELEMENTS).into(), directory));
        }
        let files = self.environment.files.iter().chain(&self.environment.host_files);
        mounts.extend(files.map(|(inside, outside)| bind(inside.clone(), outside)));
        mounts
    }
}

/// Reads a line of the script's.
fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("goldsmith ")?.split_once(' ')?;
    let value = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    Some((name.to_owned(), value))
}

/// The lines of both streams.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<(Vec<String>, Vec<String>)>>);

impl Heard {
    fn take(&self) -> (Vec<String>, Vec<String>) {
        self.0.lock().map(|mut lines| std::mem::take(&mut *lines)).unwrap_or_default()
    }
}

impl OutputSink for Heard {
    fn line(&mut self, stream: Stream, _: Duration, line: &[u8]) {
        let Ok(mut lines) = self.0.lock() else { return };
        let to = if stream == Stream::Stdout { &mut lines.0 } else { &mut lines.1 };
        to.push(crate::report::printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_have_lines() {
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(variable("goldsmith A YQpi"), pair("A", "a\nb"));
        assert_eq!(variable("goldsmith A "), pair("A", ""));
        assert_eq!(variable("something else"), None);
        assert_eq!(variable("goldsmith A ???"), None);
    }
}
