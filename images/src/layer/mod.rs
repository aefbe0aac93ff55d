//! Layers: extraction, whiteouts, flattening, removal.
