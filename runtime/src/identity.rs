//! How ids inside a sandbox map to ids of the host (user_namespaces(7)).

use std::path::Path;

use serde::{Deserialize, Serialize};

/// How many ids an image needs: 0 to 65535.
const IDS: u32 = 65536;

/// Why no map could be chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The user has no range of subordinate ids.
    #[error("{file} has no range of at least 65535 subordinate ids for {user}")]
    NoRange {
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// The user's name, or uid.
        user: String,
    },
    /// The set-uid helper that writes maps is missing.
    #[error("{program} is not installed")]
    NoHelper {
        /// `newuidmap` or `newgidmap`.
        program: &'static str,
    },
    /// The current user namespace holds too few ids.
    #[error("this user namespace holds {count} ids, an image needs 65536")]
    NamespaceTooSmall {
        /// How many there are.
        count: u32,
    },
    /// A file that describes ids cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl IdentityError {
    /// What the user, or root, can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NoRange { user, .. } => {
                let text = |file| fs_err::read_to_string(file).unwrap_or_default();
                let first = unclaimed(&format!("{}\n{}", text("/etc/subuid"), text("/etc/subgid")));
                let last = first.saturating_add(IDS - 1);
                format!(
                    "as root: usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {user} (the line {user}:{first}:{IDS} in /etc/subuid and /etc/subgid)"
                )
            }
            Self::NoHelper { .. } => {
                "as root: apt-get install uidmap (elsewhere the package is shadow-utils or shadow)"
                    .to_owned()
            }
            Self::NamespaceTooSmall { .. } => {
                "give the container 65536 ids (Kubernetes: hostUsers: false)".to_owned()
            }
            Self::Io(_) => "see docs/kubernetes.md and `goldsmith doctor`".to_owned(),
        }
    }
}

/// A run of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside, as the builder's own namespace numbers them.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Which kind of map this host gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityMode {
    /// An ordinary user with a subordinate range: 0 is the user, the rest the range.
    Range,
    /// Root, mapped to a range that nobody uses; never root itself.
    Root,
    /// Root of a container's own user namespace: the ids it holds, unchanged.
    Nested,
}

/// A map of user and group ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its kind.
    pub mode: IdentityMode,
    /// User ids.
    pub uids: Vec<IdRange>,
    /// Group ids.
    pub gids: Vec<IdRange>,
}

impl Identity {
    /// Chooses the map that this process may make.
    ///
    /// # Errors
    ///
    /// When 65536 ids cannot be had; [`IdentityError::fix`] says what to do.
    pub fn detect() -> Result<Self, IdentityError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Self::of_user(uid, rustix::process::getegid().as_raw());
        }
        let own = read_map("/proc/self/uid_map")?;
        if own.len() == 1 && own[0].outside == 0 && own[0].inside == 0 && own[0].count == u32::MAX {
            return Self::of_root();
        }
        Self::nested(&own, &read_map("/proc/self/gid_map")?)
    }

    fn of_user(uid: u32, gid: u32) -> Result<Self, IdentityError> {
        for program in ["newuidmap", "newgidmap"] {
            if find_program(program).is_none() {
                return Err(IdentityError::NoHelper { program });
            }
        }
        let names = user_names(uid);
        let range = |file: &'static str| {
            let text = fs_err::read_to_string(file).unwrap_or_default();
            subordinate(&text, &names).ok_or_else(|| IdentityError::NoRange {
                file,
                user: names.first().cloned().unwrap_or_default(),
            })
        };
        let map = |own: u32, start: u32| {
            vec![
                IdRange { inside: 0, outside: own, count: 1 },
                IdRange { inside: 1, outside: start, count: IDS - 1 },
            ]
        };
        let (uids, gids) = (range("/etc/subuid")?, range("/etc/subgid")?);
        Ok(Self { mode: IdentityMode::Range, uids: map(uid, uids), gids: map(gid, gids) })
    }

    fn of_root() -> Result<Self, IdentityError> {
        let map = |file: &str| -> Result<Vec<IdRange>, IdentityError> {
            let text = match fs_err::read_to_string(file) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
                Err(error) => return Err(error.into()),
            };
            let names = ["root".to_owned(), "0".to_owned()];
            let start = lines(&text)
                .filter(|line| names.contains(&line.0.to_owned()) && line.2 >= IDS)
                .map(|line| line.1)
                .next()
                .unwrap_or_else(|| unclaimed(&text));
            Ok(vec![IdRange { inside: 0, outside: start, count: IDS }])
        };
        Ok(Self { mode: IdentityMode::Root, uids: map("/etc/subuid")?, gids: map("/etc/subgid")? })
    }

    fn nested(uids: &[IdRange], gids: &[IdRange]) -> Result<Self, IdentityError> {
        let map = |own: &[IdRange]| {
            let held = own.iter().filter(|range| range.inside == 0).map(|range| range.count).max();
            let count = held.unwrap_or(0);
            if count < IDS {
                return Err(IdentityError::NamespaceTooSmall { count });
            }
            Ok(vec![IdRange { inside: 0, outside: 0, count: IDS }])
        };
        Ok(Self { mode: IdentityMode::Nested, uids: map(uids)?, gids: map(gids)? })
    }

    /// User and group id of the sandbox's root as the builder's namespace numbers them.
    pub fn outside_root(&self) -> (u32, u32) {
        let root = |map: &[IdRange]| {
            map.iter().find(|range| range.inside == 0).map_or(0, |range| range.outside)
        };
        (root(&self.uids), root(&self.gids))
    }

    /// A short text that is equal for equal maps: what a snapshot's owners depend on.
    pub fn fingerprint(&self) -> String {
        let text = |map: &[IdRange]| {
            let ranges: Vec<_> =
                map.iter().map(|r| format!("{}:{}:{}", r.inside, r.outside, r.count)).collect();
            ranges.join(",")
        };
        format!("u{};g{}", text(&self.uids), text(&self.gids))
    }

    /// The map of namespace jobs: in `root` mode the caller is reachable too, at 65536,
    /// so that a job can work below directories that only host root may enter.
    pub(crate) fn for_jobs(&self) -> Self {
        let mut identity = self.clone();
        if self.mode == IdentityMode::Root {
            for map in [&mut identity.uids, &mut identity.gids] {
                map.push(IdRange { inside: IDS, outside: 0, count: 1 });
            }
        }
        identity
    }
}

