//! Step keys: a digest of everything that a step can see.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Names the result of a step; equal keys mean interchangeable results.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key as lower-case hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects the parts of a key.
///
/// Every part is hashed with its label and lengths, so no two different lists of parts
/// share an encoding.
#[derive(Debug)]
pub struct KeyBuilder {
    hasher: Sha256,
}

/// Changes whenever the meaning of cached results does.
const GENERATION: &str = "goldsmith-step-2";

impl KeyBuilder {
    /// Starts a key for a step of that kind.
    pub fn new(kind: &str) -> Self {
        let builder = Self { hasher: Sha256::new() };
        builder.part("generation", GENERATION).part("kind", kind)
    }

    /// Adds one labelled part.
    #[must_use]
    pub fn part(mut self, label: &str, value: impl AsRef<[u8]>) -> Self {
        for field in [label.as_bytes(), value.as_ref()] {
            self.hasher.update((field.len() as u64).to_le_bytes());
            self.hasher.update(field);
        }
        self
    }

    /// Adds the result that this step starts from.
    #[must_use]
    pub fn parent(self, parent: &Key) -> Self {
        self.part("parent", parent.as_str())
    }

    /// Adds variables; their order is part of the key, so pass them sorted.
    #[must_use]
    pub fn variables<'a>(
        mut self,
        variables: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        for (name, value) in variables {
            self = self.part("variable", name).part("value", value);
        }
        self
    }

    /// Completes the key.
    pub fn finish(self) -> Key {
        Key(hex::encode(self.hasher.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_between_parts_matter() {
        let joined = KeyBuilder::new("k").part("a", "bc").finish();
        let split = KeyBuilder::new("k").part("ab", "c").finish();
        assert_ne!(joined, split);
        assert_eq!(joined, KeyBuilder::new("k").part("a", "bc").finish());
        assert_eq!(joined.short().len(), 12);
    }
}
