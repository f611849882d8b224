//! The audit of a gradient unit: all of it again, then a comparison of bytes.

use crate::{differences, unavailable, undecodable, verdict};
use engine::{Device, trainer::CompressedUpdate};
use miner::{ExecuteError, GradientInputs, World};
use protocol::{
    gradient::Payload,
    verdict::{Check, Finding, Verdict},
};

/// Repeats the unit and reports every check, in the order of [`Check`]. `tokens_count` and
/// `loss_micro` are what the commitment says.
#[must_use]
pub fn judge(
    inputs: &GradientInputs<'_>,
    tokens_count: u32,
    loss_micro: i64,
    blob: &[u8],
    device: &Device,
) -> Verdict {
    let Ok(found) = Payload::decode(blob) else {
        return undecodable();
    };
    if World::of(inputs.recipe).is_err() {
        return unavailable();
    }
    let expected = match miner::gradient::execute(inputs, device) {
        Ok(expected) => Some(expected),
        Err(error) if accuses(&error) => None,
        Err(_) => return unavailable(),
    };
    verdict(vec![
        Finding::exact(Check::Encoding, misencoded(inputs, &found)),
        Finding::exact(
            Check::Commitment,
            uncommitted(tokens_count, loss_micro, &found, expected.as_ref()),
        ),
        Finding::exact(Check::Loss, wrong_losses(&found, expected.as_ref())),
        Finding::exact(Check::Update, wrong_bytes(&found, expected.as_ref())),
    ])
}

/// Whether nobody at all could have executed the unit, so that a payload of it must be made up:
/// the model has diverged, or no rollout is whole. Otherwise it is this auditor who cannot.
const fn accuses(error: &ExecuteError) -> bool {
    match error {
        ExecuteError::NothingToLearn { .. }
        | ExecuteError::LossNotFinite { .. }
        | ExecuteError::Compress(_) => true,
        ExecuteError::EnvironmentUnknown { .. }
        | ExecuteError::CorpusUnknown { .. }
        | ExecuteError::Recipe { .. }
        | ExecuteError::Model(_)
        | ExecuteError::StepOver { .. }
        | ExecuteError::GenerationMissing { .. }
        | ExecuteError::Input(_)
        | ExecuteError::Activations(_)
        | ExecuteError::Proof(_)
        | ExecuteError::TooMany(_) => false,
    }
}

/// A wrong unit, a wrong miner, an update that is not one of this model.
fn misencoded(inputs: &GradientInputs<'_>, found: &Payload) -> u64 {
    let length = inputs.model.as_slice().len();
    let update = CompressedUpdate::decode(found.update.as_slice(), length);
    u64::from(found.unit != inputs.unit)
        + u64::from(found.miner != inputs.miner)
        + u64::from(update.is_err())
}

/// Committed fields that differ from the payload, and the weight if it is not the work's.
fn uncommitted(
    tokens_count: u32,
    loss_micro: i64,
    found: &Payload,
    expected: Option<&Payload>,
) -> u64 {
    let work = expected.map_or(0, |expected| expected.tokens_count);
    u64::from(tokens_count != found.tokens_count || tokens_count != work)
        + u64::from(loss_micro != found.loss_micro())
}

fn wrong_losses(found: &Payload, expected: Option<&Payload>) -> u64 {
    let expected = expected.map_or(&[][..], |expected| expected.losses_micro.as_slice());
    differences(found.losses_micro.as_slice(), expected)
}

/// Bytes that differ; at least one where no update can be right.
fn wrong_bytes(found: &Payload, expected: Option<&Payload>) -> u64 {
    let found = found.update.as_slice();
    match expected {
        Some(expected) => differences(found, expected.update.as_slice()),
        None => found.len().max(1) as u64,
    }
}
