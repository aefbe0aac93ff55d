//! `--qemu-img-options`: what they say is done, or they are refused by name.

use crate::error::{Failure, Kind, Result};
use crate::request::{Codec, ImageType, Request};

/// The formats that `qemu-img convert` takes options for.
const TAKERS: [ImageType; 5] =
    [ImageType::Qcow2, ImageType::Vhd, ImageType::Vhdx, ImageType::Vmdk, ImageType::Vdi];

/// Takes a list of options in. Each goes to every format of the request that knows it; where
/// no format of the request takes options at all they are checked and change nothing, as
/// with diskimage-builder.
///
/// # Errors
///
/// When one says something that none of the formats can be written with.
pub fn apply(text: &str, request: &mut Request) -> Result<()> {
    let mut takers: Vec<_> =
        request.types.iter().copied().filter(|kind| TAKERS.contains(kind)).collect();
    if takers.is_empty() {
        takers = TAKERS.to_vec();
    }
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let mut taken = false;
        for kind in &takers {
            taken |= take(*kind, name, value, request);
        }
        if !taken {
            let names: Vec<_> = takers.iter().map(|kind| kind.name()).collect();
            let message =
                format!("--qemu-img-options: {option} cannot be written for {}", names.join(", "));
            let mut failure = Failure::new(Kind::Usage, message);
            for kind in takers {
                failure = failure.hint(format!("{} takes {}", kind.name(), known(kind)));
            }
            return Err(failure.hint("qemu-img convert changes the rest afterwards"));
        }
    }
    Ok(())
}

/// Takes one option in for one format, or says that it cannot be.
fn take(kind: ImageType, name: &str, value: &str, request: &mut Request) -> bool {
    let formats = &mut request.formats;
    match (kind, name, value) {
        (ImageType::Qcow2, "compression_type", "zlib" | "zstd") if request.codec == Codec::None => {
        }
        (ImageType::Qcow2, "compression_type", "zlib") => request.codec = Codec::Zlib,
        (ImageType::Qcow2, "compression_type", "zstd") => request.codec = Codec::Zstd,
        (ImageType::Qcow2, "compat", "1.1" | "v3")
        | (ImageType::Qcow2, "cluster_size", "65536" | "64k" | "64K")
        | (ImageType::Qcow2, "lazy_refcounts" | "preallocation" | "extended_l2", "off") => {}
        (ImageType::Vhd, "subformat", "dynamic") => formats.vhd_fixed = false,
        (ImageType::Vhd, "subformat", "fixed") => formats.vhd_fixed = true,
        (ImageType::Vhd, "force_size", "on") => {}
        (ImageType::Vhdx, "subformat", "dynamic")
        | (ImageType::Vhdx, "block_size" | "log_size", "1048576" | "1M" | "1m")
        | (ImageType::Vhdx, "block_state_zero", "on")
        | (ImageType::Vdi, "static" | "preallocation", "off")
        | (ImageType::Vmdk, "compat6" | "zeroed_grain", "off") => {}
        (ImageType::Vmdk, "subformat", "monolithicSparse") => formats.vmdk_stream = false,
        (ImageType::Vmdk, "subformat", "streamOptimized") => formats.vmdk_stream = true,
        (ImageType::Vmdk, "adapter_type", "ide" | "lsilogic" | "buslogic" | "legacyESX") => {
            value.clone_into(&mut formats.vmdk_adapter);
        }
        (ImageType::Vmdk, "hwversion", number) => match number.parse() {
            Ok(number) => formats.vmdk_hardware = number,
            Err(_) => return false,
        },
        _ => return false,
    }
    true
}

/// What a format takes, for people.
fn known(kind: ImageType) -> &'static str {
    match kind {
        ImageType::Qcow2 => "compression_type=zlib or zstd, compat=1.1, cluster_size=64k",
        ImageType::Vhd => "subformat=dynamic or fixed, force_size=on",
        ImageType::Vhdx => "subformat=dynamic, block_size=1M, log_size=1M, block_state_zero=on",
        ImageType::Vmdk => {
            "subformat=monolithicSparse or streamOptimized, adapter_type=, hwversion=, compat6=off"
        }
        ImageType::Vdi => "static=off",
        _ => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(types: &[ImageType], text: &str) -> Result<Request> {
        let mut request = Request::new(std::collections::BTreeMap::new(), "/".into()).unwrap();
        request.types = types.to_vec();
        apply(text, &mut request).map(|()| request)
    }

    #[test]
    fn options_go_to_the_formats_that_know_them() {
        let both = [ImageType::Qcow2, ImageType::Vmdk];
        let text =
            "compression_type=zlib,subformat=streamOptimized,adapter_type=lsilogic,hwversion=14";
        let request = applied(&both, text).unwrap();
        assert_eq!(request.codec, Codec::Zlib);
        assert!(request.formats.vmdk_stream);
        assert_eq!(request.formats.vmdk_adapter, "lsilogic");
        assert_eq!(request.formats.vmdk_hardware, 14);
        assert!(applied(&[ImageType::Vhd], "subformat=fixed").unwrap().formats.vhd_fixed);
        assert!(applied(&[ImageType::Tar], "compat=1.1").is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        for (types, text) in [
            (vec![ImageType::Qcow2], "subformat=streamOptimized"),
            (vec![ImageType::Vmdk], "subformat=monolithicFlat"),
            (vec![ImageType::Vmdk], "hwversion=new"),
            (vec![ImageType::Vhdx], "subformat=fixed"),
            (vec![ImageType::Qcow2, ImageType::Vdi], "static=on"),
            (vec![ImageType::Raw], "cluster_size=1M"),
        ] {
            let failure = applied(&types, text).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.message.contains(text), "{failure}");
        }
    }
}
