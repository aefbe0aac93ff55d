//! The keys that travel in the binary.

use pgp::types::PublicParams;
use rsa::{BigUint, RsaPublicKey};

use super::super::Keyring;
use super::super::archive_keys::PINNED;
use crate::openpgp::strong;

#[test]
fn the_shipped_keys_are_the_pinned_ones() {
    let all = Keyring::read("all", Keyring::shipped_bytes()).unwrap();
    let kept = Keyring::shipped().unwrap();
    assert_eq!(all.fingerprints(), kept.fingerprints());
    let mut pinned: Vec<_> = PINNED.iter().map(|print| (*print).to_owned()).collect();
    let mut found = kept.fingerprints();
    pinned.sort();
    found.sort();
    assert_eq!(found, pinned);
}

#[test]
fn short_rsa_keys_are_too_weak() {
    let of_bits = |bits: usize| {
        let modulus = (BigUint::from(1u8) << (bits - 1)) + BigUint::from(1u8);
        let key = RsaPublicKey::new(modulus, BigUint::from(65_537u32)).unwrap();
        PublicParams::RSA(pgp::types::RsaPublicParams { key })
    };
    for (bits, good) in [(1024, false), (2047, false), (2048, true), (4096, true)] {
        assert_eq!(strong(&of_bits(bits)).is_ok(), good, "{bits}");
    }
}
