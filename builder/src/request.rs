//! What the user wants, as a value.
