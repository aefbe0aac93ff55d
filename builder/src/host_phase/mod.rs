//! The tools container and its shims.
