//! Eight bits a value: blocks of 256 signed codes with one fixed-point scale.
//!
//! A block is `scale: u32 little-endian` in units of 2^-38, then one signed byte a value;
//! `value = code * scale * 2^-38`. The last block may be shorter. Representable magnitudes go up
//! to `127 * (2^32 - 1) * 2^-38`, about 1.98; a block whose largest magnitude is 1e-7 still has a
//! scale of 217 units, so gradients and pseudo-gradients both fit.
//!
//! Integers, because the sum of integers does not depend on order ([`mod@super::aggregate`]).
//!
//! Encoding of a block whose largest magnitude is `m`: `scale = ceil(m 2^38 / 127)` and
//! `code = round(x 2^38 / scale)`, ties to even, both in f64; a block of zero codes has scale 0.
//! Decoding accepts only what such an encoder can produce in form: no code -128, scale 0 exactly
//! for zero codes, and a largest code that its scale explains.
//!
//! Spec: arithmetic §8

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes and scales are bounded before they are narrowed"
)]

pub(crate) use engine_trace::update::SCALE_BITS;
pub use engine_trace::update::{BLOCK_VALUES, SCALE_ONE};
use engine_trace::update::{code, largest_magnitude, scale};

/// Why values cannot be compressed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompressError {
    /// A value that is infinite or not a number.
    #[error("value {index} is not finite")]
    NonFinite {
        /// Its index.
        index: usize,
    },
    /// A value larger than the largest scale can express.
    #[error("value {index} is {value}; the largest magnitude is {limit}")]
    OutOfRange {
        /// Its index.
        index: usize,
        /// The value.
        value: f32,
        /// The largest magnitude.
        limit: f32,
    },
}

/// Why bytes are not a compressed update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
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
    /// The code -128, which no encoder writes.
    #[error("value {index} has code -128; the smallest code is -127")]
    Code {
        /// Its index.
        index: usize,
    },
    /// A scale that no encoder would choose for these codes.
    #[error("block {block} has scale {scale} with largest code {code}, which no encoder writes")]
    Scale {
        /// Index of the block.
        block: usize,
        /// Its scale.
        scale: u32,
        /// The largest magnitude of its codes.
        code: u8,
    },
}

/// Compressed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedUpdate {
    scales: Vec<u32>,
    codes: Vec<i8>,
}

/// The number of bytes of `value_count` compressed values.
#[must_use]
pub fn encoded_length(value_count: usize) -> usize {
    value_count + 4 * value_count.div_ceil(BLOCK_VALUES)
}

impl CompressedUpdate {
    /// Compresses `values`.
    ///
    /// # Errors
    /// A value that is not finite or too large.
    pub fn compress(values: &[f32]) -> Result<Self, CompressError> {
        let mut update = Self {
            scales: Vec::new(),
            codes: Vec::with_capacity(values.len()),
        };
        for (block, values) in values.chunks(BLOCK_VALUES).enumerate() {
            update.push_block(block * BLOCK_VALUES, values)?;
        }
        Ok(update)
    }

    fn push_block(&mut self, first: usize, values: &[f32]) -> Result<(), CompressError> {
        let mut largest = 0.0_f64;
        for (offset, &value) in values.iter().enumerate() {
            let index = first + offset;
            if !value.is_finite() {
                return Err(CompressError::NonFinite { index });
            }
            let magnitude = f64::from(value.abs());
            let limit = largest_magnitude();
            if magnitude > limit {
                return Err(CompressError::OutOfRange {
                    index,
                    value,
                    limit: limit as f32,
                });
            }
            largest = if magnitude > largest {
                magnitude
            } else {
                largest
            };
        }
        let scale = scale(largest);
        let start = self.codes.len();
        self.codes
            .extend(values.iter().map(|&value| code(value, scale)));
        let empty = self.codes[start..].iter().all(|&code| code == 0);
        self.scales.push(if empty { 0 } else { scale as u32 });
        Ok(())
    }

    /// The number of values.
    #[must_use]
    pub fn value_count(&self) -> usize {
        self.codes.len()
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(encoded_length(self.codes.len()));
        for (scale, codes) in self.blocks() {
            bytes.extend_from_slice(&scale.to_le_bytes());
            bytes.extend(codes.iter().map(|code| code.cast_unsigned()));
        }
        bytes
    }

    /// Reads the canonical bytes of `value_count` values.
    ///
    /// # Errors
    /// Bytes that no encoder writes.
    pub fn decode(bytes: &[u8], value_count: usize) -> Result<Self, DecodeError> {
        check(bytes, value_count)?;
        let mut update = Self {
            scales: Vec::with_capacity(value_count.div_ceil(BLOCK_VALUES)),
            codes: Vec::with_capacity(value_count),
        };
        for (scale, codes) in blocks(bytes) {
            update.scales.push(scale);
            let codes = codes.iter().map(|code| code.cast_signed());
            update.codes.extend(codes);
        }
        Ok(update)
    }

    /// The values as f32: `code * scale * 2^-38`, rounded once.
    #[must_use]
    pub fn decompress(&self) -> Vec<f32> {
        let unit = 1.0 / SCALE_ONE as f64;
        let values = self.blocks().flat_map(|(scale, codes)| {
            codes
                .iter()
                .map(move |&code| (f64::from(code) * f64::from(scale) * unit) as f32)
        });
        values.collect()
    }

    /// Scale and codes of every block.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u32, &[i8])> {
        self.scales
            .iter()
            .copied()
            .zip(self.codes.chunks(BLOCK_VALUES))
    }
}

/// Checks the canonical bytes of `value_count` values.
///
/// # Errors
/// Bytes that no encoder writes.
pub fn check(bytes: &[u8], value_count: usize) -> Result<(), DecodeError> {
    let scales = value_count.div_ceil(BLOCK_VALUES).checked_mul(4);
    let expected = scales.and_then(|scales| scales.checked_add(value_count));
    if expected != Some(bytes.len()) {
        let expected = expected.unwrap_or(usize::MAX);
        return Err(DecodeError::Length {
            length: bytes.len(),
            value_count,
            expected,
        });
    }
    for (block, (scale, codes)) in blocks(bytes).enumerate() {
        let magnitudes = codes.iter().map(|code| code.cast_signed().unsigned_abs());
        let code = magnitudes.fold(0, u8::max);
        if code == i8::MIN.unsigned_abs() {
            let offset = codes.iter().position(|code| code.cast_signed() == i8::MIN);
            let index = block * BLOCK_VALUES + offset.unwrap_or(0);
            return Err(DecodeError::Code { index });
        }
        if !is_canonical(scale, code) {
            return Err(DecodeError::Scale { block, scale, code });
        }
    }
    Ok(())
}

/// Scale and codes of every block.
pub(crate) fn blocks(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let blocks = bytes.chunks(4 + BLOCK_VALUES);
    blocks.filter_map(|block| {
        let (scale, codes) = block.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*scale), codes))
    })
}

/// Whether an encoder can have chosen `scale` for a block whose largest magnitude is `code`.
///
/// The scale is the least with `m <= 127 scale`, so `m > 127 (scale - 1)`; the code is `m / scale`
/// rounded, so `2 m <= (2 code + 1) scale`.
fn is_canonical(scale: u32, code: u8) -> bool {
    if scale == 0 || code == 0 {
        return scale == 0 && code == 0;
    }
    let scale = u64::from(scale);
    (2 * u64::from(code) + 1) * scale >= 254 * (scale - 1)
}
