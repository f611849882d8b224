//! The way forward: embedding, blocks, head, loss (arithmetic §4, §7).

use super::{At, LANES, Reader, lane_length};
use crate::elementary::{exp, log, reciprocal_sqrt, sigmoid};
use crate::program::{Kind, Program, single};
use crate::rope;

/// Steps of a fold; nothing for what is none, or not of the way forward.
pub(super) fn folds(program: &Program, kind: Kind, at: At) -> Option<u64> {
    let model = program.model();
    let (d, seen) = (model.hidden_size, at.position + 1);
    Some(match kind {
        Kind::Norm1Lanes | Kind::Norm2Lanes | Kind::FinalLanes => lane_length(d, at.column),
        Kind::HeadLanes => lane_length(model.head_dim, at.column),
        Kind::Qkv | Kind::GateUp | Kind::Logits => d,
        Kind::Scores if at.column < seen => model.head_dim,
        Kind::ScoreMax | Kind::Mixed => seen,
        Kind::ExponentialLanes => lane_length(seen, at.column),
        Kind::AttentionOut => model.query_width(),
        Kind::Down => model.intermediate_size,
        Kind::LogitMax => model.vocab_size,
        Kind::LogitLanes => lane_length(model.vocab_size, at.column),
        Kind::Loss | Kind::Weight => at.tokens_count,
        _ => return None,
    })
}

/// One step; nothing for what is not of the way forward.
pub(super) fn step(r: &mut Reader<'_>, at: At, k: u64, value: f64) -> Option<Option<f64>> {
    match r.tensor.kind {
        Kind::Loss => return Some(loss(r, k, value)),
        Kind::Weight => {
            let weight = r.at(Kind::RowWeights, k);
            return Some(weight.map(|weight| value + f64::from(weight)));
        }
        _ => (),
    }
    let step = fold(r, at, k)?;
    Some(step.map(|step| f64::from(step.take(single(value)))))
}

/// What a step does with a fold's value.
pub(super) enum Step {
    /// `fma(a, b, value)`.
    Multiply(f32, f32),
    /// `value + a`.
    Add(f32),
    /// The larger.
    Largest(f32),
    /// Nothing.
    Skip,
}

impl Step {
    pub(super) fn take(&self, value: f32) -> f32 {
        match *self {
            Self::Multiply(a, b) => a.mul_add(b, value),
            Self::Add(a) => value + a,
            Self::Largest(a) if a > value => a,
            Self::Largest(_) | Self::Skip => value,
        }
    }
}

fn fold(r: &mut Reader<'_>, at: At, k: u64) -> Option<Option<Step>> {
    let model = *r.program.model();
    let lane = at.column + k * LANES;
    Some(match r.tensor.kind {
        Kind::Norm1Lanes => square(entering(r, at.token, lane)),
        Kind::Norm2Lanes => square(r.at(Kind::Middle, at.token * model.hidden_size + lane)),
        Kind::FinalLanes => square(leaving(r, at.token, lane)),
        Kind::HeadLanes => square(projected(r, at.token, at.head * model.head_dim + lane)),
        Kind::Qkv => {
            let place = model.places(r.tensor.layer).qkv;
            linear(r, Kind::Norm1, at, (place, model.hidden_size), k)
        }
        Kind::GateUp => {
            let place = model.places(r.tensor.layer).gate_up;
            linear(r, Kind::Norm2, at, (place, model.hidden_size), k)
        }
        Kind::AttentionOut => {
            let place = model.places(r.tensor.layer).out;
            linear(r, Kind::Mixed, at, (place, model.query_width()), k)
        }
        Kind::Down => {
            let place = model.places(r.tensor.layer).down;
            linear(r, Kind::Gated, at, (place, model.intermediate_size), k)
        }
        Kind::Logits => linear(
            r,
            Kind::Hidden,
            at,
            (model.head_place(), model.hidden_size),
            k,
        ),
        Kind::Scores => score(r, at, k),
        Kind::ScoreMax => r
            .at(Kind::Scores, at.square(at.position, at.head, k))
            .map(Step::Largest),
        Kind::ExponentialLanes => r
            .at(Kind::Exponentials, at.square(at.position, at.head, lane))
            .map(Step::Add),
        Kind::Mixed => mixed(r, at, k),
        Kind::LogitMax => scaled(r, at.row * model.vocab_size + k).map(Step::Largest),
        Kind::LogitLanes => r
            .at(Kind::LogitExponentials, at.row * model.vocab_size + lane)
            .map(Step::Add),
        _ => return None,
    })
}

