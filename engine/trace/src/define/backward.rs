//! The way back: gradients of activations and of weights (arithmetic §4, "Backward").

use super::forward::{
    Step, attention_scale, entering, head_gain, key_column, leaving, product, projected, rotated,
    sum, turned, value_column,
};
use super::{At, LANES, Reader, lane_length};
use crate::elementary::sigmoid;
use crate::program::{Kind, Program, single};

/// Gradients of weights, whose folds go on from part to part.
pub(super) const fn accumulates(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::HeadGradient
            | Kind::FinalGain
            | Kind::DownGradient
            | Kind::GateUpGradient
            | Kind::Norm2Gain
            | Kind::OutGradient
            | Kind::QueryGain
            | Kind::KeyGain
            | Kind::BiasGradient
            | Kind::QkvGradient
            | Kind::Norm1Gain
    )
}

/// Where the fold of a weight's gradient starts: where that of the part before ended.
pub(super) fn start(r: &mut Reader<'_>, at: At) -> Option<f64> {
    let kind = match r.tensor.kind {
        Kind::HeadGradient if r.program.model().is_tied => Kind::EmbeddingGradient,
        kind => kind,
    };
    r.before(kind, at.index).map(f64::from)
}

/// Steps of a fold; nothing for what is none, or not of the way back.
pub(super) fn folds(program: &Program, kind: Kind, at: At) -> Option<u64> {
    let model = program.model();
    let (d, seen) = (model.hidden_size, at.position + 1);
    Some(match kind {
        Kind::QueryGain => at.tokens_count * model.heads_count,
        Kind::KeyGain => at.tokens_count * model.key_heads_count,
        Kind::EmbeddingSum => at.tokens_count,
        kind if accumulates(kind) => at.tokens_count,
        Kind::HiddenSlope => model.vocab_size,
        Kind::FinalDotLanes | Kind::Norm1DotLanes | Kind::Norm2DotLanes => {
            lane_length(d, at.column)
        }
        Kind::HeadDotLanes => lane_length(model.head_dim, at.column),
        Kind::GatedSlope | Kind::MixedSlope => d,
        Kind::Norm2Slope => 2 * model.intermediate_size,
        Kind::Norm1Slope => model.qkv_width(),
        Kind::ProbabilitySlope if at.column < seen => model.head_dim,
        Kind::SoftmaxLanes => lane_length(seen, at.column),
        Kind::KeySlopes | Kind::ValueSlopes => at.length - at.position,
        Kind::RotatedSlope if at.column < model.query_width() => seen,
        _ => return None,
    })
}

/// One step; nothing for what is not of the way back.
pub(super) fn step(r: &mut Reader<'_>, at: At, k: u64, value: f64) -> Option<Option<f64>> {
    let step = fold(r, at, k)?;
    Some(step.map(|step| f64::from(step.take(single(value)))))
}

fn fold(r: &mut Reader<'_>, at: At, k: u64) -> Option<Option<Step>> {
    weight_gradient(r, at, k)
        .or_else(|| input_gradient(r, at, k))
        .or_else(|| of_norm(r, at, k))
        .or_else(|| of_attention(r, at, k))
}

/// Gradients of matrices and biases, and of the embedding: folds over rows.
fn weight_gradient(r: &mut Reader<'_>, at: At, k: u64) -> Option<Option<Step>> {
    let model = *r.program.model();
    let (d, ff, q) = (
        model.hidden_size,
        model.intermediate_size,
        model.query_width(),
    );
    Some(match r.tensor.kind {
        Kind::HeadGradient => outer(r, at, k, (Kind::Slope, model.vocab_size), (Kind::Hidden, d)),
        Kind::DownGradient => {
            let dy = above(r, k, at.row);
            times(dy, r.at(Kind::Gated, k * ff + at.column))
        }
        Kind::GateUpGradient => outer(r, at, k, (Kind::GateUpSlope, 2 * ff), (Kind::Norm2, d)),
        Kind::OutGradient => outer(r, at, k, (Kind::MiddleSlope, d), (Kind::Mixed, q)),
        Kind::QkvGradient => {
            let dy = projected_slope(r, k, at.row);
            times(dy, r.at(Kind::Norm1, k * d + at.column))
        }
        Kind::BiasGradient => projected_slope(r, k, at.column).map(Step::Add),
        Kind::EmbeddingSum => {
            let token = r.token(k)?;
            if token.min(model.vocab_size - 1) != at.row {
                return Some(Some(Step::Skip));
            }
            bottom(r, k, at.column).map(Step::Add)
        }
        _ => return None,
    })
}

