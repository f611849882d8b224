//! Inner products of updates, exact: what norms and distances are made of.

use crate::arithmetic::{cpu::kernel, threads::Threads};
use crate::trainer::compress::BLOCK_VALUES;
use crate::trainer::update::{BLOCKS_OF_CHUNK, CHUNK_VALUES, Update};
use std::sync::{Mutex, PoisonError};

/// Chunks that a thread takes at a time.
const CHUNKS_OF_PART: usize = 64;

/// The inner products of all pairs of updates, in units of 2^-76 or coarser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gram {
    count: usize,
    /// Row-major, both triangles.
    products: Vec<i128>,
}

impl Gram {
    /// Of updates of equal length.
    pub(super) fn of(updates: &[Update<'_>], threads: &Threads) -> Self {
        let count = updates.len();
        let values = updates.first().map_or(0, Update::value_count);
        let chunks = values.div_ceil(CHUNK_VALUES);
        let total = Mutex::new(vec![0_i128; count * count]);
        let cost = values.saturating_mul(count).saturating_mul(count) / 16;
        let parts = (0..chunks).step_by(CHUNKS_OF_PART);
        threads.for_parts(cost, parts, |first| {
            let mut products = vec![0_i128; count * count];
            let mut codes = vec![0_i16; count * CHUNK_VALUES];
            let mut scales = vec![0_u64; count * BLOCKS_OF_CHUNK];
            for chunk in first..chunks.min(first + CHUNKS_OF_PART) {
                for (row, update) in updates.iter().enumerate() {
                    update.unpack(chunk, row, &mut codes, &mut scales);
                }
                add_products(threads.kernels(), &codes, &scales, &mut products);
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            for (total, product) in total.iter_mut().zip(products) {
                *total += product;
            }
        });
        let mut gram = Self {
            count,
            products: total.into_inner().unwrap_or_else(PoisonError::into_inner),
        };
        for row in 0..count {
            for column in row + 1..count {
                gram.products[column * count + row] = gram.products[row * count + column];
            }
        }
        gram
    }

    /// `x_a · x_b`.
    pub(super) fn product(&self, a: usize, b: usize) -> i128 {
        self.products[a * self.count + b]
    }

    /// `|x_index|²`.
    pub(super) fn square(&self, index: usize) -> u128 {
        self.product(index, index).unsigned_abs()
    }

    /// The same in the finest unit, of those that are powers of two as large or larger, in which
    /// all are below 2^`bits`; rounded down.
    pub(super) fn narrowed(&self, bits: u32) -> Self {
        let largest = (0..self.count).map(|index| self.square(index)).max();
        let length = u128::BITS - largest.unwrap_or(0).leading_zeros();
        let shift = length.saturating_sub(bits);
        let products = self.products.iter().map(|product| product >> shift);
        Self {
            count: self.count,
            products: products.collect(),
        }
    }
}

kernel! {
    /// Adds the inner products of all pairs of rows of one chunk, where row `a` is not after `b`.
    ///
    /// `codes` is `[blocks, rows, BLOCK_VALUES]`, `scales` `[blocks, rows]`: the rows of a block
    /// stay in the first cache while all pairs of them are multiplied.
    fn add_products(codes: &[i16], scales: &[u64], products: &mut [i128]) {
        let rows = scales.len() / BLOCKS_OF_CHUNK;
        let codes = codes.as_chunks::<BLOCK_VALUES>().0;
        for (codes, scales) in codes.chunks_exact(rows).zip(scales.chunks_exact(rows)) {
            let pairs = codes.iter().zip(scales).zip(products.chunks_exact_mut(rows));
            for (a, ((x, &scale), products)) in pairs.enumerate() {
                let others = codes[a..].iter().zip(&scales[a..]);
                for ((y, &other), product) in others.zip(&mut products[a..]) {
                    // Scales are below 2^39.
                    let unit = u128::from(scale) * u128::from(other);
                    *product += unit.cast_signed() * i128::from(dot(x, y));
                }
            }
        }
    }
}

/// Codes are at most 127 in magnitude: 256 products stay below 2^22.
#[inline(always)]
fn dot(x: &[i16; BLOCK_VALUES], y: &[i16; BLOCK_VALUES]) -> i32 {
    let pairs = x.iter().zip(y);
    pairs.fold(0, |sum, (&x, &y)| sum + i32::from(x) * i32::from(y))
}

kernel! {
    /// Sums in units of 2^-60 as f32, rounded to nearest, ties to even.
    pub(super) fn round(sums: &[i64; CHUNK_VALUES], values: &mut [f32]) {
        for (value, &sum) in values.iter_mut().zip(sums) {
            *value = rounded(sum);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the one rounding of the aggregate"
)]
#[inline(always)]
fn rounded(sum: i64) -> f32 {
    const UNIT: f32 = 1.0 / (1_u64 << 60) as f32;
    sum as f32 * UNIT
}
