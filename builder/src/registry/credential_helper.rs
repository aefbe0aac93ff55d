//! Programs that keep the users of registries, as docker and podman call them.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use goldsmith_images::registry::Login;
use serde::Deserialize;

/// What a helper prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    username: String,
    secret: String,
}

/// Asks `docker-credential-NAME`; nothing when it does not know the server.
pub(super) fn ask(helper: &str, server: &str) -> Result<Option<Login>, String> {
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
        // One that knows a single server need not read its name.
        let _may_be_gone = stdin.write_all(server.as_bytes());
    }
    let mut text = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(1 << 20).read_to_end(&mut text).map(drop),
        None => Ok(()),
    };
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    if !status.success() {
        let text = String::from_utf8_lossy(&text);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(format!("{program}: {status}"));
    }
    let told: Told =
        serde_json::from_slice(&text).or(Err(format!("{program}: its answer is malformed")))?;
    if told.username.is_empty() && told.secret.is_empty() {
        return Ok(None);
    }
    let user = if told.username == "<token>" { String::new() } else { told.username };
    Ok(Some(Login { user, secret: told.secret }))
}
