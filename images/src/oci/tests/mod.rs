//! Documents and layers that lie, each beside a legal twin; I-numbers are those of the
//! project's list of attacks on importers.

mod documents;
mod layers;
mod packing;
mod references;
