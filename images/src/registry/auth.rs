//! Tokens, and who is sent credentials: the registry itself and its own token server, over
//! TLS, and nobody else.

use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::blocking::RequestBuilder;
use serde::Deserialize;

use super::challenge::Challenge;
use super::endpoint::{Endpoint, related, shown};
use super::{Login, Registry, RegistryError};

/// The longest answer of a token server.
const TOKEN_LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// The header that worked last.
    pub(super) fn authorization(&self, endpoint: &Endpoint, scope: &str) -> Option<String> {
        let key = (endpoint.host.clone(), scope.to_owned());
        self.tokens.lock().ok()?.get(&key).cloned()
    }

    /// Finds a header that answers a challenge of `url`, and keeps it.
    pub(super) fn authorize(
        &self,
        endpoint: &Endpoint,
        scope: &str,
        url: &Url,
        challenge: &Challenge,
    ) -> Result<String, RegistryError> {
        let host = &endpoint.host;
        let login = match &self.settings.credentials {
            None => None,
            Some(known) => known
                .login(host, &endpoint.repository)
                .map_err(|problem| RegistryError::Credentials { host: host.clone(), problem })?,
        };
        let header = match (challenge, login) {
            (Challenge::Basic, None) => {
                let detail = ": it wants a user, and there are no credentials for it".to_owned();
                return Err(denied(endpoint, detail));
            }
            (Challenge::Basic, Some(login)) => basic(&login),
            (Challenge::Bearer { realm, service }, login) => {
                let challenge = (realm.as_str(), service.as_deref());
                let token = self.token(endpoint, scope, url, challenge, login)?;
                format!("Bearer {token}")
            }
        };
        if let Ok(mut tokens) = self.tokens.lock() {
            tokens.insert((host.clone(), scope.to_owned()), header.clone());
        }
        Ok(header)
    }

    fn token(
        &self,
        endpoint: &Endpoint,
        scope: &str,
        url: &Url,
        challenge: (&str, Option<&str>),
        login: Option<Login>,
    ) -> Result<String, RegistryError> {
        let (realm, service) = challenge;
        let address = self.follow(url, realm)?;
        // Who asks for a token with a password hands the password over.
        let trusted = related(url, &address);
        let withheld = login.is_some() && !trusted;
        let login = login.filter(|_| trusted);
        let request = self.token_request(&address, scope, service, login.as_ref())?;
        let answer = request.timeout(Duration::from_secs(60)).send().map_err(|error| {
            RegistryError::Transport { url: shown(&address), source: Box::new(error.without_url()) }
        })?;
        let status = answer.status();
        if !status.is_success() {
            let detail = match (withheld, &login) {
                (true, _) => format!(
                    ": its token server {} is a stranger, credentials were not sent",
                    shown(&address)
                ),
                (_, Some(_)) => format!(": the credentials for it are refused ({status})"),
                (_, None) => format!(": there are no credentials for it ({status})"),
            };
            return Err(denied(endpoint, detail));
        }
        let mut body = Vec::new();
        answer
            .take(TOKEN_LIMIT + 1)
            .read_to_end(&mut body)
            .map_err(|error| odd(&address, error))?;
        if body.len() as u64 > TOKEN_LIMIT {
            return Err(odd(&address, "the token is endless"));
        }
        let token: Token = serde_json::from_slice(&body).map_err(|error| odd(&address, error))?;
        let token = token.token.or(token.access_token).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(odd(&address, "the token is none"));
        }
        Ok(token)
    }

    /// Asks for a token: by name and password, or by an identity token (OAuth 2).
    fn token_request(
        &self,
        address: &Url,
        scope: &str,
        service: Option<&str>,
        login: Option<&Login>,
    ) -> Result<RequestBuilder, RegistryError> {
        let mut address = address.clone();
        if let Some(login) = login.filter(|login| login.user.is_empty()) {
            let mut form = Url::parse("http://form/").map_err(|error| odd(&address, error))?;
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", "goldsmith")
                .append_pair("refresh_token", &login.secret)
                .append_pair("service", service.unwrap_or_default())
                .append_pair("scope", scope);
            let body = form.query().unwrap_or_default().to_owned();
            let kind = "application/x-www-form-urlencoded";
            return Ok(self.http.post(address).header("Content-Type", kind).body(body));
        }
        if let Some(service) = service {
            address.query_pairs_mut().append_pair("service", service);
        }
        for one in scope.split(' ') {
            address.query_pairs_mut().append_pair("scope", one);
        }
        let request = self.http.get(address);
        Ok(match login {
            Some(login) => request.header("Authorization", basic(login)),
            None => request,
        })
    }
}

pub(super) fn denied(endpoint: &Endpoint, detail: String) -> RegistryError {
    let (host, repository) = (endpoint.host.clone(), endpoint.repository.clone());
    RegistryError::Denied { host, repository, detail }
}

fn odd(url: &Url, problem: impl ToString) -> RegistryError {
    RegistryError::Answer { url: shown(url), problem: problem.to_string() }
}

fn basic(login: &Login) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.secret)))
}
