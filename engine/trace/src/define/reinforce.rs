//! What a reinforcement part learns: the clipped objective, and the sum of gradients
//! (arithmetic §7, "GRPO").

use super::{At, Reader};
use crate::elementary::exp;
use crate::model::Objective;
use crate::program::{BEHAVIOUR, Kind, LEARNER, Tensor, gradient_at, single};

/// One step of the loss; nothing for what is not of a reinforcement part.
pub(super) fn step(r: &mut Reader<'_>, row: u64, value: f64) -> Option<Option<f64>> {
    let normaliser = r.program.part()?.objective.normaliser;
    if r.tensor.kind != Kind::Loss {
        return None;
    }
    let Some(sequence) = r.sequence(row) else {
        return Some(None);
    };
    if sequence.is_none() {
        return Some(Some(value));
    }
    let objective = r.at(Kind::Objective, row);
    Some(objective.map(|own| value - f64::from(own) / f64::from(normaliser)))
}

/// A number that is computed at once; nothing for what is not of a reinforcement part.
pub(super) fn map(r: &mut Reader<'_>, at: At) -> Option<Option<f64>> {
    let objective = r.program.part()?.objective;
    let value = match r.tensor.kind {
        Kind::Ratio | Kind::Free | Kind::Held | Kind::Objective | Kind::RowWeights => {
            of_row(r, at.row, &objective)
        }
        Kind::SumAfter => gradient(r, at.index),
        Kind::LossMicro => return Some(loss_micro(r, &objective)),
        _ => return None,
    };
    Some(value.map(f64::from))
}

/// Of a row: +0 if it predicts no token of a response.
fn of_row(r: &mut Reader<'_>, row: u64, objective: &Objective) -> Option<f32> {
    let Some(sequence) = r.sequence(row)? else {
        return Some(0.0);
    };
    match r.tensor.kind {
        Kind::Ratio => {
            let now = r.at(Kind::LogProbability, row)?;
            let then = r
                .from(BEHAVIOUR, 0, Kind::LogProbability, row)
                .map(single)?;
            Some(exp(now - then))
        }
        Kind::Free => {
            let ratio = r.at(Kind::Ratio, row)?;
            let bounded = if ratio < objective.delta {
                ratio
            } else {
                objective.delta
            };
            Some(bounded * sequence.advantage?)
        }
        Kind::Held => Some(held(r.at(Kind::Ratio, row)?, objective) * sequence.advantage?),
        Kind::Objective => {
            let (free, held) = (r.at(Kind::Free, row)?, r.at(Kind::Held, row)?);
            Some(if free <= held { free } else { held })
        }
        _ => {
            let ratio = r.at(Kind::Ratio, row)?;
            let inside = r.at(Kind::Free, row)? <= r.at(Kind::Held, row)?;
            let factor =
                (ratio * sequence.advantage?) / (objective.temperature * objective.normaliser);
            Some(if inside && ratio < objective.delta {
                factor
            } else {
                0.0
            })
        }
    }
}

/// The ratio between both clips.
fn held(ratio: f32, objective: &Objective) -> f32 {
    let (low, high) = (1.0 - objective.clip_low, 1.0 + objective.clip_high);
    if ratio < low {
        low
    } else if ratio > high {
        high
    } else {
        ratio
    }
}

/// The gradient at a place of the flat vector, which went on from the sum before.
fn gradient(r: &mut Reader<'_>, place: u64) -> Option<f32> {
    let (layer, kind, index) = gradient_at(r.program.model(), place);
    let tensor = Tensor {
        part: LEARNER,
        layer,
        kind,
    };
    r.source.number(tensor, index).map(single)
}

/// So that the mean over the parts is the unit's loss.
fn loss_micro(r: &mut Reader<'_>, objective: &Objective) -> Option<f64> {
    let loss = r.double(LEARNER, Kind::Loss, 0)? * f64::from(objective.parts_count);
    Some((loss * 1e6).round_ties_even())
}
