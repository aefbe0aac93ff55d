//! Where a registry is asked, and where its answers may lead.

use std::net::IpAddr;

use reqwest::Url;

use super::{Registry, RegistryError};
use crate::oci::Reference;

/// One place where a repository is to be had.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Host and port, as the user writes them: names credentials.
    pub(super) host: String,
    /// The repository there.
    pub(super) repository: String,
    /// `https://HOST/v2/REPOSITORY`.
    base: String,
}

/// Docker's registry has another name than its images.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

impl Endpoint {
    /// The address of something of the repository.
    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }
}

impl Registry {
    /// The registry itself.
    pub(super) fn origin(&self, reference: &Reference) -> Endpoint {
        let asked = if reference.host == HUB.0 { HUB.1 } else { &reference.host };
        self.endpoint(&reference.host, asked, "", &reference.repository)
    }

    /// Mirrors, then the registry itself.
    pub(super) fn endpoints(&self, reference: &Reference) -> Vec<Endpoint> {
        let mut all: Vec<_> = self
            .settings
            .mirrors
            .iter()
            .filter(|(host, _)| *host == reference.host)
            .map(|(_, mirror)| {
                let mirror = mirror.trim_end_matches('/');
                let (host, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
                self.endpoint(host, host, prefix, &reference.repository)
            })
            .collect();
        all.push(self.origin(reference));
        all
    }

    fn endpoint(&self, host: &str, asked: &str, prefix: &str, repository: &str) -> Endpoint {
        let scheme = if self.is_plain(asked) { "http" } else { "https" };
        let repository = match prefix {
            "" => repository.to_owned(),
            prefix => format!("{prefix}/{repository}"),
        };
        let base = format!("{scheme}://{asked}/v2/{repository}");
        Endpoint { host: host.to_owned(), repository, base }
    }

    /// Whether the user lists a host, with its port if it has one, as one without TLS.
    fn is_plain(&self, host: &str) -> bool {
        self.settings.plain_http.iter().any(|listed| listed == host)
    }

    /// Where an answer of `from` leads: an address that may be asked.
    pub(super) fn follow(&self, from: &Url, location: &str) -> Result<Url, RegistryError> {
        let refuse = |to: String, reason| RegistryError::Redirect { url: shown(from), to, reason };
        let Ok(to) = from.join(location) else {
            return Err(refuse(location.chars().take(200).collect(), "which is no address"));
        };
        self.check(from, &to).map_err(|reason| refuse(shown(&to), reason))?;
        Ok(to)
    }

    /// Whether `from` may send us to `to`.
    pub(super) fn check(&self, from: &Url, to: &Url) -> Result<(), &'static str> {
        if same_server(from, to) {
            return Ok(());
        }
        match to.scheme() {
            "https" => {}
            "http" if self.is_plain(&authority(to)) => {}
            "http" => return Err("which is not encrypted and not listed as such"),
            _ => return Err("which is no address of the web"),
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err("which names a user");
        }
        if is_private(to) && !is_private(from) {
            return Err("which is an address of this machine or its network");
        }
        Ok(())
    }
}

/// An address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), authority(url), url.path())
}

/// Host and port.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether credentials of one are meant for the other.
pub(super) fn same_server(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether both are hosts of one owner: equal, or with a domain in common that is more than
/// a top-level domain. Docker's and GitLab's tokens come from such neighbours.
pub(super) fn related(one: &Url, other: &Url) -> bool {
    let (Some(one), Some(other)) = (one.host_str(), other.host_str()) else { return false };
    if one == other {
        return true;
    }
    let number = |host: &str| host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let tail = |host: &str| -> Option<String> {
        let labels: Vec<_> = host.rsplit('.').take(3).collect();
        match labels.as_slice() {
            // example.co.uk: the second label says nothing.
            [top, second, third, ..] if top.len() == 2 && second.len() <= 3 => {
                Some(format!("{third}.{second}.{top}"))
            }
            [top, second, ..] if !(top.len() == 2 && second.len() <= 3) => {
                Some(format!("{second}.{top}"))
            }
            _ => None,
        }
    };
    !number(one) && !number(other) && tail(one).is_some() && tail(one) == tail(other)
}

/// Whether an address is one that only this machine or its network has.
fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let four = |ip: std::net::Ipv4Addr| {
        ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => four(ip),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some_and(four)
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
