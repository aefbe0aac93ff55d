//! Whom an image means by a user: names are looked up in its own files, as docker does.

use std::io::Read as _;
use std::path::PathBuf;

use goldsmith_images::tree::Tree;
use goldsmith_runtime::{JobInput, UserPlan};
use serde::{Deserialize, Serialize};

use crate::base::jobs::chain;
use crate::error::{Failure, Kind, Result};
use crate::phase::jobs::{call, request};
use crate::phase::session::Session;

/// The longest file of users or groups that is read.
const LIMIT: u64 = 1 << 20;

/// Somebody of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who that is.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// The home directory, if the image has one for the user.
    pub home: Option<String>,
}

impl User {
    /// The same for a sandbox.
    pub fn plan(&self) -> UserPlan {
        UserPlan { uid: self.uid, gid: self.gid, groups: self.groups.clone() }
    }
}

/// Finds the user that `wanted` means (`USER[:GROUP]`, names or numbers) in an image of these
/// layers, bottom first. Nothing at all is root.
///
/// # Errors
///
/// When the image does not know a name, or a number is none that it can have.
pub fn find(session: &Session, layers: &[PathBuf], wanted: &str) -> Result<User> {
    let message = Find { layers: layers.to_vec(), wanted: wanted.to_owned() };
    let found: std::result::Result<User, String> =
        call(&session.identity, "image-user", &message, &[])?;
    found.map_err(|reason| {
        Failure::new(Kind::Usage, format!("user {wanted}: {reason}"))
            .hint("a user by number need not be known to the image: --user 1000:1000")
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct Find {
    layers: Vec<PathBuf>,
    wanted: String,
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user, when the image cannot be read.
pub fn find_job(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Find { layers, wanted } = request(&input)?;
    let found = find_in(&layers, &wanted)?;
    serde_json::to_value(found).map_err(|error| error.to_string())
}

/// Reads the files of the image, and no others: a link is no file, wherever it leads.
fn find_in(
    layers: &[PathBuf],
    wanted: &str,
) -> std::result::Result<std::result::Result<User, String>, String> {
    let tree = Tree::merge(layers).map_err(|error| chain(&error))?;
    // A missing file has nobody in it; neither has one that is no file.
    let text = |path: &[u8]| {
        let mut bytes = Vec::new();
        let opened = tree.get(path).and_then(|entry| tree.open(entry).ok());
        let read = opened.and_then(|file| file.take(LIMIT).read_to_end(&mut bytes).ok());
        read.map_or_else(String::new, |_| String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(look_up(wanted, &text(b"etc/passwd"), &text(b"etc/group")))
}

/// Ids that a user of an image can have: those that are mapped.
const IDS: u32 = 65_536;

fn look_up(wanted: &str, passwd: &str, group: &str) -> std::result::Result<User, String> {
    let (name, in_group) = match wanted.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (wanted, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let known = lines(passwd).find(|line| line.first() == Some(&name));
    let known = known.or_else(|| lines(passwd).find(|line| line.get(2) == Some(&name)));
    let field = |at: usize| known.as_ref().and_then(|line| line.get(at).copied());
    let uid = match field(2) {
        Some(uid) => number(uid),
        None => number(name),
    };
    let uid = uid.ok_or("the image does not know it")?;
    let mut user = User {
        uid,
        home: field(5).filter(|home| !home.is_empty()).map(str::to_owned),
        ..User::default()
    };
    user.gid = match in_group.filter(|group| !group.is_empty()) {
        Some(wanted) => {
            let named = lines(group).find(|line| line.first() == Some(&wanted));
            let gid = named.and_then(|line| number(line.get(2)?)).or_else(|| number(wanted));
            gid.ok_or("the image does not know the group")?
        }
        None => {
            // Those that list the user count only when none is named.
            let login = field(0).unwrap_or(name);
            let lists = |line: &Vec<&str>| {
                line.get(3).is_some_and(|list| list.split(',').any(|one| one == login))
            };
            user.groups =
                lines(group).filter(lists).filter_map(|line| number(line.get(2)?)).collect();
            field(3).and_then(number).unwrap_or(0)
        }
    };
    Ok(user)
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id < IDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:100:Me:/home/me:/bin/sh\n1000:x:7:7::/:\nodd\n";
        let group = "root:x:0:\nusers:x:100:\naudio:x:29:me,other\nvideo:x:44:me\n";
        let found = |wanted: &str| {
            let user = look_up(wanted, passwd, group).unwrap();
            (user.uid, user.gid, user.groups, user.home.unwrap_or_default())
        };
        assert_eq!(found(""), (0, 0, vec![], "/root".into()));
        assert_eq!(found("root"), (0, 0, vec![], "/root".into()));
        assert_eq!(found("me"), (1000, 100, vec![29, 44], "/home/me".into()));
        assert_eq!(found("me:audio"), (1000, 29, vec![], "/home/me".into()));
        assert_eq!(found("me:7"), (1000, 7, vec![], "/home/me".into()));
        // A name comes first, whatever it looks like.
        assert_eq!(found("1000"), (7, 7, vec![], "/".into()));
        assert_eq!(found("1001"), (1001, 0, vec![], String::new()));
        assert_eq!(found("1001:1002"), (1001, 1002, vec![], String::new()));
        for wanted in ["nobody", "me:nogroup", "65536", "-1", "4294967296", "0:65536"] {
            assert!(look_up(wanted, passwd, group).is_err(), "{wanted}");
        }
        assert_eq!(look_up("5", "", ""), Ok(User { uid: 5, ..User::default() }));
    }

    #[test]
    fn i24_users_are_those_of_the_image() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let users = |directory: &str, line: &str| {
            fs_err::create_dir_all(path(directory)).unwrap();
            fs_err::write(path(directory).join("passwd"), line).unwrap();
        };
        users("outside", "them:x:7:7::/theirs:\n");
        users("image/etc", "them:x:5:5::/ours:\n");
        fs_err::create_dir_all(path("linked/etc")).unwrap();
        symlink(path("outside/passwd"), path("linked/etc/passwd")).unwrap();
        fs_err::create_dir(path("through")).unwrap();
        symlink(path("outside"), path("through/etc")).unwrap();
        fs_err::create_dir_all(path("climbing/etc")).unwrap();
        symlink("../../outside/passwd", path("climbing/etc/passwd")).unwrap();
        for layers in [
            &["linked"][..],
            &["through"],
            &["climbing"],
            // They hide what a layer below has.
            &["image", "linked"],
            &["image", "through"],
        ] {
            let all: Vec<_> = layers.iter().map(|name| path(name)).collect();
            let found = find_in(&all, "them").unwrap();
            assert_eq!(found, Err("the image does not know it".to_owned()), "{layers:?}");
            // Root needs no file.
            assert_eq!(find_in(&all, "0").unwrap(), Ok(User::default()), "{layers:?}");
        }
        let found = find_in(&[path("linked"), path("image")], "them").unwrap().unwrap();
        assert_eq!((found.uid, found.home.as_deref()), (5, Some("/ours")));
    }
}
