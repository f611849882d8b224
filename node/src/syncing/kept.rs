//! Pieces that were fetched and proven, kept until the store is whole.
//!
//! A node that ends in the middle, by a kill, a lost link or a full disk, goes on with what it
//! has: a folder in its home holds one file for each piece. They are believed as little as a peer's
//! answer: each is checked against the outline when it is read, so a torn file, or one of a state
//! that has changed since, is fetched again, and one of a later state that is still the same is
//! not.

use crate::snapshots::Snapshot;
use anyhow::{Context as _, Result};
use ledger_tree::{Outline, PIECE_BYTES_MAX, Piece};
use std::{fs, path::PathBuf};

/// The file that says which snapshot the pieces are of.
const SNAPSHOT: &str = "snapshot.json";

/// The folder of kept pieces.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Pieces in this folder, which is made with the first.
    #[must_use]
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }
    /// The snapshot that was begun, if one was.
    #[must_use]
    pub fn begun(&self) -> Option<Snapshot> {
        let text = fs::read(self.folder.join(SNAPSHOT)).ok()?;
        serde_json::from_slice(&text).ok()
    }
    /// Remembers which snapshot is fetched. Pieces of another depth are dropped: they fit nowhere.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(&self, snapshot: &Snapshot) -> Result<()> {
        if self.begun().is_none_or(|old| old.depth != snapshot.depth) {
            self.forget()?;
        }
        fs::create_dir_all(&self.folder).context("cannot make a folder for pieces")?;
        let text = serde_json::to_vec(snapshot)?;
        fs::write(self.folder.join(SNAPSHOT), text).context("cannot note the snapshot")
    }
    /// A kept piece, if it is what the outline says.
    #[must_use]
    pub fn piece(&self, outline: &Outline, index: usize) -> Option<(Piece, u64)> {
        let path = self.folder.join(index.to_string());
        let bytes = fs::metadata(&path).ok()?.len();
        if bytes > PIECE_BYTES_MAX as u64 {
            return None;
        }
        let piece = Piece::decode(&fs::read(&path).ok()?).ok()?;
        outline.check(index, &piece).ok()?;
        Some((piece, bytes))
    }
    /// Keeps a proven piece. It need not be on the disk: a torn one is known.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, index: usize, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(index.to_string());
        fs::write(&path, bytes).with_context(|| format!("cannot keep {}", path.display()))
    }
    /// Drops all of it.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn forget(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).context("cannot remove kept pieces")?;
        }
        Ok(())
    }
}
