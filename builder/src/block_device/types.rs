//! What a partition is for: `EF00` on a GPT, `0x83` on an MBR.

use goldsmith_images::disk::layout::{PartitionKind, derived_uuid, mbr_type, type_guid};

use super::config::PartitionNode;

/// Refuses a type that the table cannot have.
pub(super) fn check(code: &str, gpt: bool) -> Result<(), String> {
    if gpt {
        return type_guid::parse(code)
            .map(drop)
            .ok_or(format!("the type {code} is not known: write one of sgdisk's, or a GUID"));
    }
    byte(code).map(drop).ok_or(format!("the type {code} is no hexadecimal byte, as 0x83 is"))
}

/// What the table records of a partition; an EBR's place is set later.
pub(super) fn kind(node: &PartitionNode, gpt: bool, seed: &str) -> PartitionKind {
    let code = node.kind.as_deref();
    if gpt {
        let type_guid = code.and_then(type_guid::parse).unwrap_or(type_guid::LINUX);
        let guid = derived_uuid(seed, &guid_role(node));
        return PartitionKind::Gpt { type_guid, guid, attributes: 0 };
    }
    let type_byte = code.and_then(byte).unwrap_or(mbr_type::LINUX);
    PartitionKind::Mbr { type_byte, active: node.boot, ebr_lba: None }
}

/// What a partition's GUID derives from, beside the seed.
pub(super) fn guid_role(node: &PartitionNode) -> String {
    format!("partition {}", node.name)
}

pub(super) fn is_bios_boot(partition: &PartitionNode) -> bool {
    partition.kind.as_deref().and_then(type_guid::parse) == Some(type_guid::BIOS_BOOT)
}

/// Whether firmware looks for EFI programs there.
pub(super) fn is_esp(partition: &PartitionNode, gpt: bool) -> bool {
    let code = partition.kind.as_deref();
    match gpt {
        true => code.and_then(type_guid::parse) == Some(type_guid::ESP),
        false => code.and_then(byte) == Some(mbr_type::ESP),
    }
}

/// A hexadecimal byte, `0x83` or `83`.
fn byte(code: &str) -> Option<u8> {
    let digits = code.strip_prefix("0x").or_else(|| code.strip_prefix("0X")).unwrap_or(code);
    u8::from_str_radix(digits, 16).ok()
}
