//! Growth: within the reserve, beyond it, past 16 TiB.

use super::*;

#[test]
fn it_can_be_written_to_and_grown() {
    if !have("e2fsck") || !have("resize2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("root.ext4");
    image(&rich(), 300 * MIB, Ext4Options::default(), &path).unwrap();
    let text = path.to_str().unwrap();
    if can_mount() {
        let target = scratch.path().join("mnt");
        fs_err::create_dir(&target).unwrap();
        let script = "mount -o loop \"$0\" \"$1\" && cd \"$1\" && rm bin/su many/file-00* && \
            for i in $(seq 500); do echo $i > many/new-$i; done && cd / && umount \"$1\"";
        let args = ["--mount", "--propagation", "private", "sh", "-c", script];
        run("unshare", &[&args[..], &[text, target.to_str().unwrap()]].concat());
        run("e2fsck", &["-fn", text]);
    }
    // resize2fs wants a check after the last change.
    run("e2fsck", &["-fp", text]);
    run("resize2fs", &[text, "5G"]);
    run("e2fsck", &["-fn", text]);
    assert!(run("debugfs", &["-R", "cat /many/file-02999", text]).contains("aaaaaaa"));
}

#[test]
fn without_room_for_a_reserve_there_is_none() {
    if !have("e2fsck") || !have("resize2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("root.ext4");
    let text = path.to_str().unwrap();
    let features = Ext4Options::default().features.changed("^64bit").unwrap();
    let narrow = Ext4Options { features, ..Ext4Options::default() };
    let within = Ext4Options { most_blocks: Some(1 << 20), ..Ext4Options::default() };
    for (len, options) in [(16 * MIB, narrow), (300 * MIB, within)] {
        let small = tree(vec![dir(""), file("hello", b"hello")]);
        image(&small, len, options, &path).unwrap();
        run("e2fsck", &["-fn", text]);
        fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(10 << 30).unwrap();
        run("e2fsck", &["-fp", text]);
        run("resize2fs", &[text]);
        run("e2fsck", &["-fn", text]);
    }
}

#[test]
fn it_grows_past_sixteen_tib() {
    if !have("e2fsck") || !have("resize2fs") {
        return;
    }
    // At 4096 bytes for each inode there would be more of them than can be counted.
    let options = Ext4Options { inode_ratio: 65_536, ..Ext4Options::default() };
    // An ext4 of the host ends at 16 TiB for a file, a tmpfs does not.
    let places = [std::env::temp_dir(), "/dev/shm".into()];
    let large = places.iter().find_map(|place| {
        let scratch = tempfile::tempdir_in(place).ok()?;
        let path = scratch.path().join("root.ext4");
        let file = fs_err::File::create(&path).unwrap();
        file.set_len(17 << 40).ok().map(|()| (scratch, path))
    });
    let Some((_scratch, path)) = large else {
        lacks("no file of 17 TiB can be made here");
        return;
    };
    image(&rich(), 300 * MIB, options, &path).unwrap();
    let text = path.to_str().unwrap();
    fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(17 << 40).unwrap();
    run("e2fsck", &["-fp", text]);
    run("resize2fs", &[text]);
    let head = run("dumpe2fs", &["-h", text]);
    let blocks = (17_u64 << 40) / 4096;
    assert!(head.contains(&format!("{blocks}\n")), "{head}");
    assert!(run("debugfs", &["-R", "cat /many/file-02999", text]).contains("aaaaaaa"));
    run("e2fsck", &["-fn", text]);
}
