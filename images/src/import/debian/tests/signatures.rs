//! What is believed of a release file.

use pgp::crypto::hash::HashAlgorithm::{self, Sha256, Sha512};

use super::super::release::verify;
use super::super::{Keyring, KeyringError, Release, ReleaseError, Suite};
use super::fixture::{BORN, Key, MADE, NOW, clear_signed, release_text};
use crate::digest::Digest;

const DAY: i64 = 86_400;

fn text() -> String {
    let digest = Digest::of("").hex();
    release_text(&format!(
        " {digest} 0 main/binary-amd64/Packages.xz\n {digest} 0 main/binary-i386/Packages.xz\n"
    ))
}

fn check_at(message: &str, keyring: &Keyring, now: i64) -> Result<Release, ReleaseError> {
    let components = vec!["main".into()];
    let suite = Suite { mirror: "http://m".into(), name: "trial".into(), components };
    verify(message.as_bytes(), "http://m/InRelease", &suite, "amd64", keyring, now)
}

fn check(message: &str, keyring: &Keyring) -> Result<Release, ReleaseError> {
    check_at(message, keyring, NOW)
}

/// The message of a release file that must be refused.
#[track_caller]
fn refusal(message: &str, keyring: &Keyring) -> String {
    check(message, keyring).unwrap_err().to_string()
}

fn signed(key: &Key, text: &str) -> String {
    clear_signed(text, vec![key.sign(text, Sha256, MADE)])
}

#[test]
fn good_signatures_are_believed() {
    let (key, other) = (Key::lenient(), Key::new());
    let text = text();
    let by = |key: &Key| key.sign(&text, Sha512, MADE);
    for signatures in [
        vec![by(&key)],
        vec![key.sign_by_subkey(&text)],
        vec![by(&other), by(&key)],
        vec![key.sign(&text, HashAlgorithm::Sha1, MADE), by(&key)],
    ] {
        let release = check(&clear_signed(&text, signatures), &key.keyring()).unwrap();
        assert_eq!(release.date, NOW - DAY);
        let path = "main/binary-amd64/Packages.xz".to_owned();
        assert_eq!(release.indices, [(path, Digest::of(""), 0)]);
    }
}

#[test]
fn keyrings_are_armored_or_not_and_hold_several_keys() {
    let (key, other) = (Key::new(), Key::new());
    let message = signed(&key, &text());
    for bytes in [key.armored(), key.binary(), [other.binary(), key.binary()].concat()] {
        check(&message, &Keyring::read("k", &bytes).unwrap()).unwrap();
    }
    assert!(matches!(
        Keyring::read("k", b"no keys"),
        Err(KeyringError::Malformed { .. } | KeyringError::Empty { .. })
    ));
    assert!(Keyring::read("k", b"").is_err());
    let cut = key.binary();
    assert!(Keyring::read("k", &cut[..cut.len() / 2]).is_err());
}

#[test]
fn what_the_keys_did_not_sign_is_refused() {
    let (key, other) = (Key::new(), Key::new());
    let (text, message) = (text(), signed(&key, &text()));
    let keyring = key.keyring();
    let url = "http://m/InRelease";
    let untrusted = format!(
        "{url} is not signed by a key of the test's keyring: \
         no key of the keyring made the signature"
    );
    assert_eq!(refusal(&signed(&other, &text), &keyring), untrusted);
    let changed = message.replace("2027 08:00", "2027 09:00");
    assert_ne!(changed, message);
    assert_eq!(refusal(&changed, &keyring), untrusted);
    let of_another_text = clear_signed(&text, vec![key.sign("else", Sha256, MADE)]);
    assert_eq!(refusal(&of_another_text, &keyring), untrusted);
}

#[test]
fn unsigned_and_truncated_files_are_refused() {
    let key = Key::new();
    let message = signed(&key, &text());
    let from = message.find("-----BEGIN PGP SIGNATURE").unwrap();
    let to = message.find("-----END PGP SIGNATURE").unwrap();
    let cut = [0, 1, 40, from / 2, from, from + 30, usize::midpoint(from, to), to - 30];
    let mut lies: Vec<_> = cut.iter().map(|&at| message[..at].to_owned()).collect();
    lies.extend([text(), "<html>Log in</html>".into(), clear_signed(&text(), Vec::new())]);
    for lie in lies {
        match check(&lie, &key.keyring()) {
            Err(ReleaseError::Unsigned { .. } | ReleaseError::Untrusted { .. }) => {}
            other => panic!("{lie:?}: {other:?}"),
        }
    }
}

