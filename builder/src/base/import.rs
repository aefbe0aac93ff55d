//! The tree of an image, laid down as a base. Runs in the namespace that owns it.

use std::io::{BufReader, BufWriter, Read};
use std::path::Path;
use std::sync::Arc;

use goldsmith_images::layer::{ExtractError, Growth, Limits, RootWriter, extract};
use goldsmith_images::read::container::decompress;
use goldsmith_images::read::{Format, Medium, Qcow2, RawFile, System};
use goldsmith_images::tree::Tree;

use super::form::{Form, Shape};
use super::jobs::chain;
use crate::disk_image;

type Result<T> = std::result::Result<T, String>;

/// What to do about an image that is honest and grows too much all the same.
const TRUST: &str =
    "too much for its size; if you trust it, decompress it yourself and take the plain file";

/// Unpacks the system of an image into `root`, which is made. What is stored of it is in proportion
/// to the image.
pub(super) fn unpack(file: fs_err::File, form: Form, root: &Path) -> Result<()> {
    grow(file, form, root, Growth::STORED)
}

fn grow(file: fs_err::File, form: Form, root: &Path, growth: Growth) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::create_dir(root).map_err(|error| error.to_string())?;
    // An archive need not say what its root is like.
    let usual = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(root, usual).map_err(|error| error.to_string())?;
    let mut writer = RootWriter::open(root).map_err(|error| chain(&error))?;
    let data = file.metadata().map_err(|error| error.to_string())?;
    // A directory's archive comes by a pipe, which has no size to be in proportion to.
    let stored = if data.is_file() { growth.of(data.len()) } else { Limits::default().stored };
    // Names that mean something in layers are files like all others here.
    let limits = Limits { stored, whiteouts: false, list: false, ..Limits::default() };
    let extract = |stream: Box<dyn Read>, writer: &mut RootWriter| {
        extract(stream, writer, &limits).map_err(|error| match error {
            ExtractError::TooLarge { .. } => format!("{}; {TRUST}", chain(&error)),
            _ => chain(&error),
        })
    };
    if form.shape == Shape::Tar {
        let stream: Box<dyn Read> = match form.compression {
            None => Box::new(BufReader::with_capacity(1 << 17, file)),
            Some(method) => decompress(file, method).map_err(|error| error.to_string())?,
        };
        extract(stream, &mut writer)?;
        if fs_err::symlink_metadata(root.join("etc")).is_err() {
            return Err("the archive holds no root file system (with /etc)".to_owned());
        }
    } else {
        let scratch = root.parent().unwrap_or(root);
        let tree = tree(file, form, scratch, stored)?;
        let (reader, pipe) = std::io::pipe().map_err(|error| error.to_string())?;
        std::thread::scope(|scope| {
            let written = scope.spawn(|| tree.write_tar(BufWriter::with_capacity(1 << 17, pipe)));
            // The reader goes when this fails, and then the other side does, too.
            let reader = BufReader::with_capacity(1 << 17, reader);
            let extracted = extract(Box::new(reader), &mut writer);
            let written = written.join().unwrap_or_else(|_panic| {
                Err(std::io::Error::other("the thread that reads the image panicked"))
            });
            match (extracted, written) {
                // A reader that stopped is not what went wrong.
                (_, Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    Err(chain(&error))
                }
                (extracted, _) => extracted.map(|_| ()),
            }
        })?;
    }
    writer.finish().map_err(|error| chain(&error))
}

