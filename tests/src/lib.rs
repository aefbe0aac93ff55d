//! Shared pieces of the test tiers.
