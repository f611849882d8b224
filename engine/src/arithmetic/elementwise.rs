//! Row and element kernels: norms, rotary positions, softmax, `SwiGLU`, optimiser steps.
//!
//! Each is one formula over slices, compiled for every instruction set.

use super::cpu::kernel;
use super::reduce::LANES;
use super::{elementary, reduce};

kernel! {
    /// `y = x * (1 / sqrt(mean(x²) + eps)) * w` for each row; keeps the reciprocal roots.
    ///
    /// Column `j` of row `i` of `y` is at `j / width * panel + i * width + j % width`, with
    /// `[width, panel]` beside it.
    pub(crate) fn rms_norm(
        x: &[f32],
        weight: &[f32],
        eps: f32,
        y: (&mut [f32], [usize; 2]),
        reciprocal: &mut [f32],
    ) {
        let d = weight.len();
        let (y, [width, panel]) = y;
        for (i, (x, r)) in x.chunks_exact(d).zip(reciprocal).enumerate() {
            let mean = reduce::dot(x, x) / d as f32;
            *r = elementary::reciprocal_sqrt(mean + eps);
            let r = *r;
            let mut first = i * width;
            for (x, weight) in x.chunks(width).zip(weight.chunks(width)) {
                for ((y, &x), &w) in y[first..][..x.len()].iter_mut().zip(x).zip(weight) {
                    *y = (x * r) * w;
                }
                first += panel;
            }
        }
    }
}

/// What the backward pass of a norm reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormInputs<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) reciprocal: &'a [f32],
    pub(crate) dy: &'a [f32],
}

kernel! {
    /// `dx += r (w dy - n mean(w dy n))` with `n = x r`, and `dw += Σ_rows dy n` ascending.
    ///
    /// `scratch` holds one row.
    pub(crate) fn rms_norm_backward(
        inputs: NormInputs<'_>,
        dx: &mut [f32],
        dw: &mut [f32],
        scratch: &mut [f32],
    ) {
        let NormInputs { x, weight, reciprocal, dy } = inputs;
        let d = weight.len();
        let scratch = &mut scratch[..d];
        let rows = x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
        for (((x, dy), dx), &r) in rows.zip(reciprocal) {
            for ((g, &dy), &w) in scratch.iter_mut().zip(dy).zip(weight) {
                *g = dy * w;
            }
            let mean = (reduce::dot(scratch, x) * r) / d as f32;
            for (((dx, &g), &x), (dw, &dy)) in
                dx.iter_mut().zip(scratch.iter()).zip(x).zip(dw.iter_mut().zip(dy))
            {
                let n = x * r;
                *dw = dy.mul_add(n, *dw);
                *dx += n.mul_add(-mean, g) * r;
            }
        }
    }
}

kernel! {
    /// The part of [`rms_norm_backward`] that each row does for itself: `dx`.
    pub(crate) fn rms_norm_backward_rows(inputs: NormInputs<'_>, dx: &mut [f32]) {
        let NormInputs { x, weight, reciprocal, dy } = inputs;
        let d = weight.len();
        let rows = x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
        for (((x, dy), dx), &r) in rows.zip(reciprocal) {
            let mean = (reduce::dot_weighted(dy, weight, x) * r) / d as f32;
            for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                let n = x * r;
                *dx += n.mul_add(-mean, dy * w) * r;
            }
        }
    }
}

kernel! {
    /// The part of [`rms_norm_backward`] that folds over rows: `dw`, which begins at column
    /// `first` of the gain.
    pub(crate) fn rms_norm_backward_gain(inputs: NormInputs<'_>, dw: &mut [f32], first: usize) {
        let NormInputs { x, weight, reciprocal, dy } = inputs;
        let rows = x.chunks_exact(weight.len()).zip(dy.chunks_exact(weight.len()));
        for ((x, dy), &r) in rows.zip(reciprocal) {
            for ((dw, &x), &dy) in dw.iter_mut().zip(&x[first..]).zip(&dy[first..]) {
                *dw = dy.mul_add(x * r, *dw);
            }
        }
    }
}

