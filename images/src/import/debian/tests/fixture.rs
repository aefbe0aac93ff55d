//! Keys and archives.

use std::io::Write as _;
use std::path::PathBuf;

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, Password, SigningKey, Tag, Timestamp};

use super::super::{ArchiveSpec, Keyring, Suite, Variant};
use crate::digest::Digest;

/// The tests' present: Fri, 15 Jan 2027 08:00:00 UTC.
pub(super) const NOW: i64 = 1_800_000_000;
/// When signatures are made unless a test says otherwise.
pub(super) const MADE: u32 = 1_799_996_400;
/// When keys are made.
pub(super) const BORN: u32 = 1_790_000_000;

/// A key with a signing sub-key.
pub(super) struct Key(pub(super) SignedSecretKey);

impl Key {
    pub(super) fn new() -> Self {
        Self::of(KeyType::Ed25519Legacy)
    }

    /// A key of a kind that lends itself to weak digests too, which the usual one refuses.
    pub(super) fn lenient() -> Self {
        Self::of(KeyType::Rsa(2048))
    }

    fn of(kind: KeyType) -> Self {
        let born = Timestamp::from_secs(BORN);
        let subkey = SubkeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .created_at(born)
            .build()
            .unwrap();
        let key = SecretKeyParamsBuilder::default()
            .key_type(kind)
            .can_sign(true)
            .can_certify(true)
            .created_at(born)
            .primary_user_id("An archive <archive@example.org>".into())
            .subkey(subkey)
            .build()
            .unwrap()
            .generate(rsa::rand_core::OsRng)
            .unwrap();
        let mut key = Self(key);
        key.lives(None);
        key.subkey_lives(None);
        key
    }

    /// Lets the key say of itself that it lives so many seconds.
    pub(super) fn lives(&mut self, seconds: Option<u32>) {
        self.0.details.users[0].signatures = vec![self.certification(self, BORN, seconds)];
    }

    /// What this key says about `other`'s user.
    pub(super) fn certification(&self, other: &Self, made: u32, life: Option<u32>) -> Signature {
        let mut config = self.config(SignatureType::CertPositive, made);
        config.hashed_subpackets.extend(life.map(expires));
        let (tag, id) = (Tag::UserId, &other.0.details.users[0].id);
        let (signer, public) = (&self.0.primary_key, other.0.primary_key.public_key());
        config.sign_certification(signer, public, &Password::empty(), tag, id).unwrap()
    }

    /// Lets the key say of its sub-key that it lives so many seconds.
    pub(super) fn subkey_lives(&mut self, seconds: Option<u32>) {
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let mut config = self.config(SignatureType::SubkeyBinding, BORN);
        let flags = SubpacketData::KeyFlags(flags);
        config.hashed_subpackets.push(Subpacket::regular(flags).unwrap());
        config.hashed_subpackets.extend(seconds.map(expires));
        self.0.secret_subkeys[0].signatures = vec![self.about_subkey(config)];
    }

    pub(super) fn revoke(&mut self) {
        let config = self.config(SignatureType::KeyRevocation, MADE);
        let (key, public) = (&self.0.primary_key, self.0.primary_key.public_key());
        let revocation = config.sign_key(key, &Password::empty(), public).unwrap();
        self.0.details.revocation_signatures.push(revocation);
    }

    pub(super) fn revoke_subkey(&mut self) {
        let revocation = self.about_subkey(self.config(SignatureType::SubkeyRevocation, MADE));
        self.0.secret_subkeys[0].signatures.push(revocation);
    }

    fn about_subkey(&self, config: SignatureConfig) -> Signature {
        let (key, public) = (&self.0.primary_key, self.0.primary_key.public_key());
        let subkey = self.0.secret_subkeys[0].key.public_key();
        config.sign_subkey_binding(key, public, &Password::empty(), subkey).unwrap()
    }

    fn config(&self, kind: SignatureType, made: u32) -> SignatureConfig {
        config(&self.0.primary_key, kind, HashAlgorithm::Sha256, made)
    }

    /// A signature of `text` by the key itself.
    pub(super) fn sign(&self, text: &str, digest: HashAlgorithm, made: u32) -> Signature {
        sign(&self.0.primary_key, text, digest, made)
    }

    /// A signature of `text` by the sub-key.
    pub(super) fn sign_by_subkey(&self, text: &str) -> Signature {
        sign(&self.0.secret_subkeys[0].key, text, HashAlgorithm::Sha512, MADE)
    }

    pub(super) fn armored(&self) -> Vec<u8> {
        self.0.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    pub(super) fn binary(&self) -> Vec<u8> {
        self.0.to_public_key().to_bytes().unwrap()
    }

    pub(super) fn keyring(&self) -> Keyring {
        Keyring::read("the test's keyring", &self.binary()).unwrap()
    }
}

fn expires(seconds: u32) -> Subpacket {
    let life = Duration::from_secs(seconds);
    Subpacket::regular(SubpacketData::KeyExpirationTime(life)).unwrap()
}

fn config(
    key: &impl SigningKey,
    kind: SignatureType,
    digest: HashAlgorithm,
    made: u32,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), digest);
    config.hashed_subpackets = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(made)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ]
    .map(|data| Subpacket::regular(data).unwrap())
    .to_vec();
    config
}

fn sign(key: &impl SigningKey, text: &str, digest: HashAlgorithm, made: u32) -> Signature {
    let text = text.replace('\n', "\r\n");
    let config = config(key, SignatureType::Text, digest, made);
    config.sign(key, &Password::empty(), text.as_bytes()).unwrap()
}

/// The signed form of a text.
pub(super) fn clear_signed(text: &str, signatures: Vec<Signature>) -> String {
    let message = CleartextSignedMessage::new_many(text, |_| Ok(signatures)).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

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
