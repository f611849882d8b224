//! A received update: eight bits a value or the largest values of every chunk, read in chunks.
//!
//! The dense form stays the bytes that it came in, so that as many updates as a step has can be
//! aggregated without another copy of any. Both forms have values on the grid 2^-38.

use super::compress::{BLOCK_VALUES, DecodeError, blocks, check};
use super::sparse::{SparseError, SparseUpdate};
use crate::arithmetic::{cpu::kernel, threads::Threads};

pub use super::sparse::CHUNK_VALUES;

/// Blocks of a chunk.
pub(crate) const BLOCKS_OF_CHUNK: usize = CHUNK_VALUES / BLOCK_VALUES;
/// Bytes of a whole chunk of the dense form.
const CHUNK_BYTES: usize = BLOCKS_OF_CHUNK * (4 + BLOCK_VALUES);

/// An update in one of its canonical forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<'a>(Form<'a>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form<'a> {
    Dense { bytes: &'a [u8], value_count: usize },
    Sparse(SparseUpdate),
}

impl<'a> Update<'a> {
    /// Eight bits a value ([`super::compress`]).
    ///
    /// # Errors
    /// Bytes that no encoder writes.
    pub fn dense(bytes: &'a [u8], value_count: usize) -> Result<Self, DecodeError> {
        check(bytes, value_count)?;
        Ok(Self::of_canonical(bytes, value_count))
    }

    /// The largest values of every chunk ([`super::sparse`]).
    ///
    /// # Errors
    /// Bytes that no encoder writes.
    pub fn sparse(bytes: &[u8], value_count: usize) -> Result<Self, SparseError> {
        SparseUpdate::decode(bytes, value_count).map(|update| Self(Form::Sparse(update)))
    }

    /// Dense bytes that came from an encoder.
    pub(crate) fn of_canonical(bytes: &'a [u8], value_count: usize) -> Self {
        Self(Form::Dense { bytes, value_count })
    }

    /// The number of values.
    #[must_use]
    pub fn value_count(&self) -> usize {
        match &self.0 {
            Form::Dense { value_count, .. } => *value_count,
            Form::Sparse(update) => update.value_count(),
        }
    }

    /// The codes of a chunk and the scales of its blocks in units of 2^-38; zeros where it has no
    /// values.
    pub(crate) fn unpack(
        &self,
        chunk: usize,
        codes: &mut [i16; CHUNK_VALUES],
        scales: &mut [u64; BLOCKS_OF_CHUNK],
    ) {
        codes.fill(0);
        match &self.0 {
            Form::Dense { bytes, .. } => {
                scales.fill(0);
                let blocks = codes
                    .as_chunks_mut::<BLOCK_VALUES>()
                    .0
                    .iter_mut()
                    .zip(scales);
                for ((codes, scale), (own, from)) in blocks.zip(blocks_of(bytes, chunk)) {
                    *scale = u64::from(own);
                    for (code, &byte) in codes.iter_mut().zip(from) {
                        *code = i16::from(byte.cast_signed());
                    }
                }
            }
            Form::Sparse(update) => {
                let (unit, values) = update.chunk(chunk);
                scales.fill(unit);
                for &(index, code) in values {
                    codes[usize::from(index)] = i16::from(code);
                }
            }
        }
    }

    /// Adds `coefficient` times the values of a chunk, in units of 2^-38.
    pub(crate) fn add(
        &self,
        chunk: usize,
        coefficient: i64,
        sums: &mut [i64; CHUNK_VALUES],
        threads: &Threads,
    ) {
        match &self.0 {
            Form::Dense { bytes, .. } => {
                let sums = sums.as_chunks_mut::<BLOCK_VALUES>().0.iter_mut();
                for (sums, (scale, codes)) in sums.zip(blocks_of(bytes, chunk)) {
                    let unit = coefficient * i64::from(scale);
                    if let Ok(codes) = codes.try_into() {
                        add_block(threads.kernels(), sums, codes, unit);
                    } else {
                        add_some(sums, codes, unit);
                    }
                }
            }
            Form::Sparse(update) => {
                let (unit, values) = update.chunk(chunk);
                let unit = coefficient * unit.cast_signed();
                for &(index, code) in values {
                    sums[usize::from(index)] += i64::from(code) * unit;
                }
            }
        }
    }
}

/// Scale and codes of each block of a chunk.
fn blocks_of(bytes: &[u8], chunk: usize) -> impl Iterator<Item = (u32, &[u8])> {
    let first = chunk.saturating_mul(CHUNK_BYTES).min(bytes.len());
    let end = first.saturating_add(CHUNK_BYTES).min(bytes.len());
    blocks(&bytes[first..end])
}

kernel! {
    /// Adds one whole block.
    fn add_block(sums: &mut [i64; BLOCK_VALUES], codes: &[u8; BLOCK_VALUES], unit: i64) {
        for (sum, code) in sums.iter_mut().zip(codes) {
            *sum += i64::from(code.cast_signed()) * unit;
        }
    }
}

/// Adds a block that may be shorter.
fn add_some(sums: &mut [i64], codes: &[u8], unit: i64) {
    for (sum, code) in sums.iter_mut().zip(codes) {
        *sum += i64::from(code.cast_signed()) * unit;
    }
}
