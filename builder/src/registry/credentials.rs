//! Users of registries: the files of docker and podman, and their helpers.
//!
//! Which file counts, and which entry of it, is as in containers-auth.json(5) and in the library
//! that podman, buildah and skopeo share.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldsmith_images::registry::{Credentials, Login};
use serde::Deserialize;

use super::credential_helper::ask;

/// What docker keeps its own registry under: the address of an earlier interface.
const HUB: &str = "https://index.docker.io/v1/";
/// The file of docker's first years: users by host, nothing around them.
const FLAT: &str = ".dockercfg";

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
    auths: Option<BTreeMap<String, Auth>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Files {
    /// The file that the user named, or those of podman and then docker in their usual places, or
    /// where variables say that they are.
    pub fn new(named: Option<&Path>, env: &BTreeMap<String, String>) -> Self {
        if let Some(path) = named {
            return Self { paths: vec![path.to_path_buf()], named: true };
        }
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = get("HOME");
        let below = |base: Option<PathBuf>, path: &str| base.map(|base| base.join(path));
        let user = rustix::process::geteuid().as_raw();
        let runtime = below(get("XDG_RUNTIME_DIR"), "containers/auth.json")
            .or_else(|| Some(PathBuf::from(format!("/run/containers/{user}/auth.json"))));
        let configuration = get("XDG_CONFIG_HOME").or_else(|| below(home.clone(), ".config"));
        let docker = get("DOCKER_CONFIG").or_else(|| below(home.clone(), ".docker"));
        let paths = [
            runtime,
            below(configuration, "containers/auth.json"),
            below(docker, "config.json"),
            below(home, FLAT),
        ];
        Self { paths: paths.into_iter().flatten().collect(), named: false }
    }

    fn read(&self, path: &Path) -> Result<Option<File>, String> {
        match fs_err::read(path) {
            Ok(text) if text.iter().all(u8::is_ascii_whitespace) => Ok(None),
            Ok(text) => parse(path, &text)
                .map(Some)
                // What serde says may quote a password.
                .map_err(|error| {
                    let (line, column) = (error.line(), error.column());
                    format!("{}: malformed at line {line}, column {column}", path.display())
                }),
            // root's containers may have made a directory that nobody else may enter.
            Err(error) if !self.named && is_absent(error.kind()) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Whether a file of a usual place counts as not there.
fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
}

/// The text of a file, whose name says which of the two forms it has.
fn parse(path: &Path, text: &[u8]) -> serde_json::Result<File> {
    if !path.ends_with(FLAT) {
        return serde_json::from_slice(text);
    }
    let auths: BTreeMap<String, Auth> = serde_json::from_slice(text)?;
    // There are only hosts in it, whatever address follows.
    let host = |name: &str| {
        let address = host_of(name).unwrap_or(name);
        address.split('/').next().unwrap_or_default().to_owned()
    };
    let auths = auths.into_iter().map(|(name, auth)| (host(&name), auth)).collect();
    Ok(File { auths: Some(auths), ..File::default() })
}

impl Credentials for Files {
    fn login(&self, host: &str, repository: &str) -> Result<Option<Login>, String> {
        for path in &self.paths {
            let Some(file) = self.read(path)? else { continue };
            match file.helper(host) {
                // It alone counts, not what else the file says of the host.
                Some((helper, name)) => match ask(helper, name)? {
                    Some(login) => return Ok(Some(login)),
                    None => continue,
                },
                None => {
                    if let Some(login) = file.entry(host, repository, path)? {
                        return Ok(Some(login));
                    }
                }
            }
            if let Some(helper) = file.creds_store.as_ref().filter(|helper| !helper.is_empty()) {
                let server = if host == "docker.io" { HUB } else { host };
                if let Some(login) = ask(helper, server)? {
                    return Ok(Some(login));
                }
            }
        }
        Ok(None)
    }
}

/// What a host is called: docker's own registry has three names.
fn names(host: &str) -> Vec<&str> {
    match host {
        "docker.io" => vec![host, "index.docker.io", "registry-1.docker.io"],
        _ => vec![host],
    }
}

/// The names under which a file may know a repository, the longest first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = Some(repository);
    while let Some(part) = path {
        keys.extend(names(host).iter().map(|name| format!("{name}/{part}")));
        path = part.rsplit_once('/').map(|(above, _)| above);
    }
    keys.extend(names(host).into_iter().map(str::to_owned));
    keys
}

/// The host of a name of `auths` that is an address: docker writes scheme and interface at times.
fn host_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("https://").or(name.strip_prefix("http://"))?;
    rest.split('/').next()
}

impl File {
    /// The helper that keeps the users of a host, and by what name it knows that; an empty name
    /// switches it off.
    fn helper<'a>(&'a self, host: &'a str) -> Option<(&'a str, &'a str)> {
        let helpers = self.cred_helpers.as_ref()?;
        let mut known = names(host).into_iter().chain((host == "docker.io").then_some(HUB));
        known.find_map(|name| {
            let helper = helpers.get(name).filter(|helper| !helper.is_empty())?;
            Some((helper.as_str(), name))
        })
    }

    /// The user of the longest name that the file has for a repository.
    fn entry(&self, host: &str, repository: &str, path: &Path) -> Result<Option<Login>, String> {
        let Some(auths) = &self.auths else { return Ok(None) };
        for key in keys(host, repository) {
            let addresses = auths.iter().filter(|(name, _)| host_of(name) == Some(&key));
            for auth in auths.get(&key).into_iter().chain(addresses.map(|(_, auth)| auth)) {
                if let Some(login) = written(auth, path)? {
                    return Ok(Some(login));
                }
            }
        }
        Ok(None)
    }
}

