//! Every kind of disk by every firmware that can start it, by the image backend; the privileged
//! tier has those of the loop backend.

use anyhow::Result;
use goldsmith_tests::TestEnv;
use goldsmith_tests::matrix::{ROWS, boots};

// What other tests leave open: the server's have block-device-efi by both firmwares, upstream's
// own debian-minimal has an MBR.
#[test]
fn a_tree_boots_from_other_kinds_of_disks() -> Result<()> {
    boots(&TestEnv::new()?, &ROWS[..2], "image")
}

#[test]
fn full_a_tree_boots_from_every_kind_of_disk() -> Result<()> {
    boots(&TestEnv::new()?, &ROWS, "image")
}
