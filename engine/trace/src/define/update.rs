//! From gradients to the next state: mean, clip, `AdamW` (arithmetic §7).

use super::{At, LANES, LANES_COUNT, Reader, joined, lane_length};
use crate::program::{Kind, Program, gradient_at, single};

/// Steps of a fold; nothing for what is none.
pub(super) fn folds(program: &Program, kind: Kind, at: At) -> Option<u64> {
    (kind == Kind::SquareLanes).then(|| lane_length(program.model().parameters_count(), at.column))
}

/// One step; nothing for what is none.
pub(super) fn step(r: &mut Reader<'_>, at: At, k: u64, value: f64) -> Option<Option<f64>> {
    if r.tensor.kind != Kind::SquareLanes {
        return None;
    }
    let x = r.of_step(Kind::Mean, at.column + k * LANES).map(f64::from);
    Some(x.map(|x| x.mul_add(x, value)))
}

/// A number that is computed at once; nothing for what is none.
#[expect(clippy::cast_possible_truncation, reason = "rounded to f32 on purpose")]
pub(super) fn map(r: &mut Reader<'_>, at: At) -> Option<Option<f64>> {
    let value = match r.tensor.kind {
        Kind::MeanFactor => {
            let total = total(r, Kind::Weight);
            let factor = |total| {
                if total > 0.0 {
                    (1.0 / total) as f32
                } else {
                    1.0
                }
            };
            total.map(factor)
        }
        Kind::Mean => mean(r, at.column),
        Kind::ClipFactor => clip_factor(r),
        Kind::LossMicro => return Some(loss_micro(r)),
        Kind::NewFirstMoment => first_moment(r, at.column),
        Kind::NewSecondMoment => second_moment(r, at.column),
        Kind::NewWeights => weight(r, at.column),
        _ => return None,
    };
    Some(value.map(f64::from))
}

/// The sum over the parts.
fn total(r: &mut Reader<'_>, kind: Kind) -> Option<f64> {
    let parts = 0..r.program.step()?.parts.len();
    let mut total = 0.0;
    for part in parts {
        total += r.double(part, kind, 0)?;
    }
    Some(total)
}

fn loss_micro(r: &mut Reader<'_>) -> Option<f64> {
    let mean = total(r, Kind::Loss)? / total(r, Kind::Weight)?;
    Some((mean * 1e6).round_ties_even())
}

/// The gradient of the summed loss at a place of the flat vector, after the last part.
fn mean(r: &mut Reader<'_>, place: u64) -> Option<f32> {
    let (layer, kind, index) = gradient_at(r.program.model(), place);
    let part = r.program.step()?.parts.len().checked_sub(1)?;
    let factor = r.of_step(Kind::MeanFactor, 0)?;
    let tensor = crate::Tensor { part, layer, kind };
    let gradient = single(r.source.number(tensor, index)?);
    Some(gradient * factor)
}

/// `limit / norm` where the norm is above it; times 1 changes nothing.
#[expect(clippy::cast_possible_truncation, reason = "rounded to f32 on purpose")]
fn clip_factor(r: &mut Reader<'_>) -> Option<f32> {
    let mut lanes = [0.0; LANES_COUNT];
    for (lane, index) in lanes.iter_mut().zip(0..) {
        *lane = r.double(0, Kind::SquareLanes, index)?;
    }
    let norm = joined(lanes).sqrt() as f32;
    let limit = r.program.step()?.optimiser.norm_max;
    Some(if norm > limit { limit / norm } else { 1.0 })
}

fn clipped(r: &mut Reader<'_>, place: u64) -> Option<f32> {
    Some(r.of_step(Kind::Mean, place)? * r.of_step(Kind::ClipFactor, 0)?)
}

fn first_moment(r: &mut Reader<'_>, place: u64) -> Option<f32> {
    let beta = r.program.step()?.optimiser.beta1;
    let (m, g) = (r.of_step(Kind::FirstMoment, place)?, clipped(r, place)?);
    Some(beta.mul_add(m, (1.0 - beta) * g))
}

fn second_moment(r: &mut Reader<'_>, place: u64) -> Option<f32> {
    let beta = r.program.step()?.optimiser.beta2;
    let (v, g) = (r.of_step(Kind::SecondMoment, place)?, clipped(r, place)?);
    Some(beta.mul_add(v, ((1.0 - beta) * g) * g))
}

fn weight(r: &mut Reader<'_>, place: u64) -> Option<f32> {
    let o = r.program.step()?.optimiser;
    let theta = r.weight(place)?;
    let m = r.of_step(Kind::NewFirstMoment, place)?;
    let v = r.of_step(Kind::NewSecondMoment, place)?;
    let decayed = (-(o.lr * o.decay)).mul_add(theta, theta);
    let direction = (m / o.correction1) / ((v / o.correction2).sqrt() + o.eps);
    Some((-o.lr).mul_add(direction, decayed))
}
