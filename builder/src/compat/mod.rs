//! The diskimage-builder command lines and the elements that they imply.

mod batch;
mod block_device;
mod containerfile;
mod element_info;
mod firmware;
mod get_kernel;
mod getopt;
mod image_create;
mod qemu_options;

pub use batch::diskimage_builder;
pub use block_device::dib_block_device;
pub use containerfile::{containerfile, containerfile_hook};
pub use element_info::element_info;
pub use firmware::firmware;
pub use get_kernel::disk_image_get_kernel;
pub use image_create::{disk_image_create, ramdisk_image_create, types};
pub use qemu_options::apply as qemu_img_options;

use crate::element::ElementGraph;
use crate::request::Request;

/// The diskimage-builder names that this program answers to.
pub const NAMES: [(&str, Personality); 6] = [
    ("dib-block-device", dib_block_device),
    ("disk-image-create", disk_image_create),
    ("disk-image-get-kernel", disk_image_get_kernel),
    ("ramdisk-image-create", ramdisk_image_create),
    ("diskimage-builder", diskimage_builder),
    ("element-info", element_info),
];

/// The element that makes ramdisks where nobody names another.
pub const RAMDISK_ELEMENT: &str = "ramdisk";

/// The element that says that no disk is to be made from the tree.
const NO_DISK: &str = "no-final-image";

/// Programs in the hooks tree that goldsmith has of its own, below [`LIB`]: those that elements
/// bring need loop devices and mounts.
///
/// [`LIB`]: crate::phase::paths::LIB
pub const REPLACED: [(&str, &str); 1] = [("bin/extract-image", "extract-image")];

/// Hooks of elements that goldsmith does not run, by element: what they do it does itself.
pub const REPLACED_HOOKS: [(&str, &str); 1] = [(containerfile::ELEMENT, containerfile::HOOK)];

/// A program of diskimage-builder's: takes its arguments, returns its exit status.
pub type Personality = fn(&[std::ffi::OsString]) -> crate::error::Result<u8>;

/// The user's elements with those that diskimage-builder adds: a partition layout for `vm`,
/// `base`, and in front of all the element that makes a ramdisk.
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
    if let Some(ramdisk) = &request.ramdisk
        && !elements.contains(ramdisk)
    {
        elements.insert(0, ramdisk.clone());
    }
    elements
}

/// The request as its elements want it: without disks when one of them says that it writes
/// its own outputs.
pub fn settled(request: &Request, graph: &ElementGraph) -> Request {
    let mut request = request.clone();
    if graph.elements.iter().any(|element| element.name == NO_DISK) {
        request.types.retain(|kind| !kind.is_disk());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;
    use crate::request::ImageType;

    fn request(elements: &[&str]) -> Request {
        let mut request = Request::new(std::collections::BTreeMap::new(), "/".into()).unwrap();
        request.arch = "amd64".to_owned();
        request.elements = elements.iter().map(|name| (*name).to_owned()).collect();
        request
    }

    #[test]
    fn base_a_layout_and_the_ramdisk_are_added() {
        let names = |request: &Request| implicit_elements(request).join(" ");
        let mut wanted = request(&["vm", "os"]);
        assert_eq!(names(&wanted), "base vm os block-device-mbr");
        wanted.set_ramdisk(None);
        assert_eq!(names(&wanted), "ramdisk base vm os block-device-mbr");
        wanted.skip_base = true;
        wanted.set_ramdisk(Some("dracut-ramdisk".to_owned()));
        assert_eq!(names(&wanted), "dracut-ramdisk vm os block-device-mbr");
        let mut named = request(&["os", "ramdisk"]);
        named.set_ramdisk(None);
        assert_eq!(names(&named), "base os ramdisk", "named by the user, it keeps its place");
        assert_eq!(named.env["RAMDISK_ELEMENT"], "ramdisk", "hooks see which one");
    }

    #[test]
    fn ramdisks_and_no_final_image_make_no_disk() {
        let mut wanted = request(&["os"]);
        wanted.types = vec![ImageType::Qcow2, ImageType::Tar];
        let graph = |name: &str| ElementGraph {
            elements: vec![Element {
                name: name.to_owned(),
                path: name.into(),
                entry: 0,
                deps: Vec::new(),
                provides: Vec::new(),
            }],
            search_path: Vec::new(),
        };
        assert_eq!(settled(&wanted, &graph("os")).types, wanted.types);
        // The name, not a part of one, as in diskimage-builder.
        assert_eq!(settled(&wanted, &graph("x-no-final-image-x")).types, wanted.types);
        assert_eq!(settled(&wanted, &graph("no-final-image")).types, [ImageType::Tar]);
        wanted.set_ramdisk(None);
        assert_eq!(wanted.types, [ImageType::Tar]);
    }
}
