//! Selecting the largest activations in one pass, without sorting the chunk.
//!
//! A value matters only if its magnitude exceeds a **threshold**, and nearly none does. A guess
//! comes before the pass: the chunks of one rollout resemble each other, so a little less than the
//! k-th magnitude of the chunk before; for the first chunk, what a sample of its blocks suggests.
//! Finding out that a block holds nothing is one vectorised maximum, so the pass runs about as fast
//! as memory delivers. Candidates gather in a small buffer; whenever it is full, the best k are
//! kept and the k-th magnitude becomes the threshold.
//!
//! A guess may be wrong. If fewer than k values exceeded it, the pass is repeated without one, so
//! the result never depends on guesses.

/// Values whose maximum is taken at once.
const BLOCK_VALUES: usize = BLOCK_INDICES as usize;

/// The same, as a difference of indices.
const BLOCK_INDICES: u32 = 64;

/// Columns of a block.
const COLUMNS: usize = 8;

/// One block in this many is sampled. The number is odd, so that over rows whose width is a
/// multiple of the block the sample visits every column.
const SAMPLE_STRIDE: usize = 33;

/// How far below the chunk before a guess is. Eight steps of a bf16 mantissa are 3 to 6 %, and
/// about twice as many bell-shaped values exceed a threshold that is so much lower.
const GUESS_MARGIN: u16 = 8;

/// All bits of a bf16 value but the sign. As unsigned integers, these order by magnitude.
const MAGNITUDE_MASK: u16 = 0x7fff;

/// Selects from one chunk after the other.
#[derive(Debug)]
pub(super) struct Selector {
    top_count: usize,
    /// The k-th magnitude of the chunk before.
    previous: Option<u16>,
}

impl Selector {
    pub(super) fn new(top_count: usize) -> Self {
        Self {
            top_count,
            previous: None,
        }
    }

    /// The `top_count` values of largest magnitude as (index, bit pattern), or all of them if there
    /// are fewer. Equal magnitudes go to the lowest index, which makes the set canonical. The order
    /// of the points carries no meaning.
    pub(super) fn largest(&mut self, values: &[u16]) -> Vec<(u32, u16)> {
        let guess = match self.previous {
            Some(magnitude) => magnitude.checked_sub(GUESS_MARGIN),
            None => guess(values, self.top_count),
        };
        let mut best = above(values, self.top_count, guess);
        if guess.is_some() && best.candidates.len() < self.top_count {
            best = above(values, self.top_count, None);
        }
        best.shrink();
        self.previous = best.threshold;
        best.points()
    }
}

/// A magnitude that somewhat more than `top_count` values should exceed. Nothing for a chunk that
/// is too short for guessing to pay.
fn guess(values: &[u16], top_count: usize) -> Option<u16> {
    let blocks = values.chunks_exact(BLOCK_VALUES).step_by(SAMPLE_STRIDE);
    let sampled_count = blocks.len().saturating_mul(BLOCK_VALUES);
    // Of k values about k / 33 are in the sample; twice as many and six more leave room for luck.
    let rank = top_count / SAMPLE_STRIDE * 2 + 6;
    if rank.saturating_mul(4) > sampled_count {
        return None;
    }
    let mut sample = Vec::with_capacity(sampled_count);
    for block in blocks {
        sample.extend(block.iter().map(|&value| value & MAGNITUDE_MASK));
    }
    let rank = sample.len().checked_sub(rank)?;
    let (_, magnitude, _) = sample.select_nth_unstable(rank);
    magnitude.checked_sub(1)
}

/// The values above a threshold, if there is one, or as many of them as can be among the best.
fn above(values: &[u16], top_count: usize, threshold: Option<u16>) -> Best {
    let mut best = Best::new(top_count, threshold);
    let (blocks, tail) = values.as_chunks::<BLOCK_VALUES>();
    let mut start = 0_u32;
    for block in blocks {
        let columns = column_magnitudes(block);
        if best.admits_any(&columns) {
            best.offer_block(start, block, &columns);
        }
        start = start.wrapping_add(BLOCK_INDICES);
    }
    best.make_room();
    for (index, &value) in (start..).zip(tail) {
        best.offer(index, value);
    }
    best
}

