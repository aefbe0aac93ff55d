//! The goldsmith binary.

fn main() {}
