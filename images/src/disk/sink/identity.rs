//! What image formats record about an image beside its bytes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::layout::{DiskLayout, Table, derived_u32, derived_uuid};

/// Name, time and the seed of identifiers: with them formats that draw numbers and read
/// clocks elsewhere are the same bytes every time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIdentity {
    /// The image's file name, for formats that repeat it.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub epoch: i64,
    /// Identifiers are derived from it.
    pub seed: String,
}

impl ImageIdentity {
    /// The identity of an image of `layout` that is called `name`.
    pub fn of(layout: &DiskLayout, name: &str) -> Self {
        let table = match &layout.table {
            Table::Gpt { disk_guid } => disk_guid.to_string(),
            Table::Mbr { disk_id } => format!("{disk_id:08x}"),
            Table::None => String::new(),
        };
        let volumes: Vec<_> = layout.filesystems.iter().map(|f| f.uuid.to_string()).collect();
        Self {
            name: name.to_owned(),
            epoch: layout.epoch,
            seed: format!("{table} {}", volumes.join(" ")),
        }
    }

    pub(super) fn uuid(&self, role: &str) -> Uuid {
        derived_uuid(&self.seed, role)
    }

    pub(super) fn number(&self, role: &str) -> u32 {
        derived_u32(&self.seed, role)
    }
}
