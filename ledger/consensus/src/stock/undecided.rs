//! Bodies that may still be decided, kept until their height is.
//!
//! The engine's write-ahead log remembers votes and identifiers, not bodies. A validator that
//! crashes after voting must be able to commit what it voted for, so a body reaches the disk
//! before the engine hears of it.
//!
//! One file has them all, one after the other, each at the beginning of a page, with its length
//! and its hash in front so that a torn one is recognised and dropped. The hash has a key that
//! only this file has, on its first page: a body is bytes of a stranger, and what is left of one
//! must not be taken for a record. When the height of all of them is decided, the next one is
//! written over the first: the file keeps its place and its length, and a body costs one write
//! and one sync of the disk, in which no folder and no inode takes part. What is left of earlier
//! heights behind the last one is known by its height.

use super::parts::SignedHead;
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{BlockId, Height, PublicKey, codec};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

/// The file in the folder.
const FILE_NAME: &str = "bodies";
/// Bytes with which it begins its life: of all bodies of a height, if they are small.
const FILE_BYTES_MIN: usize = 1 << 16;
/// The file's first bytes; its key follows.
const MAGIC: &[u8; 16] = b"cairn bodies   1";
/// Bodies begin at its multiples, so that no write touches bytes of another one.
const PAGE_BYTES: usize = 4096;
/// Bytes of length and hash.
const FRAME_BYTES: usize = 8 + 32;
/// Bytes of everything in a record but the body.
const OVERHEAD_BYTES_MAX: usize = 1024;

/// A body with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Undecided {
    pub(super) height: Height,
    pub(super) round: u32,
    pub(super) proposer: PublicKey,
    pub(super) block_id: BlockId,
    /// The proposer's announcement, to send the body on with; absent if it came by sync.
    pub(super) head: Option<SignedHead>,
    pub(super) body: Vec<u8>,
}

/// All kept bodies, on disk and in memory.
#[derive(Debug)]
pub(super) struct UndecidedStore {
    file: File,
    key: [u8; 32],
    /// Where the next body goes.
    end: usize,
    bodies: BTreeMap<(Height, BlockId), Undecided>,
    /// Bodies the engine of this process has not heard of.
    untold: Vec<(Height, BlockId)>,
}

impl UndecidedStore {
    /// Reads what an earlier process kept and forgets what is below `height`.
    pub(super) fn open(folder: &Path, height: Height) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(FILE_NAME);
        let (mut end, mut at, mut bodies) = (PAGE_BYTES, PAGE_BYTES, BTreeMap::new());
        let (key, bytes) = match existing(&path)? {
            Some(found) => found,
            None => (create(folder, &path)?, Vec::new()),
        };
        while let Some((undecided, next)) = read(&key, &bytes, at) {
            at = next;
            if undecided.height >= height {
                end = next;
                bodies.insert((undecided.height, undecided.block_id), undecided);
            }
        }
        let mut store = Self {
            file: OpenOptions::new().write(true).open(&path)?,
            key,
            end,
            bodies,
            untold: Vec::new(),
        };
        store.take_over(folder, height)?;
        store.untold = store.bodies.keys().copied().collect();
        Ok(store)
    }

    /// Keeps what programs before this layout left, a file a body, and removes the files: a
    /// validator that is upgraded within a height still has what it voted for.
    fn take_over(&mut self, folder: &Path, height: Height) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("body" | "new")) {
                continue;
            }
            let old = read_alone(&fs::read(&path)?);
            if let Some(old) = old.filter(|old| old.height >= height) {
                self.keep(old)?;
            }
            fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// Keeps a body; on disk when this returns. A body already kept stays as it is.
    pub(super) fn keep(&mut self, undecided: Undecided) -> io::Result<()> {
        let key = (undecided.height, undecided.block_id);
        if self.bodies.contains_key(&key) {
            return Ok(());
        }
        let record = record(&self.key, &undecided);
        self.file.write_all_at(&record, self.end as u64)?;
        self.file.sync_data()?;
        self.end += record.len().next_multiple_of(PAGE_BYTES);
        self.bodies.insert(key, undecided);
        Ok(())
    }

    /// The body of this block.
    pub(super) fn get(&self, height: Height, block_id: BlockId) -> Option<&Undecided> {
        self.bodies.get(&(height, block_id))
    }

    /// What this validator already proposed in this round, before it crashed.
    pub(super) fn proposed_by(
        &self,
        proposer: &PublicKey,
        height: Height,
        round: u32,
    ) -> Option<&Undecided> {
        self.at(height)
            .find(|undecided| undecided.proposer == *proposer && undecided.round == round)
    }

    /// How many bodies are kept for this round.
    pub(super) fn count(&self, height: Height, round: u32) -> usize {
        self.at(height)
            .filter(|undecided| undecided.round == round)
            .count()
    }

    /// Bodies of this height that an earlier process kept; each is returned once.
    pub(super) fn take_untold(&mut self, height: Height) -> Vec<&Undecided> {
        let (told, untold) = self.untold.drain(..).partition(|(at, _)| *at == height);
        self.untold = untold;
        let told: Vec<(Height, BlockId)> = told;
        told.iter().filter_map(|key| self.bodies.get(key)).collect()
    }

    /// Forgets everything below this height.
    pub(super) fn forget_below(&mut self, height: Height) {
        let first = (height, BlockId::from_bytes([0; 32]));
        self.bodies = self.bodies.split_off(&first);
        if self.bodies.is_empty() {
            self.end = PAGE_BYTES;
        }
    }

    fn at(&self, height: Height) -> impl Iterator<Item = &Undecided> {
        let (first, last) = (BlockId::from_bytes([0; 32]), BlockId::from_bytes([255; 32]));
        self.bodies
            .range((height, first)..=(height, last))
            .map(|(_, undecided)| undecided)
    }
}

