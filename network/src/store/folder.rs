//! A folder of blobs: `blobs/ab/cd/abcd…`, named by the hash, hash-checked before they appear.

use super::{BlobRead, BlobStore, PartialBlob, StoreError, partial::FolderPartial};
use protocol::BlobId;
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Bytes copied or hashed at a time.
const BUFFER_BYTES: usize = 256 * 1024;
/// Partial blobs that were not written for this long are given up.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Blobs in a folder of the local disk.
///
/// ```
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// let store = network::FolderStore::open(folder.path()).expect("the folder can be written");
/// let id = store.insert(b"stone").expect("the disk has room");
/// assert_eq!(store.get(&id).expect("readable").as_deref(), Some(&b"stone"[..]));
/// ```
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
    temporary_count: AtomicU64,
    arriving: Arriving,
}

impl FolderStore {
    /// Opens a store, creating its folders and sweeping away inserts that a crash cut short and
    /// partial blobs that nobody continued for a week. One program may have it open at a time.
    ///
    /// # Errors
    /// When the folders cannot be created.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let temporary = root.join("temporary");
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(|e| StoreError::from_io(&temporary, e))?;
        }
        for folder in ["blobs", "partial", "temporary"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|e| StoreError::from_io(&folder, e))?;
        }
        sweep(&root.join("partial"), SystemTime::now() - PARTIAL_AGE_MAX)?;
        Ok(Self {
            root,
            temporary_count: AtomicU64::new(0),
            arriving: Arc::default(),
        })
    }

    /// Stores bytes in hand; returns at once when they are already there.
    ///
    /// # Errors
    /// When the disk is full or cannot be written.
    pub fn insert(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let id = BlobId::of(bytes);
        if self.size(&id)?.is_some() {
            return Ok(id);
        }
        self.insert_from(&mut &bytes[..])
    }

    /// Stores whatever a reader yields, without holding it in memory.
    ///
    /// # Errors
    /// When the reader fails, or the disk is full or cannot be written.
    pub fn insert_from(&self, reader: &mut dyn Read) -> Result<BlobId, StoreError> {
        let number = self.temporary_count.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join("temporary").join(number.to_string());
        let written = copy_and_hash(reader, &temporary).and_then(|id| {
            place(&temporary, &self.path_of(&id))?;
            Ok(id)
        });
        if written.is_err() {
            remove_if_present(&temporary)?;
        }
        written
    }

    /// The whole blob, with its hash checked.
    ///
    /// # Errors
    /// When the disk cannot be read; [`StoreError::Corrupt`] when the file is not the blob it is
    /// named after, which also removes it.
    pub fn get(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path_of(id);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::from_io(path, error)),
        };
        let found = BlobId::of(&bytes);
        if found != *id {
            self.remove(id)?;
            return Err(StoreError::Corrupt { id: *id, found });
        }
        Ok(Some(bytes))
    }

    /// Size in bytes of a complete blob.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn size(&self, id: &BlobId) -> Result<Option<u64>, StoreError> {
        let path = self.path_of(id);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::from_io(path, error)),
        }
    }

    /// The file of a complete blob, for readers that map it into memory.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn path(&self, id: &BlobId) -> Result<Option<PathBuf>, StoreError> {
        Ok(self.size(id)?.map(|_| self.path_of(id)))
    }

    /// Forgets a blob. Absent blobs are fine.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
        remove_if_present(&self.path_of(id))
    }

    /// Up to `count_max` complete blobs, ascending by name.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn list(&self, count_max: usize) -> Result<Vec<BlobId>, StoreError> {
        let mut found = Vec::new();
        for first in entries(&self.root.join("blobs"))? {
            for second in entries(&first)? {
                for file in entries(&second)? {
                    if found.len() >= count_max {
                        return Ok(found);
                    }
                    let name = file.file_name().and_then(|name| name.to_str());
                    found.extend(name.and_then(|name| name.parse::<BlobId>().ok()));
                }
            }
        }
        Ok(found)
    }

    fn path_of(&self, id: &BlobId) -> PathBuf {
        let name = id.to_string();
        let blobs = self.root.join("blobs");
        blobs.join(&name[..2]).join(&name[2..4]).join(&name)
    }
}

