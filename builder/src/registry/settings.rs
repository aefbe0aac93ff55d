//! How registries are reached: options, and the variables that stand in for them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use goldsmith_images::fetch::Proxies;
use goldsmith_images::registry::{Registry, Settings};

use super::credentials::Files;
use crate::error::{Failure, Kind, Result};

/// Options of every verb that talks to registries.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryArgs {
    /// Registries without TLS
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',', env = "GOLDSMITH_PLAIN_HTTP")]
    plain_http: Vec<String>,
    /// Where to ask before a registry itself: docker.io=mirror.example:5000/prefix
    #[arg(
        long,
        value_name = "HOST=PLACE",
        value_delimiter = ',',
        env = "GOLDSMITH_REGISTRY_MIRRORS"
    )]
    registry_mirror: Vec<String>,
    /// Certificates of authorities, PEM, that are believed beside the host's
    #[arg(long, value_name = "FILE", env = "GOLDSMITH_REGISTRY_CA")]
    registry_ca: Option<PathBuf>,
    /// Users and passwords, in the format of docker's config.json
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    authfile: Option<PathBuf>,
}

impl RegistryArgs {
    /// What the variables alone say, for verbs that build.
    pub fn of_environment(env: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let list = |name: &str| -> Vec<String> {
            let text = get(name).unwrap_or_default();
            text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
        };
        Self {
            plain_http: list("GOLDSMITH_PLAIN_HTTP"),
            registry_mirror: list("GOLDSMITH_REGISTRY_MIRRORS"),
            registry_ca: get("GOLDSMITH_REGISTRY_CA").map(PathBuf::from),
            authfile: get("REGISTRY_AUTH_FILE").map(PathBuf::from),
        }
    }

    /// A client.
    ///
    /// # Errors
    ///
    /// When an option or a variable cannot be understood or a file not be read.
    pub fn client(&self, env: &BTreeMap<String, String>) -> Result<Registry> {
        let mut mirrors = Vec::new();
        for mirror in self.registry_mirror.iter().filter(|mirror| !mirror.is_empty()) {
            let (host, place) = mirror.split_once('=').ok_or_else(|| {
                let message = format!("--registry-mirror: {mirror:?} is not HOST=PLACE");
                Failure::new(Kind::Usage, message)
                    .hint("for instance docker.io=mirror.example:5000")
            })?;
            mirrors.push((host.to_owned(), place.to_owned()));
        }
        let authorities = self.registry_ca.iter().map(authorities).collect::<Result<Vec<_>>>()?;
        let settings = Settings {
            proxies: proxies(env),
            plain_http: self.plain_http.iter().filter(|host| !host.is_empty()).cloned().collect(),
            mirrors,
            authorities,
            credentials: Some(Box::new(Files::new(self.authfile.as_deref(), env))),
        };
        Registry::new(settings).map_err(|error| super::registry_failure(&error))
    }
}

/// Reads certificates of authorities.
fn authorities(path: &PathBuf) -> Result<Vec<u8>> {
    let what = "--registry-ca (GOLDSMITH_REGISTRY_CA)";
    let text =
        fs_err::read(path).map_err(|error| Failure::wrap(Kind::Configuration, what, &error))?;
    let mark = b"-----BEGIN CERTIFICATE-----";
    if !text.windows(mark.len()).any(|window| window == mark) {
        let message = format!("{what}: {} holds no certificate", path.display());
        return Err(Failure::new(Kind::Configuration, message).hint("it must be in PEM"));
    }
    Ok(text)
}

/// The proxies that the usual variables name.
pub fn proxies(env: &BTreeMap<String, String>) -> Proxies {
    let get = |names: [&str; 2]| {
        names.iter().find_map(|name| env.get(*name).filter(|v| !v.is_empty()).cloned())
    };
    Proxies {
        http: get(["http_proxy", "HTTP_PROXY"]),
        https: get(["https_proxy", "HTTPS_PROXY"]),
        none: get(["no_proxy", "NO_PROXY"]),
    }
}