/// A user written down in a file.
fn written(auth: &Auth, path: &Path) -> Result<Option<Login>, String> {
    if let Some(token) = auth.identitytoken.clone().filter(|token| !token.is_empty()) {
        return Ok(Some(Login { user: String::new(), secret: token }));
    }
    if let (Some(user), Some(secret)) = (auth.username.clone(), auth.password.clone())
        && !(user.is_empty() && secret.is_empty())
    {
        return Ok(Some(Login { user, secret }));
    }
    let Some(encoded) = auth.auth.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = text else {
        return Err(format!("{}: an auth is no USER:PASSWORD in base64", path.display()));
    };
    // docker passes over what has no colon.
    let pair = text.trim_end_matches('\0').split_once(':').filter(|pair| *pair != ("", ""));
    Ok(pair.map(|(user, secret)| Login { user: user.to_owned(), secret: secret.to_owned() }))
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
    fn the_longest_name_counts() {
        let entry = |name: &str, user: &str| {
            format!(r#""{name}": {{"auth": "{}"}}"#, STANDARD.encode(format!("{user}:x")))
        };
        let entries = [
            entry("r.io", "host"),
            entry("r.io/team", "team"),
            entry("r.io/team/app", "app"),
            entry("r.io:5000/team", "port"),
            entry("docker.io/library", "library"),
            entry("registry-1.docker.io", "hub"),
            entry("https://old.io/v1/", "address"),
            entry("s.io/team/v2", "second"),
            entry("https://both.io", "address"),
            entry("both.io", "exact"),
            r#""empty.io": {}"#.to_owned(),
            entry("https://empty.io/v2/", "filled"),
        ];
        let (_directory, files) = files(&format!(r#"{{"auths": {{{}}}}}"#, entries.join(", ")));
        for (host, repository, user) in [
            ("r.io", "team/app", Some("app")),
            ("r.io", "team/app/deep", Some("app")),
            ("r.io", "team/application", Some("team")),
            ("r.io", "teams/app", Some("host")),
            ("r.io:5000", "team/app", Some("port")),
            ("r.io:5000", "other", None),
            ("docker.io", "library/debian", Some("library")),
            ("docker.io", "me/debian", Some("hub")),
            // An address is its host's, a name is what it says.
            ("old.io", "team/app", Some("address")),
            ("s.io", "team/v2", Some("second")),
            ("s.io", "team/other", None),
            ("both.io", "x", Some("exact")),
            ("empty.io", "x", Some("filled")),
        ] {
            let found = files.login(host, repository).unwrap().map(|login| login.user);
            assert_eq!(found.as_deref(), user, "{host}/{repository}");
        }
    }

    /// Every place with a user of its own: each counts until those before it are gone.
    #[test]
    fn files_count_in_the_order_of_podman() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let places = ["run/containers/auth.json", "xdg/containers/auth.json", "docker/config.json"];
        let usual = ["home/.config/containers/auth.json", "home/.docker/config.json"];
        for (number, place) in places.iter().chain(&usual).enumerate() {
            let auth = STANDARD.encode(format!("{number}:x"));
            fs_err::create_dir_all(at(place).parent().unwrap()).unwrap();
            let text = format!(r#"{{"auths": {{"r.io": {{"auth": "{auth}"}}}}}}"#);
            fs_err::write(at(place), text).unwrap();
        }
        let flat = format!(r#"{{"https://r.io/v1/": {{"auth": "{}"}}}}"#, STANDARD.encode("5:x"));
        fs_err::write(at("home/.dockercfg"), flat).unwrap();
        let variables = [
            ("HOME", "home"),
            ("DOCKER_CONFIG", "docker"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CONFIG_HOME", "xdg"),
        ];
        let mut env: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, place)| ((*name).to_owned(), at(place).display().to_string()))
            .collect();
        let user = |env: &BTreeMap<String, String>| {
            let found = Files::new(None, env).login("r.io", "app").unwrap();
            found.map(|login| login.user).unwrap_or_default()
        };
        for (number, gone) in places.iter().enumerate() {
            assert_eq!(user(&env), number.to_string());
            fs_err::remove_file(at(gone)).unwrap();
        }
        // Named or not, a file that is not there is passed over.
        assert_eq!(user(&env), "5");
        for name in ["DOCKER_CONFIG", "XDG_CONFIG_HOME"] {
            env.insert(name.to_owned(), String::new());
        }
        for (number, gone) in usual.iter().enumerate() {
            assert_eq!(user(&env), (number + places.len()).to_string());
            fs_err::remove_file(at(gone)).unwrap();
        }
        assert_eq!(user(&env), "5");
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
        for nothing in [
            "",
            r#"{"auths": null, "credHelpers": null, "credsStore": ""}"#,
            r#"{"credHelpers": {"r.io": ""}}"#,
            r#"{"auths": {"r.io": {"username": "", "password": ""}}}"#,
            r#"{"auths": {"r.io": {"auth": "bm9ib2R5"}}}"#,
        ] {
            let (_directory, files) = self::files(nothing);
            assert_eq!(files.login("r.io", "x"), Ok(None), "{nothing}");
        }
        // A usual place below what is no directory.
        let env = BTreeMap::from([("HOME".to_owned(), "/dev/null".to_owned())]);
        assert_eq!(Files::new(None, &env).login("r.io", "x"), Ok(None));
    }
}