/// A block is read as rows of eight values; the largest magnitude in each column.
#[inline]
fn column_magnitudes(block: &[u16; BLOCK_VALUES]) -> [u16; COLUMNS] {
    let (rows, _) = block.as_chunks::<COLUMNS>();
    let mut columns = [0_i16; COLUMNS];
    for row in rows {
        for (largest, &value) in columns.iter_mut().zip(row) {
            // A magnitude has 15 bits, so it may be compared as signed, as every processor can.
            *largest = (*largest).max((value & MAGNITUDE_MASK).cast_signed());
        }
    }
    columns.map(i16::cast_unsigned)
}

/// The best candidates so far.
struct Best {
    top_count: usize,
    /// Each candidate as one sortable number: see [`candidate`].
    candidates: Vec<u64>,
    /// With more candidates than this, the best are picked before the next block.
    capacity: usize,
    /// A value must have a larger magnitude than this to matter; `None` if any may.
    threshold: Option<u16>,
}

/// Packs a value so that ascending order is descending magnitude, then ascending index.
fn candidate(index: u32, value: u16) -> u64 {
    let smallness = MAGNITUDE_MASK - (value & MAGNITUDE_MASK);
    (u64::from(smallness) << 48) | (u64::from(index) << 16) | u64::from(value)
}

impl Best {
    fn new(top_count: usize, threshold: Option<u16>) -> Self {
        let capacity = top_count.saturating_mul(4).max(1);
        Self {
            top_count,
            candidates: Vec::with_capacity(capacity.saturating_add(BLOCK_VALUES)),
            capacity,
            threshold,
        }
    }

    fn admits(&self, magnitude: u16) -> bool {
        self.threshold.is_none_or(|threshold| magnitude > threshold)
    }

    /// Whether any column has a value to offer. Most have none, so all are compared at once
    /// instead of one after the other.
    fn admits_any(&self, columns: &[u16; COLUMNS]) -> bool {
        let Some(threshold) = self.threshold else {
            return true;
        };
        let threshold = threshold.cast_signed();
        let beyond = columns.map(|magnitude| i16::from(magnitude.cast_signed() > threshold));
        beyond.iter().fold(0, |any, one| any | one) != 0
    }

    /// Offers what the columns say may matter in a block that starts at index `start`.
    ///
    /// Within a block the order of offers is not that of the indices, so the threshold must stay
    /// what it is until the block is over: of two equal magnitudes the first would not win.
    fn offer_block(&mut self, start: u32, block: &[u16], columns: &[u16; COLUMNS]) {
        self.make_room();
        for (column, &magnitude) in columns.iter().enumerate() {
            if self.admits(magnitude) {
                let values = (start..).zip(block).skip(column).step_by(COLUMNS);
                values.for_each(|(index, &value)| self.offer(index, value));
            }
        }
    }

    fn offer(&mut self, index: u32, value: u16) {
        if self.admits(value & MAGNITUDE_MASK) {
            self.candidates.push(candidate(index, value));
        }
    }

    /// Makes sure that a block fits.
    fn make_room(&mut self) {
        if self.candidates.len() > self.capacity {
            self.shrink();
        }
    }

    /// Keeps the best k and raises the threshold to the k-th.
    fn shrink(&mut self) {
        if self.candidates.len() <= self.top_count {
            return;
        }
        if let Some(last) = self.top_count.checked_sub(1) {
            let (_, worst, _) = self.candidates.select_nth_unstable(last);
            self.threshold = Some(value_of(*worst) & MAGNITUDE_MASK);
        }
        self.candidates.truncate(self.top_count);
    }

    fn points(&self) -> Vec<(u32, u16)> {
        self.candidates
            .iter()
            .map(|&packed| (index_of(packed), value_of(packed)))
            .collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low 16 bits are the value"
)]
fn value_of(candidate: u64) -> u16 {
    candidate as u16
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bits 16 to 47 are the index"
)]
fn index_of(candidate: u64) -> u32 {
    (candidate >> 16) as u32
}
