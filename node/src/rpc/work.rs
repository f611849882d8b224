//! What a miner needs to know to do its units: `GET /v1/tasks/{address}`.

use super::query;
use governance::parameters::Name;
use ledger_state::{
    View, account,
    bond::{Miner, Status},
    class, feedback,
    run::{self, Run, Stage},
    sample, task,
    unit::{self, Challenge, Claim, Commitment},
    verdict::{
        appeal,
        dispute::{self, Dispute},
    },
};
use protocol::{
    Address, Amount, BlobId, ChainId, Height, Micro, Nonce, RunId, Step,
    checkpoint::Checkpoint,
    class::{Class, ClassId},
    rollout::Correction,
    task::{Beacon, UnitId, UnitKind},
    verdict::Finding,
};
use serde::{Deserialize, Serialize};

/// Whether and how a miner stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Not registered.
    Unregistered,
    /// Given work.
    Active,
    /// Given none until it resumes.
    Idle,
    /// Given none any more; what it has is finished.
    Leaving,
    /// Out.
    Slashed,
}

/// A blob to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The unit that made it.
    pub unit: UnitId,
    /// Who made it.
    pub miner: Address,
    /// Its hash.
    pub blob: BlobId,
    /// Its size.
    pub blob_bytes: u64,
    /// What undoes the fault that its miner planted in it.
    pub correction: Option<Correction>,
}

/// A unit to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueUnit {
    /// As when it was done.
    pub unit: WorkUnit,
    /// Last height for its opening.
    pub open_by: Height,
    /// Whether auditors wait for the sketch, unless a planted fault comes first.
    pub is_audited: bool,
    /// Whether it was opened before, so that no fault can come first.
    pub is_known: bool,
    /// Of a gradient unit, the boundaries whose states must be shown.
    pub boundaries: Vec<u32>,
}

/// A unit to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkUnit {
    /// The unit.
    pub unit: UnitId,
    /// Last height for its commitment.
    pub deadline: Height,
    /// Rollouts to learn from.
    pub inputs: Vec<Input>,
    /// What the miner's updates lost before, which a gradient unit starts from.
    pub feedback: Option<BlobId>,
    /// Probability that a fault must be planted in it, in millionths.
    pub plant_rate: Micro,
    /// Probability that it is audited, in millionths, as things stand.
    pub audit_rate: Micro,
}

/// A unit that was convicted, and may be appealed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvictedUnit {
    /// The unit.
    pub unit: UnitId,
    /// What it is convicted of.
    pub finding: Finding,
    /// Last height for an appeal.
    pub appeal_by: Height,
    /// What an appeal stakes.
    pub bond: Amount,
    /// The blob that was bound.
    pub blob: BlobId,
    /// What it was said to hold.
    pub claim: Claim,
    /// By which limits it was judged; nothing where every difference is proof.
    pub limits: Option<Class>,
    /// Rollouts that it learned from.
    pub inputs: Vec<Input>,
    /// What the miner's updates had lost before.
    pub feedback: Option<BlobId>,
    /// Probability that a fault had to be planted in it, in millionths.
    pub plant_rate: Micro,
}

/// A unit about which its miner owes a move in a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputedUnit {
    /// The unit.
    pub unit: UnitId,
    /// The dispute.
    pub dispute: Dispute,
    /// The segment that is disputed, and the states that were shown.
    pub challenge: Challenge,
    /// What was bound.
    pub claim: Claim,
    /// The blob that was bound.
    pub blob: BlobId,
    /// Rollouts that it learned from.
    pub inputs: Vec<Input>,
    /// What the miner's updates had lost before.
    pub feedback: Option<BlobId>,
}

/// A unit that was not paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpaidUnit {
    /// The unit.
    pub unit: UnitId,
    /// Why, as `cairn query unit` says it.
    pub reason: String,
}

/// What everyone who computes a unit of a step needs to know about the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepContext {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: Step,
    /// The step's beacon.
    pub beacon: Beacon,
    /// The checkpoint from which the step starts; none for step 0, which starts from the seed.
    pub checkpoint: Option<Checkpoint>,
    /// The one before, under which the step's input rollouts were drawn.
    pub checkpoint_before: Option<Checkpoint>,
    /// The beacon of the step before.
    pub beacon_before: Option<Beacon>,
}

