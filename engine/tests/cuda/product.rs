//! Matrix products against the triple loop.

use crate::gpus;
use crate::values::{Memory, assert_same, launch, values};

/// `(m, n, k)`: single elements, exact tiles, remainders of every kind, folds without steps.
const SIZES: &[(usize, usize, usize)] = &[
    (1, 1, 1),
    (3, 5, 7),
    (64, 64, 16),
    (65, 63, 17),
    (4, 132, 0),
    (128, 128, 8),
    (132, 260, 20),
    (40, 4, 300),
    (130, 67, 33),
];

/// How the operands lie: `x W^T`, `dy W`, `dy^T x`.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Nt,
    Nn,
    Tn,
}

/// The left fold, read off the formula.
fn expected(kind: Kind, (m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..m {
        for j in 0..n {
            let mut acc = c[i * n + j];
            for step in 0..k {
                let (x, y) = match kind {
                    Kind::Nt => (a[i * k + step], b[j * k + step]),
                    Kind::Nn => (a[i * k + step], b[step * n + j]),
                    Kind::Tn => (a[step * m + i], b[step * n + j]),
                };
                acc = x.mul_add(y, acc);
            }
            c[i * n + j] = acc;
        }
    }
}

#[test]
fn products_of_all_shapes_are_left_folds() {
    let kinds = [
        (
            Kind::Nt,
            [
                ("product_nt_small", 64),
                ("product_nt_small_wide", 64),
                ("product_nt_large_wide", 128),
            ],
        ),
        (
            Kind::Nn,
            [
                ("product_nn_small", 64),
                ("product_nn_small_wide", 64),
                ("product_nn_large_wide", 128),
            ],
        ),
        (
            Kind::Tn,
            [
                ("product_tn_small", 64),
                ("product_tn_small_wide", 64),
                ("product_tn_large_wide", 128),
            ],
        ),
    ];
    for gpu in gpus() {
        let device = gpu.driver();
        for &(m, n, k) in SIZES {
            let (a, b, c) = (values(m * k, 1), values(k * n, 2), values(m * n, 3));
            let whole = [m, n, k].iter().all(|size| size % 4 == 0);
            for (kind, kernels) in kinds {
                for (kernel, tile) in kernels {
                    if kernel.ends_with("wide") && !whole {
                        continue;
                    }
                    for accumulate in [false, true] {
                        let mut right = if accumulate {
                            c.clone()
                        } else {
                            vec![0.0; m * n]
                        };
                        expected(kind, (m, n, k), &a, &b, &mut right);
                        let [left, other, out] =
                            [&a, &b, &c].map(|values| Memory::floats(device, values));
                        let (a_stride, b_stride) = match kind {
                            Kind::Nt => (k, k),
                            Kind::Nn => (k, n),
                            Kind::Tn => (m, n),
                        };
                        let sizes = [m, n, k, a_stride, b_stride, n, usize::from(accumulate)];
                        let mut arguments = vec![left.address, other.address, out.address];
                        arguments.extend(sizes.map(|size| size as u64));
                        let blocks = [n, m].map(|size| u32::try_from(size.div_ceil(tile)).unwrap());
                        launch(device, kernel, [blocks[0], blocks[1], 1], 256, &arguments);
                        assert_same(&out.to_floats(), &right, &format!("{kernel} {m} {n} {k}"));
                    }
                }
            }
        }
    }
}
