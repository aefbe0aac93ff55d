//! What a build would find in the cache, step by step; runs nothing.

use serde::Serialize;

use super::cache::{Done, Found, Recipe};
use super::chain::{Chain, Work};
use super::key::Key;
use super::session::Session;
use crate::base::Emulation;
use crate::error::Result;
use crate::materialise::outputs;
use crate::request::Request;

/// What would become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Its result is taken from the cache.
    Hit,
    /// It runs.
    Miss,
    /// It runs, because its result has seen the network too long ago.
    Stale,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

/// A step and what would become of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outlook {
    /// Its name: `tools`, `base`, a phase, `layout`, `output`.
    pub step: String,
    /// Names its result, and its record in the store.
    pub key: Key,
    /// What the cache says.
    pub cache: Verdict,
}

/// Looks every step of `chain` up, in the order they run.
///
/// # Errors
///
/// When the store cannot be read.
pub fn outlook(session: &Session, request: &Request, chain: &Chain<'_>) -> Result<Vec<Outlook>> {
    let nothing = Done::default();
    let mut list = Vec::new();
    let mut add = |recipe: &Recipe, found: Found| -> Done {
        let (cache, done) = match found {
            Found::Hit(done) => (Verdict::Hit, *done),
            Found::Miss => (Verdict::Miss, running()),
            Found::Stale => (Verdict::Stale, running()),
        };
        list.push(Outlook { step: recipe.name.clone(), key: recipe.key.clone(), cache });
        done
    };
    if let Some(Emulation::Archive { recipe, .. }) = &chain.bootstrap.emulation {
        add(recipe, session.look_up(recipe, &nothing)?);
    }
    let tools = &chain.tools.recipe;
    add(tools, session.look_up(tools, &nothing)?);
    let mut done = match &chain.base {
        Some(base) => add(&base.recipe, session.look_up(&base.recipe, &nothing)?),
        None => nothing,
    };
    for step in &chain.steps {
        let recipe = &step.recipe;
        if let Work::Phase(run) = &step.work
            && run.is_empty(session, &done.state)?
        {
            continue;
        }
        let found = match step.work {
            Work::Output { .. } => match outputs::up_to_date(session, request, recipe, &done)? {
                Some((done, _)) => Found::Hit(Box::new(done)),
                None => Found::Miss,
            },
            Work::Phase(_) | Work::Layout => session.look_up(recipe, &done)?,
        };
        done = add(recipe, found);
    }
    Ok(list)
}

/// What a step gives that will run: trees that nobody knows yet.
fn running() -> Done {
    Done { ran: true, ..Done::default() }
}

/// Whether the cache lacks a step between the bases and the outputs.
pub(super) fn some_phase_runs(
    session: &Session,
    request: &Request,
    chain: &Chain<'_>,
) -> Result<bool> {
    let bases = 1 + usize::from(chain.base.is_some());
    let looks = outlook(session, request, chain)?;
    let output = |step: &Outlook| step.step == "output";
    Ok(looks.iter().skip(bases).any(|step| !output(step) && step.cache != Verdict::Hit))
}
