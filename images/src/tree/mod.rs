//! The merged tree that every output reads.
