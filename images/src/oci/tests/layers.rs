use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::digest::Digest;
use crate::layer::{Growth, Limits};
use crate::oci::{Compression, Descriptor, LayerBlob, UnpackError, unpack};

/// A tar archive of files of the caller's own ids; a name with a slash at its end is a
/// directory.
fn tar(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_mode(*mode);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        let directory = name.ends_with('/');
        let kind = if directory { tar::EntryType::Directory } else { tar::EntryType::Regular };
        header.set_entry_type(kind);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn blob(compression: Compression, bytes: &[u8], tar: &[u8]) -> LayerBlob {
    let blob = Descriptor::of(compression.media_type(), bytes);
    LayerBlob { blob, diff_id: Digest::of(tar) }
}

fn into(root: &Path, bytes: &[u8], layer: &LayerBlob) -> Result<(), UnpackError> {
    unpack(bytes, layer, root, &[], &Limits::default()).map(|_| ())
}

#[test]
fn layers_of_every_compression_are_unpacked_and_verified() {
    let tar = tar(&[("etc/", 0o755, ""), ("etc/motd", 0o640, "hello")]);
    // Two members and two frames are one stream.
    let (first, second) = tar.split_at(700);
    let (gzips, frames) =
        ([gzip(first), gzip(second)].concat(), [zstd(first), zstd(second)].concat());
    for (compression, bytes) in [
        (Compression::None, tar.clone()),
        (Compression::Gzip, gzip(&tar)),
        (Compression::Gzip, gzips),
        (Compression::Zstd, zstd(&tar)),
        (Compression::Zstd, frames),
    ] {
        let root = tempfile::tempdir().unwrap();
        into(root.path(), &bytes, &blob(compression, &bytes, &tar)).unwrap();
        let file = root.path().join("etc/motd");
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "hello");
        assert_eq!(fs_err::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    }
}

#[test]
fn i12_a_layer_is_the_one_that_was_promised_to_the_last_byte() {
    let tar = tar(&[("motd", 0o644, "hello")]);
    let good = gzip(&tar);
    let honest = blob(Compression::Gzip, &good, &tar);
    let change = |change: fn(&mut LayerBlob)| {
        let mut layer = honest.clone();
        change(&mut layer);
        layer
    };
    for (what, bytes, layer) in [
        ("its size", good.clone(), change(|layer| layer.blob.size += 1)),
        ("its digest", good.clone(), change(|layer| layer.blob.digest = Digest::of("x"))),
        ("unpacks to", good.clone(), change(|layer| layer.diff_id = Digest::of("x"))),
    ] {
        let root = tempfile::tempdir().unwrap();
        let error = into(root.path(), &bytes, &layer).unwrap_err();
        assert!(matches!(error, UnpackError::Mismatch { .. }), "{what}: {error}");
        assert!(error.to_string().contains(what), "{what} in {error}");
    }
    // Too small or too long: reading ends in the middle of a stream.
    let root = tempfile::tempdir().unwrap();
    let layer = change(|layer| layer.blob.size -= 5);
    assert!(into(root.path(), &good, &layer).is_err());
    let longer = [good, gzip(b"")].concat();
    assert!(into(root.path(), &longer, &honest).is_err());
}

/// What comes out is in proportion to the layer, zeros included; a little may be any layer.
#[test]
fn i11_a_layer_grows_to_its_bound_and_no_further() {
    let content = "0".repeat(6 << 20);
    let tar = tar(&[("much", 0o644, content.as_str())]);
    let much = tar.len() as u64;
    for (compression, bytes) in [(Compression::Gzip, gzip(&tar)), (Compression::Zstd, zstd(&tar))] {
        let layer = blob(compression, &bytes, &tar);
        let size = layer.blob.size;
        assert!(size * 100 < much, "a bomb of {size} bytes");
        let grown = |times, always| {
            let root = tempfile::tempdir().unwrap();
            let growth = Growth { times, always };
            let limits = Limits { growth, ..Limits::default() };
            unpack(&bytes[..], &layer, root.path(), &[], &limits).map(|done| done.bytes)
        };
        for (times, always) in [(much.div_ceil(size), 0), (0, much)] {
            assert_eq!(grown(times, always).unwrap(), 6 << 20);
        }
        for (times, always) in [(much / size - 1, 0), (0, much - 1)] {
            let error = format!("{:?}", grown(times, always).unwrap_err());
            assert!(error.contains("it unpacks to more than"), "{error}");
        }
    }
    // What layers have in earnest.
    let growth = Limits::default().growth;
    assert_eq!((growth.of(1), growth.of(1 << 20)), (1 << 30, 16 << 30));
}

#[test]
fn i11_bombs_and_what_follows_a_stream_are_refused() {
    let tar = tar(&[("motd", 0o644, "hello")]);
    let mut garbage = gzip(&tar);
    garbage.extend_from_slice(b"garbage");
    let root = tempfile::tempdir().unwrap();
    let layer = blob(Compression::Gzip, &garbage, &tar);
    assert!(matches!(into(root.path(), &garbage, &layer), Err(UnpackError::Read { .. })));

    // Zeros after the end of the archive count, too.
    let mut long = tar.clone();
    long.resize(4 << 20, 0);
    for (compression, bytes) in [(Compression::Gzip, gzip(&long)), (Compression::Zstd, zstd(&long))]
    {
        let layer = blob(compression, &bytes, &long);
        let small = Limits { bytes: 1 << 20, ..Limits::default() };
        let root = tempfile::tempdir().unwrap();
        let error = unpack(&bytes[..], &layer, root.path(), &[], &small).unwrap_err();
        assert!(format!("{error:?}").contains("more than 1048576 bytes"), "{error:?}");
        into(tempfile::tempdir().unwrap().path(), &bytes, &layer).unwrap();
    }

    // A window of 256 MiB, which nobody needs.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(&tar).unwrap();
    let bytes = encoder.finish().unwrap();
    let layer = blob(Compression::Zstd, &bytes, &tar);
    let root = tempfile::tempdir().unwrap();
    assert!(into(root.path(), &bytes, &layer).is_err());
}

#[test]
fn directories_without_an_entry_are_those_of_the_layers_below() {
    let lower = tempfile::tempdir().unwrap();
    fs_err::create_dir(lower.path().join("tmp")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o1777);
    fs_err::set_permissions(lower.path().join("tmp"), mode).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    for (name, value) in [
        ("user.kept", "as it is"),
        ("user.goldsmith.x.security.selinux", "a_label"),
        ("user.overlay.opaque", "y"),
    ] {
        rustix::fs::setxattr(lower.path().join("tmp"), name, value.as_bytes(), flags).unwrap();
    }
    let tar = tar(&[("tmp/deep/x", 0o644, "x")]);
    let root = tempfile::tempdir().unwrap();
    let layer = blob(Compression::None, &tar, &tar);
    let lowers = [lower.path().to_path_buf()];
    unpack(&tar[..], &layer, root.path(), &lowers, &Limits::default()).unwrap();
    let meta = |name: &str| fs_err::metadata(root.path().join(name)).unwrap();
    assert_eq!(meta("tmp").mode() & 0o7777, 0o1777);
    assert_eq!(meta("tmp").mtime(), fs_err::metadata(lower.path().join("tmp")).unwrap().mtime());
    assert_eq!((meta("tmp/deep").mode() & 0o7777, meta("tmp/deep").mtime()), (0o755, 0));
    let tree = crate::tree::Tree::layer(root.path()).unwrap();
    let entry = tree.entries.iter().find(|entry| entry.path == b"tmp").unwrap();
    let expected = [("security.selinux", "a_label"), ("user.kept", "as it is")];
    assert_eq!(entry.xattrs, expected.map(|(name, value)| (name.into(), value.into())));
}

/// A directory that a layer between removed, or replaced with all above it, is a new one.
#[test]
fn directories_that_a_layer_removed_are_new_ones() {
    let lower = tempfile::tempdir().unwrap();
    for name in ["gone/deep", "fresh/deep", "kept/deep"] {
        fs_err::create_dir_all(lower.path().join(name)).unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        fs_err::set_permissions(lower.path().join(name), mode).unwrap();
    }
    let middle = tempfile::tempdir().unwrap();
    fs_err::create_dir(middle.path().join("kept")).unwrap();
    // Whatever lies in its place: a whiteout, which only root may make, is no directory either.
    fs_err::write(middle.path().join("gone"), "").unwrap();
    fs_err::create_dir(middle.path().join("fresh")).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let fresh = middle.path().join("fresh");
    rustix::fs::setxattr(&fresh, "user.overlay.opaque", b"y", flags).unwrap();
    let names = ["gone/deep/x", "fresh/deep/x", "kept/deep/x"].map(|name| (name, 0o644, "x"));
    let tar = tar(&names);
    let layer = blob(Compression::None, &tar, &tar);
    let root = tempfile::tempdir().unwrap();
    let lowers = [lower.path().to_path_buf(), middle.path().to_path_buf()];
    unpack(&tar[..], &layer, root.path(), &lowers, &Limits::default()).unwrap();
    let mode = |name: &str| fs_err::metadata(root.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(["gone/deep", "fresh/deep", "kept/deep"].map(mode), [0o755, 0o755, 0o700]);
}
