//! Users of registries: the files of docker and podman, and their helpers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldsmith_images::registry::{Credentials, Login};
use serde::Deserialize;

/// The files that are read, the first that knows a host counting.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// Whether the user named the file: then it must be there.
    named: bool,
}

/// docker's `config.json` (docker login) and podman's `auth.json` (containers-auth.json(5)).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a helper prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    username: String,
    secret: String,
}

impl Files {
    /// The file that the user named, or those of podman and docker.
    pub fn new(named: Option<&Path>, env: &BTreeMap<String, String>) -> Self {
        if let Some(path) = named {
            return Self { paths: vec![path.to_path_buf()], named: true };
        }
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = get("HOME");
        let below = |base: Option<PathBuf>, path: &str| base.map(|base| base.join(path));
        let configuration = get("XDG_CONFIG_HOME").or_else(|| below(home.clone(), ".config"));
        let docker = get("DOCKER_CONFIG").or_else(|| below(home.clone(), ".docker"));
        let paths = [
            below(get("XDG_RUNTIME_DIR"), "containers/auth.json"),
            below(configuration, "containers/auth.json"),
            below(docker, "config.json"),
        ];
        Self { paths: paths.into_iter().flatten().collect(), named: false }
    }

    fn read(&self, path: &Path) -> Result<Option<File>, String> {
        match fs_err::read(path) {
            Ok(text) if text.iter().all(u8::is_ascii_whitespace) => Ok(None),
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                // What serde says may quote a password.
                .map_err(|error| {
                    let (line, column) = (error.line(), error.column());
                    format!("{}: malformed at line {line}, column {column}", path.display())
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.named => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Credentials for Files {
    fn login(&self, host: &str, repository: &str) -> Result<Option<Login>, String> {
        for path in &self.paths {
            let Some(file) = self.read(path)? else { continue };
            for key in keys(host, repository) {
                if let Some(helper) = file.cred_helpers.get(&key)
                    && let Some(login) = ask(helper, &key)?
                {
                    return Ok(Some(login));
                }
                let entry = file.auths.iter().find(|(name, _)| plain(name) == key);
                if let Some((_, auth)) = entry
                    && let Some(login) = written(auth, path)?
                {
                    return Ok(Some(login));
                }
            }
            if let Some(helper) = &file.creds_store {
                // docker keeps its own registry under the address of an earlier interface.
                let hub = "https://index.docker.io/v1/";
                let server = if host == "docker.io" { hub } else { host };
                if let Some(login) = ask(helper, server)? {
                    return Ok(Some(login));
                }
            }
        }
        Ok(None)
    }
}

/// The names under which a file may know a repository, the longest first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = Some(repository);
    while let Some(part) = path {
        keys.push(format!("{host}/{part}"));
        path = part.rsplit_once('/').map(|(above, _)| above);
    }
    keys.push(host.to_owned());
    if host == "docker.io" {
        keys.push("index.docker.io".to_owned());
    }
    keys
}

/// A name of `auths` without scheme and interface: docker writes both at times.
fn plain(name: &str) -> &str {
    let name = name.strip_prefix("https://").or(name.strip_prefix("http://")).unwrap_or(name);
    let name = name.trim_end_matches('/');
    name.strip_suffix("/v1").or(name.strip_suffix("/v2")).unwrap_or(name)
}

/// A user written down in a file.
fn written(auth: &Auth, path: &Path) -> Result<Option<Login>, String> {
    if let Some(token) = auth.identitytoken.clone().filter(|token| !token.is_empty()) {
        return Ok(Some(Login { user: String::new(), secret: token }));
    }
    if let (Some(user), Some(secret)) = (auth.username.clone(), auth.password.clone()) {
        return Ok(Some(Login { user, secret }));
    }
    let Some(encoded) = auth.auth.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
    match pair {
        Some((user, secret)) => {
            Ok(Some(Login { user: user.to_owned(), secret: secret.to_owned() }))
        }
        None => Err(format!("{}: an auth is no USER:PASSWORD in base64", path.display())),
    }
}

/// Asks `docker-credential-NAME`; nothing when it does not know the server.
fn ask(helper: &str, server: &str) -> Result<Option<Login>, String> {
    if helper.is_empty() || helper.contains('/') {
        return Err(format!("{helper:?} is no name of a credential helper"));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(server.as_bytes()).map_err(failed)?;
    }
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(1 << 20).read_to_end(&mut text).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        let text = String::from_utf8_lossy(&text);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(format!("{program}: {status}"));
    }
    let told: Told =
        serde_json::from_slice(&text).or(Err(format!("{program}: its answer is malformed")))?;
    let user = if told.username == "<token>" { String::new() } else { told.username };
    Ok(Some(Login { user, secret: told.secret }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> (tempfile::TempDir, Files) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs_err::write(&path, text).unwrap();
        let files = Files::new(Some(&path), &BTreeMap::new());
        (directory, files)
    }

    #[test]
    fn users_are_found_by_host_and_repository() {
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="},
            "r.io": {"auth": "bWU6cGE6c3M="},
            "r.io/team/app": {"username": "team", "password": "x"},
            "token.io": {"auth": "", "identitytoken": "t"},
            "empty.io": {}
        }}"#;
        let (_directory, files) = files(text);
        let found = |host: &str, repository: &str| {
            files.login(host, repository).unwrap().map(|login| (login.user, login.secret))
        };
        let pair = |user: &str, secret: &str| Some((user.to_owned(), secret.to_owned()));
        assert_eq!(found("docker.io", "library/debian"), pair("hub", "secret"));
        assert_eq!(found("r.io", "other"), pair("me", "pa:ss"));
        assert_eq!(found("r.io", "team/app/deep"), pair("team", "x"));
        assert_eq!(found("token.io", "x"), pair("", "t"));
        assert_eq!(found("empty.io", "x"), None);
        assert_eq!(found("r.io:5000", "x"), None);
        assert_eq!(found("evil-r.io", "x"), None);
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        let (_directory, files) = files(r#"{"auths": {"r.io": {"auth": 12345}}}"#);
        let error = files.login("r.io", "x").unwrap_err();
        assert!(error.contains("line 1") && !error.contains("12345"), "{error}");
        let (_directory, files) = self::files(r#"{"auths": {"r.io": {"auth": "%%%"}}}"#);
        assert!(files.login("r.io", "x").unwrap_err().contains("base64"));
        let missing = Files::new(Some(Path::new("/no/such/file")), &BTreeMap::new());
        assert!(missing.login("r.io", "x").unwrap_err().contains("/no/such/file"));
        let env = BTreeMap::from([("HOME".to_owned(), "/no/such".to_owned())]);
        assert_eq!(Files::new(None, &env).login("r.io", "x"), Ok(None));
        let (_directory, files) = self::files(r#"{"credsStore": "../evil"}"#);
        assert!(files.login("r.io", "x").unwrap_err().contains("no name of a credential helper"));
        let (_directory, files) = self::files("");
        assert_eq!(files.login("r.io", "x"), Ok(None));
    }
}
