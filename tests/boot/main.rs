//! Images that boot: by BIOS and by UEFI, with what the guest itself says of its state.

use anyhow::Result;
use goldsmith_tests::{TestEnv, server};

fn boots(uefi: bool) -> Result<()> {
    let env = TestEnv::new()?;
    let image = server::image(&env, &[])?;
    server::boots(&env, &image, uefi)
}

#[test]
fn a_server_boots_by_bios() -> Result<()> {
    boots(false)
}

#[test]
fn a_server_boots_by_uefi() -> Result<()> {
    boots(true)
}
