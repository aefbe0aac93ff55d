//! Where the configuration comes from (contract 4.1).

use std::path::Path;

use super::Inputs;
use crate::error::{Failure, Kind, Result};

/// The layout when nobody names one.
const BARE: &str = "
- local_loop:
    name: image0
    mkfs:
      name: mkfs_root
      mount:
        mount_point: /
        fstab:
          fsck-passno: 1
";

/// Finds the configuration's name and text: the user's own, else that of the first element that
/// has one, else one file system without partitions.
pub(super) fn find(inputs: &Inputs<'_>) -> Result<(String, String)> {
    if let Some(text) = inputs.config_override.filter(|text| !text.is_empty()) {
        return match text.strip_prefix("file://") {
            Some(path) => read(Path::new(path)),
            None => Ok(("DIB_BLOCK_DEVICE_CONFIG".to_owned(), text.to_owned())),
        };
    }
    let arch = match inputs.arch {
        "ppc64le" => "ppc64el",
        other => other,
    };
    for (_, directory) in inputs.elements {
        for name in [format!("block-device-{arch}.yaml"), "block-device-default.yaml".to_owned()] {
            let path = directory.join(name);
            if path.exists() {
                return read(&path);
            }
        }
    }
    Ok(("the built-in layout".to_owned(), BARE.to_owned()))
}

/// A file's name and text.
pub(super) fn read(path: &Path) -> Result<(String, String)> {
    let text = fs_err::read_to_string(path)
        .map_err(|error| Failure::wrap(Kind::Configuration, "the block device", &error))?;
    Ok((path.display().to_string(), text))
}