pub(super) fn square(x: Option<f32>) -> Option<Step> {
    x.map(|x| Step::Multiply(x, x))
}

/// What enters a block.
pub(super) fn entering(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let index = token * r.program.model().hidden_size + column;
    match r.tensor.layer.checked_sub(1) {
        None => r.of_part(Kind::Embedded, index),
        Some(below) => r.of_layer(below, Kind::Residual, index),
    }
}

/// What the last block gives.
pub(super) fn leaving(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let index = token * r.program.model().hidden_size + column;
    match r.program.model().layers_count.checked_sub(1) {
        None => r.of_part(Kind::Embedded, index),
        Some(last) => r.of_layer(last, Kind::Residual, index),
    }
}

/// Queries, keys and values with their biases, before head norms.
pub(super) fn projected(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let index = token * r.program.model().qkv_width() + column;
    if r.program.model().has_biases {
        r.at(Kind::Biased, index)
    } else {
        r.at(Kind::Qkv, index)
    }
}

fn linear(
    r: &mut Reader<'_>,
    input: Kind,
    at: At,
    (place, depth): (u64, u64),
    k: u64,
) -> Option<Step> {
    let x = r.at(input, at.row * depth + k)?;
    Some(Step::Multiply(x, r.weight(place + at.column * depth + k)?))
}

/// Index in a row of queries, keys and values: of element `j` of a query head's key head.
pub(super) const fn key_column(r: &Reader<'_>, head: u64, j: u64) -> u64 {
    let model = r.program.model();
    (model.heads_count + model.key_head_of(head)) * model.head_dim + j
}

/// The same of its value head.
pub(super) const fn value_column(r: &Reader<'_>, head: u64, j: u64) -> u64 {
    let model = r.program.model();
    key_column(r, head, j) + model.key_heads_count * model.head_dim
}

pub(super) fn rotated(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    let width = r.program.model().qkv_width();
    r.at(Kind::Rotated, token * width + column)
}

fn score(r: &mut Reader<'_>, at: At, k: u64) -> Option<Step> {
    let query = at.head * r.program.model().head_dim + k;
    let key = key_column(r, at.head, k);
    let q = rotated(r, at.token, query)?;
    Some(Step::Multiply(q, rotated(r, at.first + at.column, key)?))
}

fn mixed(r: &mut Reader<'_>, at: At, s: u64) -> Option<Step> {
    let model = *r.program.model();
    let (head, j) = (at.column / model.head_dim, at.column % model.head_dim);
    let p = r.at(Kind::Probabilities, at.square(at.position, head, s))?;
    let value = value_column(r, head, j);
    Some(Step::Multiply(p, rotated(r, at.first + s, value)?))
}

fn loss(r: &mut Reader<'_>, row: u64, value: f64) -> Option<f64> {
    let weight = r.at(Kind::RowWeights, row)?;
    if weight == 0.0 {
        return Some(value);
    }
    let log_p = r.at(Kind::LogProbability, row)?;
    Some(value - f64::from(weight) * f64::from(log_p))
}

