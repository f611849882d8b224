//! Squares of 16 values a side, transposed in registers.
//!
//! Four rounds of shuffles, of which each doubles the side of the blocks that are in place: sixteen
//! vectors take the place of sixteen times sixteen loads. What is moved is never computed with, so
//! there is nothing here that could change a bit.

#![expect(
    unsafe_code,
    reason = "vector loads and stores through pointers into slices whose length is asserted"
)]

use super::cpu::{KernelPath, Kernels};

/// Rows and columns of a square.
pub(super) const SQUARE: usize = 16;

/// `target[k * target_row + j] = source[j * source_row + k]` for `j` and `k` below [`SQUARE`].
///
/// # Panics
/// If a slice is shorter than its last row's end.
pub(super) fn transpose_square(
    kernels: Kernels,
    (source, source_row): (&[f32], usize),
    (target, target_row): (&mut [f32], usize),
) {
    assert!((SQUARE - 1) * source_row + SQUARE <= source.len());
    assert!((SQUARE - 1) * target_row + SQUARE <= target.len());
    match kernels.path() {
        // SAFETY: a `Kernels` exists only for a supported path; both squares lie in their slices.
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => unsafe {
            x86::avx512(source.as_ptr(), source_row, target.as_mut_ptr(), target_row);
        },
        _ => {
            for (k, row) in target.chunks_mut(target_row).take(SQUARE).enumerate() {
                for (j, slot) in row[..SQUARE].iter_mut().enumerate() {
                    *slot = source[j * source_row + k];
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::SQUARE;
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_shuffle_f32x4,
        _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
        _mm512_unpacklo_ps,
    };

    /// Four rounds, each of which doubles the side of the blocks that are in place.
    ///
    /// # Safety
    /// Both pointers have [`SQUARE`] rows of [`SQUARE`] values at their distances.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512(
        source: *const f32,
        source_row: usize,
        target: *mut f32,
        target_row: usize,
    ) {
        let rows: [__m512; SQUARE] = std::array::from_fn(|j| {
            // SAFETY: the caller's promise.
            unsafe { _mm512_loadu_ps(source.add(j * source_row)) }
        });
        // Within quarters of a vector: pairs of rows, then pairs of those.
        let pairs: [__m512; SQUARE] = std::array::from_fn(|i| {
            let (a, b) = (rows[i & !1], rows[i | 1]);
            if i % 2 == 0 {
                _mm512_unpacklo_ps(a, b)
            } else {
                _mm512_unpackhi_ps(a, b)
            }
        });
        let fours: [__m512; SQUARE] = std::array::from_fn(|i| {
            // Of rows 4g..4g + 4: column c of each quarter, for c = i % 4.
            let (group, column) = (i & !3, i % 4);
            let a = _mm512_castps_pd(pairs[group + column / 2]);
            let b = _mm512_castps_pd(pairs[group + 2 + column / 2]);
            _mm512_castpd_ps(if column % 2 == 0 {
                _mm512_unpacklo_pd(a, b)
            } else {
                _mm512_unpackhi_pd(a, b)
            })
        });
        // Whole quarters: `fours[4 g + c]` has at quarter q rows 4g.. of column 4 q + c.
        let halves: [__m512; SQUARE] = std::array::from_fn(|i| {
            let (upper, odd, column) = (i / 8, i / 4 % 2, i % 4);
            let (a, b) = (fours[8 * upper + column], fours[8 * upper + 4 + column]);
            if odd == 0 {
                _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b)
            } else {
                _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b)
            }
        });
        for k in 0..SQUARE {
            let (quarter, column) = (k / 4, k % 4);
            let odd = quarter % 2;
            let (a, b) = (halves[4 * odd + column], halves[8 + 4 * odd + column]);
            let row = if quarter < 2 {
                _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b)
            } else {
                _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b)
            };
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_ps(target.add(k * target_row), row) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_transposed_on_every_path_and_nothing_else_is_written() {
        for path in KernelPath::supported() {
            let kernels = Kernels::new(path).expect("a supported path");
            for (source_row, target_row) in [(16, 16), (19, 32), (320, 17)] {
                let places = 0..15 * source_row + 16;
                let source: Vec<f32> = places.map(|place| place as f32).collect();
                let mut target = vec![-1.0; 15 * target_row + 20];
                transpose_square(kernels, (&source, source_row), (&mut target, target_row));
                for (index, &value) in target.iter().enumerate() {
                    let (k, j) = (index / target_row, index % target_row);
                    let expected = if k < 16 && j < 16 {
                        source[j * source_row + k]
                    } else {
                        -1.0
                    };
                    assert_eq!(value.to_bits(), expected.to_bits(), "{path:?} {k} {j}");
                }
            }
        }
    }
}
