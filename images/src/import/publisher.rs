//! What a publisher of images says that one of them must be: a file of checksums and its
//! signature. The signature holds for every mirror and whatever a server redirects to.

use crate::fetch::{Client, FetchError};
use crate::openpgp::{self, Keyring, SignatureError};
use crate::sums::{self, Sum, SumsError};

/// The largest file of checksums or signatures.
const LIMIT: u64 = 4 << 20;

/// Where checksums are and who signs them.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The image's name, as the checksums have it; one `*` stands for any text.
    pub name: &'a str,
    /// The address of the checksums.
    pub sums: &'a str,
    /// The signature.
    pub signature: Signature<'a>,
}

/// Where a signature is.
#[derive(Debug, Clone, Copy)]
pub enum Signature<'a> {
    /// Around the checksums, which are clear-signed, by a key of that keyring.
    Around(&'a Keyring),
    /// In a file at that address, by a key of that keyring.
    Beside(&'a str, &'a Keyring),
    /// Nowhere: only whoever answers at the address vouches for the checksums.
    Missing,
}

/// What an image must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its whole name.
    pub name: String,
    /// Its checksum.
    pub sum: Sum,
    /// When the checksums were signed, in seconds since the epoch, and the fingerprint of
    /// the key that did.
    pub signed: Option<(i64, String)>,
}

/// Why nobody says what an image must be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherError {
    /// Something cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The checksums are not signed by whom they should be.
    #[error("{url} {reason}")]
    Signature {
        /// The address of the checksums.
        url: String,
        /// Why.
        reason: SignatureError,
    },
    /// The checksums are no text.
    #[error("{url} is no text")]
    Binary {
        /// The address of the checksums.
        url: String,
    },
    /// The checksums are not about the image.
    #[error("{url}: {reason}")]
    Sums {
        /// The address of the checksums.
        url: String,
        /// Why.
        reason: SumsError,
    },
}

/// Asks the publisher; `now` is in seconds since the epoch.
///
/// # Errors
///
/// When the checksums cannot be had, are not signed as they should be, or are not about the
/// image.
pub fn ask(client: &Client, what: &Publication<'_>, now: i64) -> Result<Published, PublisherError> {
    let url = || what.sums.to_owned();
    let wrong = |reason| PublisherError::Signature { url: url(), reason };
    let bytes = client.bytes(what.sums, LIMIT)?;
    let (text, signed) = match what.signature {
        Signature::Around(keyring) => {
            let signed = openpgp::clear_signed(&bytes, keyring, now).map_err(wrong)?;
            (signed.text, Some((signed.made, signed.key)))
        }
        Signature::Beside(place, keyring) => {
            let signature = client.bytes(place, LIMIT)?;
            let signed = openpgp::detached(&bytes, &signature, keyring, now).map_err(wrong)?;
            (signed.text, Some((signed.made, signed.key)))
        }
        Signature::Missing => {
            let text = String::from_utf8(bytes).ok();
            (text.ok_or_else(|| PublisherError::Binary { url: url() })?, None)
        }
    };
    let found = sums::find(&text, what.name);
    let (name, sum) = found.map_err(|reason| PublisherError::Sums { url: url(), reason })?;
    Ok(Published { name, sum, signed })
}

#[cfg(test)]
mod tests {
    use pgp::composed::{ArmorOptions, DetachedSignature};
    use pgp::crypto::hash::HashAlgorithm;
    use pgp::ser::Serialize as _;

    use super::*;
    use crate::fetch::Proxies;
    use crate::openpgp::test_key::{Key, MADE, NOW, clear_signed};

    const NAME: &str = "noble-server-cloudimg-amd64.squashfs";

    struct Place(tempfile::TempDir);

