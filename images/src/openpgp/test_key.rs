//! Keys of tests, and what they sign.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, Password, SigningKey, Tag, Timestamp};

use super::Keyring;

/// The tests' present: Fri, 15 Jan 2027 08:00:00 UTC.
pub(crate) const NOW: i64 = 1_800_000_000;
/// When signatures are made unless a test says otherwise.
pub(crate) const MADE: u32 = 1_799_996_400;
/// When keys are made.
pub(crate) const BORN: u32 = 1_790_000_000;

/// A key with a signing sub-key.
pub(crate) struct Key(pub(crate) SignedSecretKey);

impl Key {
    pub(crate) fn new() -> Self {
        Self::of(KeyType::Ed25519Legacy)
    }

    /// A key of a kind that lends itself to weak digests too, which the usual one refuses.
    pub(crate) fn lenient() -> Self {
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
    pub(crate) fn lives(&mut self, seconds: Option<u32>) {
        self.0.details.users[0].signatures = vec![self.certification(self, BORN, seconds)];
    }

    /// What this key says about `other`'s user.
    pub(crate) fn certification(&self, other: &Self, made: u32, life: Option<u32>) -> Signature {
        let mut config = self.config(SignatureType::CertPositive, made);
        config.hashed_subpackets.extend(life.map(expires));
        let (tag, id) = (Tag::UserId, &other.0.details.users[0].id);
        let (signer, public) = (&self.0.primary_key, other.0.primary_key.public_key());
        config.sign_certification(signer, public, &Password::empty(), tag, id).unwrap()
    }

    /// Lets the key say of its sub-key that it lives so many seconds.
    pub(crate) fn subkey_lives(&mut self, seconds: Option<u32>) {
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let mut config = self.config(SignatureType::SubkeyBinding, BORN);
        let flags = SubpacketData::KeyFlags(flags);
        config.hashed_subpackets.push(Subpacket::regular(flags).unwrap());
        config.hashed_subpackets.extend(seconds.map(expires));
        self.0.secret_subkeys[0].signatures = vec![self.about_subkey(config)];
    }

    pub(crate) fn revoke(&mut self) {
        let config = self.config(SignatureType::KeyRevocation, MADE);
        let (key, public) = (&self.0.primary_key, self.0.primary_key.public_key());
        let revocation = config.sign_key(key, &Password::empty(), public).unwrap();
        self.0.details.revocation_signatures.push(revocation);
    }

    pub(crate) fn revoke_subkey(&mut self) {
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
    pub(crate) fn sign(&self, text: &str, digest: HashAlgorithm, made: u32) -> Signature {
        sign(&self.0.primary_key, text, digest, made)
    }

    /// A signature of bytes as they are, which lies beside them.
    pub(crate) fn sign_binary(&self, bytes: &[u8], made: u32) -> Signature {
        let key = &self.0.primary_key;
        let config = config(key, SignatureType::Binary, HashAlgorithm::Sha256, made);
        config.sign(key, &Password::empty(), bytes).unwrap()
    }

    /// A signature of `text` by the sub-key.
    pub(crate) fn sign_by_subkey(&self, text: &str) -> Signature {
        sign(&self.0.secret_subkeys[0].key, text, HashAlgorithm::Sha512, MADE)
    }

    pub(crate) fn armored(&self) -> Vec<u8> {
        self.0.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    pub(crate) fn binary(&self) -> Vec<u8> {
        self.0.to_public_key().to_bytes().unwrap()
    }

    pub(crate) fn keyring(&self) -> Keyring {
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
pub(crate) fn clear_signed(text: &str, signatures: Vec<Signature>) -> String {
    let message = CleartextSignedMessage::new_many(text, |_| Ok(signatures)).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}
