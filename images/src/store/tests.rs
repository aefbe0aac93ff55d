use std::time::Duration;

use serde_json::json;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    (directory, store)
}

/// What is left of a process that was killed.
fn killed(path: &Path, bytes: &str) -> PathBuf {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
    path.to_path_buf()
}

fn age(path: &Path) {
    let file = std::fs::File::from(
        rustix::fs::open(path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap(),
    );
    let time = std::time::SystemTime::now() - Duration::from_secs(3600);
    let times = std::fs::FileTimes::new().set_modified(time).set_accessed(time);
    file.set_times(times).unwrap();
}

/// As a later process finds it.
fn reopened(store: Store) -> Store {
    let root = store.root().to_path_buf();
    drop(store);
    Store::open(&root).unwrap()
}

fn snapshot(store: &Store, name: &str) -> SnapshotId {
    let pending = store.pending().unwrap();
    fs_err::create_dir(pending.upper()).unwrap();
    fs_err::write(pending.upper().join("file"), name).unwrap();
    store.commit(pending, SnapshotMeta::new(name, "map".into(), Vec::new(), false)).unwrap()
}

#[test]
fn the_root_is_closed_to_others_whatever_the_umask_i20() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, store) = store();
    let mode = fs_err::metadata(store.root()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_commit_shows_the_whole_tree() {
    let (_directory, store) = store();
    let id = snapshot(&store, "install");
    let fs = store.snapshot_fs(&id).unwrap();
    assert_eq!(fs_err::read_to_string(fs.join("file")).unwrap(), "install");
    assert!(store.sweep().unwrap().is_empty());
    store.sync().unwrap();
    assert!(store.has_snapshot(&id));
}

#[test]
fn an_unsynced_snapshot_of_an_earlier_boot_is_absent() {
    let (_directory, mut store) = store();
    let id = snapshot(&store, "install");
    store.boot = "another".into();
    assert!(!store.has_snapshot(&id));
    assert!(matches!(store.snapshot_fs(&id), Err(StoreError::NoSnapshot { .. })));
}

#[test]
fn remains_of_the_dead_are_found_and_work_of_the_living_is_not() {
    let (_directory, store) = store();
    let living = store.pending().unwrap();
    let dead = store.pending().unwrap();
    let path = dead.path().to_path_buf();
    drop(dead);
    assert_eq!(store.sweep().unwrap(), [path]);
    drop(living);
}

#[test]
fn a_torn_record_is_a_miss() {
    let (_directory, store) = store();
    let key = "0123456789abcdef";
    assert_eq!(store.step(key).unwrap(), None);
    store.put_step(key, &json!({"created": 1, "snapshots": []})).unwrap();
    assert!(store.step(key).unwrap().is_some());
    fs_err::write(store.root().join("steps").join(format!("{key}.json")), "{\"crea").unwrap();
    assert_eq!(store.step(key).unwrap(), None);
    assert!(store.step("../../etc/passwd").is_err());
}

#[test]
fn collection_keeps_what_young_records_need() {
    let (_directory, store) = store();
    let (kept, lost) = (snapshot(&store, "kept"), snapshot(&store, "lost"));
    store.put_step("aaaaaaaa", &json!({"snapshots": [kept]})).unwrap();
    store.put_step("bbbbbbbb", &json!({"snapshots": [lost]})).unwrap();
    let (fresh, stale) = (store.downloads().join("fresh"), store.downloads().join("stale"));
    fs_err::write(&fresh, "x").unwrap();
    fs_err::write(&stale, "x").unwrap();
    age(&stale);
    age(&store.root().join("steps/bbbbbbbb.json"));
    let store = reopened(store);
    let retired = store.collect(Duration::from_secs(3600)).unwrap();
    assert_eq!(retired.paths, [store.root().join(format!("tmp/gone-{lost}"))]);
    assert!(store.step("bbbbbbbb").unwrap().is_none() && store.step("aaaaaaaa").unwrap().is_some());
    assert!(fresh.exists() && !stale.exists());
    // Whoever else collects leaves it to us; when we are killed, it is theirs.
    let other = Store::open(store.root()).unwrap();
    assert!(other.sweep().unwrap().is_empty());
    let gone = retired.paths.clone();
    drop(retired);
    assert_eq!(other.sweep().unwrap(), gone);
}

#[test]
fn a_download_that_got_its_name_meanwhile_is_no_failure() {
    let (_directory, store) = store();
    let part = store.root().join("downloads/x.part");
    let mut retired = Retired::default();
    fs_err::write(&part, "bytes").unwrap();
    assert!(store.retire_download(&part, true, &mut retired).unwrap());
    assert!(!store.retire_download(&part, true, &mut retired).unwrap());
    assert_eq!((retired.downloads, retired.bytes > 0), (1, true));
}

#[test]
fn what_another_builder_uses_is_not_collected() {
    let (_directory, store) = store();
    let (theirs, ours) = (snapshot(&store, "theirs"), snapshot(&store, "ours"));
    let store = reopened(store);
    let other = Store::open(store.root()).unwrap();
    assert!(other.has_snapshot(&theirs));
    let made = snapshot(&other, "made");
    std::thread::sleep(Duration::from_millis(50));
    let retired = store.collect(Duration::ZERO).unwrap();
    assert_eq!(retired.paths, [store.root().join(format!("tmp/gone-{ours}"))]);
    assert!(other.snapshot_fs(&theirs).is_ok() && other.snapshot_fs(&made).is_ok());
    assert!(!other.has_snapshot(&ours));
    drop(other);
    assert_eq!(store.collect(Duration::ZERO).unwrap().snapshots, 2);
}

#[test]
fn a_builder_killed_while_it_works_leaves_what_is_swept_i30() {
    let (_directory, store) = store();
    let (root, whole) = (store.root().to_path_buf(), snapshot(&store, "whole"));
    store.put_step("aaaaaaaa", &json!({"created": steps::now(), "snapshots": [whole]})).unwrap();
    let meta = serde_json::to_string(&store.meta(&whole).unwrap()).unwrap();

    // Before the lock, which a living process makes at once, or after it, when a tree is being
    // removed: a minute's grace while others are at work.
    fs_err::create_dir(root.join("tmp/p-young")).unwrap();
    fs_err::create_dir(root.join("tmp/p-old")).unwrap();
    age(&root.join("tmp/p-old"));
    let mut dead = vec![root.join("tmp/p-old")];
    // With the lock, with half a tree, with the tree and half a description, before the rename.
    for (name, files) in [
        ("p-lock", vec![("lock", "")]),
        ("p-upper", vec![("lock", ""), ("fs/a/b", "half")]),
        ("p-meta", vec![("lock", ""), ("fs/a", "x"), ("meta.json", "{\"na")]),
        ("p-done", vec![("lock", ""), ("fs/a", "x"), ("meta.json", meta.as_str())]),
    ] {
        for (file, bytes) in files {
            killed(&root.join("tmp").join(name).join(file), bytes);
        }
        let id: SnapshotId = serde_json::from_value(json!(name[2..])).unwrap();
        assert!(!store.has_snapshot(&id));
        dead.push(root.join("tmp").join(name));
    }
    // A sandbox's directory; a download, a record and elements that never got their name.
    dead.push(killed(&root.join("run/run-x/mounts"), "").parent().unwrap().to_path_buf());
    dead.push(killed(&root.join("downloads/.tmpAAAA"), "half a package"));
    dead.push(killed(&root.join("elements/.tmpBBBB/lib/x"), "").ancestors().nth(2).unwrap().into());
    dead.push(killed(
        &root.join("steps/.tmpCCCC"),
        "{\"created\": 99999999999, \"snapshots\": [\"x\"]}",
    ));
    assert_eq!(store.usage().unwrap().len(), 1, "something half-made is listed");

    // Another builder may be at work on those without a lock of their own.
    let other = Store::open(&root).unwrap();
    assert_eq!(store.sweep().unwrap().len(), 5);
    drop(other);
    dead.push(root.join("tmp/p-young"));
    let mut found = store.sweep().unwrap();
    found.sort();
    dead.sort();
    assert_eq!(found, dead);
    for path in found {
        crate::layer::remove_tree(&path).unwrap();
    }
    assert!(store.sweep().unwrap().is_empty());
    assert!(store.has_snapshot(&whole) && store.step("aaaaaaaa").unwrap().is_some());
}

#[test]
fn a_builder_killed_between_snapshot_and_record_leaves_garbage_only_i30() {
    let (_directory, store) = store();
    let (kept, orphan) = (snapshot(&store, "kept"), snapshot(&store, "orphan"));
    store.put_step("aaaaaaaa", &json!({"created": steps::now(), "snapshots": [kept]})).unwrap();
    // Killed while it marked the snapshot as synced: the old description still stands.
    killed(&store.directory(&kept).join(".tmpDDDD"), "{\"na");
    // A collection that was killed half-way, before and after it came to the description.
    let (half, gone) = (snapshot(&store, "half"), snapshot(&store, "gone"));
    fs_err::remove_dir_all(store.directory(&half).join("fs")).unwrap();
    fs_err::remove_file(store.directory(&gone).join("meta.json")).unwrap();
    killed(&store.root().join("run/run-x/mounts"), "");
    assert!(!store.has_snapshot(&gone));

    let store = reopened(store);
    let retired = store.collect(Duration::from_secs(3600)).unwrap();
    let mut garbage = retired.paths.clone();
    let name = |id: &SnapshotId| store.root().join(format!("tmp/gone-{id}"));
    let mut dead: Vec<_> = [&orphan, &half, &gone].map(name).into();
    dead.push(store.root().join("run/run-x"));
    garbage.sort();
    dead.sort();
    assert_eq!(garbage, dead);
    for path in garbage {
        crate::layer::remove_tree(&path).unwrap();
    }
    let again = Store::open(store.root()).unwrap();
    assert!(again.has_snapshot(&kept) && again.stack(&kept.to_string()).unwrap().len() == 1);
    assert!(again.sweep().unwrap().is_empty());
}

#[test]
fn a_builder_killed_while_it_makes_the_store_is_no_obstacle_i30() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("cache");
    for made in ["blobs", "snapshots", "tmp"] {
        fs_err::create_dir_all(root.join(made)).unwrap();
        let store = Store::open(&root).unwrap();
        assert!(store.has_snapshot(&snapshot(&store, made)), "{made}");
    }
}

/// A store has one owner: somebody else's is left as it is.
#[test]
fn a_store_of_somebody_else_is_refused_i20() {
    let directory = tempfile::tempdir().unwrap();
    let own = rustix::process::geteuid();
    let (root, somebody) = if own.is_root() {
        let somebody = rustix::process::Uid::from_raw(12_345);
        rustix::fs::chown(directory.path(), Some(somebody), None).unwrap();
        (directory.path(), 12_345)
    } else {
        (Path::new("/usr"), 0)
    };
    let before = fs_err::read_dir(root).unwrap().count();
    let error = Store::open(root).unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { owner, .. } if *owner == somebody), "{error}");
    let said = format!("{} belongs to user {somebody}, not to you", root.display());
    assert_eq!(error.to_string(), said);
    assert_eq!(fs_err::read_dir(root).unwrap().count(), before);
}
