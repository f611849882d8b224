//! How a chunk of values becomes bytes of a sparse update: the largest, with two bits each.
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
//! (Elias 1974, Fano 1971): 85 bytes for 4096 values. A chunk that sends fewer than it may is
//! filled up with zeros, so that every chunk has its place in an update whatever is before it.
//!
//! The scale is the least-squares one for the codes that a first guess, two thirds of the mean
//! magnitude, gives. All sums are in f64 over ascending indices.
//!
//! That a chunk is right can be seen value by value ([`Chunk::allows`]): it is the chunk of the
//! values that it sends ([`Chunk::chosen`]), and no other value is larger than one of those.
//!
//! Spec: arithmetic §8

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts, indices and scales are bounded before they are narrowed"
)]

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Values of a chunk.
pub const CHUNK_VALUES: usize = 4096;
/// Most values of a chunk that are sent: one of every so many.
pub const SHARE: usize = 64;
/// Binary digits of a scale after the point.
pub const SCALE_BITS: u32 = 31;
/// The largest magnitude that has an encoding.
pub const MAGNITUDE_MAX: f32 = 2.0;
/// Bytes of a chunk before its bits.
const HEADER_BYTES: usize = 5;
/// Low bits of an index.
const LOW_BITS: usize = 6;
/// Bits of a value: one of its index in unary, the low ones, and its code.
const VALUE_BITS: usize = 1 + LOW_BITS + 2;

/// Why bytes are not a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Another number of bytes than its values take.
    #[error("it has {length} bytes; its values take {expected}")]
    Length {
        /// Bytes.
        length: usize,
        /// Bytes that they take.
        expected: usize,
    },
    /// More values than it may send.
    #[error("it sends {count} values; it may send {limit}")]
    Count {
        /// Values.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Indices that do not ascend, or lie beyond the chunk.
    #[error("its indices are not {count} ascending ones below {limit}")]
    Indices {
        /// Values.
        count: usize,
        /// The chunk's values.
        limit: usize,
    },
    /// A scale of 0 with values, or another one without.
    #[error("it has scale {scale} for {count} values")]
    Scale {
        /// Its scale.
        scale: u32,
        /// Values.
        count: usize,
    },
    /// Bits after the last code that are not 0.
    #[error("it ends in bits that mean nothing")]
    Padding,
}

/// What is sent of a chunk of values.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Chunk {
    /// In units of 2^-31; 0 exactly if nothing is sent.
    pub scale: u32,
    /// Indices in the chunk, ascending, and codes: -2, -1, 1 or 2.
    pub values: Vec<(u16, i8)>,
}

/// Most values that are sent of a chunk of so many.
#[must_use]
pub const fn count_max(values_count: usize) -> usize {
    values_count.div_ceil(SHARE)
}

/// Bytes of a chunk of so many values.
#[must_use]
pub const fn chunk_bytes(values_count: usize) -> usize {
    HEADER_BYTES + (SHARE + count_max(values_count) * VALUE_BITS).div_ceil(8)
}

/// Bytes of an update about so many values.
#[must_use]
pub const fn encoded_length(values_count: usize) -> usize {
    let rest = values_count % CHUNK_VALUES;
    let of_rest = if rest == 0 { 0 } else { chunk_bytes(rest) };
    (values_count / CHUNK_VALUES)
        .saturating_mul(chunk_bytes(CHUNK_VALUES))
        .saturating_add(of_rest)
}

/// What is compressed of a value: what was lost of it before, times `decay`, and what is new.
#[must_use]
pub fn sum(decay: f32, lost: f32, new: f32) -> f32 {
    decay.mul_add(lost, new)
}

/// What is lost of a value of which this is sent.
#[must_use]
pub fn lost(value: f32, sent: f32) -> f32 {
    value - sent
}

