//! Disks: layouts, partition tables, file systems, image formats.