kernel! {
    /// Rotates one head: `(a, b)` becomes `(a cos - b sin, b cos + a sin)`, where `b` is half a
    /// head after `a`. The inverse negates the sine.
    pub(crate) fn rotate(head: &mut [f32], cosine: &[f32], sine: &[f32], direction: f32) {
        let (first, second) = head.split_at_mut(cosine.len());
        for (((a, b), &c), &s) in first.iter_mut().zip(second).zip(cosine).zip(sine) {
            let s = s * direction;
            let (x, y) = (*a, *b);
            *a = x.mul_add(c, -(y * s));
            *b = y.mul_add(c, x * s);
        }
    }
}

/// Replaces every element by `f` of it, and gives [`reduce::sum`] of what is then there.
#[inline(always)]
fn map_and_sum(row: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let (whole, rest) = row.as_chunks_mut::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in whole {
        for (x, lane) in chunk.iter_mut().zip(&mut lanes) {
            *x = f(*x);
            *lane += *x;
        }
    }
    for (x, lane) in rest.iter_mut().zip(&mut lanes) {
        *x = f(*x);
        *lane += *x;
    }
    reduce::tree(lanes, |a, b| a + b)
}

/// What the exponentials of a row were taken from and divided by: all that a row needs to be
/// computed again in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SoftmaxRow {
    /// `max(row) scale`.
    largest: f32,
    /// `1 / Σ exp`.
    reciprocal: f32,
}