impl BlobStore for FolderStore {
    fn open(&self, id: &BlobId) -> Result<Option<Arc<dyn BlobRead>>, StoreError> {
        let path = self.path_of(id);
        match File::open(&path) {
            Ok(file) => {
                let bytes = file
                    .metadata()
                    .map_err(|e| StoreError::from_io(&path, e))?
                    .len();
                Ok(Some(Arc::new(OpenBlob { path, file, bytes })))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::from_io(path, error)),
        }
    }

    fn insert(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        Self::insert(self, bytes)
    }

    fn begin(&self, id: &BlobId, bytes: u64) -> Result<Arc<dyn PartialBlob>, StoreError> {
        // The size is part of the name: a wrong size on the chain must not wipe a good partial.
        let lease = Lease::take(&self.arriving, *id, bytes)?;
        let base = self.root.join("partial").join(format!("{id}-{bytes}"));
        let partial = FolderPartial::open(*id, bytes, &base, self.path_of(id), lease)?;
        Ok(Arc::new(partial))
    }

    fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
        Self::remove(self, id)
    }

    fn list(&self, count_max: usize) -> Result<Vec<BlobId>, StoreError> {
        Self::list(self, count_max)
    }
}

#[derive(Debug)]
struct OpenBlob {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl BlobRead for OpenBlob {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|e| StoreError::from_io(&self.path, e))
    }
}

/// Partial blobs that have a writer, by name and size.
type Arriving = Arc<Mutex<BTreeSet<(BlobId, u64)>>>;

/// One writer per partial blob; given back on drop.
#[derive(Debug)]
pub(super) struct Lease {
    id: BlobId,
    bytes: u64,
    taken: Arriving,
}

impl Lease {
    fn take(taken: &Arriving, id: BlobId, bytes: u64) -> Result<Self, StoreError> {
        if taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((id, bytes))
        {
            Ok(Self {
                id,
                bytes,
                taken: Arc::clone(taken),
            })
        } else {
            Err(StoreError::Busy { id })
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(self.id, self.bytes));
    }
}

/// Moves a complete, flushed file to its public name and makes the move durable.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), StoreError> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(|e| StoreError::from_io(folder, e))?;
    fs::rename(from, to).map_err(|e| StoreError::from_io(to, e))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| StoreError::from_io(folder, e))
}

pub(super) fn remove_if_present(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::from_io(path, error))
        }
        _ => Ok(()),
    }
}

/// Removes the files of a folder that were last written before a time.
fn sweep(folder: &Path, before: SystemTime) -> Result<(), StoreError> {
    for file in entries(folder)? {
        let written = fs::metadata(&file).and_then(|metadata| metadata.modified());
        if written.map_err(|e| StoreError::from_io(&file, e))? < before {
            remove_if_present(&file)?;
        }
    }
    Ok(())
}

/// Plain BLAKE3 of a file, read in pieces.
pub(super) fn hash_file(path: &Path) -> Result<BlobId, StoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).map_err(|e| StoreError::from_io(path, e))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file
            .read(&mut buffer)
            .map_err(|e| StoreError::from_io(path, e))?
        {
            0 => return Ok(BlobId::from_bytes(*hasher.finalize().as_bytes())),
            count => hasher.update(&buffer[..count]),
        };
    }
}

fn copy_and_hash(reader: &mut dyn Read, path: &Path) -> Result<BlobId, StoreError> {
    let io_error = |e| StoreError::from_io(path, e);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(io_error)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = reader.read(&mut buffer).map_err(io_error)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(io_error)?;
    }
    file.sync_data().map_err(io_error)?;
    Ok(BlobId::from_bytes(*hasher.finalize().as_bytes()))
}

/// Children of a folder, sorted; files where folders are expected are skipped by the caller's
/// next `entries`, which treats "not a folder" as empty.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::from_io(folder, error)),
    };
    let mut paths = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| StoreError::from_io(folder, e))?;
    paths.sort();
    Ok(paths)
}
