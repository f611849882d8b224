//! Snapshots of the state that a node makes now and then, for those who join by state sync.
//!
//! A snapshot is a folder named by its height and depth: the outline of the state tree and one
//! file for each of its pieces ([`ledger_tree::Outline`]). It is read from the store while the
//! chain goes on, in the order in which pieces are cut, so that it takes the memory of one piece
//! however large the state is, and renamed into place when it is whole. The last few are kept.
//! Spec: 05-block §13.

mod spool;

use crate::chain::Chain;
use anyhow::{Context as _, Result, ensure};
use ledger_store::Store;
use ledger_tree::Outline;
use protocol::Height;
use serde::{Deserialize, Serialize};
use spool::Spool;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Blocks from one snapshot to the next, unless configured.
pub const SNAPSHOT_BLOCKS: u64 = 1_000;
/// Snapshots that are kept: whoever fetches one has the time of another to end.
const KEPT_COUNT: usize = 3;
const OUTLINE: &str = "outline";

/// A snapshot that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The block that led to the state.
    pub height: Height,
    /// The outline has 2 to the power of this many pieces.
    pub depth: u32,
    /// Of all files.
    pub bytes: u64,
}

/// The snapshots of a node.
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// Those in a folder, which is made with the first.
    #[must_use]
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }
    /// What there is, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Snapshot> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let read = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let (height, depth) = name.to_str()?.split_once('-')?;
            Some(Snapshot {
                height: Height::new(height.parse().ok()?),
                depth: depth.parse().ok()?,
                bytes: bytes_in(&entry.path()),
            })
        };
        let mut all: Vec<_> = entries.filter_map(|entry| read(entry.ok()?)).collect();
        all.sort_unstable_by_key(|snapshot| std::cmp::Reverse(snapshot.height));
        all
    }
    fn place(&self, height: Height, depth: u32) -> PathBuf {
        self.folder.join(format!("{height}-{depth}"))
    }
    /// The outline of a snapshot.
    #[must_use]
    pub fn outline(&self, height: Height, depth: u32) -> Option<Vec<u8>> {
        fs::read(self.place(height, depth).join(OUTLINE)).ok()
    }
    /// A piece of a snapshot.
    #[must_use]
    pub fn piece(&self, height: Height, depth: u32, index: u32) -> Option<Vec<u8>> {
        fs::read(self.place(height, depth).join(index.to_string())).ok()
    }
    /// Makes a snapshot of the state as the store has it, and drops the oldest.
    ///
    /// # Errors
    /// When the store cannot be read or the folder written.
    pub fn make(&self, store: &dyn Store) -> Result<Snapshot> {
        let unfinished = self.folder.join("unfinished");
        drop(fs::remove_dir_all(&unfinished));
        fs::create_dir_all(&unfinished).context("cannot make a snapshot's folder")?;
        let spool = Spool::fill(store, &self.folder.join("unfinished.entries"))?;
        let (tip, depth) = (spool.tip(), spool.depth());
        let mut parts = Vec::new();
        spool.cut(|index, piece| {
            parts.push(piece.part(depth));
            let place = unfinished.join(index.to_string());
            fs::write(place, piece.encode()).context("cannot write a piece")
        })?;
        let outline = Outline::of(parts)?;
        outline.verify(tip.state_root)?;
        fs::write(unfinished.join(OUTLINE), outline.encode())?;
        let place = self.place(tip.height, depth);
        if !place.exists() {
            fs::rename(&unfinished, &place).context("cannot place a snapshot")?;
        }
        for old in self.list().into_iter().skip(KEPT_COUNT) {
            fs::remove_dir_all(self.place(old.height, old.depth))?;
        }
        let bytes = bytes_in(&place);
        ensure!(bytes > 0, "the snapshot is empty");
        Ok(Snapshot {
            height: tip.height,
            depth,
            bytes,
        })
    }
    /// Makes one every `interval` blocks, for as long as the chain goes on; none if that is 0.
    pub async fn run(self: Arc<Self>, chain: Arc<Chain>, interval: u64) {
        if interval == 0 {
            return;
        }
        let mut heights = chain.heights();
        let newest = self.list().first().map(|snapshot| snapshot.height);
        let mut due = newest.unwrap_or_default().saturating_add(interval);
        while heights.changed().await.is_ok() {
            let height = *heights.borrow_and_update();
            if height < due {
                continue;
            }
            due = height.saturating_add(interval);
            let (this, chain) = (Arc::clone(&self), Arc::clone(&chain));
            let made = tokio::task::spawn_blocking(move || this.make(chain.store())).await;
            match made {
                Ok(Ok(Snapshot { height, bytes, .. })) => {
                    tracing::debug!(%height, bytes, "snapshot made");
                }
                Ok(Err(error)) => tracing::warn!("no snapshot at height {height}: {error:#}"),
                Err(error) => tracing::warn!("no snapshot at height {height}: {error}"),
            }
        }
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use ledger_store::{MemoryStore, State};
    use ledger_tree::{Piece, Tree};
    use protocol::ChainId;

    fn store(count: u64, value_bytes: usize) -> MemoryStore {
        let entry = |number: u64| (number.to_be_bytes().to_vec(), vec![1; value_bytes]);
        let state: State = (0..count).map(entry).collect();
        let store = MemoryStore::new();
        let root = Tree::of(&state).root();
        store
            .initialize(ChainId::from_bytes([1; 32]), &state, root)
            .unwrap();
        store
    }

    #[test]
    fn a_snapshot_is_cut_as_its_size_demands_and_all_of_it_can_be_read() {
        for (count, value_bytes, depth) in [(100, 10, 2), (9_000, 4_000, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let snapshots = Snapshots::in_folder(folder.path().join("snapshots"));
            assert!(snapshots.list().is_empty());
            let store = store(count, value_bytes);
            let made = snapshots.make(&store).unwrap();
            assert_eq!(made.depth, depth);
            assert_eq!(snapshots.list(), [made]);
            let beside = fs::read_dir(folder.path().join("snapshots")).unwrap();
            assert_eq!(beside.count(), 1, "something is left of its making");
            let state = store.state().unwrap();
            let whole = Tree::of(&state).outline(depth).unwrap();
            let mut gathered = State::new();
            let outline = snapshots.outline(made.height, made.depth).unwrap();
            let outline = Outline::decode(&outline).unwrap();
            assert_eq!(outline, whole);
            outline
                .verify(store.tip().unwrap().unwrap().state_root)
                .unwrap();
            for index in 0..1 << depth {
                let piece = snapshots.piece(made.height, depth, index).unwrap();
                let piece = Piece::decode(&piece).unwrap();
                outline
                    .check(usize::try_from(index).unwrap(), &piece)
                    .unwrap();
                gathered.extend(piece.into_entries());
            }
            assert_eq!(gathered, state);
            assert_eq!(snapshots.piece(made.height, depth, 1 << depth), None);
        }
    }
}
