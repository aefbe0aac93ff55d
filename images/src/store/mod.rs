//! The store: blobs, snapshots, step records, downloads.