kernel! {
    /// Softmax of `scale * row[..valid]`; the rest of `row` becomes 0.
    ///
    /// `m = max(row) scale`, `e = exp(fma(row, scale, -m))`, `p = e (1 / Σ e)`.
    pub(crate) fn softmax(row: &mut [f32], valid: usize, scale: f32) -> SoftmaxRow {
        let (whole, rest) = row.as_chunks_mut::<LANES>();
        exclude(rest, valid.saturating_sub(whole.len() * LANES));
        let mut largest = [f32::NEG_INFINITY; LANES];
        for (index, chunk) in whole.iter().enumerate() {
            reduce::larger_lanes(&mut largest, &first_lanes(chunk, valid, index));
        }
        for (lane, &x) in largest.iter_mut().zip(rest.iter()) {
            *lane = if x > *lane { x } else { *lane };
        }
        let largest = reduce::max_of_lanes(largest) * scale;
        let mut sums = [0.0; LANES];
        for (index, chunk) in whole.iter_mut().enumerate() {
            let counted = first_lanes(chunk, valid, index);
            for ((sum, e), &x) in sums.iter_mut().zip(chunk).zip(&counted) {
                *e = elementary::exp(x.mul_add(scale, -largest));
                *sum += *e;
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest.iter_mut()) {
            *x = elementary::exp(x.mul_add(scale, -largest));
            *sum += *x;
        }
        let reciprocal = 1.0 / reduce::tree(sums, |a, b| a + b);
        for x in row.iter_mut() {
            *x *= reciprocal;
        }
        SoftmaxRow { largest, reciprocal }
    }
}

kernel! {
    /// The softmax of a row whose normaliser is known: the same operations on every value.
    pub(crate) fn softmax_again(row: &mut [f32], valid: usize, scale: f32, known: SoftmaxRow) {
        let SoftmaxRow { largest, reciprocal } = known;
        let (whole, rest) = row.as_chunks_mut::<LANES>();
        exclude(rest, valid.saturating_sub(whole.len() * LANES));
        for (index, chunk) in whole.iter_mut().enumerate() {
            let counted = first_lanes(chunk, valid, index);
            for (p, &x) in chunk.iter_mut().zip(&counted) {
                *p = elementary::exp(x.mul_add(scale, -largest)) * reciprocal;
            }
        }
        for x in rest {
            *x = elementary::exp(x.mul_add(scale, -largest)) * reciprocal;
        }
    }
}

/// Makes the values of a row's last lanes from `valid` on -inf.
#[inline(always)]
fn exclude(rest: &mut [f32], valid: usize) {
    rest.iter_mut()
        .skip(valid)
        .for_each(|x| *x = f32::NEG_INFINITY);
}

/// Chunk `index` of a row whose first `valid` values count; the others are -inf, of which the
/// exponential is +0. Chosen in registers: memory that was written a value at a time is slow to
/// read as a vector.
#[inline(always)]
fn first_lanes(chunk: &[f32; LANES], valid: usize, index: usize) -> [f32; LANES] {
    /// Sixteen of these, from where as many as count are left, select.
    const SELECT: [u32; 2 * LANES] = {
        let mut select = [0; 2 * LANES];
        let mut lane = 0;
        while lane < LANES {
            select[lane] = u32::MAX;
            lane += 1;
        }
        select
    };
    let left = valid.saturating_sub(index * LANES).min(LANES);
    let mut counted = *chunk;
    for (x, &select) in counted.iter_mut().zip(&SELECT[LANES - left..][..LANES]) {
        *x = f32::from_bits(x.to_bits() & select | f32::NEG_INFINITY.to_bits() & !select);
    }
    counted
}

kernel! {
    /// `ds = p (dp - p·dp) scale` in place of `dp`, the dot over `[..valid]`; 0 where `p` is.
    pub(crate) fn softmax_backward(p: &[f32], dp: &mut [f32], valid: usize, scale: f32) {
        let mean = reduce::dot(&p[..valid], &dp[..valid]);
        for (dp, &p) in dp.iter_mut().zip(p) {
            *dp = (p * (*dp - mean)) * scale;
        }
    }
}

kernel! {
    /// `h = silu(g) u`, `silu(g) = g σ(g)`.
    pub(crate) fn swiglu(gate: &[f32], up: &[f32], h: &mut [f32]) {
        for ((h, &g), &u) in h.iter_mut().zip(gate).zip(up) {
            *h = (g * elementary::sigmoid(g)) * u;
        }
    }
}

kernel! {
    /// `dg = dh u σ (1 + g (1 - σ))`, `du = dh g σ`, in place of `g` and `u`.
    pub(crate) fn swiglu_backward(gate: &mut [f32], up: &mut [f32], dh: &[f32]) {
        // Whole lanes, so that the loop is one vector operation after another.
        let (gates, rest_of_gate) = gate.as_chunks_mut::<LANES>();
        let (ups, rest_of_up) = up.as_chunks_mut::<LANES>();
        let (slopes, rest_of_slope) = dh.as_chunks::<LANES>();
        for ((g, u), d) in gates.iter_mut().zip(ups).zip(slopes) {
            for ((g, u), d) in g.iter_mut().zip(u).zip(d) {
                (*g, *u) = swiglu_slopes(*g, *u, *d);
            }
        }
        for ((g, u), d) in rest_of_gate.iter_mut().zip(rest_of_up).zip(rest_of_slope) {
            (*g, *u) = swiglu_slopes(*g, *u, *d);
        }
    }
}

/// `(dg, du)` of one element.
#[inline(always)]
fn swiglu_slopes(g: f32, u: f32, dh: f32) -> (f32, f32) {
    let sigmoid = elementary::sigmoid(g);
    let slope = sigmoid * g.mul_add(1.0 - sigmoid, 1.0);
    ((dh * u) * slope, dh * (g * sigmoid))
}

kernel! {
    /// `y += x`.
    pub(crate) fn add(y: &mut [f32], x: &[f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

kernel! {
    /// `y *= factor`.
    pub(crate) fn scale(y: &mut [f32], factor: f32) {
        for y in y.iter_mut() {
            *y *= factor;
        }
    }
}

kernel! {
    /// The sum of squares of `x` in f64, 16 lanes and the tree.
    pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
        reduce::sum_of_squares_wide(x)
    }
}

/// Log-sum-exp pieces of one row of scaled logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normaliser {
    /// The largest scaled logit.
    pub(crate) largest: f32,
    /// `Σ exp(logit - largest)`.
    pub(crate) sum: f32,
}

impl Normaliser {
    /// The log-probability of a token with this scaled logit.
    pub(crate) fn log_probability(self, scaled_logit: f32) -> f32 {
        (scaled_logit - self.largest) - elementary::log(self.sum)
    }
}

kernel! {
    /// Replaces logits by `exp(logit / temperature - largest)`.
    pub(crate) fn exponentials(row: &mut [f32], temperature: f32) -> Normaliser {
        if temperature != 1.0 {
            for x in row.iter_mut() {
                *x /= temperature;
            }
        }
        let largest = reduce::max(row);
        let sum = map_and_sum(row, |x| elementary::exp(x - largest));
        Normaliser { largest, sum }
    }
}

kernel! {
    /// `logits[v] / temperature + gumbel(words[v])` into `scores`.
    pub(crate) fn perturb(logits: &[f32], words: &[u32], temperature: f32, scores: &mut [f32]) {
        for ((score, &logit), &word) in scores.iter_mut().zip(logits).zip(words) {
            *score = logit / temperature + elementary::gumbel(word);
        }
    }
}

/// Rows that [`fold_signs`] works on together: their folds do not wait for each other.
const SIGNED_ROWS: usize = 4;

kernel! {
    /// For each row `h` of `signs.len()` values: eight folds `sum = fma(h[k], signs[k][i], sum)`,
    /// and `squares = fma(h[k], h[k], squares)`, each over ascending `k` from +0.
    ///
    /// A sign is -1 or 1, so the product is exact and the addition rounds once, as an fma does.
    pub(crate) fn fold_signs(
        rows: &[f32],
        signs: &[[f32; 8]],
        sums: &mut [[f32; 8]],
        squares: &mut [f32],
    ) {
        let width = signs.len();
        let blocks = rows.chunks(SIGNED_ROWS * width).zip(sums.chunks_mut(SIGNED_ROWS));
        for ((rows, sums), squares) in blocks.zip(squares.chunks_mut(SIGNED_ROWS)) {
            if let [first, second, third, fourth] = sums {
                let (a, rest) = rows.split_at(width);
                let (b, rest) = rest.split_at(width);
                let (c, d) = rest.split_at(width);
                let mut folds = [[0.0_f32; 8]; SIGNED_ROWS];
                let mut lengths = [0.0_f32; SIGNED_ROWS];
                let columns = a.iter().zip(b).zip(c).zip(d);
                for ((((&a, &b), &c), &d), signs) in columns.zip(signs) {
                    for (x, (fold, length)) in
                        [a, b, c, d].into_iter().zip(folds.iter_mut().zip(&mut lengths))
                    {
                        for (sum, sign) in fold.iter_mut().zip(signs) {
                            *sum += x * sign;
                        }
                        *length = x.mul_add(x, *length);
                    }
                }
                [*first, *second, *third, *fourth] = folds;
                squares.copy_from_slice(&lengths);
                continue;
            }
            for ((row, sums), squares) in rows.chunks_exact(width).zip(sums).zip(squares) {
                (*sums, *squares) = ([0.0; 8], 0.0);
                for (&x, signs) in row.iter().zip(signs) {
                    for (sum, sign) in sums.iter_mut().zip(signs) {
                        *sum += x * sign;
                    }
                    *squares = x.mul_add(x, *squares);
                }
            }
        }
    }
}

/// The constants of one `AdamW` step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    pub(crate) lr: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) eps: f32,
    pub(crate) decay: f32,
    /// `1 - beta1^t`.
    pub(crate) correction1: f32,
    /// `1 - beta2^t`.
    pub(crate) correction2: f32,
}

kernel! {
    /// One `AdamW` step:
    /// `m = β1 m + (1 - β1) g`, `v = β2 v + (1 - β2) g²`,
    /// `θ -= lr wd θ`, `θ -= lr (m / c1) / (sqrt(v / c2) + eps)`.
    pub(crate) fn adam(
        step: AdamStep,
        theta: &mut [f32],
        gradient: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        let rest1 = 1.0 - step.beta1;
        let rest2 = 1.0 - step.beta2;
        let shrink = step.lr * step.decay;
        let moments = m.iter_mut().zip(v.iter_mut());
        for ((theta, &g), (m, v)) in theta.iter_mut().zip(gradient).zip(moments) {
            *m = step.beta1.mul_add(*m, rest1 * g);
            *v = step.beta2.mul_add(*v, (rest2 * g) * g);
            let direction = (*m / step.correction1) / ((*v / step.correction2).sqrt() + step.eps);
            let decayed = (-shrink).mul_add(*theta, *theta);
            *theta = (-step.lr).mul_add(direction, decayed);
        }
    }
}

kernel! {
    /// Nesterov momentum: `b = μ b + g`, `θ -= lr (g + μ b)`.
    pub(crate) fn nesterov(
        theta: &mut [f32],
        gradient: &[f32],
        buffer: &mut [f32],
        lr: f32,
        momentum: f32,
    ) {
        for ((theta, &g), b) in theta.iter_mut().zip(gradient).zip(buffer) {
            *b = momentum.mul_add(*b, g);
            *theta = (-lr).mul_add(momentum.mul_add(*b, g), *theta);
        }
    }
}
