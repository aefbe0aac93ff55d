//! A forward proxy that asks somebody else for every answer.
//!
//! [`serve`] speaks HTTP/1.1 with whoever connects to a listening socket: plain requests with
//! a whole address, and CONNECT, behind which it is the server itself, with a certificate
//! that an [`Authority`] signs. What is answered [`Answers`] decides; [`Upstream`] passes
//! requests on.
//!
//! Whoever connects is not trusted: heads and bodies have limits, and nothing that they say
//! names a file.

mod authority;
mod message;
mod server;
#[cfg(test)]
mod tests;
mod upstream;

pub use authority::{Authority, AuthorityError};
pub use message::{Reply, Request};
pub use server::{Answers, Server, serve};
pub use upstream::{Incoming, Upstream};
