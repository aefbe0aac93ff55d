//! A tree with whatever files can be, and whether two disks hold the same one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use goldsmith_images::compare::{Attribute, disks};
use goldsmith_images::read::{Format, Magic, Medium, RawFile, partitions};
use goldsmith_tests::TestEnv;

/// Whatever a file can be, made as a user's build makes it.
pub(crate) const RICH: &str = r#"#!/usr/bin/python3
import os, struct
# What a layout mounts something on; a backend that has to make it gives its parent another time.
os.makedirs("/boot/efi", exist_ok=True)
os.makedirs("/opt/rich/empty", 0o2750)
os.chdir("/opt/rich")
def file(name, content=b"gold"):
    with open(name, "wb") as out:
        out.write(content)
file("plain")
os.link("plain", "second-name")
os.symlink("../nowhere/" + "long/" * 20, "long-link")
os.symlink("plain", "link")
file(b"not-utf8-\xff\xfe")
file("setuid")
os.chmod("setuid", 0o4755)
os.chown("setuid", 33, 60000)
os.mkfifo("pipe")
with open("holes", "wb") as out:
    out.seek(40 << 20)
    out.write(b"end")
file("large", bytes(range(256)) * (5 << 12))
os.setxattr("plain", "user.gold", b"smith")
os.setxattr("large", "user.long", b"x" * 3000)
os.setxattr("setuid", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
entries = [(1, 6, 0xffffffff), (2, 4, 7), (4, 4, 0xffffffff), (16, 4, 0xffffffff), (32, 0, 0xffffffff)]
os.setxattr("plain", "system.posix_acl_access",
            struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
for number in range(700):
    file(f"empty/one-of-many-{number}", b"")
os.utime("plain", ns=(0, 1500000000123456789))
"#;

/// What each partition holds, and its label.
fn formats(disk: &Arc<dyn Medium>) -> Result<Vec<Option<(Format, String)>>> {
    let formats = partitions(disk)?.into_iter().map(|partition| {
        let magic = Magic::find(partition.part.as_ref())?;
        Ok(magic.map(|magic| (magic.format, magic.label)))
    });
    formats.collect()
}

/// Both disks hold the same tree, down to the last attribute, at the same places; how a file system
/// is laid out inside is its writer's affair.
pub(crate) fn equal(env: &TestEnv, one: &str, other: &str) -> Result<()> {
    let [one, other] = [one, other].map(|name| env.path(&format!("{name}.raw")));
    let (left, right) = (medium(&one)?, medium(&other)?);
    ensure!(formats(&left)? == formats(&right)?, "{:?}, {:?}", formats(&left), formats(&right));
    let unequal = differences(&left, &right)?;
    ensure!(unequal.is_empty(), "the trees differ:\n{}", unequal.join("\n"));
    Ok(())
}

/// A raw disk.
pub(crate) fn medium(path: &Path) -> Result<Arc<dyn Medium>> {
    Ok(Arc::new(RawFile::new(fs_err::File::open(path)?)?))
}

/// The first paths that are not the same on both disks, and what of them.
pub(crate) fn differences(left: &Arc<dyn Medium>, right: &Arc<dyn Medium>) -> Result<Vec<String>> {
    let unequal = disks(left, right)?
        .iter()
        .filter(|one| !matches!(one.attribute, Attribute::Bytes(_)))
        .take(20)
        .map(|one| {
            let path = one.path.as_deref().map(String::from_utf8_lossy);
            format!("{} {path:?} {}: {:?}", one.place, one.attribute, one.values)
        })
        .collect();
    Ok(unequal)
}