/// The current step of a run, as far as one miner is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkStep {
    /// The step.
    pub context: StepContext,
    /// This miner's units that are not yet committed.
    pub units: Vec<WorkUnit>,
    /// This miner's units that must be opened.
    pub due: Vec<DueUnit>,
    /// This miner's units that were convicted and are not yet appealed for.
    pub convicted: Vec<ConvictedUnit>,
    /// This miner's units about which it owes a move.
    pub disputed: Vec<DisputedUnit>,
    /// Files of what its updates lost, from which units of this step or later ones start.
    pub feedback: Vec<BlobId>,
}

/// Everything a miner acts on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The chain.
    pub chain: ChainId,
    /// As of this height.
    pub height: Height,
    /// Whether the miner is given work.
    pub standing: Standing,
    /// The class with which it is registered.
    pub class: Option<ClassId>,
    /// What it may spend.
    pub balance: Amount,
    /// The account's nonce.
    pub nonce: Nonce,
    /// The smallest bond.
    pub bond_min: Amount,
    /// Why it was slashed, if it was.
    pub slash: Option<Finding>,
    /// Its latest units that were not paid, with the reason in words.
    pub unpaid: Vec<UnpaidUnit>,
    /// The runs' steps that are being worked on.
    pub steps: Vec<WorkStep>,
    /// Runs that will never need work again, of all runs.
    pub finished_runs_count: usize,
    /// Runs in all.
    pub runs_count: usize,
}

/// A miner's work now.
#[must_use]
pub fn work(view: &View<'_>, address: Address) -> Work {
    let tip = run::tip(view);
    let own = account::account(view, address);
    let miner: Option<Miner> = view.get(&address);
    let class = miner.as_ref().map(|miner| miner.class);
    let slash = match miner.as_ref().map(|miner| miner.status) {
        Some(Status::Slashed(slashed)) => Some(slashed.finding),
        Some(Status::Active | Status::Idle | Status::Leaving) | None => None,
    };
    let standing = match miner.map(|miner| miner.status) {
        None => Standing::Unregistered,
        Some(Status::Active) => Standing::Active,
        Some(Status::Idle) => Standing::Idle,
        Some(Status::Leaving) => Standing::Leaving,
        Some(Status::Slashed(_)) => Standing::Slashed,
    };
    let runs = view.scan::<Run>(&());
    Work {
        chain: tip.chain,
        height: tip.height,
        standing,
        class,
        balance: own.balance,
        nonce: own.nonce,
        bond_min: Amount::new(run::parameters(view).get(Name::MinerBondMin)),
        slash,
        unpaid: runs
            .iter()
            .flat_map(|(id, run)| unpaid(view, *id, run, address))
            .collect(),
        steps: runs
            .iter()
            .filter_map(|(id, run)| step(view, *id, run, address))
            .collect(),
        finished_runs_count: runs
            .iter()
            .filter(|(_, r)| r.stage == Stage::Finished)
            .count(),
        runs_count: runs.len(),
    }
}

/// A miner's units of the current step and the one before that were not paid.
fn unpaid(view: &View<'_>, id: RunId, run: &Run, miner: Address) -> Vec<UnpaidUnit> {
    let before = run.step.get().checked_sub(1).map(Step::new);
    let steps = before.into_iter().chain([run.step]);
    let units = steps.flat_map(|step| task::units(view, id, step));
    let own = units.filter(|(_, unit)| unit.miner == miner);
    let unpaid = own.filter(|(_, unit)| unit.outcome().is_some() && !unit.is_accepted());
    let words = unpaid.map(|(unit, state)| UnpaidUnit {
        unit,
        reason: query::summary(&state),
    });
    words.collect()
}

/// The context of a run's current step, once it has a beacon.
#[must_use]
pub fn context(view: &View<'_>, id: RunId, run: &Run) -> Option<StepContext> {
    let before = run.step.get().checked_sub(1).map(Step::new);
    let checkpoint = |step| run::agreed(view, id, step).map(|agreed| agreed.checkpoint);
    Some(StepContext {
        run: id,
        step: run.step,
        beacon: run::beacon(view, id, run.step)?,
        checkpoint: checkpoint(run.step),
        checkpoint_before: before.and_then(checkpoint),
        beacon_before: before.and_then(|step| run::beacon(view, id, step)),
    })
}