    impl Place {
        fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
            let path = self.0.path().join(name);
            fs_err::write(&path, bytes).unwrap();
            format!("file://{}", path.display())
        }
    }

    fn look(sums: &str, signature: Signature<'_>, name: &str) -> Result<Published, PublisherError> {
        let client = Client::new(&Proxies::default()).unwrap();
        ask(&client, &Publication { name, sums, signature }, NOW)
    }

    fn list() -> String {
        format!("{} *{NAME}\n{} *{NAME}.manifest\n", "a".repeat(64), "b".repeat(64))
    }

    #[test]
    fn i28_signed_checksums_are_believed_and_no_others() {
        let place = Place(tempfile::tempdir().unwrap());
        let (key, other) = (Key::new(), Key::new());
        let (keyring, stranger) = (key.keyring(), other.keyring());
        let text = list();
        let sums = place.put("SHA256SUMS", &text);
        let by = DetachedSignature::new(key.sign_binary(text.as_bytes(), MADE));
        let binary = place.put("SHA256SUMS.gpg", by.to_bytes().unwrap());
        let armored =
            place.put("SHA256SUMS.asc", by.to_armored_string(ArmorOptions::default()).unwrap());
        // As Ubuntu publishes them.
        for address in [&binary, &armored] {
            let good = look(&sums, Signature::Beside(address, &keyring), NAME).unwrap();
            assert_eq!(good.sum.to_string(), format!("sha256:{}", "a".repeat(64)));
            assert_eq!(good.signed, Some((MADE.into(), keyring.fingerprints().remove(0))));
        }
        // As Fedora does.
        let fedora = format!("# comment\nSHA256 (Fedora-1.2.qcow2) = {}\n", "c".repeat(64));
        let message = clear_signed(&fedora, vec![key.sign(&fedora, HashAlgorithm::Sha256, MADE)]);
        let around = place.put("CHECKSUM", &message);
        let good = look(&around, Signature::Around(&keyring), "Fedora-*.qcow2").unwrap();
        assert_eq!(
            (good.name.as_str(), good.sum.digits()),
            ("Fedora-1.2.qcow2", "c".repeat(64).as_str())
        );
        let refused = |sums: &str, signature: Signature<'_>, name: &str, words: &str| {
            let error = look(sums, signature, name).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        };
        // Another key, another text, no signature, another file's name.
        refused(&sums, Signature::Beside(&binary, &stranger), NAME, "no key of the keyring");
        refused(&around, Signature::Around(&stranger), "Fedora-*.qcow2", "no key of the keyring");
        let changed = place.put("changed", text.replace('a', "d"));
        refused(&changed, Signature::Beside(&binary, &keyring), NAME, "no key of the keyring");
        let lie = place.put("lie", message.replace("cccc", "dddd"));
        refused(&lie, Signature::Around(&keyring), "Fedora-*.qcow2", "no key of the keyring");
        let none = place.put("none", "");
        refused(&sums, Signature::Beside(&none, &keyring), NAME, "carries no signature");
        refused(&sums, Signature::Around(&keyring), NAME, "carries no signature");
        let gone = format!("{binary}.gone");
        refused(&sums, Signature::Beside(&gone, &keyring), NAME, "404");
        refused(&sums, Signature::Beside(&binary, &keyring), "noble", "no line is about noble");
        // A line before what is signed counts for nothing.
        let before = place.put("before", format!("SHA256 (x) = {}\n{message}", "e".repeat(64)));
        let found = look(&before, Signature::Around(&keyring), "x");
        assert!(found.is_err(), "{found:?}");
        // A future signature, one by a weak digest, one by a key that had expired.
        let future = DetachedSignature::new(key.sign_binary(text.as_bytes(), MADE + 900_000));
        let future = place.put("future", future.to_bytes().unwrap());
        refused(&sums, Signature::Beside(&future, &keyring), NAME, "from the future");
        let mut old = Key::new();
        old.lives(Some(3600));
        let late = DetachedSignature::new(old.sign_binary(text.as_bytes(), MADE));
        let late = place.put("late", late.to_bytes().unwrap());
        refused(&sums, Signature::Beside(&late, &old.keyring()), NAME, "had expired");
    }

    #[test]
    fn unsigned_checksums_say_that_they_are() {
        let place = Place(tempfile::tempdir().unwrap());
        let sums = place.put("SHA256SUMS", list());
        let found = look(&sums, Signature::Missing, NAME).unwrap();
        assert_eq!((found.name.as_str(), found.signed), (NAME, None));
    }
}
