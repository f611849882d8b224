//! Bodies that may still be decided, kept until their height is.
//!
//! The engine's write-ahead log remembers votes and identifiers, not bodies. A validator that
//! crashes after voting must be able to commit what it voted for, so a body reaches the disk
//! before the engine hears of it: one file per body, written beside and renamed, with its hash in
//! front so that a torn file is recognised and dropped.

use super::parts::SignedHead;
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{BlobId, BlockId, Height, PublicKey, codec};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Ends the name of a kept body.
const EXTENSION: &str = "body";
/// Bytes of everything in a file but the body.
const OVERHEAD_BYTES_MAX: u64 = 1024;

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
    folder: PathBuf,
    bodies: BTreeMap<(Height, BlockId), Undecided>,
    /// Bodies the engine of this process has not heard of.
    untold: Vec<(Height, BlockId)>,
}

impl UndecidedStore {
    /// Reads what an earlier process kept and forgets what is below `height`.
    pub(super) fn open(folder: &Path, height: Height) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut bodies = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match read(&path) {
                Some(undecided) if undecided.height >= height => {
                    bodies.insert((undecided.height, undecided.block_id), undecided);
                }
                Some(_) | None => fs::remove_file(&path)?,
            }
        }
        let untold = bodies.keys().copied().collect();
        Ok(Self {
            folder: folder.to_owned(),
            bodies,
            untold,
        })
    }

    /// Keeps a body; on disk when this returns. A body already kept stays as it is.
    pub(super) fn keep(&mut self, undecided: Undecided) -> io::Result<()> {
        let key = (undecided.height, undecided.block_id);
        if self.bodies.contains_key(&key) {
            return Ok(());
        }
        write(&self.path(&key), &undecided)?;
        fs::File::open(&self.folder)?.sync_all()?;
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
    pub(super) fn forget_below(&mut self, height: Height) -> io::Result<()> {
        let kept = self
            .bodies
            .split_off(&(height, BlockId::from_bytes([0; 32])));
        let forgotten = std::mem::replace(&mut self.bodies, kept);
        for key in forgotten.keys() {
            fs::remove_file(self.path(key))?;
        }
        Ok(())
    }

    fn at(&self, height: Height) -> impl Iterator<Item = &Undecided> {
        let (first, last) = (BlockId::from_bytes([0; 32]), BlockId::from_bytes([255; 32]));
        self.bodies
            .range((height, first)..=(height, last))
            .map(|(_, undecided)| undecided)
    }

    fn path(&self, (height, block_id): &(Height, BlockId)) -> PathBuf {
        self.folder.join(format!("{height}-{block_id}.{EXTENSION}"))
    }
}

fn write(path: &Path, undecided: &Undecided) -> io::Result<()> {
    let content = codec::encode(undecided);
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(BlobId::of(&content).as_bytes())?;
    file.write_all(&content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// A kept body; nothing if the file is torn or something else.
fn read(path: &Path) -> Option<Undecided> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let bytes_max = u64::from(crate::BLOCK_BYTES_MAX) + OVERHEAD_BYTES_MAX;
    if fs::metadata(path).ok()?.len() > bytes_max {
        return None;
    }
    let file = fs::read(path).ok()?;
    let (hash, content) = file.split_first_chunk::<32>()?;
    if BlobId::of(content).as_bytes() != hash {
        return None;
    }
    codec::decode("undecided block", content, content.len()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn undecided(height: u64, id: u8) -> Undecided {
        Undecided {
            height: Height::new(height),
            round: 1,
            proposer: PublicKey::from_bytes([id; 32]),
            block_id: BlockId::from_bytes([id; 32]),
            head: None,
            body: vec![id; 100],
        }
    }

    #[test]
    fn bodies_survive_and_are_told_once() {
        let home = tempfile::tempdir().unwrap();
        let mut store = UndecidedStore::open(home.path(), Height::new(1)).unwrap();
        for body in [undecided(1, 1), undecided(2, 2), undecided(2, 3)] {
            store.keep(body).unwrap();
        }
        assert!(store.take_untold(Height::new(2)).is_empty());

        let mut store = UndecidedStore::open(home.path(), Height::new(2)).unwrap();
        assert_eq!(
            store.get(Height::new(1), BlockId::from_bytes([1; 32])),
            None
        );
        assert_eq!(
            store.take_untold(Height::new(2)),
            [&undecided(2, 2), &undecided(2, 3)]
        );
        assert!(store.take_untold(Height::new(2)).is_empty());
        let proposer = PublicKey::from_bytes([3; 32]);
        assert_eq!(
            store.proposed_by(&proposer, Height::new(2), 1),
            Some(&undecided(2, 3))
        );
        assert_eq!(store.proposed_by(&proposer, Height::new(2), 0), None);
        assert_eq!(store.count(Height::new(2), 1), 2);

        store.forget_below(Height::new(3)).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn torn_and_foreign_files_are_dropped() {
        let home = tempfile::tempdir().unwrap();
        let mut store = UndecidedStore::open(home.path(), Height::new(1)).unwrap();
        store.keep(undecided(1, 1)).unwrap();
        let path = store.path(&(Height::new(1), BlockId::from_bytes([1; 32])));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        fs::write(home.path().join("notes"), b"?").unwrap();

        let store = UndecidedStore::open(home.path(), Height::new(1)).unwrap();
        assert!(store.bodies.is_empty());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
