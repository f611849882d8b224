//! The register tile: the innermost loop of every matrix product.
//!
//! A tile is `rows × width` outputs held in registers. Step `k` broadcasts one element of each
//! row of A, loads one row of the packed panel B, and does `acc = fma(a[k], b[k], acc)`. Each
//! output is therefore one left fold over ascending `k` whatever the tile shape, so the three
//! instruction sets below, with three shapes, give the same bits.
//!
//! A *causal* tile lets row `i` take `i` steps more than row 0: the rows of a causal attention
//! block fold over exactly their own keys, as a decoder that sees one row at a time does.
//!
//! Spec: arithmetic §1

#![expect(
    unsafe_code,
    reason = "SIMD loads through pointers whose bounds `Block::run` asserts"
)]

use super::cpu::{KernelPath, Kernels};
#[cfg(target_arch = "x86_64")]
use super::lines::LINE;

/// The widest panel of any path.
pub(crate) const WIDTH_MAX: usize = 32;

/// The tallest tile of any path.
pub(crate) const TILE_ROWS_MAX: usize = 12;

/// Groups of three rows in the tallest tile.
const GROUPS: usize = TILE_ROWS_MAX.div_ceil(3);

/// Output columns in one panel of packed B.
pub(crate) fn panel_width(kernels: Kernels) -> usize {
    match kernels.path() {
        KernelPath::Avx512 => 32,
        KernelPath::Avx2 | KernelPath::Portable => 16,
    }
}

/// Output rows in one tile.
pub(crate) fn tile_rows(kernels: Kernels) -> usize {
    match kernels.path() {
        KernelPath::Avx512 => 12,
        KernelPath::Avx2 => 6,
        KernelPath::Portable => 4,
    }
}

/// The most even tile height for `rows` rows: 64 rows become 6 tiles of 11, not 5 of 12 and one
/// of 4.
pub(crate) fn even_tile_rows(kernels: Kernels, rows: usize) -> usize {
    let tiles = rows.div_ceil(tile_rows(kernels)).max(1);
    rows.div_ceil(tiles).max(1)
}

/// Whether every row folds over the same `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All rows take `depth` steps.
    Full,
    /// Row `i` takes `depth + i` steps.
    Causal,
}

/// Where element `(i, k)` of a left operand lies:
/// `i * row + k / piece * jump + k % piece * step`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strides {
    pub(crate) row: usize,
    pub(crate) step: usize,
    /// Steps that lie `step` apart; the next as many begin `jump` after them.
    pub(crate) piece: usize,
    pub(crate) jump: usize,
}

impl Strides {
    /// Steps one after another in rows `row` apart.
    pub(crate) fn rows(row: usize) -> Self {
        Self::even(row, 1)
    }

    /// Every step `step` after the one before, its rows one after another.
    pub(crate) fn columns(step: usize) -> Self {
        Self::even(1, step)
    }

    /// Rows `row` apart and steps `step` apart, all in one piece.
    pub(crate) fn even(row: usize, step: usize) -> Self {
        Self {
            row,
            step,
            piece: usize::MAX,
            jump: 0,
        }
    }

    /// Panels of `width` steps, each with `height` rows.
    pub(crate) fn panels(width: usize, height: usize) -> Self {
        Self {
            row: width,
            step: 1,
            piece: width,
            jump: width * height,
        }
    }

    /// Index of element `(i, k)`.
    pub(crate) fn index(&self, i: usize, k: usize) -> usize {
        i * self.row + k / self.piece * self.jump + k % self.piece * self.step
    }
}

/// The operands of one tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// Rows of this tile, `1..=tile_rows`.
    pub(crate) rows: usize,
    /// Steps of the fold (of row 0).
    pub(crate) depth: usize,
    pub(crate) shape: Shape,
    pub(crate) a: &'a [f32],
    pub(crate) strides: Strides,
    /// A packed panel: row `k` is `panel[k * panel_width ..][..panel_width]`.
    pub(crate) panel: &'a [f32],
    /// What will be read soon, if anything: it is fetched into the second-level cache while the
    /// tile computes, also beyond its end. A row-major A asks for two lines a turn, any other for
    /// `FETCH_STEP` values a step.
    pub(crate) next: &'a [f32],
}