#[test]
fn only_the_signed_text_is_read() {
    let key = Key::new();
    let message = signed(&key, &text());
    let expected = check(&message, &key.keyring()).unwrap();
    let digest = Digest::of("a lie").hex();
    let lie = release_text(&format!(" {digest} 5 main/binary-amd64/Packages.gz\n"));
    let after = format!("{message}\n{lie}");
    let before = format!("{lie}\n{message}");
    let inside = message
        .replace("\n-----BEGIN PGP SIGNATURE", &format!("\n{lie}\n-----BEGIN PGP SIGNATURE"));
    let header = message.replacen("\n\n", &format!("\n{lie}\n"), 1);
    for surrounded in [after, before, inside, header] {
        assert_ne!(surrounded, message);
        if let Ok(release) = check(&surrounded, &key.keyring()) {
            assert_eq!(release, expected, "{surrounded}");
        }
    }
}

#[test]
fn weak_means_are_refused() {
    let key = Key::lenient();
    for weak in [HashAlgorithm::Sha1, HashAlgorithm::Ripemd160, HashAlgorithm::Sha224] {
        let message = clear_signed(&text(), vec![key.sign(&text(), weak, MADE)]);
        let refused = refusal(&message, &key.keyring());
        assert!(refused.contains("too weak"), "{refused}");
    }
}

#[test]
fn keys_must_be_alive_when_they_sign() {
    let month = 30 * 86_400;
    let alive = |key: &Key| {
        let by_key = clear_signed(&text(), vec![key.sign(&text(), Sha256, MADE)]);
        let by_subkey = clear_signed(&text(), vec![key.sign_by_subkey(&text())]);
        [by_key, by_subkey].map(|message| {
            check(&message, &key.keyring()).map(drop).map_err(|error| error.to_string())
        })
    };
    let refused = |result: &Result<(), String>, why: &str| {
        assert!(result.as_ref().unwrap_err().ends_with(why), "{result:?}");
    };
    let mut key = Key::new();
    key.lives(Some(MADE - BORN + 1));
    key.subkey_lives(Some(MADE - BORN + 1));
    assert_eq!(alive(&key), [Ok(()), Ok(())]);

    key.subkey_lives(Some(month));
    let [by_key, by_subkey] = alive(&key);
    by_key.unwrap();
    refused(&by_subkey, "the signing sub-key had expired when it signed");

    let mut key = Key::new();
    key.lives(Some(month));
    alive(&key).iter().for_each(|result| refused(result, "the key had expired when it signed"));
    // What others say of a key sets it no time, and takes none away.
    let friend = Key::new().certification(&key, MADE, None);
    key.0.details.users[0].signatures.push(friend);
    alive(&key).iter().for_each(|result| refused(result, "the key had expired when it signed"));

    let mut key = Key::new();
    key.revoke_subkey();
    let [by_key, by_subkey] = alive(&key);
    by_key.unwrap();
    refused(&by_subkey, "the signing sub-key is revoked");

    let mut key = Key::new();
    key.revoke();
    alive(&key).iter().for_each(|result| refused(result, "the key is revoked"));

    let mut key = Key::new();
    key.0.secret_subkeys[0].signatures = Key::new().0.secret_subkeys[0].signatures.clone();
    refused(&alive(&key)[1], "the signing sub-key is not bound to its key");
}

#[test]
fn times_are_kept() {
    let key = Key::new();
    let message = signed(&key, &text());
    let keyring = key.keyring();
    check_at(&message, &keyring, NOW + 6 * DAY - 1).unwrap();
    let expired = check_at(&message, &keyring, NOW + 6 * DAY + 1).unwrap_err();
    assert_eq!(
        expired.to_string(),
        "http://m/InRelease expired on Thu, 21 Jan 2027 08:00:00 UTC; is the clock right, is \
         the mirror stale?"
    );
    let late = text().replace("14 Jan", "17 Jan").replace("Date: Thu", "Date: Sun");
    let early = signed(&key, &late);
    assert!(refusal(&early, &keyring).contains("was made in the future"));
    let tomorrow = MADE + 3 * 86_400;
    let message = clear_signed(&text(), vec![key.sign(&text(), Sha256, tomorrow)]);
    assert!(refusal(&message, &keyring).ends_with("the signature is from the future"));
}

#[test]
fn malformed_fields_are_named() {
    let key = Key::new();
    let digest = Digest::of("").hex();
    for (from, to, field) in [
        ("Date: ", "Dated: ", "Date"),
        ("Date: Thu, ", "Date: the ", "Date"),
        ("Until: Thu, ", "Until: the ", "Valid-Until"),
        (digest.as_str(), "deadbeef", "SHA256"),
        (" 0 ", " -1 ", "SHA256"),
    ] {
        let changed = text().replace(from, to);
        assert_eq!(
            refusal(&signed(&key, &changed), &key.keyring()),
            format!("http://m/InRelease: the field {field} is missing or malformed")
        );
    }
}
