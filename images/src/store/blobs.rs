//! Blobs: content by its digest, fetched in parts if need be.
//!
//! ```text
//! blobs/sha256/HEX     whole and verified
//! blobs/incoming/HEX   what has come of it so far; locked by whoever fetches it
//! ```
//!
//! What has come survives its fetcher: the next one goes on where it ended. It gets its name
//! when all of it has the digest and is on disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::lease::{Leases, no_follow};
use super::{Store, StoreError};
use crate::digest::Digest;

impl Store {
    /// Where a blob lies, or would.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob is there in that size; then it stays as long as this store is open.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        let path = self.blob(digest);
        let meta = fs_err::symlink_metadata(&path);
        meta.is_ok_and(|meta| meta.is_file() && meta.len() == size) && self.leases.take(&path)
    }

    /// Reads a small blob, verified once more.
    ///
    /// # Errors
    ///
    /// When it is missing, longer than `limit`, or was damaged.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        fs_err::File::open(self.blob(digest))?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit || Digest::of(&bytes) != *digest {
            return Err(StoreError::Damaged { digest: *digest });
        }
        Ok(bytes)
    }

    /// Keeps bytes.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if let Some(mut incoming) = self.incoming(&digest, bytes.len() as u64)? {
            incoming.restart()?;
            incoming.write_all(bytes)?;
            incoming.finish()?;
        }
        Ok(digest)
    }

    /// Opens what has come of a blob, waiting for whoever else fetches it; nothing when it
    /// is whole.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn incoming(&self, digest: &Digest, size: u64) -> Result<Option<Incoming>, StoreError> {
        let path = self.root().join("blobs/incoming").join(digest.hex());
        loop {
            if self.has_blob(digest, size) {
                return Ok(None);
            }
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(no_follow()).open(&path)?;
            // Not by waiting for the lock: who finishes the blob keeps a lease on the same file.
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            }
            // Another one may have finished, or given up, while we waited: then the name is
            // another file's, or nobody's.
            let ours = file.metadata()?.ino();
            match std::fs::symlink_metadata(&path) {
                Ok(there) if there.ino() == ours => {}
                _ => continue,
            }
            let mut incoming = Incoming {
                leases: self.leases.clone(),
                path,
                to: self.blob(digest),
                digest: *digest,
                size,
                hasher: Sha256::new(),
                length: 0,
                file,
            };
            incoming.catch_up()?;
            return Ok(Some(incoming));
        }
    }
}

/// What has come of a blob; writing appends.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    leases: Leases,
    path: PathBuf,
    to: PathBuf,
    digest: Digest,
    size: u64,
    hasher: Sha256,
    length: u64,
}

impl Incoming {
    /// How many bytes have come.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes are to come.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Begins again.
    ///
    /// # Errors
    ///
    /// When the file cannot be emptied.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// Names the blob when it is whole; it then stays as long as the store is open. What has
    /// another digest is thrown away; what is too short stays for the next try.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when it is another one.
    pub fn finish(self) -> Result<(), StoreError> {
        let found = Digest::from_hex(&hex::encode(self.hasher.finalize()));
        if self.length < self.size {
            return Err(StoreError::Damaged { digest: self.digest });
        }
        if self.length != self.size || found != Ok(self.digest) {
            fs_err::remove_file(&self.path)?;
            return Err(StoreError::Damaged { digest: self.digest });
        }
        self.file.sync_all()?;
        fs_err::rename(&self.path, &self.to)?;
        if let Some(directory) = self.to.parent() {
            fs_err::File::open(directory)?.sync_all()?;
        }
        // The exclusive lock becomes a lease. Nobody collects what is so young.
        match self.leases.keep(&self.to, self.file) {
            true => Ok(()),
            false => Err(StoreError::Damaged { digest: self.digest }),
        }
    }

    /// Digests what came before.
    fn catch_up(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() > self.size {
            return self.restart();
        }
        let mut chunk = vec![0; 128 << 10];
        loop {
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&chunk[..count]);
            self.length += count as u64;
        }
    }
}

