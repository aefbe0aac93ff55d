//! The builder's half: starts children, writes their id maps, reads what they report.

pub(crate) mod cancel;
pub(crate) mod job;
mod lines;
mod pty;
pub(crate) mod run;
pub(crate) mod spawn;
