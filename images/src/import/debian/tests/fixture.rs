//! Archives of tests.

use std::io::Write as _;
use std::path::PathBuf;

use pgp::crypto::hash::HashAlgorithm;

use super::super::{ArchiveSpec, Suite, Variant};
use crate::digest::Digest;
pub(super) use crate::openpgp::test_key::{BORN, Key, MADE, NOW, clear_signed};

/// A directory that is the mirror of one suite.
pub(super) struct Archive {
    pub(super) root: tempfile::TempDir,
    pub(super) key: Key,
    index: String,
}

impl Archive {
    /// An archive of packages without content: name, version and further fields.
    pub(super) fn new(packages: &[(&str, &str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("pool")).unwrap();
        let mut index = String::new();
        for (name, version, rest) in packages {
            let (content, file) = (format!("{name} {version}"), format!("pool/{name}_{version}"));
            fs_err::write(root.path().join(&file), &content).unwrap();
            let (digest, size) = (Digest::of(&content).hex(), content.len());
            index.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {file}\n\
                 Size: {size}\nSHA256: {digest}\n{rest}\n\n"
            ));
        }
        let archive = Self { root, key: Key::new(), index };
        archive.publish(&archive.index);
        archive
    }

    /// Writes the index, plain name and by digest, and the signed release file.
    pub(super) fn publish(&self, index: &str) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(index.as_bytes()).unwrap();
        self.publish_as(&encoder.finish().unwrap());
    }

    /// The same with whatever bytes the compressed index is to have.
    pub(super) fn publish_as(&self, packed: &[u8]) {
        fs_err::create_dir_all(self.by_hash().parent().unwrap()).unwrap();
        if self.by_hash().exists() {
            fs_err::remove_dir_all(self.by_hash()).unwrap();
        }
        fs_err::create_dir(self.by_hash()).unwrap();
        let digest = Digest::of(packed).hex();
        fs_err::write(self.by_hash().join(&digest), packed).unwrap();
        fs_err::write(self.plain_index(), packed).unwrap();
        let size = packed.len();
        let text = release_text(&format!(" {digest} {size} main/binary-amd64/Packages.gz\n"));
        let signature = self.key.sign(&text, HashAlgorithm::Sha512, MADE);
        fs_err::write(self.release(), clear_signed(&text, vec![signature])).unwrap();
    }

    pub(super) fn release(&self) -> PathBuf {
        self.root.path().join("dists/trial/InRelease")
    }

    pub(super) fn plain_index(&self) -> PathBuf {
        self.root.path().join("dists/trial/main/binary-amd64/Packages.gz")
    }

    pub(super) fn by_hash(&self) -> PathBuf {
        self.root.path().join("dists/trial/main/binary-amd64/by-hash/SHA256")
    }

    pub(super) fn suite(&self) -> Suite {
        Suite {
            mirror: format!("file://{}", self.root.path().display()),
            name: "trial".into(),
            components: vec!["main".into()],
        }
    }

    pub(super) fn spec(&self) -> ArchiveSpec {
        ArchiveSpec {
            suites: vec![self.suite()],
            arch: "amd64".into(),
            variant: Variant::Minbase,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// A release file's text that lists `indices`.
pub(super) fn release_text(indices: &str) -> String {
    format!(
        "Origin: A test\nSuite: trial\nDate: Thu, 14 Jan 2027 08:00:00 UTC\n\
         Valid-Until: Thu, 21 Jan 2027 08:00:00 UTC\nSHA256:\n{indices}"
    )
}