/// The key and the bytes of a file of an earlier process; nothing if it did not get to its key.
fn existing(path: &Path) -> io::Result<Option<([u8; 32], Vec<u8>)>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let rest = bytes.strip_prefix(MAGIC.as_slice());
    let key = rest.and_then(|rest| rest.first_chunk::<32>()).copied();
    Ok(key.map(|key| (key, bytes)))
}

/// A file without bodies, on the disk with its name.
fn create(folder: &Path, path: &Path) -> io::Result<[u8; 32]> {
    let key: [u8; 32] = rand::random();
    let mut bytes = [MAGIC.as_slice(), &key].concat();
    bytes.resize(FILE_BYTES_MIN, 0);
    let file = File::create(path)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(key)
}

/// A body as it is in the file: length, hash, content.
fn record(key: &[u8; 32], undecided: &Undecided) -> Vec<u8> {
    let content = codec::encode(undecided);
    let hash = blake3::keyed_hash(key, &content);
    let length = (content.len() as u64).to_le_bytes();
    [length.as_slice(), hash.as_bytes(), &content].concat()
}

/// The body that begins at this byte, and where the next one does; nothing if it is torn or none.
fn read(key: &[u8; 32], bytes: &[u8], at: usize) -> Option<(Undecided, usize)> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if length > crate::BLOCK_BYTES_MAX as usize + OVERHEAD_BYTES_MAX {
        return None;
    }
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    let content = rest.get(..length)?;
    if blake3::keyed_hash(key, content) != *hash {
        return None;
    }
    let undecided = codec::decode("undecided block", content, length).ok()?;
    Some((
        undecided,
        at + (FRAME_BYTES + length).next_multiple_of(PAGE_BYTES),
    ))
}

