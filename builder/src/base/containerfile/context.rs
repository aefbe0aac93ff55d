//! What COPY takes: files and links below the context that nothing leaves out, and nothing that a
//! link leads out of it to.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use goldsmith_images::digest::{Digest, Digesting};

use super::ignore::Ignore;
use super::pattern::{Pattern, is_pattern};
use crate::error::{Failure, Kind, Result};

/// A directory that container files copy from, and what of it is left out.
#[derive(Debug)]
pub(super) struct Context<'a> {
    root: &'a Path,
    ignore: Ignore,
}

/// What one COPY takes.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    root: &'a Path,
    /// The sources, seen from the context, each of them a file or a directory.
    pub(super) sources: Vec<PathBuf>,
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Directory(u32),
    File(u32),
    Link(PathBuf),
}

impl<'a> Context<'a> {
    /// Opens the context of a container file.
    ///
    /// # Errors
    ///
    /// When the file of what is left out is not understood.
    pub(super) fn open(root: &'a Path, containerfile: &Path) -> Result<Self> {
        Ok(Self { root, ignore: Ignore::find(containerfile, root)? })
    }

    /// Finds what the sources of one COPY mean.
    ///
    /// # Errors
    ///
    /// When one means nothing, climbs out of the context, is a link itself, or a special file.
    pub(super) fn take(&self, sources: &[String]) -> Result<Taken<'a>> {
        let mut taken = Taken { root: self.root, sources: Vec::new(), entries: BTreeMap::new() };
        for source in sources {
            let wrong = |reason: String| self.wrong(source, &reason);
            let paths = self.meant(source).map_err(wrong)?;
            let (before, mut line) = (taken.sources.len(), None);
            for path in paths {
                let by_link = self.leaves_out_link(&path);
                let path = self.resolve(&path).map_err(wrong)?;
                if by_link.is_some() || self.is_lost(&path) {
                    line = by_link.or_else(|| self.ignore.leaves_out(&path));
                    continue;
                }
                if self.is_link(&path) {
                    return Err(wrong(format!(
                        "{} is a link: name what it leads to",
                        path.display()
                    )));
                }
                if self.walk(&path, &mut taken.entries).map_err(wrong)? {
                    taken.sources.push(path);
                }
            }
            if taken.sources.len() == before {
                return Err(wrong(self.nothing(line)));
            }
        }
        Ok(taken)
    }

    fn wrong(&self, source: &str, reason: &str) -> Failure {
        Failure::new(Kind::Configuration, format!("COPY {source}: {reason}"))
            .hint(format!("the context is {} (DIB_CONTAINER_CONTEXT)", self.root.display()))
    }

    /// Why a source takes nothing, if a line leaves out what it means.
    fn nothing(&self, line: Option<usize>) -> String {
        match line {
            Some(line) => format!("{}, line {line}, leaves it out", self.ignore.file().display()),
            None => "nothing of the context is meant".to_owned(),
        }
    }

    /// The paths that a source means, sorted; one that is no pattern means itself.
    fn meant(&self, source: &str) -> std::result::Result<BTreeSet<PathBuf>, String> {
        let (mut found, mut certain) = (BTreeSet::from([PathBuf::new()]), true);
        for part in Path::new(source.trim_start_matches('/')).components() {
            let name = match part {
                Component::Normal(name) => name.to_string_lossy().into_owned(),
                Component::ParentDir => return Err("it climbs out of the context".to_owned()),
                _ => continue,
            };
            if !is_pattern(&name) {
                let there = |path: &PathBuf| fs_err::symlink_metadata(self.root.join(path)).is_ok();
                let below = found.into_iter().map(|path| path.join(&name));
                found = below.filter(|path| certain || there(path)).collect();
                continue;
            }
            certain = false;
            let pattern = Pattern::of_name(&name)?;
            let mut next = BTreeSet::new();
            for path in found.iter().filter(|path| self.root.join(path).is_dir()) {
                for name in names(&self.root.join(path))? {
                    let whole = path.join(&name);
                    if pattern.is_match(Path::new(&name)) && !self.is_lost(&whole) {
                        next.insert(whole);
                    }
                }
            }
            found = next;
        }
        Ok(found)
    }

    /// Whether a path and all below it is left out.
    fn is_lost(&self, path: &Path) -> bool {
        let may_hold = || self.ignore.takes_below(path) && !self.is_link(path);
        self.ignore.leaves_out(path).is_some() && !(may_hold() && self.root.join(path).is_dir())
    }

    /// The line that leaves out a link on the way: nothing is behind it then.
    fn leaves_out_link(&self, path: &Path) -> Option<usize> {
        let mut above = path.ancestors().skip(1).filter(|above| self.is_link(above));
        above.find_map(|above| self.ignore.leaves_out(above))
    }

    fn is_link(&self, path: &Path) -> bool {
        fs_err::symlink_metadata(self.root.join(path)).is_ok_and(|data| data.is_symlink())
    }

    /// The same path without links on the way: they may lead anywhere inside. What is left out is
    /// then left out by every name that it has, and nothing is written through a link.
    fn resolve(&self, path: &Path) -> std::result::Result<PathBuf, String> {
        let real = |path: &Path| fs_err::canonicalize(path).map_err(|error| error.to_string());
        let Some((above, name)) = path.parent().zip(path.file_name()) else {
            return Ok(path.to_path_buf());
        };
        match real(&self.root.join(above))?.strip_prefix(real(self.root)?) {
            Ok(above) => Ok(above.join(name)),
            Err(_) => Err("it leads out of the context".to_owned()),
        }
    }

    /// Adds what is at and below a path; tells whether that is anything.
    fn walk(
        &self,
        path: &Path,
        entries: &mut BTreeMap<PathBuf, Entry>,
    ) -> std::result::Result<bool, String> {
        let place = self.root.join(path);
        let data = fs_err::symlink_metadata(&place).map_err(|error| error.to_string())?;
        let mode = data.permissions().mode() & 0o7777;
        let out = self.ignore.leaves_out(path).is_some();
        let entry = if data.is_dir() {
            let mut any = !out;
            if any || self.ignore.takes_below(path) {
                for name in names(&place)? {
                    any |= self.walk(&path.join(name), entries)?;
                }
            }
            if !any {
                return Ok(false);
            }
            Entry::Directory(mode)
        } else if out {
            return Ok(false);
        } else if data.is_symlink() {
            Entry::Link(fs_err::read_link(&place).map_err(|error| error.to_string())?)
        } else if data.is_file() {
            Entry::File(mode)
        } else {
            return Err(format!("{} is neither a file nor a directory", path.display()));
        };
        entries.insert(path.to_path_buf(), entry);
        Ok(true)
    }
}

