use std::time::Duration;

use serde_json::json;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    (directory, store)
}

fn snapshot(store: &Store, name: &str) -> SnapshotId {
    let pending = store.pending().unwrap();
    fs_err::create_dir(pending.upper()).unwrap();
    fs_err::write(pending.upper().join("file"), name).unwrap();
    store.commit(pending, SnapshotMeta::new(name, "map".into(), Vec::new(), false)).unwrap()
}

#[test]
fn the_root_is_closed_to_others_whatever_the_umask() {
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
    let young = json!({"created": steps::now(), "snapshots": [kept]});
    let old = json!({"created": 1, "snapshots": [lost]});
    store.put_step("aaaaaaaa", &young).unwrap();
    store.put_step("bbbbbbbb", &old).unwrap();
    let garbage = store.collect(Duration::from_secs(3600)).unwrap();
    assert_eq!(garbage, [store.directory(&lost)]);
    assert!(store.step("bbbbbbbb").unwrap().is_none() && store.step("aaaaaaaa").unwrap().is_some());
}

#[test]
fn another_builder_keeps_collection_away() {
    let (_directory, store) = store();
    let other = Store::open(store.root()).unwrap();
    assert!(matches!(store.collect(Duration::ZERO), Err(StoreError::Busy { .. })));
    drop(other);
    assert!(store.collect(Duration::ZERO).unwrap().is_empty());
}