/// Gradients of what matrices read: folds over outputs.
fn input_gradient(r: &mut Reader<'_>, at: At, k: u64) -> Option<Option<Step>> {
    let model = *r.program.model();
    let (d, ff, q) = (
        model.hidden_size,
        model.intermediate_size,
        model.query_width(),
    );
    let layer = model.places(r.tensor.layer);
    Some(match r.tensor.kind {
        Kind::HiddenSlope => {
            let place = model.head_place();
            back(r, at, k, (Kind::Slope, model.vocab_size), (place, d))
        }
        Kind::GatedSlope => {
            let dy = above(r, at.token, k);
            times(dy, r.weight(layer.down + k * ff + at.column))
        }
        Kind::Norm2Slope => back(r, at, k, (Kind::GateUpSlope, 2 * ff), (layer.gate_up, d)),
        Kind::MixedSlope => back(r, at, k, (Kind::MiddleSlope, d), (layer.out, q)),
        Kind::Norm1Slope => {
            let dy = projected_slope(r, at.token, k);
            times(dy, r.weight(layer.qkv + k * d + at.column))
        }
        _ => return None,
    })
}

/// Gains of norms, and the lanes of their products.
fn of_norm(r: &mut Reader<'_>, at: At, k: u64) -> Option<Option<Step>> {
    let model = *r.program.model();
    let kind = r.tensor.kind;
    let norm = Norm::of(kind, &model, r.tensor.layer);
    let lane = at.column + k * LANES;
    Some(match kind {
        Kind::FinalGain | Kind::Norm1Gain | Kind::Norm2Gain => {
            let scaled = product(norm.input(r, k, at.column), r.at(norm.root, k));
            times(r.at(norm.slope, k * model.hidden_size + at.column), scaled)
        }
        Kind::QueryGain => head_gain_step(r, at, k, (0, model.heads_count)),
        Kind::KeyGain => head_gain_step(r, at, k, (model.heads_count, model.key_heads_count)),
        Kind::FinalDotLanes | Kind::Norm1DotLanes | Kind::Norm2DotLanes => times(
            norm.gained(r, at.token, lane),
            norm.input(r, at.token, lane),
        ),
        Kind::HeadDotLanes => {
            let column = at.head * model.head_dim + lane;
            let g = head_gained(r, at.token, at.head, lane);
            times(g, projected(r, at.token, column))
        }
        _ => return None,
    })
}

/// The way back through scores and probabilities.
fn of_attention(r: &mut Reader<'_>, at: At, k: u64) -> Option<Option<Step>> {
    let model = *r.program.model();
    Some(match r.tensor.kind {
        Kind::ProbabilitySlope => {
            let column = at.head * model.head_dim + k;
            let dy = r.at(Kind::MixedSlope, at.token * model.query_width() + column);
            let value = value_column(r, at.head, k);
            times(dy, rotated(r, at.first + at.column, value))
        }
        Kind::SoftmaxLanes => {
            let index = at.square(at.position, at.head, at.column + k * LANES);
            let p = r.at(Kind::Probabilities, index);
            times(p, r.at(Kind::ProbabilitySlope, index))
        }
        Kind::KeySlopes | Kind::ValueSlopes => by_later(r, at, at.position + k),
        Kind::RotatedSlope => {
            let (head, j) = (at.column / model.head_dim, at.column % model.head_dim);
            let key = key_column(r, head, j);
            let ds = r.at(Kind::ScoreSlope, at.square(at.position, head, k));
            times(ds, rotated(r, at.first + k, key))
        }
        _ => return None,
    })
}

fn times(a: Option<f32>, b: Option<f32>) -> Option<Step> {
    Some(Step::Multiply(a?, b?))
}

/// `dW[o, i]` takes in `dy[t, o] x[t, i]`.
fn outer(
    r: &mut Reader<'_>,
    at: At,
    token: u64,
    (dy, outputs): (Kind, u64),
    (x, inputs): (Kind, u64),
) -> Option<Step> {
    let dy = r.at(dy, token * outputs + at.row);
    times(dy, r.at(x, token * inputs + at.column))
}

/// `dx[t, i]` takes in `dy[t, o] W[o, i]`.
fn back(
    r: &mut Reader<'_>,
    at: At,
    output: u64,
    (dy, outputs): (Kind, u64),
    (place, inputs): (u64, u64),
) -> Option<Step> {
    let dy = r.at(dy, at.token * outputs + output);
    times(dy, r.weight(place + output * inputs + at.column))
}

/// The gradient of what a block gives.
fn above(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let index = token * r.program.model().hidden_size + column;
    let next = r.tensor.layer + 1;
    if next == r.program.model().layers_count {
        r.of_part(Kind::TopSlope, index)
    } else {
        r.of_layer(next, Kind::ResidualSlope, index)
    }
}

