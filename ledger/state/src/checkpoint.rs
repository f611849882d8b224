//! Checkpoints: validators attest what they computed; more than two thirds of stake agree on it,
//! and the next step opens. Spec: 09-checkpoint.

use crate::{
    Rejection, View,
    event::Event,
    run::{self, Agreed, Run, Stage},
    state::Record,
    task::BEACON_DELAY_BLOCKS,
    validator,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Height, RunId, Step, checkpoint::Checkpoint};

/// What a validator computed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestation(pub Checkpoint);

impl Record for Attestation {
    const TABLE: u8 = 10;
    type Key = ((RunId, Step), Address);
}

/// Records a validator's checkpoint.
///
/// # Errors
/// When the sender is no validator, the checkpoint is not due, or was attested before.
pub fn attest(
    view: &mut View<'_>,
    sender: Address,
    checkpoint: Checkpoint,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    validator::require(view, sender)?;
    let (id, step) = (checkpoint.run, checkpoint.step);
    let run: Run = view
        .get(&id)
        .ok_or(Rejection::CheckpointNotDue { run: id, step })?;
    let due = matches!(run.stage, Stage::Attesting { .. }) && step == run.step.next();
    if !due {
        return Err(Rejection::CheckpointNotDue { run: id, step });
    }
    let recipe = run::recipe(view, id).ok_or(Rejection::CheckpointNotDue { run: id, step })?;
    if checkpoint.evaluation.is_some() != recipe.is_evaluated(step) {
        return Err(Rejection::EvaluationMismatch { step });
    }
    let key = ((id, step), sender);
    if view.get::<Attestation>(&key).is_some() {
        return Err(Rejection::CheckpointAttestedBefore { step });
    }
    view.put(&key, &Attestation(checkpoint.clone()));
    Ok(agree(view, run, checkpoint, height))
}

/// Opens the next step if this checkpoint now has a quorum.
fn agree(view: &mut View<'_>, mut run: Run, checkpoint: Checkpoint, height: Height) -> Vec<Event> {
    let id = checkpoint.run;
    let attestations = view.scan::<Attestation>(&(id, checkpoint.step));
    let agreeing = attestations
        .into_iter()
        .filter(|(_, attested)| attested.0 == checkpoint);
    let operators: Vec<Address> = agreeing.map(|((_, operator), _)| operator).collect();
    if !validator::is_quorum(&validator::powers(view), &operators) {
        return Vec::new();
    }
    run.step = checkpoint.step;
    let is_last = run::recipe(view, id).is_none_or(|recipe| recipe.phase(run.step).is_none());
    run.stage = if is_last {
        Stage::Finished
    } else {
        Stage::Opening {
            beacon_at: height.saturating_add(BEACON_DELAY_BLOCKS),
        }
    };
    view.put(&id, &run);
    view.put(
        &(id, checkpoint.step),
        &Agreed {
            checkpoint: checkpoint.clone(),
            at: height,
        },
    );
    vec![Event::CheckpointAgreed { checkpoint }]
}