/// Finds a program in the customary places and `PATH`.
pub(crate) fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(std::path::PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// The names by which subuid files may call a user: login names, then the number.
fn user_names(uid: u32) -> Vec<String> {
    let text = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        })
        .collect();
    names.push(number);
    names
}

/// `name:start:count` lines of subuid(5).
fn lines(text: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        Some((name, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn subordinate(text: &str, names: &[String]) -> Option<u32> {
    lines(text)
        .find(|(name, _, count)| names.iter().any(|own| own == name) && *count >= IDS - 1)
        .map(|(_, start, _)| start)
}

/// The first 65536 ids from 100000 on that no line claims.
fn unclaimed(text: &str) -> u32 {
    let mut start: u32 = 100_000;
    let mut claims: Vec<_> = lines(text).map(|(_, first, count)| (first, count)).collect();
    claims.sort_unstable();
    for (first, count) in claims {
        let end = first.saturating_add(count);
        if first < start.saturating_add(IDS) && end > start {
            start = end;
        }
    }
    start
}

fn read_map(path: impl AsRef<Path>) -> Result<Vec<IdRange>, IdentityError> {
    let text = fs_err::read_to_string(path.as_ref())?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse);
            Some(IdRange {
                inside: fields.next()?.ok()?,
                outside: fields.next()?.ok()?,
                count: fields.next()?.ok()?,
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_the_user_is_found_by_name_or_number() {
        let text = "# comment\na:1000:10\nann:200000:65536\n1001:300000:65536\nbob:1:x\n";
        let find = |name: &str| subordinate(text, &[name.to_owned()]);
        assert_eq!(find("ann"), Some(200_000));
        assert_eq!(find("1001"), Some(300_000));
        assert_eq!(find("a"), None);
        assert_eq!(find("bob"), None);
    }

    #[test]
    fn root_takes_a_range_nobody_claims() {
        assert_eq!(unclaimed(""), 100_000);
        assert_eq!(unclaimed("a:100000:65536\nb:165536:65536"), 231_072);
        assert_eq!(unclaimed("b:165536:65536\na:90000:20000"), 231_072);
        assert_eq!(unclaimed("a:1000000:65536"), 100_000);
    }

    #[test]
    fn a_namespace_must_hold_all_ids() {
        let small = [IdRange { inside: 0, outside: 5, count: 10 }];
        assert!(matches!(
            Identity::nested(&small, &small),
            Err(IdentityError::NamespaceTooSmall { count: 10 })
        ));
    }

    #[test]
    fn equal_maps_have_equal_fingerprints() {
        let map = vec![IdRange { inside: 0, outside: 7, count: 65536 }];
        let identity = Identity { mode: IdentityMode::Root, uids: map.clone(), gids: map };
        assert_eq!(identity.fingerprint(), identity.clone().fingerprint());
        assert_eq!(identity.outside_root(), (7, 7));
        assert_eq!(identity.for_jobs().uids.len(), 2);
    }
}
