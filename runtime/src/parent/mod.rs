//! The builder's half: starts children, writes their id maps, reads what they report.

pub(crate) mod cancel;
pub(crate) mod job;
mod lines;
pub(crate) mod run;
mod spawn;
