//! What stands between a sandbox and the network: a proxy that answers from the tape.
//!
//! The sandbox has a network of its own in which nothing but this proxy listens, so that
//! nothing reaches a hook unseen. Programs find it by the usual variables; they believe its
//! certificates by those that name a file of authorities.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use goldsmith_images::exchange::{Authority, Server, serve};
use goldsmith_runtime::{MountPlan, MountSource, Network, Privilege, SandboxPlan};

use super::Lock;
use super::tape::Tape;
use crate::error::{Failure, Kind, Result};

/// Where the proxy listens inside of sandboxes.
const PORT: u16 = 3128;
/// The files that programs are told of.
const PLACE: &str = "/goldsmith/lock";

/// Variables by which programs find a proxy.
const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
/// Variables that would lead programs past it.
const EXCEPTIONS: [&str; 4] = ["no_proxy", "NO_PROXY", "ftp_proxy", "FTP_PROXY"];
/// Variables that name a file of certificate authorities: OpenSSL and Python, curl, git,
/// requests, pip, Node.js, cargo.
const AUTHORITIES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
];

/// Where libcurl finds authorities that is built for the Red Hat family, whatever variables say: its
/// dnf takes none.
const RED_HAT: &str = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
/// The same for Debian's. It is the tools container's alone: hooks install what writes it in an image.
const DEBIAN: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The proxy of one sandbox.
#[derive(Debug)]
pub struct Gate {
    tape: Arc<Tape>,
    authority: Arc<Authority>,
    server: Mutex<Option<std::io::Result<Server>>>,
}

impl Gate {
    pub(super) fn new(tape: Arc<Tape>, authority: Arc<Authority>) -> Self {
        Self { tape, authority, server: Mutex::new(None) }
    }

    /// Serves the socket that a sandbox was given.
    pub fn open(&self, listener: TcpListener) {
        let server = serve(listener, self.tape.clone(), self.authority.clone());
        if let Ok(mut place) = self.server.lock() {
            *place = Some(server);
        }
    }

    /// Ends the proxy.
    ///
    /// # Errors
    ///
    /// When it could not serve, or something was asked that the lock does not have.
    pub fn close(self, step: &str) -> Result<()> {
        let server = self.server.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(Err(error)) = server {
            return Err(Failure::wrap(Kind::Host, "the proxy of the lock", &error));
        }
        let drifts = self.tape.take_drifts();
        if drifts.is_empty() {
            return Ok(());
        }
        Err(super::drifted(&format!("{step} asked for what the lock does not give"), drifts)
            .hint("`goldsmith lock` makes the lock anew, `goldsmith update NAME` a part of it"))
    }
}

impl Lock {
    /// The gate for a plan that reaches the network, and the plan as it is behind it.
    pub fn gate(&self, plan: &SandboxPlan) -> Option<(Gate, SandboxPlan)> {
        if plan.network != Network::Host {
            return None;
        }
        let mut plan = SandboxPlan { network: Network::Listener(PORT), ..plan.clone() };
        plan.env.retain(|(name, _)| !EXCEPTIONS.contains(&name.as_str()));
        let mut set = |name: &str, value: String| {
            plan.env.retain(|(one, _)| one != name);
            plan.env.push((name.to_owned(), value));
        };
        let proxy = format!("http://127.0.0.1:{PORT}");
        PROXIES.into_iter().for_each(|name| set(name, proxy.clone()));
        let pem = format!("{PLACE}/authority.pem");
        AUTHORITIES.into_iter().for_each(|name| set(name, pem.clone()));
        set("APT_CONFIG", format!("{PLACE}/apt.conf"));
        set("WGETRC", format!("{PLACE}/wgetrc"));
        // A record must be of an archive that is up to date; afterwards its hash is all.
        let current = self.records();
        let apt = format!(
            "Acquire::http::Proxy \"{proxy}\";\nAcquire::https::Proxy \"{proxy}\";\nAcquire::https::CAInfo \"{pem}\";\nAcquire::Check-Valid-Until \"{current}\";\nAcquire::Check-Date \"{current}\";\n"
        );
        let is_host_phase = plan.privilege == Privilege::Mounting;
        let bundles = [Some(RED_HAT), Some(DEBIAN).filter(|_| is_host_phase)];
        plan.mounts.extend(bundles.into_iter().flatten().map(|target| MountPlan {
            target: target.into(),
            source: MountSource::Text(self.authority.pem().to_owned()),
            read_only: true,
        }));
        for (name, text) in [
            ("authority.pem", self.authority.pem().to_owned()),
            ("apt.conf", apt),
            ("wgetrc", format!("ca_certificate = {pem}\n")),
        ] {
            let target = format!("{PLACE}/{name}").into();
            plan.mounts.push(MountPlan {
                target,
                source: MountSource::Text(text),
                read_only: true,
            });
        }
        Some((Gate::new(self.tape.clone(), self.authority.clone()), plan))
    }
}
