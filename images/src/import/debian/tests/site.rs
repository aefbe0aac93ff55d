//! Packages that a test makes, and a root that they are laid into.

use std::path::PathBuf;

use super::super::unpack;
use crate::disk::test_support::lacks;

/// Packages of a test, and a root to lay them into.
pub(super) struct Site {
    pub(super) directory: tempfile::TempDir,
    packages: Vec<PathBuf>,
}

/// What a package has at a path.
pub(super) enum Has {
    File(&'static str),
    Directory,
    Link(&'static str),
    Same(&'static str),
}

fn tar(entries: &[(&str, Has)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, has) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_size(0);
        let (kind, link, content) = match has {
            Has::File(content) => (tar::EntryType::Regular, None, content.as_bytes()),
            Has::Directory => (tar::EntryType::Directory, None, &b""[..]),
            Has::Link(to) => (tar::EntryType::Symlink, Some(to), &b""[..]),
            Has::Same(to) => (tar::EntryType::Link, Some(to), &b""[..]),
        };
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        match link {
            Some(to) => builder.append_link(&mut header, path, to).unwrap(),
            None => builder.append_data(&mut header, path, content).unwrap(),
        }
    }
    builder.into_inner().unwrap()
}

impl Site {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), packages: Vec::new() }
    }

    /// A package with further fields and control files.
    pub(super) fn package(
        mut self,
        name: &str,
        fields: &str,
        control: &[(&str, &'static str)],
        data: &[(&str, Has)],
    ) -> Self {
        let text =
            format!("Package: {name}\nVersion: 1.0\nArchitecture: all\n{fields}Description: x\n");
        let text: &'static str = text.leak();
        let mut files = vec![("control", Has::File(text))];
        files.extend(control.iter().map(|(name, content)| (*name, Has::File(content))));
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in [("control.tar", tar(&files)), ("data.tar", tar(data))] {
            bytes.extend(format!("{name:<48}{:<10}`\n", content.len()).as_bytes());
            bytes.extend(content);
        }
        let path = self.directory.path().join(format!("{name}.deb"));
        fs_err::write(&path, bytes).unwrap();
        self.packages.push(path);
        self
    }

    pub(super) fn unpack(&self) -> Result<(), String> {
        self.unpack_all(&self.packages)
    }

    fn unpack_all(&self, packages: &[PathBuf]) -> Result<(), String> {
        let root = self.directory.path().join("root");
        if root.exists() {
            fs_err::remove_dir_all(&root).unwrap();
        }
        fs_err::create_dir(&root).unwrap();
        unpack(packages, &root, "amd64").map_err(|error| {
            let source = std::error::Error::source(&error);
            source.map_or_else(String::new, |source| format!("{source}: ")) + &error.to_string()
        })
    }

    /// One package after the other, from the first to the last or the other way round.
    pub(super) fn unpack_in_turn(&self, backwards: bool) -> Result<(), String> {
        let mut packages = self.packages.clone();
        if backwards {
            packages.reverse();
        }
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        alone.install(|| self.unpack_all(&packages))
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.directory.path().join("root").join(path)).unwrap()
    }

    pub(super) fn list(&self, package: &str) -> Vec<String> {
        let text = self.read(&format!("var/lib/dpkg/info/{package}.list"));
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub(super) fn refused(&self, words: &[&str]) {
        for _ in 0..10 {
            let error = self.unpack().unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
        }
    }
}

/// Only root gives files to somebody, as the job that unpacks packages does.
pub(super) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        lacks("only root gives files to somebody");
    }
    root
}
