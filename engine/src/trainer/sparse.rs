//! A sixth of a bit a value: the largest values of every chunk, with two bits each.
//!
//! A chunk is 4096 consecutive values, of which the 64 largest in magnitude are sent (a 64th of a
//! shorter last chunk, rounded up; zeros never): ties go to the lower index. Their values become
//! `± scale` or `± 2 scale`. Whatever is lost stays with the sender, which adds it to its next
//! update ([`Feedback`]): what is small but lasting gets through in time.
//!
//! A chunk's bytes are those of [`engine_trace::sparse`], as many of every whole chunk.
//!
//! Spec: arithmetic §8

use super::compress::{CompressError, SCALE_BITS};
use engine_trace::sparse::{
    Chunk, MAGNITUDE_MAX, SCALE_BITS as SPARSE_SCALE_BITS, chunk_bytes, lost, sum,
};

pub(crate) use engine_trace::sparse::SHARE;
pub use engine_trace::sparse::{CHUNK_VALUES, ChunkError, encoded_length};

/// Why bytes are not a sparse update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SparseError {
    /// Another number of bytes than the values need.
    #[error("update has {length} bytes; {value_count} values need {expected}")]
    Length {
        /// Number of bytes.
        length: usize,
        /// Number of values expected.
        value_count: usize,
        /// Number of bytes they need.
        expected: usize,
    },
    /// Bytes that are not a chunk.
    #[error("chunk {index}: {error}")]
    Chunk {
        /// Its index.
        index: usize,
        /// Why they are not.
        error: ChunkError,
    },
}

/// The values of an update that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseUpdate {
    value_count: usize,
    chunks: Vec<Chunk>,
}

impl SparseUpdate {
    /// Compresses `values`.
    ///
    /// # Errors
    /// A value that is not finite, or larger in magnitude than 2.
    pub fn compress(values: &[f32]) -> Result<Self, CompressError> {
        let limit = MAGNITUDE_MAX;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(CompressError::NonFinite { index });
        }
        if let Some(index) = values.iter().position(|value| value.abs() > limit) {
            let value = values[index];
            return Err(CompressError::OutOfRange {
                index,
                value,
                limit,
            });
        }
        Ok(Self {
            value_count: values.len(),
            chunks: values.chunks(CHUNK_VALUES).map(Chunk::of).collect(),
        })
    }

    /// Of every chunk its scale and what it sends: indices in it, ascending, and codes.
    pub(crate) fn of_chunks(
        value_count: usize,
        chunks: impl Iterator<Item = (u32, Vec<(u16, i8)>)>,
    ) -> Self {
        let chunks = chunks.map(|(scale, values)| Chunk { scale, values });
        Self {
            value_count,
            chunks: chunks.collect(),
        }
    }

    /// The number of values that the update is about.
    #[must_use]
    pub fn value_count(&self) -> usize {
        self.value_count
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let lengths = chunk_lengths(self.value_count);
        let chunks = self.chunks.iter().zip(lengths);
        chunks
            .flat_map(|(chunk, values)| chunk.encode(values))
            .collect()
    }

    /// Reads the canonical bytes of an update about `value_count` values.
    ///
    /// # Errors
    /// Bytes that no encoder writes.
    pub fn decode(bytes: &[u8], value_count: usize) -> Result<Self, SparseError> {
        let (length, expected) = (bytes.len(), encoded_length(value_count));
        if length != expected {
            return Err(SparseError::Length {
                length,
                value_count,
                expected,
            });
        }
        let chunks = bytes.chunks(chunk_bytes(CHUNK_VALUES)).enumerate();
        let chunks = chunks.zip(chunk_lengths(value_count));
        let chunks = chunks.map(|((index, bytes), values)| {
            let chunk = Chunk::decode(bytes, values);
            chunk.map_err(|error| SparseError::Chunk { index, error })
        });
        Ok(Self {
            value_count,
            chunks: chunks.collect::<Result<_, _>>()?,
        })
    }

    /// All values as f32, those that were not sent as 0.
    #[must_use]
    pub fn decompress(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.value_count];
        for (chunk, values) in self.chunks.iter().zip(values.chunks_mut(CHUNK_VALUES)) {
            for &(index, code) in &chunk.values {
                values[usize::from(index)] = chunk.value(code);
            }
        }
        values
    }

    /// The scale of a chunk in units of 2^-38, and what it sends: indices in the chunk and codes.
    /// Nothing after the last chunk.
    pub(crate) fn chunk(&self, index: usize) -> (u64, &[(u16, i8)]) {
        let chunk = self.chunks.get(index);
        chunk.map_or((0, &[]), |chunk| {
            let unit = u64::from(chunk.scale) << (SCALE_BITS - SPARSE_SCALE_BITS);
            (unit, chunk.values.as_slice())
        })
    }
}

/// How many values each chunk has.
fn chunk_lengths(value_count: usize) -> impl Iterator<Item = usize> {
    let chunks = 0..value_count.div_ceil(CHUNK_VALUES);
    chunks.map(move |index| CHUNK_VALUES.min(value_count - index * CHUNK_VALUES))
}

/// What a sender's updates have lost so far.
///
/// ```text
/// sent = compress(fma(β, e, Δ));   e' = fma(β, e, Δ) - sent
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    lost: Vec<f32>,
}

impl Feedback {
    /// Nothing was lost yet.
    #[must_use]
    pub fn new(value_count: usize) -> Self {
        Self {
            lost: vec![0.0; value_count],
        }
    }

    /// This was lost, `[values]`.
    #[must_use]
    pub fn of(lost: Vec<f32>) -> Self {
        Self { lost }
    }

    /// What was lost, `[values]`.
    #[must_use]
    pub fn into_lost(self) -> Vec<f32> {
        self.lost
    }

    /// What was lost, `[values]`.
    #[must_use]
    pub fn lost(&self) -> &[f32] {
        &self.lost
    }

    /// Compresses an update with what was lost before, of which it keeps the share `decay`.
    ///
    /// # Errors
    /// A value that is not finite or too large; nothing has changed then.
    ///
    /// # Panics
    /// If the update has another length.
    pub fn compress(&mut self, update: &[f32], decay: f32) -> Result<SparseUpdate, CompressError> {
        assert_eq!(update.len(), self.lost.len(), "update of another length");
        let values = self.lost.iter().zip(update);
        let values: Vec<f32> = values.map(|(&lost, &new)| sum(decay, lost, new)).collect();
        let sent = SparseUpdate::compress(&values)?;
        let pairs = values.iter().zip(sent.decompress());
        self.lost.clear();
        self.lost
            .extend(pairs.map(|(value, sent)| lost(*value, sent)));
        Ok(sent)
    }
}

#[cfg(test)]
mod tests;