/// The tree of a disk. What it is, its form says: nothing is tried.
fn tree(file: fs_err::File, form: Form, scratch: &Path, stored: u64) -> Result<Tree> {
    let text = |error: std::io::Error| chain(&error);
    let file = match form.compression {
        None => file,
        Some(method) => {
            let plain = tempfile::tempfile_in(scratch).map_err(text)?;
            let plain = fs_err::File::from_parts(plain, "the unpacked image");
            let mut stream = decompress(file, method).map_err(text)?;
            disk_image::copy_sparsely(&mut stream, &plain, stored).map_err(text)?;
            plain
        }
    };
    let raw = RawFile::new(file).map_err(text)?;
    let disk: Arc<dyn Medium> = match form.shape {
        Shape::Qcow2 => Arc::new(Qcow2::new(raw).map_err(|error| chain(&error))?),
        Shape::Raw | Shape::Squashfs | Shape::Tar => Arc::new(raw),
    };
    let system = match form.shape {
        Shape::Squashfs => System::whole(&disk, Format::Squashfs),
        _ => System::find(&disk),
    };
    let system = system.map_err(|error| chain(&error))?;
    if !system.has_root() {
        return Err(chain(&system.nothing("a root file system (with /etc)")));
    }
    let mut tree = system.tree(b"").map_err(|error| chain(&error))?;
    disk_image::tidy(&mut tree, &system);
    Ok(tree)
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::fd::OwnedFd;
    use std::process::Command;

    use goldsmith_images::tree::{Entry, Kind, Source};

    use super::*;

    /// Unpacks what `make` puts at a path; whether that worked, and the names at the top.
    pub(in crate::base) fn unpacked(form: &str, make: &dyn Fn(&Path)) -> (Result<()>, Vec<String>) {
        let scratch = tempfile::tempdir().unwrap();
        let (image, root) = (scratch.path().join("image"), scratch.path().join("root"));
        make(&image);
        let file = fs_err::File::open(&image).unwrap();
        let result = unpack(file, Form::parse(form).unwrap(), &root);
        let mut names: Vec<_> = fs_err::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        (result, names)
    }

    pub(in crate::base) fn run(tool: &str, words: &[&str]) {
        let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let output = Command::new(tool).args(words).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A disk with a system on it, as mke2fs makes it.
    pub(in crate::base) fn ext4(to: &Path) {
        let from = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(from.path().join("etc")).unwrap();
        fs_err::write(from.path().join("etc/os-release"), "ID=x\n").unwrap();
        let words = ["-q", "-F", "-t", "ext4", "-d", from.path().to_str().unwrap()];
        run("mke2fs", &[&words[..], &[to.to_str().unwrap(), "8M"]].concat());
    }

    #[test]
    fn i26_an_image_is_what_its_form_says() {
        let (done, names) = unpacked("raw", &ext4);
        done.unwrap();
        assert_eq!(names, ["etc"]);
        // The same bytes are no qcow2, no squashfs and no archive.
        for form in ["qcow2", "squashfs", "tar", "tar.gz", "raw.zst"] {
            let (done, names) = unpacked(form, &ext4);
            assert!(done.is_err() && names.is_empty(), "{form}: {names:?}");
        }
        // The first bytes of a disk are its guest's: there qcow2's magic number means nothing.
        let signed = |to: &Path| {
            ext4(to);
            let file = fs_err::OpenOptions::new().write(true).open(to).unwrap();
            use fs_err::os::unix::fs::FileExt as _;
            let mut head = [0; 16];
            head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
            head[15] = 104;
            file.write_all_at(&head, 0).unwrap();
            file.write_all_at(b"/etc/passwd", 104).unwrap();
        };
        let (done, names) = unpacked("raw", &signed);
        done.unwrap();
        assert_eq!(names, ["etc"]);
        let (done, _) = unpacked("qcow2", &signed);
        assert!(done.is_err());
        // Descriptors of other formats that name files are disks without a system.
        for text in [
            "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"/etc/passwd\" 0\n",
            "conectix",
            "<<< Oracle VM VirtualBox Disk Image >>>\n",
            "json:{\"driver\":\"raw\",\"file\":{\"filename\":\"/etc/passwd\"}}",
        ] {
            for form in ["raw", "qcow2", "squashfs", "tar"] {
                let (done, names) = unpacked(form, &|to| {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes.resize(1 << 20, 0);
                    fs_err::write(to, bytes).unwrap();
                });
                assert!(done.is_err() && names.is_empty(), "{text} as {form}: {names:?}");
            }
        }
    }

    /// What `packer` makes of a file.
    fn packed(packer: &str, plain: &Path, to: &Path) {
        let file = fs_err::File::open(plain).unwrap().into_parts().0;
        let out = fs_err::File::create(to).unwrap().into_parts().0;
        let status = Command::new(packer).arg("-c").stdin(file).stdout(out).status().unwrap();
        assert!(status.success(), "{packer}");
    }

    // I11: a bomb of each compression and, beside it, what looks most like it: a disk or a file that
    // is nearly all hole and is compressed as well.
    #[test]
    fn i11_images_that_grow_beyond_measure_are_refused() {
        let growth = Growth { times: 16, always: 4 << 20 };
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        ext4(&path("honest"));
        fs_err::OpenOptions::new()
            .write(true)
            .open(path("honest"))
            .unwrap()
            .set_len(64 << 20)
            .unwrap();
        fs_err::write(path("bomb"), vec![b'x'; 16 << 20]).unwrap();
        fs_err::create_dir_all(path("tree/etc")).unwrap();
        let large = fs_err::File::create(path("tree/etc/large")).unwrap();
        large.set_len(64 << 20).unwrap();
        let tar = |to: &str, more: &[&str]| {
            let (to, tree) = (path(to).display().to_string(), path("tree").display().to_string());
            run("tar", &[more, &["-cf", to.as_str(), "-C", tree.as_str(), "."]].concat());
        };
        tar("honest.tar", &["--sparse"]);
        tar("bomb.tar", &[]);
        for (form, packer, plain) in [
            ("raw.gz", "gzip", ""),
            ("raw.xz", "xz", ""),
            ("raw.zst", "zstd", ""),
            ("tar.gz", "gzip", ".tar"),
            ("tar.xz", "xz", ".tar"),
            ("tar.zst", "zstd", ".tar"),
        ] {
            for (what, good) in [("honest", true), ("bomb", false)] {
                let image = path("image");
                packed(packer, &path(&format!("{what}{plain}")), &image);
                let root = path("root");
                let file = fs_err::File::open(&image).unwrap();
                let done = grow(file, Form::parse(form).unwrap(), &root, growth);
                match done {
                    Ok(()) => assert!(good, "{form}: a bomb"),
                    Err(error) => {
                        assert!(
                            !good && error.contains("bytes that are no holes"),
                            "{form}: {error}"
                        );
                        assert!(error.contains("decompress it yourself"), "{error}");
                    }
                }
                fs_err::remove_dir_all(&root).unwrap();
            }
        }
    }

    // `materialise` of a directory streams an archive: a pipe has no size.
    #[test]
    fn an_archive_through_a_pipe_is_not_measured_by_its_size() {
        let place = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(place.path().join("tree/etc")).unwrap();
        fs_err::write(place.path().join("tree/etc/large"), vec![b'x'; 8 << 20]).unwrap();
        let growth = Growth { times: 16, always: 4 << 20 };
        let (reader, writer) = std::io::pipe().unwrap();
        let tree = place.path().join("tree");
        let mut tar =
            Command::new("tar").arg("-cC").arg(&tree).arg(".").stdout(writer).spawn().unwrap();
        let reader = fs_err::File::from_parts(std::fs::File::from(OwnedFd::from(reader)), "a pipe");
        let root = place.path().join("root");
        grow(reader, Form::parse("tar").unwrap(), &root, growth).unwrap();
        assert!(tar.wait().unwrap().success());
        assert_eq!(fs_err::metadata(root.join("etc/large")).unwrap().len(), 8 << 20);
    }

    const JSON: &[u8] = br#"json:{"file":{"filename":"/etc/shadow"}}  "#;

    #[test]
    fn i25_a_qcow2_names_no_other_file() {
        let with = |change: &[(usize, &[u8])]| {
            unpacked("qcow2", &|to| {
                let raw = to.with_extension("raw");
                ext4(&raw);
                let (raw, image) = (raw.to_str().unwrap(), to.to_str().unwrap());
                run("qemu-img", &["convert", "-f", "raw", "-O", "qcow2", raw, image]);
                let mut bytes = fs_err::read(to).unwrap();
                for (at, new) in change {
                    bytes[*at..at + new.len()].copy_from_slice(new);
                }
                fs_err::write(to, bytes).unwrap();
            })
        };
        let (done, names) = with(&[]);
        done.unwrap();
        assert_eq!(names, ["etc"]);
        let (path, length) = (&b"/etc/passwd"[..], &[0u8, 0, 0, 11][..]);
        for (what, change) in [
            // A backing file; another one for the data; encryption; a feature nobody knows.
            ("backing", vec![(14, &[2u8, 0][..]), (16, length), (0x200, path)]),
            // A name that qemu would read as options, one by protocol, one of another image.
            ("json", vec![(14, &[2u8, 0][..]), (16, &[0u8, 0, 0, 42][..]), (0x200, JSON)]),
            (
                "nbd",
                vec![
                    (14, &[2u8, 0][..]),
                    (16, &[0u8, 0, 0, 17][..]),
                    (0x200, &b"nbd:localhost:999"[..]),
                ],
            ),
            (
                "nested",
                vec![(14, &[2u8, 0][..]), (16, &[0u8, 0, 0, 7][..]), (0x200, &b"b.qcow2"[..])],
            ),
            ("data", vec![(79, &[4u8][..])]),
            ("encrypted", vec![(35, &[2u8][..])]),
            ("unknown", vec![(72, &[0x80u8][..])]),
        ] {
            let (done, names) = with(&change);
            assert!(done.is_err() && names.is_empty(), "{what}: {names:?}");
        }
    }

    #[test]
    fn archives_and_compressed_disks_are_unpacked() {
        let archive = |to: &Path| {
            use std::os::unix::fs::MetadataExt as _;
            let mut tree = Tree::default();
            let source = Source::Bytes(Arc::from(&b"x\n"[..]));
            let mut file = Entry::new("etc/.wh.hosts", Kind::File { size: 2, source }, 0o600, 1);
            let mine = fs_err::metadata(to.parent().unwrap()).unwrap();
            (file.uid, file.gid) = (mine.uid(), mine.gid());
            tree.insert(file);
            tree.write_tar(fs_err::File::create(to).unwrap()).unwrap();
        };
        let (done, names) = unpacked("tar", &archive);
        done.unwrap();
        assert_eq!(names, ["etc"]);
        // A name of OCI layers is only a name here.
        let packed = |to: &Path| {
            let plain = to.with_extension("plain");
            ext4(&plain);
            let out = fs_err::File::create(to).unwrap();
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            std::io::copy(&mut fs_err::File::open(plain).unwrap(), &mut encoder).unwrap();
            encoder.finish().unwrap();
        };
        let (done, names) = unpacked("raw.gz", &packed);
        done.unwrap();
        assert_eq!(names, ["etc"]);
        let (done, _) = unpacked("tar", &|to| fs_err::write(to, [0; 1024]).unwrap());
        assert!(done.unwrap_err().contains("no root file system"));
    }
}
