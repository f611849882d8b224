//! Commitments: a miner binds its blob, validators attest that they hold it. Spec: 04-transaction.
//!
//! A blob is *available* once validators with more than two thirds of stake attest it; only then
//! can its unit be drawn for audit, and only then be accepted.

use crate::{
    Rejection, View,
    bond::{Miner, Status},
    event::Event,
    run,
    unit::{self, Claim, Commitment, Draw, Unit},
    validator,
};
use protocol::{
    Address, BlobId, Height, gradient,
    recipe::Recipe,
    rollout,
    rollout::Totals,
    task::{UnitId, UnitKind},
};

/// What a commitment transaction binds.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The unit.
    pub unit: UnitId,
    /// The blob.
    pub blob: BlobId,
    /// Its size.
    pub blob_bytes: u64,
    /// What it is said to hold.
    pub claim: Claim,
}

/// Binds a unit's blob.
///
/// # Errors
/// When the unit is not the sender's to bind, now, with such a claim.
pub fn commit(
    view: &mut View<'_>,
    sender: Address,
    bound: Bound,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let Bound {
        unit: id,
        blob,
        blob_bytes,
        claim,
    } = bound;
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    check_owner(view, sender, id, &unit, height)?;
    check_size(id, blob_bytes)?;
    let recipe = run::recipe(view, id.run).ok_or(Rejection::UnitUnknown { unit: id })?;
    check_claim(&recipe, id, claim)?;
    let commitment = Commitment {
        blob,
        blob_bytes,
        claim,
        at: height,
        attested_by: Vec::new(),
        available_at: None,
        draw: Draw::Pending,
    };
    unit.commitment = Some(commitment);
    unit.stage = unit::Stage::Committed;
    view.put(&id, &unit);
    Ok(vec![Event::UnitCommitted {
        unit: id,
        miner: sender,
        blob_bytes,
    }])
}

fn check_owner(
    view: &View<'_>,
    sender: Address,
    id: UnitId,
    unit: &Unit,
    height: Height,
) -> Result<(), Rejection> {
    if unit.miner != sender {
        return Err(Rejection::NotAssignee {
            unit: id,
            assignee: unit.miner,
        });
    }
    if matches!(
        view.get::<Miner>(&sender),
        Some(Miner {
            status: Status::Slashed(_),
            ..
        })
    ) {
        return Err(Rejection::MinerSlashed { miner: sender });
    }
    if unit.commitment.is_some() {
        return Err(Rejection::UnitCommittedBefore { unit: id });
    }
    if height > unit.deadline || unit.outcome().is_some() {
        return Err(Rejection::DeadlinePassed {
            height,
            deadline: unit.deadline,
        });
    }
    Ok(())
}

fn check_size(unit: UnitId, blob_bytes: u64) -> Result<(), Rejection> {
    let blob_bytes_max = match unit.kind {
        UnitKind::Rollout => rollout::PAYLOAD_BYTES_MAX,
        UnitKind::Gradient => gradient::PAYLOAD_BYTES_MAX,
    } as u64;
    if blob_bytes == 0 || blob_bytes > blob_bytes_max {
        return Err(Rejection::BlobSize {
            blob_bytes,
            blob_bytes_max,
        });
    }
    Ok(())
}

pub(crate) fn check_claim(recipe: &Recipe, unit: UnitId, claim: Claim) -> Result<(), Rejection> {
    match (unit.kind, claim) {
        (UnitKind::Rollout, Claim::Rollout { totals, .. }) => {
            let expected = recipe.samples_per_unit_count();
            let Totals {
                samples_count,
                tokens_count: _,
                reward_micro,
                exact_count,
            } = totals;
            let reward_max = u64::from(samples_count).saturating_mul(1_000_000);
            if samples_count != expected || exact_count > samples_count || reward_micro > reward_max
            {
                return Err(Rejection::TotalsImpossible {
                    samples_count,
                    expected,
                });
            }
            Ok(())
        }
        (
            UnitKind::Gradient,
            Claim::Gradient {
                tokens_count,
                feedback,
                ..
            },
        ) if tokens_count > 0 => {
            let is_fed_back = recipe.update(unit.step).feedback_decay().is_some();
            if feedback.is_some() == is_fed_back {
                Ok(())
            } else {
                Err(Rejection::ClaimMismatch { unit })
            }
        }
        (UnitKind::Rollout | UnitKind::Gradient, _) => Err(Rejection::ClaimMismatch { unit }),
    }
}

/// Records that a validator holds blobs. Units settled meanwhile are passed over.
///
/// # Errors
/// When the sender is no validator, a unit is not committed, or nothing new is attested.
pub fn attest(
    view: &mut View<'_>,
    sender: Address,
    units: &[UnitId],
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    validator::require(view, sender)?;
    let powers = validator::powers(view);
    let mut new_count = 0_usize;
    for id in units {
        let mut unit: Unit = view.get(id).ok_or(Rejection::UnitUnknown { unit: *id })?;
        let Some(commitment) = unit.commitment.as_mut() else {
            return Err(Rejection::UnitNotCommitted { unit: *id });
        };
        let is_open = matches!(unit.stage, unit::Stage::Committed);
        if is_open && !commitment.attested_by.contains(&sender) {
            commitment.attested_by.push(sender);
            let is_held = validator::is_quorum(&powers, &commitment.attested_by);
            if is_held && commitment.available_at.is_none() {
                commitment.available_at = Some(height);
            }
            new_count = new_count.saturating_add(1);
            view.put(id, &unit);
        }
    }
    if new_count == 0 {
        return Err(Rejection::NothingAttested);
    }
    Ok(Vec::new())
}
