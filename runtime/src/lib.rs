//! Runs an argument vector in an OCI sandbox made of user namespaces.
