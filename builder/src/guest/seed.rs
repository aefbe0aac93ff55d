//! Settings for cloud-init on a disk of their own (its NoCloud data source).

use std::fs::File;
use std::path::Path;

use goldsmith_images::disk::layout::{DiskLayout, Filesystem, FsKind, On, VfatOptions};
use goldsmith_images::disk::sink::RawSink;
use goldsmith_images::disk::{BootFiles, write};
use goldsmith_images::tree::{Entry, Kind as EntryKind, Source, Tree};

use crate::base::jobs::chain;
use crate::error::{Failure, Kind, Result};

/// Length of the disk.
const SIZE: u64 = 4 << 20;

/// What a guest is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The text of `user-data`, as cloud-init reads it.
    pub user_data: String,
    /// Public keys that may log in as the image's own user.
    pub keys: Vec<String>,
}

impl Settings {
    /// Takes in a file of user data and files of public keys; nothing when there are neither.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or a key is a private one or none.
    pub fn read(user_data: Option<&Path>, keys: &[std::path::PathBuf]) -> Result<Option<Self>> {
        let text = |path: &Path| {
            fs_err::read_to_string(path)
                .map_err(|error| Failure::wrap(Kind::Usage, "settings of the guest", &error))
        };
        if user_data.is_none() && keys.is_empty() {
            return Ok(None);
        }
        let mut settings = Self {
            user_data: user_data.map_or_else(|| Ok("#cloud-config\n{}\n".to_owned()), text)?,
            keys: Vec::new(),
        };
        for path in keys {
            for line in text(path)?.lines().map(str::trim) {
                if line.contains("PRIVATE KEY") {
                    let message = format!("{} is a private key", path.display());
                    return Err(Failure::new(Kind::Usage, message)
                        .hint(format!("name its public half: {}.pub", path.display())));
                }
                if !line.is_empty() && !line.starts_with('#') {
                    settings.keys.push(line.to_owned());
                }
            }
        }
        Ok(Some(settings))
    }

    /// Writes the disk, into a file without a name: a FAT labelled `CIDATA` with `user-data` and
    /// `meta-data`.
    ///
    /// # Errors
    ///
    /// When there is no room for it.
    pub fn disk(&self) -> Result<File> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(Kind::Host, format!("the disk of settings: {}", chain(error)))
        };
        let mut meta = "instance-id: goldsmith\nlocal-hostname: goldsmith\n".to_owned();
        if !self.keys.is_empty() {
            let keys = serde_json::to_string(&self.keys).map_err(|error| failed(&error))?;
            // JSON is YAML, too.
            meta.push_str(&format!("public-keys: {keys}\n"));
        }
        let mut tree = Tree::default();
        tree.insert(Entry::directory("", 0o755, 0));
        for (name, text) in [("meta-data", meta), ("user-data", self.user_data.clone())] {
            let (size, bytes) = (text.len() as u64, text.into_bytes());
            let kind = EntryKind::File { size, source: Source::Bytes(bytes.into()) };
            tree.insert(Entry::new(name, kind, 0o644, 0));
        }
        let layout = DiskLayout::bare(
            SIZE,
            0,
            Filesystem {
                name: "settings".to_owned(),
                on: On::Whole,
                kind: FsKind::Vfat(VfatOptions { volume_id: 0x60_1d, fat_bits: None }),
                label: "CIDATA".to_owned(),
                uuid: uuid::Uuid::nil(),
                mount_point: Some("/".to_owned()),
            },
        );
        let file = tempfile::tempfile().map_err(|error| failed(&error))?;
        let named = fs_err::File::from_parts(
            file.try_clone().map_err(|error| failed(&error))?,
            "the disk of settings",
        );
        let mut sink = RawSink::new(named, SIZE).map_err(|error| failed(&error))?;
        write(&layout, &tree, &mut sink, &BootFiles { bios: None })
            .map_err(|error| failed(&error))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldsmith_images::read::{Format, Medium, RawFile, System};
    use std::io::Read as _;
    use std::sync::Arc;

    #[test]
    fn the_disk_is_one_that_cloud_init_finds() {
        let place = tempfile::tempdir().unwrap();
        let (data, key) = (place.path().join("data"), place.path().join("key"));
        fs_err::write(&data, "#cloud-config\nhostname: x\n").unwrap();
        fs_err::write(&key, "# mine\nssh-ed25519 AAAA me\n").unwrap();
        let settings = Settings::read(Some(&data), std::slice::from_ref(&key)).unwrap().unwrap();
        let file = settings.disk().unwrap();
        let file = RawFile::new(fs_err::File::from_parts(file, "seed")).unwrap();
        let mut front = vec![0; 64];
        file.read_at(0, &mut front).unwrap();
        assert_eq!(&front[43..54], b"CIDATA     ", "the label of a FAT12 or FAT16");
        let disk: Arc<dyn Medium> = Arc::new(file);
        let tree = System::whole(&disk, Format::Fat).unwrap().tree(b"").unwrap();
        let text = |name: &str| {
            let mut text = String::new();
            tree.open(tree.get(name.as_bytes()).unwrap())
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        };
        assert_eq!(text("user-data"), "#cloud-config\nhostname: x\n");
        assert!(text("meta-data").ends_with("public-keys: [\"ssh-ed25519 AAAA me\"]\n"));
        fs_err::write(&key, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        assert!(Settings::read(None, &[key]).unwrap_err().hints[0].ends_with(".pub"));
        assert_eq!(Settings::read(None, &[]).unwrap(), None);
    }
}
