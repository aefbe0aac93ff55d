//! The elements, hook library and shims that travel inside the binary.

use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use sha2::{Digest as _, Sha256};

use crate::error::{Failure, Kind, Result};

static ELEMENTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../elements");
static LIB: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/lib");
static SHIMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/shims");

/// Where the shipped trees were unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// The elements.
    pub elements: PathBuf,
    /// What hooks see at `_LIB`.
    pub lib: PathBuf,
    /// Stand-ins for host tools.
    pub shims: PathBuf,
    /// Stand-ins for boot loader tools.
    pub boot_shims: PathBuf,
    /// Digest over all of it.
    pub digest: String,
}

/// Unpacks the shipped trees below `parent`, in a directory named by their digest. One that
/// is there already is complete and used as it is.
///
/// # Errors
///
/// When the file system refuses.
pub fn unpack(parent: &Path) -> Result<Shipped> {
    let mut hasher = Sha256::new();
    for (name, tree) in [("elements", &ELEMENTS), ("lib", &LIB), ("shims", &SHIMS)] {
        hasher.update(name);
        hash(tree, &mut hasher);
    }
    let digest = hex::encode(hasher.finalize());
    let place = parent.join(&digest[..32]);
    if place.exists() {
        goldsmith_images::store::touch(&place);
    } else {
        let failed =
            |error: std::io::Error| Failure::wrap(Kind::Host, "the shipped elements", &error);
        let aside = tempfile::tempdir_in(parent).map_err(failed)?;
        for (name, tree) in [("elements", &ELEMENTS), ("lib", &LIB), ("shims", &SHIMS)] {
            write(tree, &aside.path().join(name)).map_err(failed)?;
        }
        set_mode(aside.path(), 0o755).map_err(failed)?;
        let aside = aside.keep();
        if let Err(error) = fs_err::rename(&aside, &place) {
            // Somebody else was quicker.
            fs_err::remove_dir_all(&aside).map_err(failed)?;
            if !place.exists() {
                return Err(failed(error));
            }
        }
    }
    Ok(Shipped {
        elements: place.join("elements"),
        shims: place.join("lib/shims"),
        lib: place.join("lib"),
        boot_shims: place.join("shims"),
        digest,
    })
}

/// What the shim of a program says that only refuses: the reason, and what to do instead.
pub fn refusal(program: &str) -> Option<(String, String)> {
    let shim = LIB.get_file(Path::new("shims").join(program))?.contents_utf8()?;
    let (_, call) = shim.split_once("/unavailable\" ")?;
    let mut words = shlex::split(&call.replace("\\\n", " "))?.into_iter();
    let named = words.next()?;
    (named == program).then_some((words.next()?, words.next()?))
}

fn hash(tree: &Dir<'_>, hasher: &mut Sha256) {
    let mut entries: Vec<_> = tree.entries().iter().collect();
    entries.sort_by_key(|entry| entry.path().to_path_buf());
    for entry in entries {
        let name = entry.path().to_string_lossy().into_owned();
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        match entry {
            DirEntry::Dir(below) => hash(below, hasher),
            DirEntry::File(file) => {
                hasher.update((file.contents().len() as u64).to_le_bytes());
                hasher.update(file.contents());
            }
        }
    }
}

fn write(tree: &Dir<'_>, to: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(to)?;
    set_mode(to, 0o755)?;
    for entry in tree.entries() {
        let path = to.join(entry.path().file_name().unwrap_or_default());
        match entry {
            DirEntry::Dir(below) => write(below, &path)?,
            DirEntry::File(file) => {
                fs_err::write(&path, file.contents())?;
                set_mode(&path, mode(entry.path(), file.contents()))?;
            }
        }
    }
    Ok(())
}

/// Embedding keeps no modes: what names an interpreter is a program, but for the fragments
/// of environment.d, which are only read.
fn mode(path: &Path, contents: &[u8]) -> u32 {
    let fragment = path.components().any(|component| component.as_os_str() == "environment.d");
    if contents.starts_with(b"#!") && !fragment { 0o755 } else { 0o644 }
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}
