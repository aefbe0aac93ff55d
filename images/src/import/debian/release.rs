//! Release files: what an archive signs.

use std::io::Cursor;

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::Signature;
use pgp::types::{KeyDetails, PublicParams, VerifyingKey};

use super::{Release, Suite};
use crate::digest::Digest;

/// Debian's archive keys, from its package debian-archive-keyring.
const SHIPPED: &[u8] = include_bytes!("archive-keys.gpg");
/// The primary keys that the shipped keyring may hold.
const PINNED: &[&str] = &[
    // bullseye archive
    "1F89983E0081FDE018F3CC9673A4F27B8DD47936",
    // bullseye security
    "AC530D520F2F3269F5E98313A48449044AAD5C5D",
    // bullseye release
    "A4285295FC7B1A81600062A9605C66F00D6C9793",
    // bookworm release
    "4D64FEC119C2029067D6E791F8D2585B8783D481",
    // bookworm archive
    "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
    // bookworm security
    "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
    // trixie archive
    "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
    // trixie security
    "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
    // trixie release
    "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
];

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

/// Why a release file is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is not a clear-signed text.
    #[error("{url} carries no signature that can be read: {reason}")]
    Unsigned {
        /// Its address.
        url: String,
        /// What the parser says.
        reason: String,
    },
    /// No key of the keyring made a valid signature.
    #[error("{url} is not signed by a key of {keyring}: {reason}")]
    Untrusted {
        /// Its address.
        url: String,
        /// The keyring's name.
        keyring: String,
        /// Why each signature was refused.
        reason: String,
    },
    /// Its time is over, or has not come.
    #[error("{url} {what}; is the clock right, is the mirror stale?")]
    Time {
        /// Its address.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// A field is missing or malformed.
    #[error("{url}: the field {field} is missing or malformed")]
    Field {
        /// Its address.
        url: String,
        /// The field.
        field: &'static str,
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

    /// The shipped keys of Debian's archive, each of a pinned fingerprint.
    ///
    /// # Errors
    ///
    /// Never with the file that is shipped.
    pub fn shipped() -> Result<Self, KeyringError> {
        let mut keyring = Self::read("the shipped keys of Debian's archive", SHIPPED)?;
        keyring.keys.retain(|key| {
            let fingerprint = hex::encode_upper(key.fingerprint().as_bytes());
            PINNED.contains(&fingerprint.as_str())
        });
        if keyring.keys.is_empty() {
            return Err(KeyringError::Empty { name: keyring.name });
        }
        Ok(keyring)
    }

    /// The shipped keys as they lie in the binary, to be laid into an image.
    pub fn shipped_bytes() -> &'static [u8] {
        SHIPPED
    }
}

/// Verifies a signed release file and reads what it promises.
pub(super) fn verify(
    bytes: &[u8],
    url: &str,
    suite: &Suite,
    arch: &str,
    keyring: &Keyring,
    now: i64,
) -> Result<Release, ReleaseError> {
    let unsigned = |reason: String| ReleaseError::Unsigned { url: url.to_owned(), reason };
    let text = std::str::from_utf8(bytes).map_err(|error| unsigned(error.to_string()))?;
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| unsigned(error.to_string()))?;
    let mut refusals = Vec::new();
    let signed = message.signed_text();
    let good = message.signatures().iter().any(|signature| {
        match believable(signature, &signed, keyring, now) {
            Ok(()) => true,
            Err(reason) => {
                refusals.push(reason);
                false
            }
        }
    });
    if !good {
        refusals.dedup();
        return Err(ReleaseError::Untrusted {
            url: url.to_owned(),
            keyring: keyring.name.clone(),
            reason: refusals.join("; "),
        });
    }
    // Only what was signed is read from here on.
    parse(&signed.replace("\r\n", "\n"), url, suite, arch, now)
}

