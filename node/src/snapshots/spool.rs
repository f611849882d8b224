//! All entries of a state on their way from the store to pieces.
//!
//! How deep the pieces are cut depends on all of them, and the store is best read once, since some
//! hold up blocks meanwhile. So entries go to a file as they come, in the order of their paths,
//! and how many there are is counted for the finest parts there may be; every piece is then a
//! range of the file.

use anyhow::{Context as _, Result, ensure};
use ledger_store::{Store, Tip};
use ledger_tree::{OUTLINE_DEPTH_MAX, PIECE_BYTES_MAX, Piece, part_of};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Even a small state is cut into 2 to the power of this many pieces.
const DEPTH_MIN: u32 = 2;
/// Largest piece that is not cut further, in bytes.
const PIECE_TARGET_BYTES: u64 = 4 << 20;

/// Some entries, one after another in the file.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    count: u32,
    bytes: u64,
}

impl Range {
    const fn and(self, next: Self) -> Self {
        Self {
            count: self.count + next.count,
            bytes: self.bytes + next.bytes,
        }
    }
}

/// The file, and where each part begins.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    tip: Tip,
    depth: u32,
    /// Of every part at that depth.
    ranges: Vec<Range>,
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be removed is written over by the next.
        fs::remove_file(&self.path).ok();
    }
}

impl Spool {
    /// Reads the state of a store.
    ///
    /// # Errors
    /// When the store cannot be read, has none, or the file cannot be written.
    pub(super) fn fill(store: &dyn Store, path: &Path) -> Result<Self> {
        let mut file =
            BufWriter::new(File::create(path).context("cannot make a file for entries")?);
        let mut ranges = vec![Range::default(); 1 << OUTLINE_DEPTH_MAX];
        let (mut last, mut failure) = (0, None);
        let tip = store.read_state(&mut |key, value| {
            let part = part_of(key, OUTLINE_DEPTH_MAX);
            let mut write = || -> Result<()> {
                ensure!(part >= last, "the store's entries are out of order");
                last = part;
                let range = ranges.get_mut(part).context("invariant: so many parts")?;
                let bytes = write_entry(&mut file, key, value)?;
                *range = range.and(Range { count: 1, bytes });
                Ok(())
            };
            match write() {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        // From here on the file goes with this.
        let mut spool = Self {
            path: path.to_path_buf(),
            tip: tip?.context("the store is empty")?,
            depth: OUTLINE_DEPTH_MAX,
            ranges,
        };
        match failure {
            Some(error) => return Err(error.context("cannot read the state")),
            None => file.flush().context("cannot write entries")?,
        }
        spool.join_small();
        Ok(spool)
    }
    /// What the entries are after.
    pub(super) const fn tip(&self) -> Tip {
        self.tip
    }
    /// There are 2 to the power of this many pieces.
    pub(super) const fn depth(&self) -> u32 {
        self.depth
    }
    /// The least depth at which no piece is larger than it should be.
    fn join_small(&mut self) {
        while self.depth > DEPTH_MIN {
            let join = |pair: &[Range]| {
                let pair = pair.iter().copied();
                pair.fold(Range::default(), Range::and)
            };
            let joined: Vec<Range> = self.ranges.chunks(2).map(join).collect();
            if joined.iter().any(|range| range.bytes > PIECE_TARGET_BYTES) {
                return;
            }
            self.ranges = joined;
            self.depth -= 1;
        }
    }
    /// All pieces, one after another.
    ///
    /// # Errors
    /// When the file cannot be read, or what is done with a piece fails.
    pub(super) fn cut(&self, mut with: impl FnMut(usize, &Piece) -> Result<()>) -> Result<()> {
        let mut file = File::open(&self.path).context("cannot read entries")?;
        file.rewind()?;
        for (index, range) in self.ranges.iter().enumerate() {
            let bytes = usize::try_from(range.bytes)?;
            ensure!(
                bytes < PIECE_BYTES_MAX,
                "piece {index} of {bytes} bytes is too large"
            );
            let mut encoded = vec![0; 4 + bytes];
            let (count, entries) = encoded.split_at_mut(4);
            count.copy_from_slice(&range.count.to_le_bytes());
            file.read_exact(entries)?;
            // The store goes by the first bytes of a path only.
            let piece = Piece::new(Piece::decode(&encoded)?.into_entries().collect())?;
            with(index, &piece)?;
        }
        Ok(())
    }
}

/// Writes an entry as a piece has it; how many bytes that is.
fn write_entry(file: &mut impl io::Write, key: &[u8], value: &[u8]) -> Result<u64> {
    for part in [key, value] {
        file.write_all(&u32::try_from(part.len())?.to_le_bytes())?;
        file.write_all(part)?;
    }
    Ok((8 + key.len() + value.len()) as u64)
}
