//! The diskimage-builder command lines and the elements that they imply.

mod batch;
mod element_info;
mod getopt;
mod image_create;

pub use batch::diskimage_builder;
pub use element_info::element_info;
pub use image_create::{disk_image_create, types};

use crate::request::Request;

/// The diskimage-builder names that this program answers to.
pub const NAMES: [(&str, Personality); 3] = [
    ("disk-image-create", disk_image_create),
    ("diskimage-builder", diskimage_builder),
    ("element-info", element_info),
];

/// A program of diskimage-builder's: takes its arguments, returns its exit status.
pub type Personality = fn(&[std::ffi::OsString]) -> crate::error::Result<u8>;

/// The user's elements with those that diskimage-builder adds: a partition layout for `vm`,
/// and `base`.
pub fn implicit_elements(request: &Request) -> Vec<String> {
    let mut elements = request.elements.clone();
    let names_vm = elements.iter().any(|name| name == "vm");
    if names_vm && !elements.iter().any(|name| name.starts_with("block-device-")) {
        let layout = match request.arch.as_str() {
            "arm64" | "aarch64" => "block-device-efi",
            _ => "block-device-mbr",
        };
        elements.push(layout.to_owned());
    }
    if !request.skip_base && !elements.iter().any(|name| name == "base") {
        elements.insert(0, "base".to_owned());
    }
    elements
}
