//! Dishonest gradient units, one file each.

mod backdoor;
mod chain;
mod copied_gradient;
mod forged_feedback;
mod inner_product;
mod little_is_enough;
mod loss_liar;
mod malformed_codec;
mod moment_plant;
mod own_decay;
mod own_recipe;
mod poison;
mod random_gradient;
mod scaled_gradient;
mod skip_steps;
mod tolerance_drift;
mod wrong_shard;

use crate::Adversary;
use engine::trainer::file;
use miner::{
    ExecuteError, GradientInputs,
    gradient::{Keep, phase, segments},
};
use protocol::{
    BlobId,
    gradient::{Moments, State},
    recipe::Phase,
};

pub(crate) use backdoor::{ANSWER, TRIGGER};

/// All of them.
pub(crate) const ALL: &[&dyn Adversary] = &[
    &skip_steps::SkipSteps,
    &random_gradient::RandomGradient,
    &scaled_gradient::ScaledGradient,
    &copied_gradient::CopiedGradient,
    &poison::Poison,
    &loss_liar::LossLiar,
    &wrong_shard::WrongShard,
    &own_recipe::OwnRecipe,
    &backdoor::Backdoor,
    &inner_product::InnerProduct,
    &little_is_enough::LittleIsEnough,
    &moment_plant::MomentPlant,
    &tolerance_drift::ToleranceDrift,
    &malformed_codec::MalformedCodec,
    &forged_feedback::ForgedFeedback,
    &own_decay::OwnDecay,
];

/// Largest magnitude that an adversary writes, inside the range of the compressed form.
const VALUE_MAX: f32 = 1.9;

fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value = (*value * factor).clamp(-VALUE_MAX, VALUE_MAX);
    }
}

/// Goes on from the last state that there is, or from where everybody starts, as if no step changed
/// it, so that there is a state at every boundary, with files that can be had.
fn made_up(
    inputs: &GradientInputs<'_>,
    states: &mut Vec<State>,
    keep: &mut Keep<'_>,
) -> Result<(), ExecuteError> {
    let segments = segments(inputs);
    let mut file = |values: &[f32]| -> Result<BlobId, ExecuteError> {
        let bytes = file::write(values);
        keep(&bytes).map_err(|error| ExecuteError::Keep {
            reason: error.to_string(),
        })?;
        Ok(BlobId::of(&bytes))
    };
    let length = inputs.model.as_slice().len();
    let (weights, zeros) = (file(inputs.model.as_slice())?, file(&vec![0.0; length])?);
    let moments = Moments {
        first: zeros,
        second: zeros,
    };
    let (weights, moments) = match phase(inputs)? {
        Phase::Pretrain => (weights, Some(moments)),
        Phase::Reinforce => (zeros, None),
    };
    let first = State {
        steps_count: 0,
        weights,
        moments,
    };
    let whole = segments.count() as usize;
    while states.len() < whole {
        let boundary = u32::try_from(states.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let before = states.last().copied().unwrap_or(first);
        states.push(State {
            steps_count: segments.steps_at(boundary),
            ..before
        });
    }
    Ok(())
}
