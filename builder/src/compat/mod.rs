//! The diskimage-builder command lines and variables.
