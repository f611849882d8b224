//! Blocks and panels against the loops that define what they hold and give.

use super::*;
use crate::arithmetic::cpu::KernelPath;
use crate::arithmetic::gemm::{Packed, Start, multiply_here};

fn noise(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(0xd130_2b97_ae6f_34fb).wrapping_add(1);
        ((state >> 40) as f32 - 8_388_608.0) * 2.0_f32.powi(-22)
    };
    (0..length).map(|_| next()).collect()
}

fn panels(kernels: Kernels, rows: &[f32], columns: usize) -> Panels {
    let mut panels = Panels::default();
    panels.resize(kernels, rows.len() / columns, columns);
    let blocks = rows.chunks(BLOCK_ROWS * columns);
    for (mut block, rows) in panels.blocks_mut().zip(blocks) {
        block.copy(kernels, rows);
    }
    panels
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

const ROWS: [usize; 6] = [
    1,
    5,
    BLOCK_ROWS - 1,
    BLOCK_ROWS,
    BLOCK_ROWS + 1,
    3 * BLOCK_ROWS + 7,
];

#[test]
fn weight_gradients_equal_their_fold_whatever_the_parts() {
    for path in KernelPath::supported() {
        let kernels = Kernels::new(path).expect("a supported path");
        for (rows, outputs, inputs) in
            ROWS.into_iter()
                .zip([1, 33, 40, 70, 96, 37])
                .flat_map(|(rows, outputs)| {
                    [(rows, outputs, 5), (rows, outputs, 64), (rows, 17, outputs)]
                })
        {
            let (dy, x) = (noise(rows * outputs, 1), noise(rows * inputs, 2));
            let before = noise(outputs * inputs, 3);
            let mut expected = before.clone();
            for (o, row) in expected.chunks_mut(inputs).enumerate() {
                for (j, c) in row.iter_mut().enumerate() {
                    for t in 0..rows {
                        *c = dy[t * outputs + o].mul_add(x[t * inputs + j], *c);
                    }
                }
            }
            let (dy, x) = (panels(kernels, &dy, outputs), panels(kernels, &x, inputs));
            for count in 1..=dy.panels() {
                let mut c = before.clone();
                let parts = c.chunks_mut(count * dy.width() * inputs);
                for (first, part) in (0..dy.panels()).step_by(count).zip(parts) {
                    let taken = first..(first + count).min(dy.panels());
                    weight_gradient(kernels, (&dy, taken), &x, part);
                }
                assert_eq!(
                    bits(&c),
                    bits(&expected),
                    "{path:?} {rows} {outputs} {inputs} by {count}"
                );
            }
        }
    }
}

#[test]
fn a_block_is_the_left_operand_that_its_rows_were() {
    for path in KernelPath::supported() {
        let kernels = Kernels::new(path).expect("a supported path");
        for (rows, depth, columns) in ROWS.map(|rows| (rows, rows % 70 + 3, rows % 40 + 1)) {
            let (a, b) = (noise(rows * depth, 4), noise(depth * columns, 5));
            let mut packed = Packed::default();
            packed.pack(kernels, View::new(&b, depth, columns));
            let mut c = vec![0.0; rows * columns];
            let a_panels = panels(kernels, &a, depth);
            for (block, c) in a_panels.blocks().zip(c.chunks_mut(BLOCK_ROWS * columns)) {
                let out = Output::rows(kernels, c, columns);
                multiply_here(kernels, block.operand(), &packed, out, Start::Zero);
            }
            let mut expected = vec![0.0_f32; rows * columns];
            for (i, row) in expected.chunks_mut(columns).enumerate() {
                for (j, c) in row.iter_mut().enumerate() {
                    for k in 0..depth {
                        *c = a[i * depth + k].mul_add(b[k * columns + j], *c);
                    }
                }
            }
            assert_eq!(
                bits(&c),
                bits(&expected),
                "{path:?} {rows} {depth} {columns}"
            );
        }
    }
}
