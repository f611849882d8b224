//! A sixth of a bit a value: the largest values of every chunk, with two bits each.
//!
//! A chunk is 4096 consecutive values, of which the 64 largest in magnitude are sent (a 64th of a
//! shorter last chunk, rounded up; zeros never): ties go to the lower index. Their values become
//! `± scale` or `± 2 scale`. Whatever is lost stays with the sender, which adds it to its next
//! update ([`Feedback`]): what is small but lasting gets through in time.
//!
//! ```text
//! byte 0        n: values sent, 0 ..= 64
//! byte 1 .. 5   scale, u32 little-endian, in units of 2^-31
//! then, bit after bit, the lowest of a byte first:
//!   64 + n      indices / 64 in unary: index i of the chunk's j-th value sets bit i / 64 + j
//!   6 n         indices mod 64
//!   2 n         codes: 1 if negative, and 2 if doubled
//! ```
//!
//! The indices take 7 bits and one more for every 64th of the chunk, where plain ones take 12
//! (Elias 1974, Fano 1971): 85 bytes for 4096 values.
//!
//! The scale is the least-squares one for the codes that a first guess, two thirds of the mean
//! magnitude, gives. All sums are in f64 over ascending indices.
//!
//! Spec: arithmetic §8

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts, indices and scales are bounded before they are narrowed"
)]

use super::compress::{CompressError, SCALE_BITS};

/// Values of a chunk.
pub const CHUNK_VALUES: usize = 4096;
/// Most values of a chunk that are sent: one of every so many.
pub(crate) const SHARE: usize = 64;
/// Binary digits of a scale after the point.
const SPARSE_SCALE_BITS: u32 = 31;
/// Bytes of a chunk before its bits.
const HEADER_BYTES: usize = 5;
/// Low bits of an index.
const LOW_BITS: u32 = 6;

/// Why bytes are not a sparse update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SparseError {
    /// The bytes end inside a chunk, or go on after the last.
    #[error("update has {length} bytes; its {chunks} chunks take {expected}")]
    Length {
        /// Number of bytes.
        length: usize,
        /// Chunks of this many values.
        chunks: usize,
        /// Bytes that they take, as far as they could be read.
        expected: usize,
    },
    /// More values than a chunk may send.
    #[error("chunk {chunk} sends {count} values; it may send {limit}")]
    Count {
        /// Its index.
        chunk: usize,
        /// Values.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Indices that do not ascend, or lie beyond the chunk.
    #[error("the indices of chunk {chunk} are not {count} ascending ones below {limit}")]
    Indices {
        /// Its index.
        chunk: usize,
        /// Values.
        count: usize,
        /// The chunk's values.
        limit: usize,
    },
    /// A scale of 0 with values, or another one without.
    #[error("chunk {chunk} has scale {scale} for {count} values")]
    Scale {
        /// Its index.
        chunk: usize,
        /// Its scale.
        scale: u32,
        /// Values.
        count: usize,
    },
    /// Bits after the last code that are not 0.
    #[error("chunk {chunk} ends in bits that mean nothing")]
    Padding {
        /// Its index.
        chunk: usize,
    },
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    scale: u32,
    /// Index in the chunk, ascending, and -2, -1, 1 or 2.
    values: Vec<(u16, i8)>,
}

/// The values of an update that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseUpdate {
    value_count: usize,
    chunks: Vec<Chunk>,
}

/// The most bytes that `value_count` values can take.
#[must_use]
pub fn encoded_length_max(value_count: usize) -> usize {
    let whole = value_count / CHUNK_VALUES;
    let rest = value_count % CHUNK_VALUES;
    let of_rest = if rest == 0 {
        0
    } else {
        chunk_bytes(rest.div_ceil(SHARE))
    };
    whole
        .saturating_mul(chunk_bytes(CHUNK_VALUES / SHARE))
        .saturating_add(of_rest)
}

/// Bytes of a chunk that sends `count` values.
fn chunk_bytes(count: usize) -> usize {
    HEADER_BYTES + (SHARE + count * (1 + LOW_BITS as usize + 2)).div_ceil(8)
}