/// The gradient of the embedded tokens.
fn bottom(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let index = token * r.program.model().hidden_size + column;
    if r.program.model().layers_count == 0 {
        r.of_part(Kind::TopSlope, index)
    } else {
        r.of_layer(0, Kind::ResidualSlope, index)
    }
}

/// The gradient of queries, keys and values before head norms.
fn projected_slope(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let index = token * r.program.model().qkv_width() + column;
    if r.program.model().has_head_norms {
        r.at(Kind::ProjectedSlope, index)
    } else {
        r.at(Kind::UnrotatedSlope, index)
    }
}

/// Later rows of a head's sequence, which read its key and its value.
fn by_later(r: &mut Reader<'_>, at: At, position: u64) -> Option<Step> {
    let model = *r.program.model();
    let (head, j) = (at.column / model.head_dim, at.column % model.head_dim);
    let index = at.square(position, head, at.position);
    let token = at.first + position;
    if r.tensor.kind == Kind::KeySlopes {
        let query = rotated(r, token, head * model.head_dim + j);
        times(r.at(Kind::ScoreSlope, index), query)
    } else {
        let dy = r.at(Kind::MixedSlope, token * model.query_width() + at.column);
        times(r.at(Kind::Probabilities, index), dy)
    }
}

/// What the gradients of the three norms of rows read.
struct Norm {
    input: fn(&mut Reader<'_>, u64, u64) -> Option<f32>,
    root: Kind,
    slope: Kind,
    mean: Kind,
    gain: u64,
}

impl Norm {
    const fn of(kind: Kind, model: &crate::Model, layer: u32) -> Self {
        match kind {
            Kind::FinalGain | Kind::FinalDotLanes | Kind::TopSlope => Self {
                input: leaving,
                root: Kind::FinalRoot,
                slope: Kind::HiddenSlope,
                mean: Kind::FinalMean,
                gain: model.final_norm_place(),
            },
            Kind::Norm2Gain | Kind::Norm2DotLanes | Kind::MiddleSlope => Self {
                input: middle,
                root: Kind::Norm2Root,
                slope: Kind::Norm2Slope,
                mean: Kind::Norm2Mean,
                gain: model.places(layer).norm2,
            },
            _ => Self {
                input: entering,
                root: Kind::Norm1Root,
                slope: Kind::Norm1Slope,
                mean: Kind::Norm1Mean,
                gain: model.places(layer).norm1,
            },
        }
    }
    fn input(&self, r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
        (self.input)(r, token, column)
    }
    /// `g = dy w`.
    fn gained(&self, r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
        let index = token * r.program.model().hidden_size + column;
        product(r.at(self.slope, index), r.weight(self.gain + column))
    }
    /// `fma(x r, -a, g) r`.
    fn slope(&self, r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
        let (root, mean) = (r.at(self.root, token)?, r.at(self.mean, token)?);
        let n = self.input(r, token, column)? * root;
        Some(n.mul_add(-mean, self.gained(r, token, column)?) * root)
    }
}

fn middle(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    r.at(Kind::Middle, token * r.program.model().hidden_size + column)
}

/// `g = dy w` of a head.
fn head_gained(r: &mut Reader<'_>, token: u64, head: u64, j: u64) -> Option<f32> {
    let model = r.program.model();
    let index = token * model.qkv_width() + head * model.head_dim + j;
    let gain = head_gain(r, head, j);
    product(r.at(Kind::UnrotatedSlope, index), r.weight(gain))
}

fn head_gain_step(r: &mut Reader<'_>, at: At, k: u64, (first, heads): (u64, u64)) -> Option<Step> {
    let model = *r.program.model();
    let (token, head) = (k / heads, first + k % heads);
    let column = head * model.head_dim + at.column;
    let x = projected(r, token, column);
    let root = r.at(Kind::HeadRoot, token * model.turned_heads_count() + head);
    let dy = r.at(Kind::UnrotatedSlope, token * model.qkv_width() + column);
    times(dy, product(x, root))
}

/// A number that is computed at once; nothing for what is not of the way back.
pub(super) fn map(r: &mut Reader<'_>, at: At) -> Option<Option<f64>> {
    let model = *r.program.model();
    let index = at.index;
    let kind = r.tensor.kind;
    let norm = Norm::of(kind, &model, r.tensor.layer);
    let value = match kind {
        Kind::FinalMean => mean(
            r,
            (Kind::FinalDotLanes, Kind::FinalRoot),
            at,
            model.hidden_size,
        ),
        Kind::Norm1Mean => mean(
            r,
            (Kind::Norm1DotLanes, Kind::Norm1Root),
            at,
            model.hidden_size,
        ),
        Kind::Norm2Mean => mean(
            r,
            (Kind::Norm2DotLanes, Kind::Norm2Root),
            at,
            model.hidden_size,
        ),
        Kind::HeadMean => mean(r, (Kind::HeadDotLanes, Kind::HeadRoot), at, model.head_dim),
        Kind::TopSlope => sum(Some(0.0), norm.slope(r, at.token, at.column)),
        Kind::MiddleSlope => {
            let dx = above(r, at.token, at.column);
            sum(dx, norm.slope(r, at.token, at.column))
        }
        Kind::ResidualSlope => {
            let dx = r.at(Kind::MiddleSlope, index);
            sum(dx, norm.slope(r, at.token, at.column))
        }
        Kind::GateUpSlope => gate_up_slope(r, at),
        Kind::ProbabilitySlope => Some(0.0),
        Kind::SoftmaxMean => r.tree(Kind::SoftmaxLanes, at.row),
        Kind::ScoreSlope => score_slope(r, at, index),
        Kind::RotatedSlope => shared(r, at),
        Kind::UnrotatedSlope => turned(r, at, -1.0, rotated_slope),
        Kind::ProjectedSlope => head_slope(r, at),
        Kind::EmbeddingGradient => {
            let head = if model.is_tied {
                r.of_part(Kind::HeadGradient, index)
            } else {
                r.before(Kind::EmbeddingGradient, index)
            };
            sum(head, r.of_part(Kind::EmbeddingSum, index))
        }
        _ => return None,
    };
    Some(value.map(f64::from))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "widths are converted with one rounding"
)]
fn mean(r: &mut Reader<'_>, (lanes, root): (Kind, Kind), at: At, width: u64) -> Option<f32> {
    let dot = r.tree(lanes, at.row)?;
    Some((dot * r.at(root, at.row)?) / width as f32)
}

