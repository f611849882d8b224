//! Which signed contributions made a model, from its recipe to one of its checkpoints.

use crate::{file::Refusal, subject::decode};
use ledger_state::{
    run::{Agreed, RunRecipe},
    state::key_bytes,
    unit::{Claim, Commitment, Draw, Unit},
};
use ledger_tree::Proven;
use protocol::{
    Address, BlobId, ChainId, Height, Micro, RunId, Step, TransactionId,
    checkpoint::Checkpoint,
    recipe::Recipe,
    task::{UnitId, UnitKind},
    transaction::{Body, Unverified, Verified},
};
use std::collections::BTreeMap;

/// Most commitments of one file.
pub const COMMITMENTS_COUNT_MAX: usize = 1 << 18;
const KINDS: [UnitKind; 2] = [UnitKind::Rollout, UnitKind::Gradient];

/// How it came that a unit was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// No audit was drawn.
    Spared {
        /// The probability of one.
        rate: Micro,
    },
    /// It was audited, and accepted.
    Accepted {
        /// Rounds that judged it.
        rounds_count: usize,
        /// Who sat in the last.
        auditors_count: usize,
    },
}

/// A unit that was accepted, and what its miner signed about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The unit.
    pub unit: UnitId,
    /// Who computed it.
    pub miner: Address,
    /// The commitment that it signed.
    pub transaction: TransactionId,
    /// The block that bound it.
    pub bound_at: Height,
    /// The work.
    pub blob: BlobId,
    /// Its size.
    pub blob_bytes: u64,
    /// Whether somebody repeated it.
    pub judged: Judged,
    /// Response tokens, or tokens that carried loss: those of a gradient unit are its weight.
    pub tokens_count: u32,
    /// Its part of the weight of its step's gradient units, rounded down, before caps and clipping;
    /// nothing for rollouts, which weigh through the gradient units that learn from them.
    pub share: Option<Micro>,
}

/// What made one checkpoint of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepProvenance {
    /// The step.
    pub step: Step,
    /// Accepted units.
    pub contributions: Vec<Contribution>,
    /// Units that were missed, void or slashed: they are in no checkpoint.
    pub left_out_count: u32,
    /// What the step made.
    pub checkpoint: Checkpoint,
    /// When validators agreed on it.
    pub agreed_at: Height,
}

/// How a model came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The run.
    pub run: RunId,
    /// All that its first weights follow from, and what its units compute.
    pub recipe: Recipe,
    /// From the first.
    pub steps: Vec<StepProvenance>,
}

fn unit_id(run: RunId, step: Step, kind: UnitKind, index: u32) -> UnitId {
    UnitId {
        run,
        step,
        kind,
        index,
    }
}

fn steps(until: Step) -> impl Iterator<Item = Step> {
    (0..until.get()).map(Step::new)
}

/// The keys that a proof must speak of; `count` says how many units of a kind a step has.
pub fn keys(run: RunId, until: Step, count: impl Fn(Step, UnitKind) -> u32) -> Vec<Vec<u8>> {
    let mut keys = vec![key_bytes::<RunRecipe>(&run)];
    for step in steps(until) {
        for kind in KINDS {
            let units = (0..=count(step, kind)).map(|index| unit_id(run, step, kind, index));
            keys.extend(units.map(|unit| key_bytes::<Unit>(&unit)));
        }
        keys.push(key_bytes::<Agreed>(&(run, step.next())));
    }
    keys
}

/// Reads everything from the proven state, and every commitment from what its miner signed.
pub(crate) fn verify(
    state: &Proven<'_>,
    chain: ChainId,
    (run, until): (RunId, Step),
    signed: &[Unverified],
) -> Result<Provenance, Refusal> {
    let recipe: Option<RunRecipe> = get(state, &key_bytes::<RunRecipe>(&run), || {
        format!("the recipe of run {run}")
    })?;
    let recipe = recipe.ok_or(Refusal::RunAbsent { run })?.0;
    let mut commitments = BTreeMap::new();
    for unverified in signed {
        let id = unverified.id();
        let checked = unverified.clone().verify(chain);
        let verified = checked.map_err(|source| Refusal::Signature { id, source })?;
        let (unit, ..) = committed(verified.body()).ok_or(Refusal::NoCommitment { id })?;
        commitments.insert(unit, verified);
    }
    let made = steps(until)
        .map(|step| made(state, (run, step), &mut commitments))
        .collect::<Result<_, _>>()?;
    if let Some((unit, _)) = commitments.pop_first() {
        return Err(Refusal::Superfluous { unit });
    }
    Ok(Provenance {
        run,
        recipe,
        steps: made,
    })
}