impl SparseUpdate {
    /// Compresses `values`.
    ///
    /// # Errors
    /// A value that is not finite, or larger in magnitude than 2.
    pub fn compress(values: &[f32]) -> Result<Self, CompressError> {
        let limit = 2.0;
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
        let mut bytes = Vec::with_capacity(encoded_length_max(self.value_count));
        for chunk in &self.chunks {
            chunk.encode(&mut bytes);
        }
        bytes
    }

    /// Reads the canonical bytes of an update about `value_count` values.
    ///
    /// # Errors
    /// Bytes that no encoder writes.
    pub fn decode(bytes: &[u8], value_count: usize) -> Result<Self, SparseError> {
        let chunks = value_count.div_ceil(CHUNK_VALUES);
        let length = |expected| SparseError::Length {
            length: bytes.len(),
            chunks,
            expected,
        };
        // Every chunk takes some bytes: no more of them are made than there are bytes for.
        if bytes.len() / chunk_bytes(0) < chunks {
            return Err(length(chunks.saturating_mul(chunk_bytes(0))));
        }
        let mut update = Self {
            value_count,
            chunks: Vec::with_capacity(chunks),
        };
        let mut read = 0;
        for index in 0..chunks {
            let values = CHUNK_VALUES.min(value_count - index * CHUNK_VALUES);
            let rest = &bytes[read..];
            let count = usize::from(*rest.first().ok_or_else(|| length(read + 1))?);
            let end = read + chunk_bytes(count);
            let own = bytes.get(read..end).ok_or_else(|| length(end))?;
            update.chunks.push(Chunk::decode(own, (index, values))?);
            read = end;
        }
        if read == bytes.len() {
            Ok(update)
        } else {
            Err(length(read))
        }
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

/// Values sent of a chunk of `values`, at most.
fn count_max(values: usize) -> usize {
    values.div_ceil(SHARE)
}

impl Chunk {
    fn of(values: &[f32]) -> Self {
        let mut order: Vec<u16> = (0..values.len() as u16).collect();
        let count = count_max(values.len());
        // Magnitudes of floats have the order of their bits.
        let largest_first = |index: &u16| (!values[usize::from(*index)].abs().to_bits(), *index);
        if count < order.len() {
            order.select_nth_unstable_by_key(count, largest_first);
        }
        order.truncate(count);
        order.retain(|index| values[usize::from(*index)] != 0.0);
        order.sort_unstable();
        let magnitudes: Vec<f64> = order
            .iter()
            .map(|index| f64::from(values[usize::from(*index)].abs()))
            .collect();
        let scale = scale(&magnitudes);
        if scale == 0 {
            return Self {
                scale,
                values: Vec::new(),
            };
        }
        let unit = f64::from(scale) / (1_u64 << SPARSE_SCALE_BITS) as f64;
        let codes = magnitudes.iter().map(|magnitude| level(*magnitude, unit));
        let values = order.into_iter().zip(codes).map(|(index, level)| {
            let is_negative = values[usize::from(index)] < 0.0;
            (index, if is_negative { -level } else { level })
        });
        Self {
            scale,
            values: values.collect(),
        }
    }

    /// A value as f32, rounded once.
    fn value(&self, code: i8) -> f32 {
        let unit = 1.0 / (1_u64 << SPARSE_SCALE_BITS) as f64;
        (f64::from(code) * f64::from(self.scale) * unit) as f32
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let count = self.values.len();
        let start = bytes.len();
        bytes.push(count as u8);
        bytes.extend_from_slice(&self.scale.to_le_bytes());
        bytes.resize(start + chunk_bytes(count), 0);
        let mut bits = Bits(&mut bytes[start + HEADER_BYTES..]);
        for (place, &(index, code)) in self.values.iter().enumerate() {
            let (high, low) = (usize::from(index) / SHARE, usize::from(index) % SHARE);
            bits.set(high + place, 1, 1);
            bits.set(SHARE + count + place * LOW_BITS as usize, LOW_BITS, low);
            let code = usize::from(code < 0) | usize::from(code.unsigned_abs() == 2) << 1;
            bits.set(SHARE + count * (1 + LOW_BITS as usize) + 2 * place, 2, code);
        }
    }

    fn decode(bytes: &[u8], (chunk, limit): (usize, usize)) -> Result<Self, SparseError> {
        let count = usize::from(bytes[0]);
        if count > count_max(limit) {
            let limit = count_max(limit);
            return Err(SparseError::Count {
                chunk,
                count,
                limit,
            });
        }
        let scale = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        if (scale == 0) != (count == 0) {
            return Err(SparseError::Scale {
                chunk,
                scale,
                count,
            });
        }
        let bits = &bytes[HEADER_BYTES..];
        let get = |first: usize, length: usize| {
            let bit = |at: usize| usize::from(bits[at / 8] >> (at % 8) & 1);
            (0..length)
                .map(|offset| bit(first + offset) << offset)
                .sum()
        };
        let ones: Vec<usize> = (0..SHARE + count).filter(|at| get(*at, 1) == 1).collect();
        let misplaced = SparseError::Indices {
            chunk,
            count,
            limit,
        };
        if ones.len() != count {
            return Err(misplaced);
        }
        let values: Vec<(u16, i8)> = ones
            .into_iter()
            .zip(0..)
            .map(|(at, place): (usize, usize)| {
                let low: usize = get(SHARE + count + place * LOW_BITS as usize, LOW_BITS as usize);
                let code: usize = get(SHARE + count * (1 + LOW_BITS as usize) + 2 * place, 2);
                let level = if code & 2 == 0 { 1 } else { 2 };
                let index = (at - place) * SHARE + low;
                (index as u16, if code & 1 == 0 { level } else { -level })
            })
            .collect();
        let ascends = values.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let ends = values
            .last()
            .is_none_or(|(index, _)| usize::from(*index) < limit);
        if !ascends || !ends {
            return Err(misplaced);
        }
        let used = SHARE + count * (1 + LOW_BITS as usize + 2);
        if get(used, bits.len() * 8 - used) != 0 {
            return Err(SparseError::Padding { chunk });
        }
        Ok(Self { scale, values })
    }
}

/// 1 or 2: whichever times `unit` is nearer, 2 in the middle.
fn level(magnitude: f64, unit: f64) -> i8 {
    if magnitude >= 1.5 * unit { 2 } else { 1 }
}

/// The scale of a chunk's values in units of 2^-31, to nearest, ties to even; at least 1 unless
/// there are none.
fn scale(magnitudes: &[f64]) -> u32 {
    if magnitudes.is_empty() {
        return 0;
    }
    let sum = magnitudes
        .iter()
        .fold(0.0, |sum, magnitude| sum + magnitude);
    let guess = sum / magnitudes.len() as f64 * (2.0 / 3.0);
    let (mut product, mut square) = (0.0, 0.0);
    for &magnitude in magnitudes {
        let level = f64::from(level(magnitude, guess));
        product += magnitude * level;
        square += level * level;
    }
    let scale = product / square * (1_u64 << SPARSE_SCALE_BITS) as f64;
    (scale.round_ties_even() as u32).max(1)
}

/// Bits of bytes, the lowest of each first.
struct Bits<'a>(&'a mut [u8]);

impl Bits<'_> {
    fn set(&mut self, first: usize, length: u32, value: usize) {
        for offset in 0..length as usize {
            let at = first + offset;
            self.0[at / 8] |= ((value >> offset & 1) as u8) << (at % 8);
        }
    }
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
        let values: Vec<f32> = values
            .map(|(&lost, &new)| decay.mul_add(lost, new))
            .collect();
        let sent = SparseUpdate::compress(&values)?;
        let pairs = values.iter().zip(sent.decompress());
        self.lost.clear();
        self.lost.extend(pairs.map(|(value, sent)| value - sent));
        Ok(sent)
    }
}

#[cfg(test)]
mod tests;
