//! Native bootstrap from a Debian archive.
