//! Matrix products on the device.

use super::driver::DriverError;
use super::memory::{Device, Part};

/// A row-major matrix without gaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    part: Part<f32>,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// `rows` rows at the start of `part`.
    pub(crate) fn new(part: Part<f32>, rows: usize, columns: usize) -> Self {
        Self {
            part: part.first(rows * columns),
            rows,
            columns,
        }
    }

    /// Its values.
    pub(crate) fn part(&self) -> Part<f32> {
        self.part
    }

    /// All of `part`, in rows of `columns`.
    pub(crate) fn of(part: Part<f32>, columns: usize) -> Self {
        Self::new(part, part.len() / columns, columns)
    }
}

/// Whether the folds start from +0 or from what the output holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Zero,
    Output,
}

/// Kernels of one kind of product: large tiles and small ones that read vectors of four, and small
/// ones that read anything.
struct Kind {
    large_wide: &'static str,
    small_wide: &'static str,
    small: &'static str,
}

/// `C = A Bᵀ`: a layer forward, `x Wᵀ`.
pub(crate) fn nt(device: &Device, a: Matrix, b: Matrix, c: Part<f32>) -> Result<(), DriverError> {
    let kind = Kind {
        large_wide: "product_nt_large_wide",
        small_wide: "product_nt_small_wide",
        small: "product_nt_small",
    };
    assert_eq!(a.columns, b.columns, "inner dimensions differ");
    let sizes = [a.rows, b.rows, a.columns];
    run(device, &kind, (a, b, c), sizes, Start::Zero)
}

/// `C = A B`: the gradient of a layer's input, `dy W`.
pub(crate) fn nn(device: &Device, a: Matrix, b: Matrix, c: Part<f32>) -> Result<(), DriverError> {
    let kind = Kind {
        large_wide: "product_nn_large_wide",
        small_wide: "product_nn_small_wide",
        small: "product_nn_small",
    };
    assert_eq!(a.columns, b.rows, "inner dimensions differ");
    let sizes = [a.rows, b.columns, a.columns];
    run(device, &kind, (a, b, c), sizes, Start::Zero)
}

/// `C += Aᵀ B`: the gradient of a layer's weight, `dyᵀ x`, continued.
pub(crate) fn tn(device: &Device, a: Matrix, b: Matrix, c: Part<f32>) -> Result<(), DriverError> {
    let kind = Kind {
        large_wide: "product_tn_large_wide",
        small_wide: "product_tn_small_wide",
        small: "product_tn_small",
    };
    assert_eq!(a.rows, b.rows, "inner dimensions differ");
    let sizes = [a.columns, b.columns, a.rows];
    run(device, &kind, (a, b, c), sizes, Start::Output)
}

/// Outputs along a side of a large tile, and of a small one.
const TILES: (usize, usize) = (128, 64);

fn run(
    device: &Device,
    kind: &Kind,
    (a, b, c): (Matrix, Matrix, Part<f32>),
    [m, n, k]: [usize; 3],
    start: Start,
) -> Result<(), DriverError> {
    assert!(m * n <= c.len(), "output of a matrix product is too small");
    let blocks = |tile: usize| (m.div_ceil(tile), n.div_ceil(tile));
    // Vectors of four are read along the rows of both operands.
    let whole = |matrix: Matrix| matrix.part.is_aligned() && matrix.columns.is_multiple_of(4);
    // Large tiles are faster when there are enough of them to keep the device busy.
    let (down, across) = blocks(TILES.0);
    let wide = whole(a) && whole(b);
    let large = wide && 2 * down * across >= device.driver().processor_count();
    let (kernel, (down, across)) = match (large, wide) {
        (true, _) => (kind.large_wide, (down, across)),
        (false, true) => (kind.small_wide, blocks(TILES.1)),
        (false, false) => (kind.small, blocks(TILES.1)),
    };
    let arguments = [
        a.part.into(),
        b.part.into(),
        c.into(),
        m.into(),
        n.into(),
        k.into(),
        a.columns.into(),
        b.columns.into(),
        n.into(),
        u32::from(start == Start::Output).into(),
    ];
    device.launch(kernel, [across, down, 1], 256, &arguments)
}