/// The body in a file of its own, its hash in front; nothing if it is torn.
fn read_alone(bytes: &[u8]) -> Option<Undecided> {
    let (hash, content) = bytes.split_first_chunk::<32>()?;
    if content.len() > crate::BLOCK_BYTES_MAX as usize + OVERHEAD_BYTES_MAX
        || blake3::hash(content) != *hash
    {
        return None;
    }
    codec::decode("undecided block", content, content.len()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn undecided(height: u64, id: u8, bytes: usize) -> Undecided {
        Undecided {
            height: Height::new(height),
            round: 1,
            proposer: PublicKey::from_bytes([id; 32]),
            block_id: BlockId::from_bytes([id; 32]),
            head: None,
            body: vec![id; bytes],
        }
    }

    fn open(folder: &Path, height: u64) -> UndecidedStore {
        UndecidedStore::open(folder, Height::new(height)).unwrap()
    }

    fn bodies(store: &UndecidedStore) -> Vec<&Undecided> {
        store.bodies.values().collect()
    }

    #[test]
    fn bodies_survive_and_are_told_once() {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(home.path(), 1);
        for body in [
            undecided(1, 1, 100),
            undecided(2, 2, 100),
            undecided(2, 3, 9_000),
        ] {
            store.keep(body).unwrap();
        }
        assert!(store.take_untold(Height::new(2)).is_empty());

        let mut store = open(home.path(), 2);
        let first = BlockId::from_bytes([1; 32]);
        assert_eq!(store.get(Height::new(1), first), None);
        let kept = [undecided(2, 2, 100), undecided(2, 3, 9_000)];
        assert_eq!(
            store.take_untold(Height::new(2)),
            kept.iter().collect::<Vec<_>>()
        );
        assert!(store.take_untold(Height::new(2)).is_empty());
        let proposer = PublicKey::from_bytes([3; 32]);
        assert_eq!(
            store.proposed_by(&proposer, Height::new(2), 1),
            Some(&undecided(2, 3, 9_000))
        );
        assert_eq!(store.proposed_by(&proposer, Height::new(2), 0), None);
        assert_eq!(store.count(Height::new(2), 1), 2);

        store.forget_below(Height::new(3));
        assert!(bodies(&store).is_empty());
        assert!(bodies(&open(home.path(), 3)).is_empty());
    }

    #[test]
    fn a_next_height_takes_the_place_of_the_last() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE_NAME);
        let mut store = open(home.path(), 1);
        // Bodies of many lengths in one place: none is taken for a part of another.
        for height in 1..40 {
            let sizes = [height * 613 % 14_000, height * 1_291 % 9_000];
            let two: Vec<_> = (0..).zip(sizes).collect();
            let two = two
                .iter()
                .map(|&(id, bytes)| undecided(height, id, usize::try_from(bytes).unwrap()));
            let two: Vec<_> = two.collect();
            for body in &two {
                store.keep(body.clone()).unwrap();
            }
            assert_eq!(
                bodies(&open(home.path(), height)),
                two.iter().collect::<Vec<_>>()
            );
            if height % 3 == 0 {
                store = open(home.path(), height);
            }
            store.forget_below(Height::new(height + 1));
        }
        assert_eq!(fs::metadata(path).unwrap().len(), FILE_BYTES_MIN as u64);
    }

    #[test]
    fn torn_bodies_are_dropped_and_those_before_them_are_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE_NAME);
        let mut store = open(home.path(), 1);
        let whole = undecided(1, 1, 5_000);
        store.keep(whole.clone()).unwrap();
        store.keep(undecided(1, 2, 5_000)).unwrap();
        let bytes = fs::read(&path).unwrap();
        let second = 3 * PAGE_BYTES;
        for at in [second, second + 8, second + 48, second + 5_000] {
            let mut torn = bytes.clone();
            torn[at..].fill(0);
            fs::write(&path, torn).unwrap();
            let mut store = open(home.path(), 1);
            assert_eq!(bodies(&store), [&whole]);
            // The place of the torn one is taken by the next.
            store.keep(undecided(1, 3, 10)).unwrap();
            assert_eq!(
                bodies(&open(home.path(), 1)),
                [&whole, &undecided(1, 3, 10)]
            );
        }
        fs::write(&path, b"?").unwrap();
        assert!(bodies(&open(home.path(), 1)).is_empty());
    }

    #[test]
    fn files_of_the_layout_before_are_taken_over_and_gone() {
        let home = tempfile::tempdir().unwrap();
        let alone = |undecided: &Undecided| {
            let content = codec::encode(undecided);
            [blake3::hash(&content).as_bytes(), content.as_slice()].concat()
        };
        let (done, due) = (undecided(4, 1, 50), undecided(5, 2, 6_000));
        let torn = &alone(&undecided(5, 3, 70))[..60];
        let files = [
            ("4-a.body", alone(&done)),
            ("5-b.body", alone(&due)),
            ("5-c.body", torn.to_vec()),
            ("5-d.new", Vec::new()),
        ];
        for (name, bytes) in &files {
            fs::write(home.path().join(name), bytes).unwrap();
        }
        let mut store = open(home.path(), 5);
        assert_eq!(store.take_untold(Height::new(5)), [&due]);
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        drop(store);
        assert_eq!(bodies(&open(home.path(), 5)), [&due]);
    }

    /// A body that holds what looks like the record of another, where a page begins.
    #[test]
    fn what_is_left_of_a_body_is_no_record() {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(home.path(), 1);
        let (own, forged) = (undecided(1, 1, 10), undecided(2, 9, 10));
        let mut hostile = undecided(1, 2, 2 * PAGE_BYTES);
        let bytes = record(&store.key, &hostile);
        let body_at = bytes.len() - hostile.body.len();
        let page_at = PAGE_BYTES - body_at;
        let frame = record(&[0; 32], &forged);
        hostile.body[page_at..][..frame.len()].copy_from_slice(&frame);
        store.keep(hostile.clone()).unwrap();
        store.forget_below(Height::new(2));
        store.keep(undecided(2, 3, 10)).unwrap();
        let kept = undecided(2, 3, 10);
        assert_eq!(bodies(&open(home.path(), 2)), [&kept]);
        // With the key it would pass.
        let frame = record(&store.key, &forged);
        hostile.body[page_at..][..frame.len()].copy_from_slice(&frame);
        store.forget_below(Height::new(3));
        store.keep(hostile).unwrap();
        store.forget_below(Height::new(4));
        store.keep(own).unwrap();
        assert!(bodies(&open(home.path(), 2)).contains(&&forged));
    }
}
