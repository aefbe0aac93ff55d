//! `goldsmith ramdisk`.

use std::path::Path;

use clap::Args;

use super::selection::Selection;
use crate::error::Result;

/// What `ramdisk` takes.
#[derive(Debug, Args)]
pub struct RamdiskArgs {
    #[command(flatten)]
    selection: Selection,
    /// The element that makes the ramdisk: `ramdisk` (busybox) or `dracut-ramdisk`
    /// [default: RAMDISK_ELEMENT, else ramdisk]
    #[arg(long, value_name = "ELEMENT")]
    ramdisk_element: Option<String>,
}

/// Runs the verb: writes `NAME.kernel` and `NAME.initramfs`.
///
/// # Errors
///
/// When the build fails.
pub fn run(args: &RamdiskArgs, cache: &Path) -> Result<u8> {
    let mut request = args.selection.request("raw")?;
    request.set_ramdisk(args.ramdisk_element.clone());
    super::build::execute(&request, args.selection.report_options()?, cache)
}
