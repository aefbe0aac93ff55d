//! Block-device YAML to disk layouts.
