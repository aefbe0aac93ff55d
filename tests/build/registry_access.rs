//! Who is let in by a registry, and by whom: authorities, users, tokens, helpers and proxies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use goldsmith_tests::{
    Answer, Asked, Authority, DockerRegistry, Guard, Proxy, Ran, TestEnv, WebServer, ran,
};

use crate::ok;
use crate::registry::{skopeo, tool};

/// The password `secret`, as htpasswd(1) would write it.
const USERS: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// An authority, a certificate of its, and an archive with an image: one file in one layer.
struct Place {
    env: TestEnv,
    authority: Authority,
    tls: (PathBuf, PathBuf),
}

impl Place {
    fn new() -> Result<Self> {
        let env = TestEnv::new()?;
        let authority = Authority::new(&env.path("authority"))?;
        let tls = authority.give(&["IP:127.0.0.1", "DNS:registry.test"])?;
        fs_err::write(env.path("mark"), "of the archive\n")?;
        tool(&env, "tar", &["--owner=0", "--group=0", "-cf", "layer.tar", "mark"])?;
        tool(&env, "umoci", &["init", "--layout", "small"])?;
        tool(&env, "umoci", &["new", "--image", "small:a"])?;
        tool(&env, "umoci", &["raw", "add-layer", "--image", "small:a", "layer.tar"])?;
        skopeo(&env, &["copy", "oci:small:a", "oci-archive:x.oci:latest"])?;
        Ok(Self { env, authority, tls })
    }

    fn registry(&self, auth: Option<String>) -> Result<DockerRegistry> {
        let guard = Guard { tls: Some(self.tls.clone()), auth };
        DockerRegistry::guarded(self.env.directory.path(), &guard)
    }

    fn run(&self, words: &[&str], variables: &[(&str, &Path)]) -> Result<Ran> {
        let mut command = self.env.command("goldsmith")?;
        ran(command.args(words).envs(variables.iter().copied()))
    }

