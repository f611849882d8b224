//! Selecting the largest activations in one pass, without sorting the chunk.
//!
//! Candidates gather in a small buffer. Whenever it is full, the best k are kept and the k-th
//! magnitude becomes a threshold; from then on a value matters only if it is strictly larger,
//! because a later value that ties loses to the earlier one. Most blocks of a chunk contain no such
//! value, and finding that out is one vectorised maximum.

/// Values whose maximum is taken at once.
const BLOCK_VALUES: u32 = 128;

/// All bits of a bf16 value but the sign. As unsigned integers, these order by magnitude.
const MAGNITUDE_MASK: u16 = 0x7fff;

/// The `top_count` values of largest magnitude as (index, bit pattern), or all of them if there are
/// fewer. Equal magnitudes go to the lowest index, which makes the set canonical. The order of the
/// points carries no meaning.
pub(super) fn largest(values: &[u16], top_count: usize) -> Vec<(u32, u16)> {
    let mut best = Best::new(top_count);
    let mut start = 0_u32;
    for block in values.chunks(BLOCK_VALUES as usize) {
        if best.admits(block_magnitude(block)) {
            for (index, &value) in (start..).zip(block) {
                best.offer(index, value);
            }
        }
        start = start.wrapping_add(BLOCK_VALUES);
    }
    best.finish()
}

/// The largest magnitude of a block. A magnitude is at most 15 bits, so it is compared as signed:
/// every instruction set has that maximum.
fn block_magnitude(block: &[u16]) -> u16 {
    let magnitude = |value: u16| (value & MAGNITUDE_MASK).cast_signed();
    block
        .iter()
        .fold(0, |largest, &value| magnitude(value).max(largest))
        .cast_unsigned()
}

/// The best candidates so far.
struct Best {
    top_count: usize,
    /// Each candidate as one sortable number: see [`candidate`].
    candidates: Vec<u64>,
    capacity: usize,
    /// A value must have a larger magnitude than this to matter; `None` until k are known.
    threshold: Option<u16>,
}

/// Packs a value so that ascending order is descending magnitude, then ascending index.
fn candidate(index: u32, value: u16) -> u64 {
    let smallness = MAGNITUDE_MASK - (value & MAGNITUDE_MASK);
    (u64::from(smallness) << 48) | (u64::from(index) << 16) | u64::from(value)
}

impl Best {
    fn new(top_count: usize) -> Self {
        let capacity = top_count.saturating_mul(4).max(1);
        Self {
            top_count,
            candidates: Vec::with_capacity(capacity),
            capacity,
            threshold: None,
        }
    }

    fn admits(&self, magnitude: u16) -> bool {
        self.threshold.is_none_or(|threshold| magnitude > threshold)
    }

    fn offer(&mut self, index: u32, value: u16) {
        if !self.admits(value & MAGNITUDE_MASK) {
            return;
        }
        if self.candidates.len() == self.capacity {
            self.shrink();
            if !self.admits(value & MAGNITUDE_MASK) {
                return;
            }
        }
        self.candidates.push(candidate(index, value));
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

    fn finish(mut self) -> Vec<(u32, u16)> {
        self.shrink();
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
