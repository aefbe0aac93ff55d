//! Elements: search path, dependencies, virtual names.