fn get<T: borsh::BorshDeserialize>(
    state: &Proven<'_>,
    key: &[u8],
    what: impl Fn() -> String,
) -> Result<Option<T>, Refusal> {
    let found = state.get(key).map_err(|source| Refusal::Open {
        what: what(),
        source,
    })?;
    let record = found.map(decode).transpose();
    record.map_err(|reason| Refusal::Unreadable {
        what: what(),
        reason,
    })
}

/// One step: its units, and the checkpoint that they made.
fn made(
    state: &Proven<'_>,
    (run, step): (RunId, Step),
    commitments: &mut BTreeMap<UnitId, Verified>,
) -> Result<StepProvenance, Refusal> {
    let mut contributions = Vec::new();
    let mut left_out_count: u32 = 0;
    for kind in KINDS {
        for index in 0..=u32::MAX {
            let id = unit_id(run, step, kind, index);
            let unit: Option<Unit> = get(state, &key_bytes::<Unit>(&id), || format!("unit {id}"))?;
            let Some(unit) = unit else { break };
            match (unit.is_accepted(), &unit.commitment) {
                (true, Some(bound)) => {
                    let signed = commitments
                        .remove(&id)
                        .ok_or(Refusal::Unsigned { unit: id })?;
                    contributions.push(contribution(&unit, bound, &signed)?);
                }
                (true | false, _) => left_out_count = left_out_count.saturating_add(1),
            }
        }
    }
    weigh(&mut contributions);
    let next = step.next();
    let agreed: Option<Agreed> = get(state, &key_bytes::<Agreed>(&(run, next)), || {
        format!("checkpoint {run}.{next}")
    })?;
    let agreed = agreed.ok_or(Refusal::CheckpointAbsent { run, step: next })?;
    Ok(StepProvenance {
        step,
        contributions,
        left_out_count,
        checkpoint: agreed.checkpoint,
        agreed_at: agreed.at,
    })
}

/// What a commitment binds: the unit, its blob and its claim; nothing if it is none.
fn committed(body: &Body) -> Option<(UnitId, BlobId, u64, Claim)> {
    if let Body::CommitRollouts {
        unit,
        root,
        blob,
        blob_bytes,
        totals,
    } = body
    {
        let (root, totals) = (*root, *totals);
        return Some((*unit, *blob, *blob_bytes, Claim::Rollout { root, totals }));
    }
    let Body::CommitGradient {
        unit,
        root,
        blob,
        blob_bytes,
        tokens_count,
        loss_micro,
        feedback,
    } = body
    else {
        return None;
    };
    let claim = Claim::Gradient {
        root: *root,
        tokens_count: *tokens_count,
        loss_micro: *loss_micro,
        feedback: *feedback,
    };
    Some((*unit, *blob, *blob_bytes, claim))
}

/// Whether the miner signed what the state says that it bound.
fn contribution(
    unit: &Unit,
    bound: &Commitment,
    signed: &Verified,
) -> Result<Contribution, Refusal> {
    let id = signed.id();
    let found = committed(signed.body()).ok_or(Refusal::NoCommitment { id })?;
    let (unit_id, blob, blob_bytes, claim) = found;
    let is_same = signed.sender() == unit.miner
        && (blob, blob_bytes, claim) == (bound.blob, bound.blob_bytes, bound.claim);
    if !is_same {
        return Err(Refusal::OtherCommitment { unit: unit_id });
    }
    let judged = match (bound.draw, unit.rounds()) {
        (Draw::Spared { rate }, []) => Judged::Spared { rate },
        (
            Draw::Spared { .. } | Draw::Update { .. } | Draw::Drawn { .. } | Draw::Pending,
            rounds,
        ) => Judged::Accepted {
            rounds_count: rounds.len(),
            auditors_count: rounds.last().map_or(0, |round| round.seats.len()),
        },
    };
    Ok(Contribution {
        unit: unit_id,
        miner: unit.miner,
        transaction: id,
        bound_at: bound.at,
        blob,
        blob_bytes,
        judged,
        tokens_count: claim.tokens_count(),
        share: None,
    })
}

fn weigh(contributions: &mut [Contribution]) {
    let weight = |one: &Contribution| match one.unit.kind {
        UnitKind::Gradient => u64::from(one.tokens_count),
        UnitKind::Rollout => 0,
    };
    let total = contributions
        .iter()
        .map(weight)
        .fold(0, u64::saturating_add);
    for one in contributions {
        let share = weight(one).saturating_mul(1_000_000).checked_div(total);
        one.share = match one.unit.kind {
            UnitKind::Gradient => share.map(Micro::new),
            UnitKind::Rollout => None,
        };
    }
}