fn step(view: &View<'_>, id: RunId, run: &Run, miner: Address) -> Option<WorkStep> {
    if !matches!(run.stage, Stage::Working { .. }) {
        return None;
    }
    let mut own = task::units(view, id, run.step);
    own.retain(|(_, unit)| unit.miner == miner && unit.outcome().is_none());
    let convicted = own
        .iter()
        .filter_map(|(id, unit)| convicted(view, *id, unit));
    let convicted = convicted.collect();
    let disputed = own
        .iter()
        .filter_map(|(id, unit)| disputed(view, *id, unit));
    let disputed = disputed.collect();
    let parameters = run::parameters(view);
    let work_unit = |(unit, state): &(UnitId, ledger_state::unit::Unit)| WorkUnit {
        unit: *unit,
        deadline: state.deadline,
        inputs: inputs(view, *unit),
        feedback: state.feedback,
        plant_rate: state.plant_rate,
        audit_rate: sample::rate(view, &parameters, *unit, miner),
    };
    let due = own.iter().filter_map(|own| {
        let opening = &own.1.opening;
        Some(DueUnit {
            unit: work_unit(own),
            open_by: opening.open_by?,
            is_audited: !own.1.audits.is_empty(),
            is_known: opening.plant.is_some(),
            boundaries: boundaries(&own.1),
        })
    });
    let due = due.collect();
    let open = own.iter().filter(|(_, unit)| unit.commitment.is_none());
    Some(WorkStep {
        context: context(view, id, run)?,
        units: open.map(work_unit).collect(),
        due,
        convicted,
        disputed,
        feedback: lost(view, id, miner, run.step),
    })
}

/// Files of what a miner's updates lost that the chain may yet ask for.
fn lost(view: &View<'_>, run: RunId, miner: Address, step: Step) -> Vec<BlobId> {
    let units = unit::of_step(view, run, step, UnitKind::Gradient).into_iter();
    let own = units.filter(|(_, unit)| unit.miner == miner);
    let started = own.filter_map(|(_, unit)| unit.feedback);
    let mut files: Vec<BlobId> = feedback::lost(view, run, miner)
        .0
        .into_iter()
        .flatten()
        .chain(started)
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// The boundaries whose states the miner of a drawn gradient unit owes.
fn boundaries(unit: &ledger_state::unit::Unit) -> Vec<u32> {
    match unit.challenge {
        Some(challenge) if unit.audits.is_empty() => challenge.needed(),
        Some(challenge) => vec![challenge.ends_at()],
        None => Vec::new(),
    }
}

fn convicted(
    view: &View<'_>,
    id: UnitId,
    unit: &ledger_state::unit::Unit,
) -> Option<ConvictedUnit> {
    let (conviction, commitment) = (unit.conviction?, unit.commitment.as_ref()?);
    Some(ConvictedUnit {
        unit: id,
        finding: conviction.finding,
        appeal_by: conviction.appeal_by,
        bond: appeal::bond(view, unit),
        blob: commitment.blob,
        claim: commitment.claim,
        limits: unit.class.and_then(|listed| class::class(view, listed)),
        inputs: inputs(view, id),
        feedback: unit.feedback,
        plant_rate: unit.plant_rate,
    })
}

/// The accepted updates of a step, which make the checkpoint of the next one:
/// `GET /v1/updates/{run}/{step}`.
#[must_use]
pub fn updates(view: &View<'_>, run: RunId, step: Step) -> Vec<Input> {
    let accepted = unit::accepted(view, run, step, UnitKind::Gradient).into_iter();
    let input = |(unit, miner, commitment): (UnitId, Address, Commitment)| Input {
        unit,
        miner,
        blob: commitment.blob,
        blob_bytes: commitment.blob_bytes,
        correction: None,
    };
    accepted.map(input).collect()
}

fn disputed(view: &View<'_>, id: UnitId, unit: &ledger_state::unit::Unit) -> Option<DisputedUnit> {
    let dispute = dispute::of(view, id, unit)?;
    let commitment = unit.commitment.as_ref()?;
    (dispute.turn(unit.miner) == Some(unit.miner)).then_some(DisputedUnit {
        unit: id,
        dispute,
        challenge: unit.challenge?,
        claim: commitment.claim,
        blob: commitment.blob,
        inputs: inputs(view, id),
        feedback: unit.feedback,
    })
}

/// The rollouts that a gradient unit learns from, with their blobs; empty for other units.
#[must_use]
pub fn inputs(view: &View<'_>, unit: UnitId) -> Vec<Input> {
    if unit.kind != UnitKind::Gradient {
        return Vec::new();
    }
    let with_blob = |id: UnitId| {
        let unit: ledger_state::unit::Unit = view.get(&id)?;
        let Commitment {
            blob, blob_bytes, ..
        } = unit.commitment?;
        Some(Input {
            unit: id,
            miner: unit.miner,
            blob,
            blob_bytes,
            correction: unit.opening.correction(),
        })
    };
    task::gradient_inputs(view, unit)
        .into_iter()
        .filter_map(with_blob)
        .collect()
}