fn gate_up_slope(r: &mut Reader<'_>, at: At) -> Option<f32> {
    let ff = r.program.model().intermediate_size;
    let (row, column) = (at.row * 2 * ff, at.column % ff);
    let gate = r.at(Kind::GateUp, row + column)?;
    let dh = r.at(Kind::GatedSlope, at.row * ff + column)?;
    let s = sigmoid(gate);
    if at.column >= ff {
        return Some(dh * (gate * s));
    }
    let up = r.at(Kind::GateUp, row + ff + column)?;
    Some((dh * up) * (s * gate.mul_add(1.0 - s, 1.0)))
}

fn score_slope(r: &mut Reader<'_>, at: At, index: u64) -> Option<f32> {
    if at.column > at.position {
        return Some(0.0);
    }
    let mean = r.at(Kind::SoftmaxMean, at.row)?;
    let (p, dp) = (
        r.at(Kind::Probabilities, index)?,
        r.at(Kind::ProbabilitySlope, index)?,
    );
    Some((p * (dp - mean)) * attention_scale(r))
}

fn rotated_slope(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let width = r.program.model().qkv_width();
    r.at(Kind::RotatedSlope, token * width + column)
}

/// Keys and values: what the query heads of a group give, added in ascending order.
fn shared(r: &mut Reader<'_>, at: At) -> Option<f32> {
    let model = *r.program.model();
    let column = at.column - model.query_width();
    let (index, j) = (column / model.head_dim, column % model.head_dim);
    let (kind, key_head) = match index.checked_sub(model.key_heads_count) {
        None => (Kind::KeySlopes, index),
        Some(index) => (Kind::ValueSlopes, index),
    };
    let group = model.heads_count / model.key_heads_count;
    let mut heads = key_head * group..(key_head + 1) * group;
    let first = at.token * model.query_width() + j;
    let mut total = r.at(kind, first + heads.next()? * model.head_dim)?;
    for head in heads {
        total += r.at(kind, first + head * model.head_dim)?;
    }
    Some(total)
}

/// The gradient before a head's norm, from +0; values pass.
fn head_slope(r: &mut Reader<'_>, at: At) -> Option<f32> {
    let model = *r.program.model();
    let (head, j) = (at.column / model.head_dim, at.column % model.head_dim);
    if head >= model.turned_heads_count() {
        return r.at(
            Kind::UnrotatedSlope,
            at.token * model.qkv_width() + at.column,
        );
    }
    let row = at.token * model.turned_heads_count() + head;
    let (root, mean) = (r.at(Kind::HeadRoot, row)?, r.at(Kind::HeadMean, row)?);
    let n = projected(r, at.token, at.column)? * root;
    let g = head_gained(r, at.token, head, j)?;
    Some(0.0 + n.mul_add(-mean, g) * root)
}