impl Write for Incoming {
    /// Fails when more comes than the blob has.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.length.saturating_add(buffer.len() as u64) > self.size {
            return Err(io::Error::other(format!("more than {} bytes come", self.size)));
        }
        let count = self.file.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::oci::{Descriptor, media_type};

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    #[test]
    fn what_has_come_is_kept_and_verified_as_a_whole_i30() {
        let (directory, store) = store();
        let digest = Digest::of("0123456789");
        let mut first = store.incoming(&digest, 10).unwrap().unwrap();
        first.write_all(b"01234").unwrap();
        // Killed here: nothing is visible, and another process goes on.
        drop(first);
        assert!(!store.has_blob(&digest, 10));
        let mut second = store.incoming(&digest, 10).unwrap().unwrap();
        assert_eq!(second.length(), 5);
        second.write_all(b"5678").unwrap();
        assert!(second.finish().is_err(), "one byte is missing");
        let mut third = store.incoming(&digest, 10).unwrap().unwrap();
        assert_eq!(third.length(), 9);
        assert!(third.write_all(b"9X").is_err(), "the blob has ten bytes");
        third.restart().unwrap();
        third.write_all(b"0123456789").unwrap();
        third.finish().unwrap();
        assert_eq!(store.read_blob(&digest, 10).unwrap(), b"0123456789");
        assert!(store.incoming(&digest, 10).unwrap().is_none());
        let mode = fs_err::metadata(directory.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "i20: nobody else reads what was pulled");
    }

    #[test]
    fn other_bytes_than_promised_never_get_the_name_i30() {
        let (_directory, store) = store();
        let digest = Digest::of("right");
        let mut incoming = store.incoming(&digest, 5).unwrap().unwrap();
        incoming.write_all(b"wrong").unwrap();
        assert!(matches!(incoming.finish(), Err(StoreError::Damaged { .. })));
        let again = store.incoming(&digest, 5).unwrap().unwrap();
        assert_eq!(again.length(), 0, "the wrong bytes are gone");
        drop(again);
        store.put_blob(b"right").unwrap();
        fs_err::write(store.blob(&digest), "rigged").unwrap();
        assert!(store.read_blob(&digest, 99).is_err());
        assert!(!store.has_blob(&digest, 5));
    }

    #[test]
    fn two_who_want_one_blob_make_it_once_i30() {
        let (_directory, store) = store();
        let digest = Digest::of("shared");
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    if let Some(mut incoming) = store.incoming(&digest, 6).unwrap() {
                        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        incoming.restart().unwrap();
                        incoming.write_all(b"shared").unwrap();
                        incoming.finish().unwrap();
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        assert_eq!(store.read_blob(&digest, 9).unwrap(), b"shared");
    }

    #[test]
    fn blobs_of_named_images_are_kept() {
        let (directory, store) = store();
        let config = br#"{"architecture":"amd64","os":"linux"}"#;
        let layer = store.put_blob(b"layer").unwrap();
        let manifest = crate::oci::Manifest::new(
            Descriptor::of(media_type::CONFIG, config),
            vec![Descriptor::new("application/vnd.oci.image.layer.v1.tar", layer, 5)],
        );
        let manifest = serde_json::to_vec(&manifest).unwrap();
        for bytes in [&config[..], &manifest, b"nobody's"] {
            store.put_blob(bytes).unwrap();
        }
        let image = Descriptor::of(media_type::MANIFEST, &manifest);
        let named = image.digest;
        store.put_pulled("r.io/x:1", image, &named).unwrap();
        drop(store.incoming(&Digest::of("half"), 4).unwrap());
        let found = store.pulled("r.io/x:1").unwrap().unwrap();
        assert_eq!(found.digest, Digest::of(&manifest));
        let nobodys = store.blob(&Digest::of("nobody's"));
        let kept = [&config[..], &manifest, b"layer"].map(|bytes| store.blob(&Digest::of(bytes)));
        // What this process brought it may still need; half a blob that nobody fetches goes.
        assert_eq!(store.collect(Duration::ZERO).unwrap().blobs, 1);
        assert_eq!(fs_err::read_dir(store.root().join("blobs/incoming")).unwrap().count(), 0);
        assert!(nobodys.exists() && kept.iter().all(|path| path.exists()));
        drop(store);
        let store = Store::open(directory.path()).unwrap();
        store.collect(Duration::ZERO).unwrap();
        assert!(!nobodys.exists() && kept.iter().all(|path| path.exists()));
        assert!(store.drop_pulled("r.io/x:1").unwrap() && !store.drop_pulled("r.io/x:1").unwrap());
        store.collect(Duration::ZERO).unwrap();
        assert!(kept.iter().all(|path| !path.exists()));
    }
}