/// A number that is computed at once; nothing for what is not of the way forward.
pub(super) fn map(r: &mut Reader<'_>, at: At) -> Option<Option<f64>> {
    let model = *r.program.model();
    let index = at.index;
    let layer = model.places(r.tensor.layer);
    let value = match r.tensor.kind {
        Kind::Embedded => r.token(at.token).and_then(|token| {
            let token = token.min(model.vocab_size - 1);
            r.weight(token * model.hidden_size + at.column)
        }),
        Kind::Norm1Root => root(r, Kind::Norm1Lanes, at, model.hidden_size),
        Kind::Norm2Root => root(r, Kind::Norm2Lanes, at, model.hidden_size),
        Kind::FinalRoot => root(r, Kind::FinalLanes, at, model.hidden_size),
        Kind::HeadRoot => root(r, Kind::HeadLanes, at, model.head_dim),
        Kind::Norm1 => {
            let x = entering(r, at.token, at.column);
            normed(r, x, (Kind::Norm1Root, at.token), layer.norm1 + at.column)
        }
        Kind::Norm2 => {
            let x = r.at(Kind::Middle, index);
            normed(r, x, (Kind::Norm2Root, at.token), layer.norm2 + at.column)
        }
        Kind::Hidden => {
            let x = leaving(r, at.token, at.column);
            let gain = model.final_norm_place() + at.column;
            normed(r, x, (Kind::FinalRoot, at.token), gain)
        }
        Kind::Biased => sum(r.at(Kind::Qkv, index), r.weight(layer.bias + at.column)),
        Kind::HeadNormed => head_normed(r, at),
        Kind::Rotated => turned(r, at, 1.0, refined),
        Kind::Scores => Some(0.0),
        Kind::Exponentials => exponential(r, at, index),
        Kind::Reciprocal => r.tree(Kind::ExponentialLanes, at.row).map(|sum| 1.0 / sum),
        Kind::Probabilities => {
            let e = r.at(Kind::Exponentials, index);
            product(e, r.at(Kind::Reciprocal, at.row))
        }
        Kind::Middle => {
            let x = entering(r, at.token, at.column);
            sum(x, r.at(Kind::AttentionOut, index))
        }
        Kind::Gated => gated(r, at),
        Kind::Residual => sum(r.at(Kind::Middle, index), r.at(Kind::Down, index)),
        Kind::LogitExponentials => {
            let (l, m) = (scaled(r, index), r.at(Kind::LogitMax, at.row));
            l.zip(m).map(|(l, m)| exp(l - m))
        }
        Kind::LogitSum => r.tree(Kind::LogitLanes, at.row),
        Kind::LogProbability => log_probability(r, at),
        Kind::Slope => slope(r, at, index),
        _ => return None,
    };
    Some(value.map(f64::from))
}

pub(super) fn sum(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    Some(a? + b?)
}

pub(super) fn product(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    Some(a? * b?)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "widths are converted with one rounding"
)]
fn root(r: &mut Reader<'_>, lanes: Kind, at: At, width: u64) -> Option<f32> {
    let mean = r.tree(lanes, at.row)? / width as f32;
    Some(reciprocal_sqrt(mean + r.program.model().eps))
}

fn normed(r: &mut Reader<'_>, x: Option<f32>, root: (Kind, u64), gain: u64) -> Option<f32> {
    let root = r.at(root.0, root.1)?;
    Some(x? * root * r.weight(gain)?)
}

/// The gain of a rotated head's norm.
pub(super) const fn head_gain(r: &Reader<'_>, head: u64, j: u64) -> u64 {
    let model = r.program.model();
    let places = model.places(r.tensor.layer);
    if head < model.heads_count {
        places.query_norm + j
    } else {
        places.key_norm + j
    }
}

fn head_normed(r: &mut Reader<'_>, at: At) -> Option<f32> {
    let model = *r.program.model();
    let (head, j) = (at.column / model.head_dim, at.column % model.head_dim);
    let x = projected(r, at.token, at.column);
    if head >= model.turned_heads_count() {
        return x;
    }
    let root = at.token * model.turned_heads_count() + head;
    let gain = head_gain(r, head, j);
    normed(r, x, (Kind::HeadRoot, root), gain)
}

