//! A registry in this process that lies in every way.

mod honest;
mod lies;
mod pushing;
mod referrers;
mod server;
