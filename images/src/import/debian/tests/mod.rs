//! A lying mirror: archives that the tests make and sign themselves.

mod archive;
mod fixture;
mod overlaps;
mod shipped;
mod signatures;
mod site;
