//! Phases, steps, keys and the step runner.
