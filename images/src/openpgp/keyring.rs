//! Keys that sign, and what their signatures are worth.

use std::io::Cursor;

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, PublicParams, Tag, Timestamp, VerifyingKey};

/// Why a keyring is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// It cannot be parsed.
    #[error("{name} is no OpenPGP keyring")]
    Malformed {
        /// Where it came from.
        name: String,
        /// Why.
        source: Box<pgp::errors::Error>,
    },
    /// It holds no key.
    #[error("{name} holds no key")]
    Empty {
        /// Where it came from.
        name: String,
    },
}

/// Keys that are believed.
#[derive(Debug, Clone)]
pub struct Keyring {
    name: String,
    keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Reads a keyring, armored or not; `name` is for messages.
    ///
    /// # Errors
    ///
    /// When it holds no key.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, KeyringError> {
        let malformed = |source: pgp::errors::Error| KeyringError::Malformed {
            name: name.to_owned(),
            source: Box::new(source),
        };
        let (list, _) = SignedPublicKey::from_reader_many(Cursor::new(bytes)).map_err(malformed)?;
        let keys: Vec<_> = list.collect::<Result<_, _>>().map_err(malformed)?;
        if keys.is_empty() {
            return Err(KeyringError::Empty { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), keys })
    }

    /// Those of these keys whose fingerprints, in upper case, are listed.
    ///
    /// # Errors
    ///
    /// When none is.
    pub(crate) fn only(mut self, pinned: &[&str]) -> Result<Self, KeyringError> {
        self.keys.retain(|key| pinned.contains(&fingerprint(key).as_str()));
        if self.keys.is_empty() {
            return Err(KeyringError::Empty { name: self.name });
        }
        Ok(self)
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// These keys and those of `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.name = format!("{} and {}", self.name, other.name);
        self.keys.extend(other.keys);
        self
    }

    /// The primary keys' fingerprints, in upper case.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(fingerprint).collect()
    }

    /// Whether one of the keys made this signature of `text`, by means that still hold: when,
    /// and the primary key's fingerprint.
    pub(super) fn believe(
        &self,
        signature: &Signature,
        text: &[u8],
        now: i64,
    ) -> Result<(i64, String), String> {
        match signature.hash_alg() {
            Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
            other => return Err(format!("the digest {other:?} is too weak")),
        }
        let made = signature.created().map_or(0, |time| i64::from(time.as_secs()));
        if made > now + 86_400 {
            return Err("the signature is from the future".to_owned());
        }
        let mut reason = "no key of the keyring made the signature".to_owned();
        for key in &self.keys {
            match signer(signature, key, text, made) {
                Some(Ok(())) => return Ok((made, fingerprint(key))),
                Some(Err(why)) => reason = why,
                None => {}
            }
        }
        Err(reason)
    }
}

fn fingerprint(key: &SignedPublicKey) -> String {
    hex::encode_upper(key.fingerprint().as_bytes())
}

/// Whether the key or one of its sub-keys verifies the signature, and was fit to when it
/// did; `None` when it is of another key.
fn signer(
    signature: &Signature,
    key: &SignedPublicKey,
    text: &[u8],
    made: i64,
) -> Option<Result<(), String>> {
    if by(signature, &key.primary_key, text) {
        return Some(strong(key.primary_key.public_params()).and_then(|()| usable(key, made)));
    }
    let subkey = key.public_subkeys.iter().find(|subkey| by(signature, &subkey.key, text))?;
    Some(
        strong(subkey.key.public_params())
            .and_then(|()| usable_subkey(key, subkey, made))
            .and_then(|()| usable(key, made)),
    )
}

fn by(signature: &Signature, key: &impl VerifyingKey, text: &[u8]) -> bool {
    let ids = signature.issuer_key_id();
    let prints = signature.issuer_fingerprint();
    let own = key.legacy_key_id();
    let named = (ids.is_empty() && prints.is_empty())
        || ids.iter().any(|id| **id == own)
        || prints.iter().any(|print| **print == key.fingerprint());
    named && signature.verify(key, text).is_ok()
}

pub(crate) fn strong(parameters: &PublicParams) -> Result<(), String> {
    match parameters {
        PublicParams::RSA(rsa) => {
            use rsa_size::Bits as _;
            if rsa.bits() < 2048 {
                return Err("the RSA key is shorter than 2048 bits".to_owned());
            }
            Ok(())
        }
        PublicParams::DSA(_) | PublicParams::Elgamal(_) | PublicParams::Unknown { .. } => {
            Err("the key's algorithm is too weak".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether the key was neither revoked nor expired when it signed. Only what the key says
/// of itself counts: others certify it too, and set no time.
fn usable(key: &SignedPublicKey, made: i64) -> Result<(), String> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|one| one.verify_key(primary).is_ok()) {
        return Err("the key is revoked".to_owned());
    }
    let of_users = key.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|one| {
            one.typ() != Some(SignatureType::CertRevocation)
                && one.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let direct = key.details.direct_signatures.iter();
    let newest = of_users
        .chain(direct.filter(|one| one.verify_key(primary).is_ok()))
        .max_by_key(|one| one.created().map(Timestamp::as_secs));
    alive(newest, primary.created_at(), made)
        .map_err(|()| "the key had expired when it signed".to_owned())
}

/// Whether the sub-key belongs to the key, may sign, and was neither revoked nor expired
/// when it did.
fn usable_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    made: i64,
) -> Result<(), String> {
    let valid = || {
        let bindings = subkey.signatures.iter();
        bindings.filter(|one| one.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok())
    };
    if valid().any(|one| one.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err("the signing sub-key is revoked".to_owned());
    }
    let newest = valid().max_by_key(|one| one.created().map(Timestamp::as_secs));
    if !newest.is_some_and(|binding| binding.key_flags().sign()) {
        return Err("the signing sub-key is not bound to its key".to_owned());
    }
    alive(newest, subkey.key.created_at(), made)
        .map_err(|()| "the signing sub-key had expired when it signed".to_owned())
}

/// Whether a key born then, with this newest statement about it, lived at `made`.
fn alive(newest: Option<&Signature>, born: Timestamp, made: i64) -> Result<(), ()> {
    let life = newest.and_then(Signature::key_expiration_time).map_or(0, |life| life.as_secs());
    if life != 0 && made > i64::from(born.as_secs()) + i64::from(life) {
        return Err(());
    }
    Ok(())
}

mod rsa_size {
    use pgp::types::RsaPublicParams;

    pub(super) trait Bits {
        fn bits(&self) -> usize;
    }

    impl Bits for RsaPublicParams {
        fn bits(&self) -> usize {
            use rsa::traits::PublicKeyParts as _;
            self.key.n().bits()
        }
    }
}
