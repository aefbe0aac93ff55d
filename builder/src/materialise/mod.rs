//! From a tree to outputs.