    /// Writes a file of users for `host`.
    fn users(&self, name: &str, host: &str, pair: &str) -> Result<PathBuf> {
        let path = self.env.path(name);
        let auth = STANDARD.encode(pair);
        fs_err::write(&path, format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#))?;
        Ok(path)
    }
}

#[test]
fn a_registry_is_believed_by_its_authority_and_users_by_their_password() -> Result<()> {
    let place = Place::new()?;
    let users = place.env.path("users");
    fs_err::write(&users, USERS)?;
    let auth = format!("{{htpasswd: {{realm: test, path: {}}}}}", users.display());
    let registry = place.registry(Some(auth))?;
    let host = registry.host.as_str();
    let name = format!("{host}/app:1");
    let push = ["push", "x.oci", &name];
    let ca = place.authority.certificate.as_path();

    // The authority: none, another one, the right one.
    let other = Authority::new(&place.env.path("other"))?;
    let unknown = place.run(&push, &[])?;
    let wrong = place.run(&push, &[("GOLDSMITH_REGISTRY_CA", &other.certificate)])?;
    for refused in [unknown, wrong] {
        ensure!(refused.status == 1, "{refused:#?}");
        ensure!(refused.stderr.contains("--registry-ca"), "{refused:#?}");
        ensure!(!refused.stderr.contains("--plain-http"), "{refused:#?}");
    }
    let no_certificate = place.run(&push, &[("GOLDSMITH_REGISTRY_CA", &place.env.path("mark"))])?;
    ensure!(no_certificate.status == 3, "{no_certificate:#?}");
    ensure!(no_certificate.stderr.contains("--registry-ca"), "{no_certificate:#?}");

    // The user: none, with another password, the right one.
    let nobody = place.run(&push, &[("GOLDSMITH_REGISTRY_CA", ca)])?;
    ensure!(nobody.stderr.contains("there are no credentials for it"), "{nobody:#?}");
    ensure!(nobody.stderr.contains("REGISTRY_AUTH_FILE"), "{nobody:#?}");
    let good = place.users("auth.json", host, "me:secret")?;
    let bad = place.users("bad.json", host, "me:other")?;
    let with = |file: &Path, words: &[&str]| {
        place.run(words, &[("GOLDSMITH_REGISTRY_CA", ca), ("REGISTRY_AUTH_FILE", file)])
    };
    let refused = with(&bad, &push)?;
    ensure!(refused.stderr.contains("refuses access to app"), "{refused:#?}");
    ensure!(!refused.stderr.contains("other"), "a password is told: {refused:#?}");
    ok(&with(&good, &push)?)?;
    let pulled = with(&good, &["pull", &name])?;
    ok(&pulled)?;
    // By options instead, and from docker's own place.
    let (ca_text, file) = (ca.to_string_lossy(), good.to_string_lossy());
    ok(&place.run(&["pull", &name, "--registry-ca", &ca_text, "--authfile", &file], &[])?)?;
    fs_err::create_dir(place.env.path(".docker"))?;
    fs_err::copy(&good, place.env.path(".docker/config.json"))?;
    ok(&place.run(&["pull", &name], &[("GOLDSMITH_REGISTRY_CA", ca)])?)?;

    found_where_users_are_kept(&place, host, &name)?;
    asked_by_helper(&place, host, &name)?;
    through_a_proxy(&place, host)?;
    ok(&place.run(&["store", "rm", &name], &[])?)
}

/// Files of podman and docker, each with the right password while those behind it have a wrong one,
/// and the other way round; in one file, the longest name that fits.
fn found_where_users_are_kept(place: &Place, host: &str, name: &str) -> Result<()> {
    let ca = place.authority.certificate.as_path();
    let good = place.users("good.json", host, "me:secret")?;
    let bad = place.users("bad.json", host, "me:other")?;
    let places = [
        ("XDG_RUNTIME_DIR", "run/containers/auth.json"),
        ("XDG_CONFIG_HOME", "xdg/containers/auth.json"),
        ("DOCKER_CONFIG", "docker/config.json"),
    ];
    let roots: Vec<_> = ["run", "xdg", "docker"].map(|root| place.env.path(root)).to_vec();
    let mut variables = vec![("GOLDSMITH_REGISTRY_CA", ca)];
    variables.extend(places.iter().zip(&roots).map(|((name, _), root)| (*name, root.as_path())));
    for at in 0..places.len() {
        for (first, others, right) in [(&good, &bad, true), (&bad, &good, false)] {
            for (number, (_, file)) in places.iter().enumerate().skip(at) {
                let to = place.env.path(file);
                fs_err::create_dir_all(to.parent().unwrap_or(&to))?;
                fs_err::copy(if number == at { first } else { others }, to)?;
            }
            let pulled = place.run(&["pull", name], &variables)?;
            ensure!((pulled.status == 0) == right, "{}: {pulled:#?}", places[at].0);
        }
        fs_err::remove_file(place.env.path(places[at].1))?;
    }
    let (right, wrong) = (STANDARD.encode("me:secret"), STANDARD.encode("me:other"));
    let text = format!(
        r#"{{"auths": {{"{host}": {{"auth": "{wrong}"}}, "{host}/team": {{"auth": "{right}"}}}}}}"#
    );
    let file = place.env.path("several.json");
    fs_err::write(&file, text)?;
    let variables = [("GOLDSMITH_REGISTRY_CA", ca), ("REGISTRY_AUTH_FILE", &*file)];
    ok(&place.run(&["push", "x.oci", &format!("{host}/team/app:1")], &variables)?)?;
    let other = place.run(&["push", "x.oci", &format!("{host}/teams/app:1")], &variables)?;
    ensure!(other.stderr.contains("refuses access to teams/app"), "{other:#?}");
    Ok(())
}

/// A program that knows the password, and one that fails.
fn asked_by_helper(place: &Place, host: &str, name: &str) -> Result<()> {
    let bin = place.env.path("bin");
    fs_err::create_dir_all(&bin)?;
    let script = |name: &str, body: &str| -> Result<()> {
        let path = bin.join(format!("docker-credential-{name}"));
        fs_err::write(&path, format!("#!/bin/sh\nset -eu\n{body}"))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        Ok(fs_err::set_permissions(&path, mode)?)
    };
    let log = place.env.path("helper.log");
    let answer = r#"{"ServerURL":"x","Username":"me","Secret":"secret"}"#;
    script(
        "knows",
        &format!("{{ echo \"$1\"; cat; echo; }} >> {}\necho '{answer}'\n", log.display()),
    )?;
    script("fails", "cat > /dev/null\necho broken >&2\nexit 3\n")?;
    script("empty", "cat > /dev/null\necho credentials not found in native keychain\nexit 1\n")?;
    let pull = |text: &str| -> Result<Ran> {
        let file = place.env.path("config.json");
        fs_err::write(&file, text)?;
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let ca = place.authority.certificate.as_path();
        let variables = [
            ("REGISTRY_AUTH_FILE", &*file),
            ("PATH", Path::new(&path)),
            ("GOLDSMITH_REGISTRY_CA", ca),
        ];
        place.run(&["pull", name], &variables)
    };
    ok(&pull(&format!(r#"{{"credHelpers": {{"{host}": "knows"}}}}"#))?)?;
    ok(&pull(r#"{"credsStore": "knows"}"#)?)?;
    let asked = fs_err::read_to_string(&log)?;
    ensure!(asked == format!("get\n{host}\nget\n{host}\n"), "{asked}");
    let failed = pull(r#"{"credsStore": "fails"}"#)?;
    ensure!(failed.status == 3, "{failed:#?}");
    ensure!(failed.stderr.contains("docker-credential-fails"), "{failed:#?}");
    let missing = pull(r#"{"credsStore": "missing"}"#)?;
    ensure!(missing.stderr.contains("docker-credential-missing"), "{missing:#?}");
    let empty = pull(r#"{"credsStore": "empty"}"#)?;
    ensure!(empty.stderr.contains("there are no credentials for it"), "{empty:#?}");
    Ok(())
}

/// A name that only the proxy knows; what `no_proxy` lists goes the straight way.
fn through_a_proxy(place: &Place, host: &str) -> Result<()> {
    let ways = BTreeMap::from([("registry.test:443".to_owned(), host.to_owned())]);
    let proxy = Proxy::to(ways)?;
    let users = place.users("proxied.json", "registry.test", "me:secret")?;
    let address = format!("http://who:pass@{}", proxy.host);
    let pull = |name: &str, variable: &str, none: &str, users: &Path| {
        let ca = place.authority.certificate.as_path();
        let variables = [
            (variable, Path::new(&address)),
            ("no_proxy", Path::new(none)),
            ("REGISTRY_AUTH_FILE", users),
            ("GOLDSMITH_REGISTRY_CA", ca),
        ];
        place.run(&["pull", name], &variables)
    };
    for variable in ["https_proxy", "HTTPS_PROXY"] {
        let before = proxy.asked().len();
        ok(&pull("registry.test/app:1", variable, "", &users)?)?;
        let asked = proxy.asked();
        ensure!(asked.len() > before, "{variable} is not obeyed");
        let basic = format!("Basic {}", STANDARD.encode("who:pass"));
        ensure!(asked[before].path == "registry.test:443", "{asked:?}");
        ensure!(asked[before].header("proxy-authorization") == Some(&basic), "{asked:?}");
    }
    // The password of the registry went through the tunnel, not to the proxy.
    let told = format!("{:?}", proxy.asked());
    ensure!(!told.contains(&STANDARD.encode("me:secret")), "{told}");
    let count = proxy.asked().len();
    let straight =
        pull(&format!("{host}/app:1"), "https_proxy", "127.0.0.1", &place.env.path("auth.json"))?;
    ok(&straight)?;
    ensure!(proxy.asked().len() == count, "{:?}", proxy.asked());
    ok(&place.run(&["store", "rm", "registry.test/app:1"], &[])?)
}

/// A token of the registry's own format for what the request asks, to whom it may concern.
fn token(authority: &Authority, scopes: &[String]) -> Result<String> {
    let text = fs_err::read_to_string(&authority.certificate)?;
    let chain: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let access: Vec<_> = scopes
        .iter()
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<_> = actions.split(',').collect();
            Some(serde_json::json!({ "type": kind, "name": name, "actions": actions }))
        })
        .collect();
    let header = serde_json::json!({ "typ": "JWT", "alg": "RS256", "x5c": [chain] });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let claims = serde_json::json!({
        "iss": "issuer", "sub": "me", "aud": "registry", "jti": "1", "access": access,
        "iat": now - 60, "nbf": now - 60, "exp": now + 600,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(authority.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

/// The values of a field of a query or a form.
fn values(text: &str, name: &str) -> Vec<String> {
    let plain = |text: &str| {
        text.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/").replace('+', " ")
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .flat_map(|(_, value)| plain(value).split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// What a token server says: nothing to strangers, by password or by refresh token.
fn grant(authority: &Authority, asked: &Asked) -> Answer {
    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let form = String::from_utf8_lossy(&asked.body);
    let query = asked.path.split_once('?').map_or("", |(_, query)| query);
    let (known, field) = match asked.method.as_str() {
        "POST" => (values(&form, "refresh_token") == ["identity"], form.as_ref()),
        _ => (asked.header("authorization") == Some(&basic), query),
    };
    let scopes = values(field, "scope");
    // Strangers may read what is public.
    let public = scopes.iter().all(|scope| scope == "repository:public/app:pull");
    if !known && !public {
        return Answer::new(401, "");
    }
    match token(authority, &scopes) {
        Ok(token) => Answer::new(200, format!(r#"{{"token": "{token}"}}"#)),
        Err(error) => Answer::new(500, error.to_string()),
    }
}

#[test]
fn tokens_are_fetched_for_what_is_done() -> Result<()> {
    let place = Place::new()?;
    let authority = Arc::new(Authority::new(&place.env.path("tokens"))?);
    let signer = Arc::clone(&authority);
    let server = WebServer::start(move |asked| grant(&signer, asked))?;
    let auth = format!(
        "{{token: {{realm: '{}/token', service: registry, issuer: issuer, rootcertbundle: {}}}}}",
        server.address(),
        authority.certificate.display()
    );
    let registry = place.registry(Some(auth))?;
    let host = registry.host.as_str();
    let users = place.users("auth.json", host, "me:secret")?;
    let ca = place.authority.certificate.as_path();
    let listed = server.host();
    let run = |words: &[&str], users: Option<&Path>, plain: &str| {
        let mut variables =
            vec![("GOLDSMITH_REGISTRY_CA", ca), ("GOLDSMITH_PLAIN_HTTP", Path::new(plain))];
        variables.extend(users.map(|users| ("REGISTRY_AUTH_FILE", users)));
        place.run(words, &variables)
    };
    let (public, private) = (format!("{host}/public/app:1"), format!("{host}/team/app:1"));
    // A token server without TLS is not asked unless it is listed.
    let refused = run(&["push", "x.oci", &public], Some(&users), "")?;
    ensure!(refused.status == 6 && refused.stderr.contains("not encrypted"), "{refused:#?}");
    ensure!(server.count() == 0, "{:?}", server.asked());
    ok(&run(&["push", "x.oci", &public], Some(&users), &listed)?)?;
    // One token for a mount: it names both repositories.
    let line = ["push", "x.oci", &private, "--mount-from", "public/app"];
    ok(&run(&line, Some(&users), &listed)?)?;
    let both = "scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Apublic%2Fapp%3Apull";
    ensure!(server.asked().iter().any(|asked| asked.path.ends_with(both)), "{:?}", server.asked());
    ok(&run(&["pull", &private], Some(&users), &listed)?)?;
    // Strangers have what is public, and hear why they have not the rest.
    ok(&run(&["pull", &public], None, &listed)?)?;
    let refused = run(&["push", "x.oci", &public], None, &listed)?;
    ensure!(refused.stderr.contains("there are no credentials for it"), "{refused:#?}");
    let wrong = place.users("wrong.json", host, "me:other")?;
    let refused = run(&["pull", &format!("{host}/team/app:2")], Some(&wrong), &listed)?;
    ensure!(refused.stderr.contains("credentials for it are refused"), "{refused:#?}");
    // By an identity token, as `docker login` leaves it.
    let identity = place.env.path("identity.json");
    let text = format!(r#"{{"auths": {{"{host}": {{"identitytoken": "identity"}}}}}}"#);
    fs_err::write(&identity, text)?;
    ok(&run(&["push", "x.oci", &format!("{host}/team/app:3")], Some(&identity), &listed)?)?;
    ensure!(server.asked().iter().any(|asked| asked.method == "POST"), "{:?}", server.asked());
    for name in [&public, &private] {
        ok(&place.run(&["store", "rm", name], &[])?)?;
    }
    Ok(())
}
