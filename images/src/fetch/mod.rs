//! Verified downloads over HTTP.