/// The output of one tile: element `(i, j)` is `c[i * row + j]` for `j < columns`.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) c: &'a mut [f32],
    pub(crate) row: usize,
    pub(crate) columns: usize,
    /// Start the folds from what `c` holds instead of +0.
    pub(crate) accumulate: bool,
}

/// Asks for the first-level cache to hold the tile of `rows` rows at the beginning of `c`.
#[inline(always)]
pub(super) fn fetch_tile(kernels: Kernels, c: &[f32], row: usize, rows: usize) {
    #[cfg(target_arch = "x86_64")]
    if kernels.path() == KernelPath::Avx512 {
        for i in 0..rows {
            for line in 0..2 {
                x86::fetch_first(c.as_ptr().wrapping_add(i * row + line * LINE));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (kernels, c, row, rows);
}

struct Raw {
    depth: usize,
    a: *const f32,
    strides: Strides,
    b: *const f32,
    next: *const f32,
    c: *mut f32,
    c_row: usize,
    accumulate: bool,
    /// Whether all columns of the panel are wanted, or only the first half.
    whole: bool,
}

impl Block<'_> {
    /// Computes the tile into `target`.
    ///
    /// Inlined: operands that went through memory as a whole would be waited for here.
    ///
    /// # Panics
    /// If an operand is shorter than its strides say.
    #[inline(always)]
    pub(crate) fn run(&self, kernels: Kernels, target: Target<'_>) {
        self.check(kernels, &target);
        let width = panel_width(kernels);
        let plain = self.shape == Shape::Full && self.strides.step == 1;
        let half = plain && 2 * target.columns == width;
        let raw = Raw {
            depth: self.depth,
            a: self.a.as_ptr(),
            strides: self.strides,
            b: self.panel.as_ptr(),
            // Lines that are at hand cost least to ask for.
            next: if self.next.is_empty() {
                self.panel
            } else {
                self.next
            }
            .as_ptr(),
            c: target.c.as_mut_ptr(),
            c_row: target.row,
            accumulate: target.accumulate,
            whole: !half,
        };
        if target.columns == width || half {
            dispatch(kernels, self.rows, self.shape, &raw);
        } else {
            run_partial(kernels, (self.rows, self.shape), raw, target);
        }
    }

    /// Asserts that the operands cover what the tile reads and writes.
    #[inline(always)]
    fn check(&self, kernels: Kernels, target: &Target<'_>) {
        let width = panel_width(kernels);
        let extra = if self.shape == Shape::Causal {
            self.rows - 1
        } else {
            0
        };
        let steps = self.depth + extra;
        assert!((1..=tile_rows(kernels)).contains(&self.rows) && target.columns <= width);
        assert!((self.rows - 1) * target.row + target.columns <= target.c.len());
        assert!(self.panel.len() >= steps * width);
        let Strides {
            row,
            step,
            piece,
            jump,
        } = self.strides;
        assert!(
            step == 1 || row == 1 || self.rows == 1,
            "matrix operand has gaps both ways"
        );
        if steps > 0 {
            assert!(
                steps <= piece || extra == 0 && jump >= piece * step,
                "pieces of a matrix operand overlap"
            );
            assert!(
                self.strides.index(self.rows - 1, steps - 1) < self.a.len(),
                "matrix operand is shorter than its shape"
            );
        }
    }
}

/// A partial panel: computes a whole tile aside and copies the columns that exist.
#[inline(never)]
fn run_partial(kernels: Kernels, (rows, shape): (usize, Shape), raw: Raw, target: Target<'_>) {
    let width = panel_width(kernels);
    let Target {
        c, row, columns, ..
    } = target;
    let mut whole = [0.0; TILE_ROWS_MAX * WIDTH_MAX];
    if raw.accumulate {
        for i in 0..rows {
            whole[i * width..][..columns].copy_from_slice(&c[i * row..][..columns]);
        }
    }
    let aside = Raw {
        c: whole.as_mut_ptr(),
        c_row: width,
        ..raw
    };
    dispatch(kernels, rows, shape, &aside);
    for i in 0..rows {
        c[i * row..][..columns].copy_from_slice(&whole[i * width..][..columns]);
    }
}

/// Values that a step over a column-major A fetches ahead: a part of a line, so that the lines on
/// their way are few.
pub(super) const FETCH_STEP: usize = 4;

/// Steps of an unrolled turn of the loop over a row-major A.
const TURN: usize = 4;

macro_rules! tile {
    (
        $name:ident, $(#[$feature:meta])? $vector:ty, $lanes:expr,
        $zero:expr, $load:path, $store:path, $splat:path, $fma:path
    ) => {
        $(#[$feature])?
        #[expect(clippy::too_many_lines, reason = "one loop nest, whose sums stay in registers")]
        unsafe fn $name<
            const ROWS: usize,
            const CAUSAL: bool,
            const ROW_MAJOR: bool,
            const WHOLE: bool,
        >(raw: &Raw) {
            // SAFETY: `Block::run` asserted that A covers `ROWS` rows of `depth` (+ row) steps,
            // that the panel covers as many rows of two vectors, and that C covers the tile,
            // which is one vector wide unless it is whole.
            unsafe {
                let mut acc: [[$vector; 2]; ROWS] = [[$zero; 2]; ROWS];
                if raw.accumulate {
                    for i in 0..ROWS {
                        acc[i][0] = $load(raw.c.add(i * raw.c_row));
                        if WHOLE {
                            acc[i][1] = $load(raw.c.add(i * raw.c_row + $lanes));
                        }
                    }
                }
                let mut b = raw.b;
                macro_rules! step {
                    ($from:expr, $offset:expr, $a:expr) => {{
                        let b0 = $load(b.add(2 * $lanes * $offset));
                        let b1 = $load(b.add(2 * $lanes * $offset + $lanes));
                        for i in $from..ROWS {
                            let x = $splat(*$a(i));
                            acc[i][0] = $fma(x, b0, acc[i][0]);
                            if WHOLE {
                                acc[i][1] = $fma(x, b1, acc[i][1]);
                            }
                        }
                    }};
                }
                let Strides { row, step, piece, jump } = raw.strides;
                let mut left = raw.depth;
                let mut next = raw.next;
                if ROW_MAJOR {
                    // One pointer for three rows: the other two are base + row and base + 2 row,
                    // which x86 addresses without arithmetic.
                    let mut a: [*const f32; GROUPS] =
                        std::array::from_fn(|group| raw.a.wrapping_add(3 * group * row));
                    loop {
                        let steps = left.min(piece);
                        for _ in 0..steps / TURN {
                            for line in 0..TURN / 2 {
                                fetch(next.wrapping_add(line * LINE));
                            }
                            next = next.wrapping_add(TURN / 2 * LINE);
                            for offset in 0..TURN {
                                step!(0, offset, |i: usize| a[i / 3].add(i % 3 * row + offset));
                            }
                            a = a.map(|a| opaque(a.wrapping_add(TURN)));
                            b = b.add(TURN * 2 * $lanes);
                        }
                        for _ in 0..steps % TURN {
                            step!(0, 0, |i: usize| a[i / 3].add(i % 3 * row));
                            a = a.map(|a| a.wrapping_add(1));
                            b = b.add(2 * $lanes);
                        }
                        left -= steps;
                        if left == 0 {
                            break;
                        }
                        a = a.map(|a| opaque(a.wrapping_add(jump - piece)));
                    }
                    if CAUSAL {
                        for first in 1..ROWS {
                            step!(first, 0, |i: usize| a[i / 3].add(i % 3 * row));
                            a = a.map(|a| a.wrapping_add(1));
                            b = b.wrapping_add(2 * $lanes);
                        }
                    }
                } else {
                    let mut a = raw.a;
                    loop {
                        let steps = left.min(piece);
                        for _ in 0..steps {
                            fetch(next);
                            next = next.wrapping_add(FETCH_STEP);
                            step!(0, 0, |i: usize| a.add(i));
                            a = a.wrapping_add(step);
                            b = b.add(2 * $lanes);
                        }
                        left -= steps;
                        if left == 0 {
                            break;
                        }
                        a = a.wrapping_add(jump - piece * step);
                    }
                    if CAUSAL {
                        for first in 1..ROWS {
                            step!(first, 0, |i: usize| a.add(i));
                            a = a.wrapping_add(step);
                            b = b.wrapping_add(2 * $lanes);
                        }
                    }
                }
                for i in 0..ROWS {
                    $store(raw.c.add(i * raw.c_row), acc[i][0]);
                    if WHOLE {
                        $store(raw.c.add(i * raw.c_row + $lanes), acc[i][1]);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{FETCH_STEP, GROUPS, LINE, Raw, Strides, TURN};
    use std::arch::x86_64::{
        __m256, __m512, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// Asks for a cache line, which need not exist.
    #[inline(always)]
    fn fetch(line: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }

    /// Asks for a cache line at the first level.
    #[inline(always)]
    pub(super) fn fetch_first(line: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }

    /// The pointer, of which the compiler forgets how it was computed: it would otherwise derive
    /// the pointers of a tile from one another, at several instructions a step.
    #[inline(always)]
    #[expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "nothing is read through it"
    )]
    fn opaque(pointer: *const f32) -> *const f32 {
        let mut pointer = pointer;
        // SAFETY: no instructions.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
        }
        pointer
    }

    tile!(
        avx512,
        #[target_feature(enable = "avx512f")]
        __m512,
        16,
        _mm512_setzero_ps(),
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps
    );
    tile!(
        avx2,
        #[target_feature(enable = "avx2,fma")]
        __m256,
        8,
        _mm256_setzero_ps(),
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps
    );

    macro_rules! by_rows {
        ($kernel:ident, $rows:expr, $causal:expr, $raw:expr, $($n:literal)+) => {
            // SAFETY: the caller of `run_*` upholds the contract of the kernel.
            unsafe {
                match ($rows, $causal, $raw.strides.step == 1, $raw.whole) {
                    $(
                        ($n, false, true, true) => $kernel::<$n, false, true, true>($raw),
                        ($n, true, true, true) => $kernel::<$n, true, true, true>($raw),
                        ($n, false, false, true) => $kernel::<$n, false, false, true>($raw),
                        ($n, true, false, true) => $kernel::<$n, true, false, true>($raw),
                        ($n, false, true, false) => $kernel::<$n, false, true, false>($raw),
                    )+
                    _ => unreachable!("tile height asserted by Block::run"),
                }
            }
        };
    }

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn run_avx512(rows: usize, causal: bool, raw: &Raw) {
        by_rows!(avx512, rows, causal, raw, 1 2 3 4 5 6 7 8 9 10 11 12);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2(rows: usize, causal: bool, raw: &Raw) {
        by_rows!(avx2, rows, causal, raw, 1 2 3 4 5 6);
    }
}

/// The tile in plain Rust: the same folds, read off the formula.
fn portable(rows: usize, causal: bool, raw: &Raw) {
    for i in 0..rows {
        let steps = if causal { raw.depth + i } else { raw.depth };
        for j in 0..if raw.whole { 16 } else { 8 } {
            // SAFETY: as in the vector tiles, the bounds were asserted by `Block::run`.
            unsafe {
                let c = raw.c.add(i * raw.c_row + j);
                let mut acc = if raw.accumulate { *c } else { 0.0 };
                for k in 0..steps {
                    let a = *raw.a.add(raw.strides.index(i, k));
                    acc = a.mul_add(*raw.b.add(k * 16 + j), acc);
                }
                *c = acc;
            }
        }
    }
}

fn dispatch(kernels: Kernels, rows: usize, shape: Shape, raw: &Raw) {
    let causal = shape == Shape::Causal;
    match kernels.path() {
        // SAFETY: a `Kernels` exists only for a supported path; bounds asserted by `Block::run`.
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => unsafe { x86::run_avx512(rows, causal, raw) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx2 => unsafe { x86::run_avx2(rows, causal, raw) },
        _ => portable(rows, causal, raw),
    }
}
