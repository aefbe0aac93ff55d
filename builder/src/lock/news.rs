//! What upstream has instead of what a lock names.

use std::collections::BTreeMap;
use std::io::Read as _;

use goldsmith_images::digest::{Digest, Digesting};
use goldsmith_images::exchange::{Request, Upstream};
use serde::Serialize;

use super::document::{Archive, Base, Document, Fetch, Repository};
use super::tape::body_path;

/// The largest list of a repository's refs, in bytes.
const REFS: u64 = 64 << 20;

/// One thing that is newer upstream, or cannot be had there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// What `goldsmith update` takes for it.
    pub name: String,
    /// What the lock has.
    pub locked: String,
    /// What upstream has.
    pub upstream: String,
}

/// How two archives differ, by packages; by release files when those are the same.
pub fn of_archive(name: &str, locked: &Archive, now: &Archive) -> Vec<News> {
    let versions = |archive: &Archive| -> BTreeMap<String, String> {
        archive.package.iter().map(|one| (one.name.clone(), one.version.clone())).collect()
    };
    let (locked, now) = (versions(locked), versions(now));
    let none = || "none".to_owned();
    let news = |package: &str, locked: Option<&String>, upstream: Option<&String>| News {
        name: format!("{name} {package}"),
        locked: locked.cloned().unwrap_or_else(none),
        upstream: upstream.cloned().unwrap_or_else(none),
    };
    let mut names: Vec<_> = locked.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|package| locked.get(*package) != now.get(*package))
        .map(|package| news(package, locked.get(package), now.get(package)))
        .collect()
}

/// How two bases differ.
pub fn of_base(locked: &Base, now: &Base) -> Vec<News> {
    let told = |locked: String, upstream: String| {
        let name = "base".to_owned();
        if locked == upstream { Vec::new() } else { vec![News { name, locked, upstream }] }
    };
    match (locked, now) {
        (Base::Debian(locked), Base::Debian(now)) => of_archive("base", locked, now),
        (Base::Image(locked), Base::Image(now)) => {
            let shown = |source: &crate::base::Source| format!("{} ({})", source.url, source.sum);
            told(shown(&locked.source), shown(&now.source))
        }
        (Base::Oci(locked), Base::Oci(now)) => {
            told(locked.digest.to_string(), now.digest.to_string())
        }
        _ => told("another kind of base".to_owned(), "see the elements".to_owned()),
    }
}

/// What servers answer now to what hooks asked them. Packages are not asked for: what is new
/// of them the indices tell.
pub fn of_fetches(document: &Document, upstream: &Upstream, bodies: &std::path::Path) -> Vec<News> {
    let mut list = Vec::new();
    let plain =
        |fetch: &&Fetch| fetch.method == "GET" && fetch.sent.is_none() && fetch.status < 400;
    for fetch in document.release.iter().chain(&document.url).filter(plain) {
        let now = match digest(upstream, &fetch.url) {
            Ok(now) if now == fetch.digest => continue,
            Ok(now) => now.to_string(),
            Err(why) => why,
        };
        list.push(News {
            name: fetch.url.clone(),
            locked: fetch.digest.to_string(),
            upstream: now,
        });
    }
    for repository in &document.git {
        list.extend(of_repository(repository, upstream, bodies));
    }
    list
}

fn request(url: &str) -> Request {
    Request { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
}

fn digest(upstream: &Upstream, url: &str) -> Result<Digest, String> {
    let answer = upstream.send(&request(url)).map_err(|error| error.to_string())?;
    if answer.status >= 400 {
        return Err(format!("status {}", answer.status));
    }
    let mut reader = Digesting::new(answer.body);
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| error.to_string())?;
    Ok(reader.finish().1)
}

/// The refs that stood for the commits when they were locked, and what they stand for now.
fn of_repository(
    repository: &Repository,
    upstream: &Upstream,
    bodies: &std::path::Path,
) -> Vec<News> {
    let mut names = BTreeMap::new();
    for fetch in &repository.request {
        let Ok(bytes) = fs_err::read(body_path(bodies, &fetch.digest)) else { continue };
        let known = refs(&bytes).into_iter();
        names.extend(
            known.filter(|(name, commit)| name != "HEAD" && repository.commits.contains(commit)),
        );
    }
    let address = format!("{}/info/refs?service=git-upload-pack", repository.url);
    let now = upstream.send(&request(&address)).map_err(|error| error.to_string());
    let now = now.and_then(|answer| {
        let mut bytes = Vec::new();
        let read = answer.body.take(REFS).read_to_end(&mut bytes);
        read.map(|_| refs(&bytes)).map_err(|error| error.to_string())
    });
    let told =
        |locked: String, upstream: String| News { name: repository.url.clone(), locked, upstream };
    match now {
        Err(why) => vec![told(repository.commits.join(" "), why)],
        Ok(now) => names
            .into_iter()
            .filter_map(|(name, commit)| match now.get(&name) {
                Some(current) if *current == commit => None,
                Some(current) => {
                    Some(told(format!("{name} {commit}"), format!("{name} {current}")))
                }
                None => Some(told(format!("{name} {commit}"), format!("no {name}"))),
            })
            .collect(),
    }
}

/// Refs and commits of git's packet lines `COMMIT REF`, of either version of its protocol.
fn refs(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_at_checked(4) {
        let length = std::str::from_utf8(head).ok().and_then(|t| usize::from_str_radix(t, 16).ok());
        let Some(length) = length else { break };
        let (line, after) = match length {
            0..=3 => (&[][..], tail),
            _ => match tail.split_at_checked(length - 4) {
                Some(split) => split,
                None => break,
            },
        };
        rest = after;
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(['\0', ' ', '\n']);
        if let (Some(commit), Some(name)) = (words.next(), words.next())
            && commit.len() == 40
            && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (name == "HEAD" || name.starts_with("refs/"))
        {
            found.insert(name.to_owned(), commit.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_of_both_protocols_are_read() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
        let old = line("# service=git-upload-pack\n")
            + "0000"
            + &line(&format!("{one} HEAD\0multi_ack symref=HEAD:refs/heads/main\n"))
            + &line(&format!("{one} refs/heads/main\n"))
            + "0000";
        let new = line(&format!("{one} HEAD symref-target:refs/heads/main\n"))
            + &line(&format!("{two} refs/tags/v1 peeled:{one}\n"))
            + "0000";
        let of = |text: &str| refs(text.as_bytes());
        assert_eq!(
            of(&old),
            [("HEAD".into(), one.clone()), ("refs/heads/main".into(), one.clone())].into()
        );
        assert_eq!(of(&new), [("HEAD".into(), one), ("refs/tags/v1".into(), two)].into());
        assert!(of("zzzz").is_empty() && of("0010short").is_empty());
    }
}
