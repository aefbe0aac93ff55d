//! Step records: what the result of a step is, by its key.
//!
//! A record is a JSON object of the builder's; the store reads two of its members:
//! `snapshots`, the list of snapshots that it keeps alive, and `created`, seconds since the
//! epoch.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Store, StoreError, write_whole};

impl Store {
    /// Returns the record of a step; one that cannot be read counts as absent.
    ///
    /// # Errors
    ///
    /// When the key is no name.
    pub fn step(&self, key: &str) -> Result<Option<Value>, StoreError> {
        let path = self.step_path(key)?;
        let Ok(text) = fs_err::read(&path) else { return Ok(None) };
        match serde_json::from_slice(&text) {
            Ok(value) => {
                super::lease::touch(&path);
                Ok(Some(value))
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a step record is torn: ignored");
                Ok(None)
            }
        }
    }

    /// Records the result of a step, atomically, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// When the key is no name or the file system refuses.
    pub fn put_step(&self, key: &str, record: &Value) -> Result<(), StoreError> {
        let path = self.step_path(key)?;
        Ok(write_whole(&path, &serde_json::to_vec(record)?)?)
    }

    fn step_path(&self, key: &str) -> Result<PathBuf, StoreError> {
        if key.len() < 8 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(StoreError::Name { name: key.to_owned() });
        }
        Ok(self.root().join("steps").join(format!("{key}.json")))
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