/// Whether one of the keys made this signature, by means that still hold.
fn believable(
    signature: &Signature,
    text: &str,
    keyring: &Keyring,
    now: i64,
) -> Result<(), String> {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
        other => return Err(format!("the digest {other:?} is too weak")),
    }
    let made = signature.created().map_or(0, |time| i64::from(time.as_secs()));
    if made > now + 86_400 {
        return Err("the signature is from the future".to_owned());
    }
    let mut reason = "no key of the keyring made the signature".to_owned();
    for key in &keyring.keys {
        let Some(found) = signer(signature, key, text) else { continue };
        match found.and_then(|()| usable(key, made)) {
            Ok(()) => return Ok(()),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

/// Whether the key or one of its sub-keys verifies the signature; `None` when it is of
/// another key.
fn signer(signature: &Signature, key: &SignedPublicKey, text: &str) -> Option<Result<(), String>> {
    if by(signature, &key.primary_key, text) {
        return Some(strong(key.primary_key.public_params()));
    }
    let subkey = key.public_subkeys.iter().find(|subkey| by(signature, &subkey.key, text))?;
    let bound = subkey.signatures.iter().any(|binding| {
        binding.key_flags().sign()
            && binding.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok()
    });
    if !bound {
        return Some(Err("the signing sub-key is not bound to its key".to_owned()));
    }
    Some(strong(subkey.key.public_params()))
}

fn by(signature: &Signature, key: &impl VerifyingKey, text: &str) -> bool {
    let ids = signature.issuer_key_id();
    let prints = signature.issuer_fingerprint();
    let own = key.legacy_key_id();
    let named = (ids.is_empty() && prints.is_empty())
        || ids.iter().any(|id| **id == own)
        || prints.iter().any(|print| **print == key.fingerprint());
    named && signature.verify(key, text.as_bytes()).is_ok()
}

fn strong(parameters: &PublicParams) -> Result<(), String> {
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

/// Whether the key was neither revoked nor expired when it signed.
fn usable(key: &SignedPublicKey, made: i64) -> Result<(), String> {
    let revoked = key
        .details
        .revocation_signatures
        .iter()
        .any(|revocation| revocation.verify_key(&key.primary_key).is_ok());
    if revoked {
        return Err("the key is revoked".to_owned());
    }
    let born = i64::from(key.primary_key.created_at().as_secs());
    let life = key
        .details
        .users
        .iter()
        .flat_map(|user| &user.signatures)
        .filter_map(|signature| Some((signature.created()?, signature.key_expiration_time())))
        .max_by_key(|(created, _)| created.as_secs())
        .and_then(|(_, life)| life)
        .map(|life| i64::from(life.as_secs()));
    match life {
        Some(life) if life != 0 && made > born + life => {
            Err("the key had expired when it signed".to_owned())
        }
        _ => Ok(()),
    }
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

fn parse(
    text: &str,
    url: &str,
    suite: &Suite,
    arch: &str,
    now: i64,
) -> Result<Release, ReleaseError> {
    let field = |name: &'static str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key == name).then(|| value.trim().to_owned())
        })
    };
    let missing = |field| ReleaseError::Field { url: url.to_owned(), field };
    let date = field("Date").and_then(|text| time(&text)).ok_or_else(|| missing("Date"))?;
    let stale = |what: String| Err(ReleaseError::Time { url: url.to_owned(), what });
    if date > now + 86_400 {
        return stale("was made in the future".to_owned());
    }
    if let Some(until) = field("Valid-Until") {
        let end = time(&until).ok_or_else(|| missing("Valid-Until"))?;
        if now > end {
            return stale(format!("expired on {until}"));
        }
    }
    let mut indices = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with(' ') {
            inside = line == "SHA256:";
            continue;
        }
        if !inside {
            continue;
        }
        let mut parts = line.split_whitespace();
        let (Some(digest), Some(size), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let wanted = suite.components.iter().any(|component| {
            path.strip_prefix(component.as_str())
                .and_then(|rest| rest.strip_prefix(&format!("/binary-{arch}/Packages")))
                .is_some_and(|rest| matches!(rest, "" | ".gz" | ".xz"))
        });
        if wanted {
            let digest = Digest::from_hex(digest).ok().ok_or_else(|| missing("SHA256"))?;
            let size = size.parse().ok().ok_or_else(|| missing("SHA256"))?;
            indices.push((path.to_owned(), digest, size));
        }
    }
    Ok(Release { suite: suite.clone(), digest: Digest::of(text), date, indices })
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`.
fn time(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches("UTC").trim_end_matches("GMT").trim();
    let time = chrono::NaiveDateTime::parse_from_str(text, "%a, %d %b %Y %H:%M:%S").ok()?;
    Some(time.and_utc().timestamp())
}
