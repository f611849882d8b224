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

    /// Writes the codes of a chunk to row `row` of each of its blocks, `[blocks, rows,
    /// BLOCK_VALUES]`, and the blocks' scales in units of 2^-38, `[blocks, rows]`; zeros where it
    /// has no values.
    pub(crate) fn unpack(&self, chunk: usize, row: usize, codes: &mut [i16], scales: &mut [u64]) {
        let rows = scales.len() / BLOCKS_OF_CHUNK;
        let codes = codes.as_chunks_mut::<BLOCK_VALUES>().0;
        for codes in codes.iter_mut().skip(row).step_by(rows) {
            codes.fill(0);
        }
        let scales = scales.iter_mut().skip(row).step_by(rows);
        match &self.0 {
            Form::Dense { bytes, .. } => {
                let mut blocks = blocks_of(bytes, chunk);
                for (codes, scale) in codes.iter_mut().skip(row).step_by(rows).zip(scales) {
                    let (own, from) = blocks.next().unwrap_or((0, &[]));
                    *scale = u64::from(own);
                    for (code, &byte) in codes.iter_mut().zip(from) {
                        *code = i16::from(byte.cast_signed());
                    }
                }
            }
            Form::Sparse(update) => {
                let (unit, values) = update.chunk(chunk);
                scales.for_each(|scale| *scale = unit);
                for &(index, code) in values {
                    let (block, offset) = (
                        usize::from(index) / BLOCK_VALUES,
                        usize::from(index) % BLOCK_VALUES,
                    );
                    codes[block * rows + row][offset] = i16::from(code);
                }
            }
        }
    }

    /// Adds `coefficient` times the values of a block, in units of 2^-38, of an update that has all
    /// of them.
    pub(crate) fn add_block(
        &self,
        (chunk, block): (usize, usize),
        coefficient: i64,
        sums: &mut [i64; BLOCK_VALUES],
        threads: &Threads,
    ) {
        let Form::Dense { bytes, .. } = &self.0 else {
            return;
        };
        let first = chunk * CHUNK_BYTES + block * (4 + BLOCK_VALUES);
        let own = bytes.get(first..).unwrap_or_default();
        let Some((scale, codes)) = blocks(own).next() else {
            return;
        };
        let unit = coefficient * i64::from(scale);
        match codes.try_into() {
            Ok(codes) => add_whole(threads.kernels(), sums, codes, unit),
            Err(_) => add_some(sums, codes, unit),
        }
    }

    /// Adds `coefficient` times the values of a chunk, in units of 2^-38, of an update that sends
    /// only some.
    pub(crate) fn add_sent(&self, chunk: usize, coefficient: i64, sums: &mut [i64; CHUNK_VALUES]) {
        let Form::Sparse(update) = &self.0 else {
            return;
        };
        let (unit, values) = update.chunk(chunk);
        let unit = coefficient * unit.cast_signed();
        for &(index, code) in values {
            sums[usize::from(index)] += i64::from(code) * unit;
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
    fn add_whole(sums: &mut [i64; BLOCK_VALUES], codes: &[u8; BLOCK_VALUES], unit: i64) {
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