impl Taken<'_> {
    /// Digests names, permissions and content.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub(super) fn digest(&self) -> Result<String> {
        let mut text = format!("{:?}\n", self.sources);
        for (path, entry) in &self.entries {
            let content = match entry {
                Entry::File(_) => content(&self.root.join(path))
                    .map_err(|error| Failure::wrap(Kind::Configuration, "the context", &error))?,
                _ => String::new(),
            };
            text.push_str(&format!("{path:?} {entry:?} {content}\n"));
        }
        Ok(Digest::of(text).to_string())
    }

    /// Copies it, and nothing else of the context, to a directory that is made; links as links.
    ///
    /// # Errors
    ///
    /// When something cannot be read or written.
    pub(super) fn lay_down(&self, to: &Path) -> Result<()> {
        self.copy(to).map_err(|error| Failure::wrap(Kind::Host, "files of the context", &error))
    }

    fn copy(&self, to: &Path) -> std::io::Result<()> {
        fs_err::create_dir_all(to)?;
        // Those above come first.
        for (path, entry) in &self.entries {
            let place = to.join(path);
            if let Some(above) = place.parent() {
                fs_err::create_dir_all(above)?;
            }
            match entry {
                Entry::Directory(_) => fs_err::create_dir_all(&place)?,
                Entry::File(_) => fs_err::copy(self.root.join(path), &place).map(drop)?,
                Entry::Link(target) => fs_err::os::unix::fs::symlink(target, &place)?,
            }
        }
        // Last, and from below: not everything can be written into.
        for (path, entry) in self.entries.iter().rev() {
            if let Entry::Directory(mode) = entry {
                let mode = std::fs::Permissions::from_mode(*mode);
                fs_err::set_permissions(to.join(path), mode)?;
            }
        }
        Ok(())
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> std::result::Result<BTreeSet<std::ffi::OsString>, String> {
    let entries = fs_err::read_dir(directory).map_err(|error| error.to_string())?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    names.collect::<std::io::Result<_>>().map_err(|error| error.to_string())
}

fn content(path: &Path) -> std::io::Result<String> {
    let mut reader = Digesting::new(fs_err::File::open(path)?);
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(reader.finish().1.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A context with files of these names, beside a secret.
    fn context(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("context");
        for name in files {
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, *name).unwrap();
        }
        fs_err::write(place.path().join("secret"), "s").unwrap();
        (place, root)
    }

    fn take(root: &Path, sources: &[&str]) -> Result<(Vec<String>, Vec<String>, String)> {
        let sources: Vec<_> = sources.iter().map(|&source| source.to_owned()).collect();
        let context = Context::open(root, &root.join("Containerfile"))?;
        let taken = context.take(&sources)?;
        let shown = |path: &PathBuf| path.display().to_string();
        let names = taken.entries.keys().map(shown).collect();
        Ok((taken.sources.iter().map(shown).collect(), names, taken.digest()?))
    }

    #[test]
    fn only_files_of_the_context_are_copied() {
        let (_place, root) = context(&["d/x"]);
        let digest = |source: &str| take(&root, &[source]).map(|(.., digest)| digest);
        let first = digest("d").unwrap();
        assert_eq!(digest("/d").unwrap(), first);
        fs_err::write(root.join("d/x"), "two").unwrap();
        assert_ne!(digest("d").unwrap(), first);
        assert!(digest("d/../../secret").is_err() && digest("none").is_err());
        // A link is copied as one, wherever it leads; it is followed nowhere.
        std::os::unix::fs::symlink("../../secret", root.join("d/link")).unwrap();
        let linked = digest("d").unwrap();
        fs_err::remove_file(root.join("d/link")).unwrap();
        std::os::unix::fs::symlink("../../other", root.join("d/link")).unwrap();
        assert_ne!(digest("d").unwrap(), linked);
        let failure = digest("d/link").unwrap_err();
        assert!(failure.message.contains("d/link is a link: name what it leads to"), "{failure}");
        std::os::unix::fs::symlink("../..", root.join("d/up")).unwrap();
        let failure = digest("d/up/secret").unwrap_err();
        assert!(failure.message.contains("leads out of the context"), "{failure}");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("d/pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let failure = digest("d").unwrap_err();
        assert!(failure.message.contains("d/pipe is neither a file nor"), "{failure}");
    }

    // What a link on the way leads to is copied under its own name, so that nothing that is laid
    // down goes through the link, and is left out under every name.
    #[test]
    fn links_on_the_way_are_resolved() {
        let (place, root) = context(&["real/x", "real/hidden", "d/own"]);
        std::os::unix::fs::symlink("../real", root.join("d/link")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("d/whole")).unwrap();
        let (sources, names, _) = take(&root, &["d", "d/link/x", "d/whole/real/x"]).unwrap();
        assert_eq!(sources, ["d", "real/x", "real/x"]);
        assert_eq!(names, ["d", "d/link", "d/own", "d/whole", "real/x"]);
        let taken = Context::open(&root, &root.join("Containerfile")).unwrap();
        let taken = taken.take(&["d".to_owned(), "d/whole/real/x".to_owned()]).unwrap();
        let to = place.path().join("to");
        taken.lay_down(&to).unwrap();
        assert_eq!(fs_err::read_to_string(root.join("real/x")).unwrap(), "real/x");
        assert_eq!(fs_err::read_to_string(to.join("real/x")).unwrap(), "real/x");
        fs_err::write(root.join(".dockerignore"), "real/hidden\n").unwrap();
        assert_eq!(take(&root, &["d/link/*"]).unwrap().0, ["real/x"]);
        let failure = take(&root, &["d/link/hidden"]).unwrap_err();
        assert!(failure.message.contains("line 1, leaves it out"), "{failure}");
        // A link that is left out leads nowhere, by a pattern and by its name.
        fs_err::write(root.join(".dockerignore"), "\nd/link\n").unwrap();
        for (source, words) in [
            ("d/link/x", "line 2, leaves it out"),
            ("d/l*/x", "nothing of the context"),
            ("d/link/*", "nothing of the context"),
        ] {
            let failure = take(&root, &[source]).unwrap_err();
            assert!(failure.message.contains(words), "{source}: {failure}");
        }
    }

    // A pattern may mean what is left out, whatever that is, also when something else is taken in.
    #[test]
    fn what_is_left_out_is_not_looked_at() {
        let (_place, root) = context(&["a", "out/x", "keep/y", "keep/z"]);
        std::os::unix::fs::symlink("a", root.join("b-link")).unwrap();
        let pipe = root.join("out/pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        fs_err::write(root.join(".dockerignore"), "*\n!a\n!keep/y\n").unwrap();
        let (sources, names, _) = take(&root, &["*"]).unwrap();
        assert_eq!(sources, ["a", "keep"]);
        assert_eq!(names, ["a", "keep", "keep/y"]);
        assert!(take(&root, &["b-link"]).unwrap_err().message.contains("line 1, leaves it out"));
    }

    #[test]
    fn patterns_mean_names_of_one_directory() {
        let (_place, root) = context(&["a/one.txt", "a/two.txt", "b/one.txt", "b/c/one.txt", ".x"]);
        for (sources, meant) in [
            (&["a/*.txt"][..], &["a/one.txt", "a/two.txt"][..]),
            (&["?/one.*"], &["a/one.txt", "b/one.txt"]),
            (&["[^a]/*", "a/t*"], &["b/c", "b/one.txt", "a/two.txt"]),
            (&["*"], &[".x", "a", "b"]),
            (&["b/*/one.txt"], &["b/c/one.txt"]),
        ] {
            assert_eq!(take(&root, sources).unwrap().0, meant, "{sources:?}");
        }
        for (source, words) in [("a/*.md", "nothing of the context"), ("a/[x", "without its end")] {
            let failure = take(&root, &[source]).unwrap_err();
            assert!(failure.message.contains(words), "{failure}");
        }
    }

    #[test]
    fn what_is_left_out_is_not_copied() {
        let (place, root) =
            context(&["src/main", "src/x.o", "out/log", "out/keep/this", "out/keep/x.o", "secret"]);
        fs_err::write(root.join(".dockerignore"), "# not these\nsecret\n**/*.o\nout\n!out/keep\n")
            .unwrap();
        let (sources, names, _) = take(&root, &["."]).unwrap();
        assert_eq!(sources, [""]);
        let kept = ["", ".dockerignore", "out", "out/keep", "out/keep/this", "out/keep/x.o"];
        assert_eq!(names, [&kept[..], &["src", "src/main"]].concat());
        let failure = take(&root, &["src", "secret"]).unwrap_err();
        assert!(failure.message.contains(".dockerignore, line 2, leaves it out"), "{failure}");
        assert_eq!(take(&root, &["s*"]).unwrap().0, ["src"]);
        // Laid down it is the same and no more.
        let taken = Context::open(&root, &root.join("Containerfile")).unwrap();
        let taken = taken.take(&["out".to_owned()]).unwrap();
        let to = place.path().join("to");
        taken.lay_down(&to).unwrap();
        assert_eq!(fs_err::read_to_string(to.join("out/keep/this")).unwrap(), "out/keep/this");
        assert!(!to.join("out/log").exists() && !to.join("src").exists());
    }
}
