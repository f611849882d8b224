use super::{BlobStore, CHUNK_GROUP_BYTES, FolderStore, StoreError};
use protocol::BlobId;
use std::time::{Duration, SystemTime};
use std::{fs, path::Path, sync::Arc};
use tempfile::TempDir;

const GROUP: usize = 16 * 1024;

fn open() -> (TempDir, FolderStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(folder.path()).unwrap();
    (folder, store)
}

fn blob(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn inserted_blob_is_found_under_its_hash_in_two_levels() {
    let (folder, store) = open();
    for size in [0, 1, GROUP, GROUP + 1] {
        let bytes = blob(size);
        let id = store.insert(&bytes).unwrap();
        assert_eq!(id, BlobId::of(&bytes));
        assert_eq!(store.insert_from(&mut &bytes[..]).unwrap(), id);
        assert_eq!(store.get(&id).unwrap().unwrap(), bytes);
        assert_eq!(store.size(&id).unwrap(), Some(length(&bytes)));
        let name = id.to_string();
        let path = folder
            .path()
            .join("blobs")
            .join(&name[..2])
            .join(&name[2..4])
            .join(&name);
        assert_eq!(store.path(&id).unwrap().unwrap(), path);
        assert_eq!(fs::read(path).unwrap(), bytes);
    }
    assert_eq!(files(&folder.path().join("temporary")), 0);
}

#[test]
fn blobs_survive_reopening_and_are_listed_within_the_bound() {
    let (folder, store) = open();
    let mut ids: Vec<BlobId> = (0..20).map(|n| store.insert(&[n; 10]).unwrap()).collect();
    ids.sort();
    drop(store);
    fs::write(folder.path().join("blobs/stray"), b"not a folder").unwrap();
    let store = FolderStore::open(folder.path()).unwrap();
    assert_eq!(store.list(100).unwrap(), ids);
    assert_eq!(store.list(3).unwrap(), ids[..3]);
    store.remove(&ids[0]).unwrap();
    store.remove(&ids[0]).unwrap();
    assert_eq!(store.list(100).unwrap(), ids[1..]);
}

#[test]
fn corrupt_file_is_detected_and_removed() {
    let (_folder, store) = open();
    let id = store.insert(&blob(1000)).unwrap();
    fs::write(store.path(&id).unwrap().unwrap(), blob(999)).unwrap();
    assert!(matches!(store.get(&id), Err(StoreError::Corrupt { .. })));
    assert!(store.get(&id).unwrap().is_none());
}

#[test]
fn partial_blob_is_invisible_until_whole() {
    let (folder, store) = open();
    let bytes = blob(3 * GROUP + 5);
    let id = BlobId::of(&bytes);
    let partial = store.begin(&id, length(&bytes)).unwrap();
    assert!(matches!(
        partial.commit(),
        Err(StoreError::Incomplete { .. })
    ));
    partial.write(0, &bytes[..3 * GROUP]).unwrap();
    assert!(store.get(&id).unwrap().is_none());
    assert!(BlobStore::open(&store, &id).unwrap().is_none());
    assert!(store.list(10).unwrap().is_empty());
    partial
        .write(3 * CHUNK_GROUP_BYTES, &bytes[3 * GROUP..])
        .unwrap();
    assert!(store.get(&id).unwrap().is_none());
    partial.commit().unwrap();
    drop(partial);
    assert_eq!(store.get(&id).unwrap().unwrap(), bytes);
    assert_eq!(files(&folder.path().join("partial")), 0);
}

#[test]
fn partial_blob_resumes_after_reopening() {
    let (folder, store) = open();
    let bytes = blob(4 * GROUP);
    let id = BlobId::of(&bytes);
    let partial = store.begin(&id, length(&bytes)).unwrap();
    partial
        .write(CHUNK_GROUP_BYTES, &bytes[GROUP..2 * GROUP])
        .unwrap();
    // Half a group does not count.
    partial
        .write(3 * CHUNK_GROUP_BYTES, &bytes[3 * GROUP..3 * GROUP + 100])
        .unwrap();
    drop((partial, store));
    let store = FolderStore::open(folder.path()).unwrap();
    let partial = store.begin(&id, length(&bytes)).unwrap();
    let group = CHUNK_GROUP_BYTES;
    assert_eq!(partial.missing(), [0..group, 2 * group..4 * group]);
}

#[test]
fn damaged_progress_starts_over() {
    let (folder, store) = open();
    let bytes = blob(2 * GROUP);
    let id = BlobId::of(&bytes);
    let partial = store.begin(&id, length(&bytes)).unwrap();
    partial.write(0, &bytes[..GROUP]).unwrap();
    drop(partial);
    let path = folder
        .path()
        .join("partial")
        .join(format!("{id}-{}.progress", bytes.len()));
    let mut progress = fs::read(&path).unwrap();
    progress[8] = 3;
    fs::write(&path, progress).unwrap();
    let partial = store.begin(&id, length(&bytes)).unwrap();
    assert_eq!(partial.missing().first(), Some(&(0..length(&bytes))));
}

#[test]
fn false_bytes_are_refused_at_commit_and_dropped() {
    let (folder, store) = open();
    let bytes = blob(GROUP);
    let id = BlobId::of(&bytes);
    let partial = store.begin(&id, length(&bytes)).unwrap();
    partial.write(0, &[0; GROUP]).unwrap();
    assert!(matches!(partial.commit(), Err(StoreError::Corrupt { .. })));
    drop(partial);
    assert!(store.get(&id).unwrap().is_none());
    assert_eq!(files(&folder.path().join("partial")), 0);
}

#[test]
fn partial_blob_has_one_writer_and_firm_borders() {
    let (_folder, store) = open();
    let id = BlobId::of(b"stone");
    let partial = store.begin(&id, 5).unwrap();
    assert!(matches!(store.begin(&id, 5), Err(StoreError::Busy { .. })));
    assert!(matches!(
        partial.write(1, b"stone"),
        Err(StoreError::OutOfRange { .. })
    ));
    assert!(matches!(
        partial.write(u64::MAX, b"s"),
        Err(StoreError::OutOfRange { .. })
    ));
    // Another size is another partial: a wrong size on the chain does no harm.
    assert!(store.begin(&id, 6).is_ok());
    drop(partial);
    assert!(store.begin(&id, 5).is_ok());
}

#[test]
fn inserts_cut_short_leave_nothing() {
    let (folder, store) = open();
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    assert!(matches!(
        store.insert_from(&mut Failing),
        Err(StoreError::DiskFull { .. })
    ));
    assert_eq!(files(&folder.path().join("temporary")), 0);
    fs::write(folder.path().join("temporary/7"), b"left by a crash").unwrap();
    let reopened = FolderStore::open(folder.path()).unwrap();
    assert_eq!(files(&folder.path().join("temporary")), 0);
    assert!(reopened.list(10).unwrap().is_empty());
}

#[test]
fn many_threads_insert_the_same_blob() {
    let (_folder, store) = open();
    let store = Arc::new(store);
    let bytes = Arc::new(blob(100_000));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, bytes) = (Arc::clone(&store), Arc::clone(&bytes));
            std::thread::spawn(move || store.insert(&bytes).unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), BlobId::of(&bytes));
    }
    assert_eq!(store.list(10).unwrap().len(), 1);
}

#[test]
fn partial_blobs_abandoned_for_long_are_swept_at_opening() {
    let (folder, store) = open();
    for (name, days) in [("old", 8), ("young", 6)] {
        let path = folder.path().join("partial").join(name);
        let written = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        fs::File::create(path)
            .unwrap()
            .set_modified(written)
            .unwrap();
    }
    drop(store);
    FolderStore::open(folder.path()).unwrap();
    assert!(!folder.path().join("partial/old").exists());
    assert!(folder.path().join("partial/young").exists());
}
