//! Paths that several packages have: whose they are in the end.
//!
//! dpkg lets a package that Replaces another one have its files, whichever comes first, and
//! refuses every other overlap, but where a preinst script diverts the other's file; directories
//! are everybody's. Here packages are unpacked side by side, so that this is found out afterwards:
//! from the paths, spelled as they lie on the disk.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use debversion::Version;
use rustix::fs::FileType;

use super::database::Unpacked;
use super::relation::clauses;
use super::unpack::{MERGED, UnpackError};

/// Notes with every package the paths that it loses to others; returns the packages that are to
/// be laid down once more, in this order, without what they lose: who wins any, and who puts files
/// through another one's link. The packages must be sorted by name.
pub(super) fn settle(packages: &mut [Unpacked]) -> Result<Vec<usize>, UnpackError> {
    let owners = owners(packages);
    let (mut lost, mut late, mut winners) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut through = BTreeSet::new();
    for (path, owners) in owners.iter().filter(|(_, owners)| owners.len() > 1) {
        let (shared, own): (Vec<Owner>, Vec<Owner>) =
            owners.iter().copied().partition(|one| one.kind == FileType::Directory);
        if let (Some(one), Some(other)) = (own.first(), shared.first()) {
            // The links of the merged layout are there before everything else.
            if one.kind == FileType::Symlink && is_merged(path) {
                continue;
            }
            // dpkg goes through a link to a directory, as /var/run is one.
            if own.len() == 1 && one.kind == FileType::Symlink {
                winners.insert(one.at);
                through.extend(shared.iter().map(|owner| owner.at));
                continue;
            }
            let why = "a directory in the second alone";
            return Err(overlap(&packages[one.at], &packages[other.at], path, why));
        }
        let Some((&first, rest)) = own.split_first() else { continue };
        let mut winner = first;
        for &next in rest {
            let (one, other) = (&packages[winner.at], &packages[next.at]);
            // dpkg asks the package that comes later first.
            if replaces(other, one) {
                lost.push(std::mem::replace(&mut winner, next));
            } else if replaces(one, other) {
                lost.push(next);
            } else {
                let why = "and neither Replaces nor diverts the other's";
                let conffile = [winner, next]
                    .iter()
                    .any(|one| packages[one.at].is_conffile(one.path(packages)));
                match (one.may_divert(path), other.may_divert(path)) {
                    _ if conffile => return Err(overlap(one, other, path, why)),
                    (false, true) => late.push(next),
                    (true, false) => late.push(std::mem::replace(&mut winner, next)),
                    _ => return Err(overlap(one, other, path, why)),
                }
            }
        }
        winners.insert(winner.at);
    }
    for owner in lost {
        let path = owner.path(packages).to_vec();
        packages[owner.at].lost.insert(path);
    }
    for owner in late {
        let path = owner.path(packages).to_vec();
        packages[owner.at].late.insert(path);
    }
    Ok(winners.into_iter().chain(through).collect())
}

/// What a package makes of a path.
#[derive(Debug, Clone, Copy)]
struct Owner {
    /// Which package.
    at: usize,
    /// Which of its entries lies there, or below where nothing names the directory.
    entry: usize,
    kind: FileType,
}

impl Owner {
    fn path(self, packages: &[Unpacked]) -> &[u8] {
        &packages[self.at].paths[self.entry].path
    }
}

/// Whose every path is. Directories that a package only needs for what lies in them count; of a
/// path that it names twice, its last word does.
fn owners(packages: &[Unpacked]) -> BTreeMap<Cow<'_, [u8]>, Vec<Owner>> {
    let mut owners: BTreeMap<Cow<'_, [u8]>, Vec<Owner>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        for (entry, listed) in package.paths.iter().enumerate() {
            let path = placed(&listed.path);
            for end in (0..path.len()).filter(|&end| path[end] == b'/') {
                let above = owners.entry(Cow::Owned(path[..end].to_vec())).or_default();
                if above.last().is_none_or(|last| last.at != at) {
                    above.push(Owner { at, entry, kind: FileType::Directory });
                }
            }
            let here = owners.entry(path).or_default();
            here.pop_if(|last| last.at == at);
            here.push(Owner { at, entry, kind: listed.kind });
        }
    }
    owners
}

fn overlap(one: &Unpacked, other: &Unpacked, path: &[u8], why: &'static str) -> UnpackError {
    UnpackError::Overlap {
        path: String::from_utf8_lossy(path).into_owned(),
        one: one.name().to_owned(),
        other: other.name().to_owned(),
        why,
    }
}

/// Where a path lies: what the top shows of /usr lies there.
fn placed(path: &[u8]) -> Cow<'_, [u8]> {
    let top = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    match top.len() < path.len() && is_merged(top) {
        true => Cow::Owned([b"usr/", path].concat()),
        false => Cow::Borrowed(path),
    }
}

fn is_merged(path: &[u8]) -> bool {
    MERGED.iter().any(|name| name.as_bytes() == path)
}

/// Whether a package says that its files may take the place of the other's.
fn replaces(one: &Unpacked, other: &Unpacked) -> bool {
    let field = one.field("Replaces").unwrap_or_default();
    let version: Option<Version> = other.field("Version").and_then(|text| text.parse().ok());
    clauses(&field).iter().flatten().any(|relation| {
        relation.name == other.name()
            && match (&relation.version, &version) {
                (None, _) => true,
                (Some((operator, wanted)), Some(version)) => operator.holds(version, wanted),
                (Some(_), None) => false,
            }
    })
}
