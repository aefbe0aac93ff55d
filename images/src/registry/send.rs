//! One request: authorization, redirects, and another try when chance was against it.

use std::io::{self, Read};
use std::time::Duration;

use reqwest::blocking::{Body, Response};
use reqwest::{Method, Url};

use super::auth::denied;
use super::challenge::Challenge;
use super::endpoint::{Endpoint, same_server, shown};
use super::{Registry, RegistryError};
use crate::retry::{REGISTRIES, Tries, asked_by, wait};

/// A request, which may be sent several times.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Makes the body anew for each try.
    pub(super) body: Option<&'a (dyn Fn() -> io::Result<Body> + Sync)>,
    /// What a token is asked for.
    pub(super) scope: String,
    /// Answers beside success that the caller understands.
    pub(super) also: &'static [u16],
}

impl Ask<'_> {
    /// A request to read.
    pub(super) fn get(endpoint: &Endpoint, rest: &str) -> Self {
        Self {
            method: Method::GET,
            url: endpoint.url(rest),
            headers: Vec::new(),
            body: None,
            scope: format!("repository:{}:pull", endpoint.repository),
            also: &[],
        }
    }

    /// A request that changes the repository, or prepares for it.
    pub(super) fn push(endpoint: &Endpoint, method: Method, rest: &str) -> Self {
        let scope = format!("repository:{}:pull,push", endpoint.repository);
        Self { method, scope, ..Self::get(endpoint, rest) }
    }
}

/// How long a body may take; what breaks off is resumed, uploads begin again.
const TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// Redirects in a row.
const HOPS: usize = 5;

impl Registry {
    /// Sends a request until it is answered by success or by what the caller understands.
    pub(super) fn send(
        &self,
        endpoint: &Endpoint,
        ask: &Ask<'_>,
    ) -> Result<Response, RegistryError> {
        let mut tries = Tries::new(REGISTRIES);
        loop {
            let (error, asked) = match self.once(endpoint, ask) {
                Ok(answer) => {
                    let status = answer.status();
                    if status.is_success() || ask.also.contains(&status.as_u16()) {
                        return Ok(answer);
                    }
                    let asked = asked_by(&answer);
                    (refused(endpoint, answer), asked)
                }
                Err(error) => (error, None),
            };
            let again = match &error {
                RegistryError::Transport { .. } => error.distrust().is_none(),
                RegistryError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
                _ => false,
            };
            let Some(pause) = tries.fail(asked).filter(|_| again) else { return Err(error) };
            tracing::debug!(%error, ?pause, "trying again");
            wait(pause);
        }
    }

    /// Sends a request once, to where its answers lead.
    fn once(&self, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<Response, RegistryError> {
        let home = address(&endpoint.url(""))?;
        let mut url = address(&ask.url)?;
        // Where uploads are sent was said by the registry.
        self.allowed(&home, &url)?;
        let (mut fresh, mut hops) = (false, 0);
        loop {
            let answer = self.transmit(endpoint, ask, &home, &url)?;
            let status = answer.status();
            let header = |name: &str| {
                answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            if status == 401 && same_server(&url, &home) && !fresh {
                let challenges = answer.headers().get_all("WWW-Authenticate").iter();
                let challenge =
                    challenges.filter_map(|header| Challenge::read(header.to_str().ok()?)).next();
                let Some(challenge) = challenge else { return Ok(answer) };
                self.authorize(endpoint, &ask.scope, &url, &challenge)?;
                fresh = true;
                continue;
            }
            let reads = ask.method == Method::GET || ask.method == Method::HEAD;
            if !reads || !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let Some(location) = header("Location") else { return Ok(answer) };
            let to = self.follow(&url, &location)?;
            // What one server may not do, two in a row may not, either.
            self.allowed(&home, &to)?;
            hops += 1;
            if hops > HOPS {
                let reason = "and on without an end";
                return Err(RegistryError::Redirect { url: shown(&home), to: shown(&to), reason });
            }
            url = to;
        }
    }

    fn allowed(&self, home: &Url, to: &Url) -> Result<(), RegistryError> {
        self.check(home, to).map_err(|reason| RegistryError::Redirect {
            url: shown(home),
            to: shown(to),
            reason,
        })
    }

    fn transmit(
        &self,
        endpoint: &Endpoint,
        ask: &Ask<'_>,
        home: &Url,
        url: &Url,
    ) -> Result<Response, RegistryError> {
        let mut request = self.http.request(ask.method.clone(), url.clone()).timeout(TIMEOUT);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if same_server(url, home)
            && let Some(header) = self.authorization(endpoint, &ask.scope)
        {
            request = request.header("Authorization", header);
        }
        if let Some(body) = ask.body {
            let body = body().map_err(|error| RegistryError::Source(Box::new(error)))?;
            request = request.body(body);
        }
        request.send().map_err(|error| RegistryError::Transport {
            url: shown(url),
            source: Box::new(error.without_url()),
        })
    }
}

fn address(text: &str) -> Result<Url, RegistryError> {
    Url::parse(text)
        .map_err(|error| RegistryError::Answer { url: text.to_owned(), problem: error.to_string() })
}

/// What a registry says of its refusal.
fn refused(endpoint: &Endpoint, answer: Response) -> RegistryError {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let (url, status) = (shown(answer.url()), answer.status().as_u16());
    let mut text = Vec::new();
    let told = answer.take(16 << 10).read_to_end(&mut text).ok();
    let told = told.and_then(|_| serde_json::from_slice::<Body>(&text).ok());
    let one = told.and_then(|body| body.errors.into_iter().next());
    let detail = one.map(|one| {
        let plain = |c: &char| !c.is_control();
        let text: String = format!("{} {}", one.code, one.message);
        format!(": {}", text.trim().chars().filter(plain).take(200).collect::<String>())
    });
    let detail = detail.unwrap_or_default();
    if matches!(status, 401 | 403) {
        return denied(endpoint, format!(" ({status}){detail}"));
    }
    RegistryError::Status { url, status, detail }
}