/// What goes into the rotation.
fn refined(r: &mut Reader<'_>, token: u64, column: u64) -> Option<f32> {
    if r.program.model().has_head_norms {
        let width = r.program.model().qkv_width();
        return r.at(Kind::HeadNormed, token * width + column);
    }
    projected(r, token, column)
}

/// An element of a row of queries, keys and values after its head is turned by its position, or
/// back; values stay.
pub(super) fn turned(
    r: &mut Reader<'_>,
    at: At,
    sign: f32,
    input: fn(&mut Reader<'_>, u64, u64) -> Option<f32>,
) -> Option<f32> {
    let model = *r.program.model();
    let (head, j) = (at.column / model.head_dim, at.column % model.head_dim);
    let own = input(r, at.token, at.column)?;
    if head >= model.turned_heads_count() {
        return Some(own);
    }
    let half = model.head_dim / 2;
    let pair = j % half;
    let (base, scaling) = (rope::base(model.rope_theta), model.rope_scaling);
    let frequency = rope::frequency(base, scaling, model.head_dim, pair);
    let (cosine, sine) = rope::turn(frequency, at.position);
    let sine = sine * sign;
    if j < half {
        let other = input(r, at.token, at.column + half)?;
        return Some(own.mul_add(cosine, -(other * sine)));
    }
    let other = input(r, at.token, at.column - half)?;
    Some(own.mul_add(cosine, other * sine))
}

/// `1 / sqrt(D)`.
#[expect(
    clippy::cast_precision_loss,
    reason = "widths are converted with one rounding"
)]
pub(super) fn attention_scale(r: &Reader<'_>) -> f32 {
    1.0 / (r.program.model().head_dim as f32).sqrt()
}

fn exponential(r: &mut Reader<'_>, at: At, index: u64) -> Option<f32> {
    if at.column > at.position {
        return Some(0.0);
    }
    let scale = attention_scale(r);
    let m = r.at(Kind::ScoreMax, at.row)? * scale;
    Some(exp(r.at(Kind::Scores, index)?.mul_add(scale, -m)))
}

fn gated(r: &mut Reader<'_>, at: At) -> Option<f32> {
    let ff = r.program.model().intermediate_size;
    let row = at.row * 2 * ff;
    let gate = r.at(Kind::GateUp, row + at.column)?;
    Some((gate * sigmoid(gate)) * r.at(Kind::GateUp, row + ff + at.column)?)
}

/// A logit divided by the temperature, which is 1 in pre-training.
fn scaled(r: &mut Reader<'_>, index: u64) -> Option<f32> {
    let temperature = r.program.part().map(|part| part.objective.temperature);
    Some(r.at(Kind::Logits, index)? / temperature.unwrap_or(1.0))
}

/// Of the row's target; +0 in a row that is to predict nothing.
fn log_probability(r: &mut Reader<'_>, at: At) -> Option<f32> {
    let vocab = r.program.model().vocab_size;
    let Some(target) = r.target(at.row)? else {
        return Some(0.0);
    };
    let own = scaled(r, at.row * vocab + target.min(vocab - 1))?;
    Some((own - r.at(Kind::LogitMax, at.row)?) - log(r.at(Kind::LogitSum, at.row)?))
}

/// A row that is to predict nothing, or of weight 0 in pre-training, has +0.
fn slope(r: &mut Reader<'_>, at: At, index: u64) -> Option<f32> {
    let Some(target) = r.target(at.row)? else {
        return Some(0.0);
    };
    let weight = r.at(Kind::RowWeights, at.row)?;
    if weight == 0.0 && r.program.step().is_some() {
        return Some(0.0);
    }
    let reciprocal = 1.0 / r.at(Kind::LogitSum, at.row)?;
    let p = r.at(Kind::LogitExponentials, index)? * reciprocal;
    Some(if target == at.column {
        (p - 1.0) * weight
    } else {
        p * weight
    })
}
