//! What the first word of a line of fstab(5) means on a disk that is not mounted.

use super::Found;

/// Whether `what` names that file system: by a tag, by one of udev's links that stand for tags, or
/// as a logical volume.
pub(super) fn is(found: &Found, what: &str) -> bool {
    if let Some(mapped) = what.strip_prefix("/dev/disk/by-id/dm-uuid-") {
        return !mapped.is_empty() && found.id == mapped;
    }
    if let Some(name) = what.strip_prefix("/dev/disk/by-id/dm-name-") {
        return found.slot.is_device(&format!("/dev/mapper/{name}"));
    }
    let linked = what.strip_prefix("/dev/disk/by-").and_then(|link| link.split_once('/'));
    let tag = what.split_once('=').or(linked);
    let Some((kind, value)) = tag else { return found.slot.is_device(what) };
    let value = value.trim_matches('"');
    let names = found.magic.as_ref().filter(|_| !value.is_empty());
    match kind {
        "LABEL" | "label" => names.is_some_and(|names| names.label == value),
        "UUID" | "uuid" => names.is_some_and(|names| names.uuid.eq_ignore_ascii_case(value)),
        "PARTUUID" | "partuuid" => !value.is_empty() && found.id.eq_ignore_ascii_case(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{Format, Magic, Role, Slot};

    #[test]
    fn udevs_links_are_tags() {
        let magic = |label: &str| Magic {
            format: Format::Ext,
            label: label.into(),
            uuid: "0a1b2c3d-0000-4000-8000-000000000000".into(),
        };
        let found = |slot, id: &str, magic| Found {
            slot,
            role: Role::Other,
            id: id.into(),
            magic,
            volume: None,
            refused: None,
            size: 0,
        };
        let part = found(Slot::Number(1), "aaaa-02", Some(magic("boot")));
        let slot = Slot::Volume { group: "v-g".into(), volume: "root".into() };
        let volume = found(slot, "LVM-groupvolume", None);
        for (what, is_part, is_volume) in [
            ("LABEL=boot", true, false),
            ("LABEL=\"boot\"", true, false),
            ("LABEL=", false, false),
            ("/dev/disk/by-label/boot", true, false),
            ("UUID=0A1B2C3D-0000-4000-8000-000000000000", true, false),
            ("/dev/disk/by-uuid/0a1b2c3d-0000-4000-8000-000000000000", true, false),
            ("PARTUUID=AAAA-02", true, false),
            ("/dev/disk/by-partuuid/aaaa-02", true, false),
            ("/dev/disk/by-id/dm-uuid-LVM-groupvolume", false, true),
            ("/dev/disk/by-id/dm-name-v--g-root", false, true),
            ("/dev/mapper/v--g-root", false, true),
            ("/dev/v-g/root", false, true),
            ("/dev/disk/by-path/boot", false, false),
            ("/dev/sda1", false, false),
        ] {
            assert_eq!((is(&part, what), is(&volume, what)), (is_part, is_volume), "{what}");
        }
    }
}