/// Whether a value can be in an update.
#[must_use]
pub fn has_encoding(value: f32) -> bool {
    value.is_finite() && value.abs() <= MAGNITUDE_MAX
}

/// Largest first, of equals the first. Magnitudes of floats have the order of their bits.
fn rank(index: u16, value: f32) -> (u32, u16) {
    (!value.abs().to_bits(), index)
}

impl Chunk {
    /// What is sent of a chunk's values, all of which have an encoding.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        let at = |index: &u16| values.get(usize::from(*index)).copied().unwrap_or(0.0);
        let mut order: Vec<u16> = (0..values.len() as u16).collect();
        let count = count_max(values.len());
        let largest_first = |index: &u16| rank(*index, at(index));
        if count < order.len() {
            order.select_nth_unstable_by_key(count, largest_first);
        }
        order.truncate(count);
        order.retain(|index| at(index) != 0.0);
        order.sort_unstable();
        let sent: Vec<(u16, f32)> = order.iter().map(|index| (*index, at(index))).collect();
        Self::coded(&sent)
    }

    /// The chunk that sends these values, by ascending indices in it; nothing if one of them
    /// cannot be sent.
    #[must_use]
    pub fn chosen(sent: &[(u16, f32)]) -> Option<Self> {
        let can_be_sent = |(_, value): &(u16, f32)| has_encoding(*value) && *value != 0.0;
        sent.iter().all(can_be_sent).then(|| Self::coded(sent))
    }

    fn coded(sent: &[(u16, f32)]) -> Self {
        let magnitudes = || sent.iter().map(|(_, value)| f64::from(value.abs()));
        let scale = scale(magnitudes(), sent.len());
        let unit = f64::from(scale) / (1_u64 << SCALE_BITS) as f64;
        let codes = magnitudes().map(|magnitude| level(magnitude, unit));
        let values = sent.iter().zip(codes);
        let values = values.map(|(&(index, value), level)| {
            let code = if value < 0.0 { -level } else { level };
            (index, code)
        });
        Self {
            scale,
            values: values.collect(),
        }
    }

    /// Whether a value of a chunk of `values_count` may be at an index of it, if this is what it
    /// sends and `sent` are the values sent, in order. A chunk is right exactly if it is that
    /// which is [`chosen`](Self::chosen) by the values sent, and all of its values may be there.
    #[must_use]
    pub fn allows(&self, values_count: usize, sent: &[f32], (index, value): (u16, f32)) -> bool {
        if !has_encoding(value) {
            return false;
        }
        let mut pairs = self.values.iter().map(|(index, _)| *index).zip(sent);
        if let Some((_, own)) = pairs.clone().find(|(sent, _)| *sent == index) {
            return own.to_bits() == value.to_bits();
        }
        let own = rank(index, value);
        let is_full = self.values.len() == count_max(values_count);
        value == 0.0 || is_full && pairs.all(|(index, value)| rank(index, *value) < own)
    }

    /// What is sent of the value at an index: 0 of most.
    #[must_use]
    pub fn at(&self, index: u16) -> f32 {
        let code = self.values.iter().find(|(sent, _)| *sent == index);
        code.map_or(0.0, |(_, code)| self.value(*code))
    }

    /// A value as f32, rounded once.
    #[must_use]
    pub fn value(&self, code: i8) -> f32 {
        let unit = 1.0 / (1_u64 << SCALE_BITS) as f64;
        (f64::from(code) * f64::from(self.scale) * unit) as f32
    }

    /// The canonical bytes, of a chunk of so many values.
    #[must_use]
    pub fn encode(&self, values_count: usize) -> Vec<u8> {
        let count = self.values.len();
        let mut bytes = vec![0; chunk_bytes(values_count)];
        let mut bits = Bits(&mut bytes, 8 * HEADER_BYTES);
        for (place, &(index, code)) in self.values.iter().enumerate() {
            let (high, low) = (usize::from(index) / SHARE, usize::from(index) % SHARE);
            bits.set(high + place, 1, 1);
            bits.set(SHARE + count + place * LOW_BITS, LOW_BITS, low);
            let code = usize::from(code < 0) | usize::from(code.unsigned_abs() == 2) << 1;
            bits.set(SHARE + count * (1 + LOW_BITS) + 2 * place, 2, code);
        }
        let header = [count as u8].into_iter().chain(self.scale.to_le_bytes());
        for (byte, value) in bytes.iter_mut().zip(header) {
            *byte = value;
        }
        bytes
    }

    /// Reads the canonical bytes of a chunk of so many values.
    ///
    /// # Errors
    /// Bytes that no encoder writes.
    pub fn decode(bytes: &[u8], values_count: usize) -> Result<Self, ChunkError> {
        let (length, expected) = (bytes.len(), chunk_bytes(values_count));
        let Some((&[count, ref scale @ ..], bits)) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .filter(|_| length == expected)
        else {
            return Err(ChunkError::Length { length, expected });
        };
        let (count, limit) = (usize::from(count), count_max(values_count));
        if count > limit {
            return Err(ChunkError::Count { count, limit });
        }
        let scale = u32::from_le_bytes(*scale);
        if (scale == 0) != (count == 0) {
            return Err(ChunkError::Scale { scale, count });
        }
        let bit = |at: usize| {
            bits.get(at / 8)
                .is_some_and(|byte| byte >> (at % 8) & 1 == 1)
        };
        let get = |first: usize, length: usize| -> usize {
            let bits = (0..length).map(|offset| usize::from(bit(first + offset)) << offset);
            bits.sum()
        };
        let ones: Vec<usize> = (0..SHARE + count).filter(|at| bit(*at)).collect();
        let limit = values_count;
        let misplaced = ChunkError::Indices { count, limit };
        if ones.len() != count {
            return Err(misplaced);
        }
        let value = |(at, place): (usize, usize)| {
            let low = get(SHARE + count + place * LOW_BITS, LOW_BITS);
            let code = get(SHARE + count * (1 + LOW_BITS) + 2 * place, 2);
            let level = if code & 2 == 0 { 1 } else { 2 };
            let index = (at - place) * SHARE + low;
            (index as u16, if code & 1 == 0 { level } else { -level })
        };
        let values: Vec<(u16, i8)> = ones.into_iter().zip(0..).map(value).collect();
        let ascends = values.is_sorted_by(|a, b| a.0 < b.0);
        let ends = values.last();
        if !ascends || ends.is_some_and(|(index, _)| usize::from(*index) >= limit) {
            return Err(misplaced);
        }
        if (SHARE + count * VALUE_BITS..8 * bits.len()).any(bit) {
            return Err(ChunkError::Padding);
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
fn scale(magnitudes: impl Iterator<Item = f64> + Clone, count: usize) -> u32 {
    if count == 0 {
        return 0;
    }
    let sum = magnitudes
        .clone()
        .fold(0.0, |sum, magnitude| sum + magnitude);
    let guess = sum / count as f64 * (2.0 / 3.0);
    let (mut product, mut square) = (0.0, 0.0);
    for magnitude in magnitudes {
        let level = f64::from(level(magnitude, guess));
        product += magnitude * level;
        square += level * level;
    }
    let scale = product / square * (1_u64 << SCALE_BITS) as f64;
    (scale.round_ties_even() as u32).max(1)
}

/// Bits of bytes, the lowest of each first, from one of them on.
struct Bits<'a>(&'a mut [u8], usize);

impl Bits<'_> {
    fn set(&mut self, first: usize, length: usize, value: usize) {
        for offset in 0..length {
            let at = self.1 + first + offset;
            if let Some(byte) = self.0.get_mut(at / 8) {
                *byte |= ((value >> offset & 1) as u8) << (at % 8);
            }
        }
    }
}

#[cfg(test)]
mod tests;
