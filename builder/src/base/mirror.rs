//! Which Debian mirror to ask: the user's word, then the host's own, then a public one.

use std::collections::BTreeMap;
use std::path::Path;

use crate::request::Request;

/// Used when nobody names a mirror.
const PUBLIC_ARCHIVE: &str = "http://ftp.debian.org/debian";
/// The public archive of security updates that goes with it.
const PUBLIC_SECURITY: &str = "http://security.debian.org/debian-security";

/// The archives of one mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The main archive.
    pub archive: String,
    /// Security updates.
    pub security: String,
}

/// Chooses a mirror: `--mirror`, `DIB_DEBIAN_DISTRIBUTION_MIRROR`,
/// `DIB_DISTRIBUTION_MIRROR`, the host's apt sources (Debian hosts), a public name.
///
/// `DIB_DISTRIBUTION_MIRROR` is the image's mirror, of whatever distribution that is: it
/// counts when goldsmith makes the image's base, unless its path ends as Ubuntu's do, or
/// when the path ends as Debian's do.
///
/// Security updates follow `DIB_DEBIAN_SECURITY_MIRROR`, else `debian-security` beside the
/// archive that the user named, else the host's sources, else a public name.
pub fn choose(
    option: Option<&str>,
    env: &BTreeMap<String, String>,
    host: Option<&Mirror>,
    debian_image: bool,
) -> Mirror {
    let named = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    let users = option
        .map(str::to_owned)
        .or_else(|| named("DIB_DEBIAN_DISTRIBUTION_MIRROR"))
        .or_else(|| {
            named("DIB_DISTRIBUTION_MIRROR")
                .filter(|archive| is_debian(&trim(archive), debian_image))
        })
        .map(|archive| Mirror { security: security_beside(&archive), archive });
    let mut mirror = users.or_else(|| host.cloned()).unwrap_or_else(|| Mirror {
        archive: PUBLIC_ARCHIVE.to_owned(),
        security: PUBLIC_SECURITY.to_owned(),
    });
    if let Some(security) = named("DIB_DEBIAN_SECURITY_MIRROR") {
        mirror.security = security;
    }
    Mirror { archive: trim(&mirror.archive), security: trim(&mirror.security) }
}

/// Chooses for a request; whether it makes a Debian image decides what its variables mean.
pub fn of_request(request: &Request, debian_image: bool) -> Mirror {
    let host = of_host(Path::new("/etc"));
    choose(request.mirror.as_deref(), &request.env, host.as_ref(), debian_image)
}

/// Whether a mirror is Debian's, as far as its path tells.
fn is_debian(archive: &str, debian_image: bool) -> bool {
    let ends = |word: &str| archive.ends_with(word);
    ends("/debian") || (debian_image && !ends("/ubuntu") && !ends("/ubuntu-ports"))
}

/// Mirrors that carry security updates keep them beside the archive.
fn security_beside(archive: &str) -> String {
    match trim(archive).strip_suffix("/debian") {
        Some(parent) => format!("{parent}/debian-security"),
        None => PUBLIC_SECURITY.to_owned(),
    }
}

fn trim(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

/// Reads the mirror that the host's apt uses; `None` unless the host is Debian.
///
/// Credentials in the addresses are dropped.
pub fn of_host(etc: &Path) -> Option<Mirror> {
    let release = fs_err::read_to_string(etc.join("os-release")).ok()?;
    if !release.lines().any(|line| line == "ID=debian") {
        return None;
    }
    let mut uris = Vec::new();
    let mut files = vec![etc.join("apt/sources.list")];
    if let Ok(directory) = fs_err::read_dir(etc.join("apt/sources.list.d")) {
        let mut found: Vec<_> = directory.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.sort();
        files.extend(found);
    }
    for file in files {
        let Ok(text) = fs_err::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => uris.extend(one_line_uris(&text)),
            Some("sources") => uris.extend(deb822_uris(&text)),
            _ => {}
        }
    }
    from_uris(&uris)
}

/// Sorts addresses into archive and security; anything else is another vendor's.
fn from_uris(uris: &[String]) -> Option<Mirror> {
    let usable = |uri: &&String| {
        ["http://", "https://", "file:/"].iter().any(|scheme| uri.starts_with(scheme))
    };
    let path_ends =
        |end: &'static str| move |uri: &&String| uri.trim_end_matches('/').ends_with(end);
    let archive = uris.iter().filter(usable).find(path_ends("/debian"))?;
    let security = uris.iter().filter(usable).find(path_ends("/debian-security"));
    Some(Mirror {
        archive: without_credentials(archive),
        security: security
            .map_or_else(|| PUBLIC_SECURITY.to_owned(), |uri| without_credentials(uri)),
    })
}

fn one_line_uris(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb ") else { continue };
        let rest = match (rest.trim_start().starts_with('['), rest.split_once(']')) {
            (true, Some((_, after))) => after,
            _ => rest,
        };
        uris.extend(rest.split_whitespace().next().map(str::to_owned));
    }
    uris
}

fn deb822_uris(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let disabled = field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        let binary =
            field("Types").is_some_and(|types| types.split_whitespace().any(|t| t == "deb"));
        if binary && !disabled {
            let list = field("URIs").unwrap_or_default();
            uris.extend(list.split_whitespace().map(str::to_owned));
        }
    }
    uris
}

/// Drops `user:password@`, which must reach neither an image nor a log.
fn without_credentials(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_both_styles_are_read() {
        let one = "# comment\ndeb [signed-by=/k] http://u:p@m.example/debian/ trixie main\ndeb-src http://x/debian t main\n";
        assert_eq!(one_line_uris(one), ["http://u:p@m.example/debian/"]);
        let new = "Types: deb deb-src\nURIs: http://a.example/debian http://b.example/debian\nSuites: x\n\nTypes: deb\nEnabled: no\nURIs: http://c.example/debian\n";
        assert_eq!(deb822_uris(new), ["http://a.example/debian", "http://b.example/debian"]);
        let mirror = from_uris(&one_line_uris(one)).unwrap();
        assert_eq!(mirror.archive, "http://m.example/debian/");
    }

    #[test]
    fn the_users_word_comes_first() {
        let host =
            Mirror { archive: "http://host/debian".into(), security: "http://host/s".into() };
        let mut env = BTreeMap::new();
        assert_eq!(choose(None, &env, None, true).archive, PUBLIC_ARCHIVE);
        assert_eq!(choose(None, &env, Some(&host), true).archive, "http://host/debian");
        env.insert("DIB_DISTRIBUTION_MIRROR".into(), "http://any/debian/".into());
        assert_eq!(choose(None, &env, Some(&host), true).archive, "http://any/debian");
        assert_eq!(choose(None, &env, Some(&host), false).archive, "http://any/debian");
        env.insert("DIB_DISTRIBUTION_MIRROR".into(), "http://any/fedora".into());
        assert_eq!(choose(None, &env, Some(&host), false).archive, "http://host/debian");
        env.insert("DIB_DISTRIBUTION_MIRROR".into(), "http://any/ubuntu/".into());
        assert_eq!(choose(None, &env, Some(&host), true).archive, "http://host/debian");
        env.insert("DIB_DEBIAN_DISTRIBUTION_MIRROR".into(), "http://deb/debian".into());
        assert_eq!(choose(None, &env, Some(&host), true).archive, "http://deb/debian");
        let local = choose(Some("file:///m/debian"), &env, Some(&host), true);
        assert_eq!(local.archive, "file:///m/debian");
        assert_eq!(local.security, "file:///m/debian-security");
    }
}
