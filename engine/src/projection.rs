//! Folds of rows with vectors of signs: what random projections of hidden states are made of.
//!
//! ```text
//! sums[i] = fma(h[k], signs[k][i], sums[i]),  squares = fma(h[k], h[k], squares)
//! ```
//!
//! over ascending channels `k` from +0, for every row `h`.

use crate::arithmetic::{cpu::Kernels, elementwise::fold_signs};

/// Vectors of signs.
pub const SIGNS_COUNT: usize = 8;

/// What the folds of one row give.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Folded {
    /// The row times each vector of signs.
    pub sums: [f32; SIGNS_COUNT],
    /// The row times itself.
    pub squares: f32,
}

/// Folds every row: `rows` is `[rows, signs.len()]` f32 row-major, `signs` by channel, -1 or 1.
/// What is left after the last whole row counts for nothing.
#[must_use]
pub fn fold(rows: &[f32], signs: &[[f32; SIGNS_COUNT]]) -> Vec<Folded> {
    if signs.is_empty() {
        return Vec::new();
    }
    let count = rows.len() / signs.len();
    let (mut sums, mut squares) = (vec![[0.0; SIGNS_COUNT]; count], vec![0.0; count]);
    let rows = &rows[..count * signs.len()];
    fold_signs(Kernels::detect(), rows, signs, &mut sums, &mut squares);
    let pairs = sums.into_iter().zip(squares);
    pairs
        .map(|(sums, squares)| Folded { sums, squares })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KernelPath, testing};

    #[test]
    fn every_path_and_number_of_rows_gives_the_bits_of_the_definition() {
        let width = 37;
        let signs: Vec<[f32; SIGNS_COUNT]> = testing::tokens(width, 256, 5)
            .iter()
            .map(|byte| std::array::from_fn(|i| if byte >> i & 1 == 1 { -1.0 } else { 1.0 }))
            .collect();
        for count in 0..10 {
            let rows = testing::tokens(count * width, 1 << 20, 9);
            let rows: Vec<f32> = rows.iter().map(|&x| (x as f32 - 5e5) * 1e-3).collect();
            let expected: Vec<Folded> = rows
                .chunks_exact(width)
                .map(|row| {
                    let mut folded = Folded::default();
                    for (&x, signs) in row.iter().zip(&signs) {
                        for (sum, sign) in folded.sums.iter_mut().zip(signs) {
                            *sum = x.mul_add(*sign, *sum);
                        }
                        folded.squares = x.mul_add(x, folded.squares);
                    }
                    folded
                })
                .collect();
            assert_eq!(fold(&rows, &signs), expected, "{count} rows");
            for path in KernelPath::supported() {
                let kernels = Kernels::new(path).unwrap_or_else(|| unreachable!("supported"));
                let (mut sums, mut squares) = (vec![[1.0; SIGNS_COUNT]; count], vec![1.0; count]);
                fold_signs(kernels, &rows, &signs, &mut sums, &mut squares);
                let pairs = sums.into_iter().zip(squares);
                let found: Vec<Folded> = pairs
                    .map(|(sums, squares)| Folded { sums, squares })
                    .collect();
                assert_eq!(found, expected, "{path:?}, {count} rows");
            }
        }
    }
}
