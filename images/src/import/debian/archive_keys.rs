//! The keys of Debian's archive that travel in the binary.

use crate::openpgp::{Keyring, KeyringError};

/// Debian's archive keys, from its package debian-archive-keyring.
const SHIPPED: &[u8] = include_bytes!("archive-keys.gpg");
/// The primary keys that the shipped keyring may hold.
pub(super) const PINNED: &[&str] = &[
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

impl Keyring {
    /// The shipped keys of Debian's archive, each of a pinned fingerprint.
    ///
    /// # Errors
    ///
    /// Never with the file that is shipped.
    pub fn shipped() -> Result<Self, KeyringError> {
        Self::read("the shipped keys of Debian's archive", SHIPPED)?.only(PINNED)
    }

    /// The shipped keys as they lie in the binary, to be laid into an image.
    pub fn shipped_bytes() -> &'static [u8] {
        SHIPPED
    }
}
