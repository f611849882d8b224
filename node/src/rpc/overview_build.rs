//! Builds the [`Overview`] from the chain's state.

use super::overview::{
    EventRow, EvidenceRow, MinerRow, Overview, ProposalRow, RunOverview, SlashRow, StepPoint,
    StepUnits, UnitCounts, ValidatorRow,
};
use crate::chain::Chain;
use governance::{
    Share,
    describe::describe,
    proposal::{Content, Status as ProposalStatus},
    settings,
    share::in_millionths,
};
use ledger_state::{
    Event, View,
    bond::{Miner, Status, Units},
    class,
    fee::Terms,
    proposal,
    run::{self, Agreed, Closed, Run, Stage},
    sample, task,
    unit::Outcome,
    validator::Validator,
};
use protocol::{
    Address, Amount, Height, Micro, ProposalId, RunId, Step,
    class::ClassId,
    recipe::{Phase, Recipe},
    task::{UnitId, UnitKind},
};

/// Most proposals on the page; `GET /v1/proposals` tells them all.
const PROPOSALS_COUNT_MAX: usize = 30;

/// The network at a glance.
#[must_use]
pub fn overview(chain: &Chain, peers_count: usize) -> Overview {
    let events = chain.events();
    let block_interval_ms = chain.block_interval_ms();
    let mempool_count = chain.mempool_count();
    chain.view(|view| {
        let tip = run::tip(view);
        let miners = miners(view);
        Overview {
            chain: chain.id(),
            name: chain.name().to_owned(),
            height: tip.height,
            time_ms: tip.time_ms,
            block_interval_ms,
            mempool_count,
            transfer_fee: Terms::of(view).transfer_fee(),
            peers_count,
            run: run_overview(view, RunId::ZERO),
            units: total(miners.iter().map(|row| row.units)),
            miners,
            validators: validators(view),
            proposals: proposals(view),
            events,
        }
    })
}

fn total(counts: impl Iterator<Item = UnitCounts>) -> UnitCounts {
    counts.fold(UnitCounts::default(), |sum, more| UnitCounts {
        accepted: sum.accepted + more.accepted,
        void: sum.void + more.void,
        slashed: sum.slashed + more.slashed,
        missed: sum.missed + more.missed,
    })
}

const fn counts(units: Units) -> UnitCounts {
    let Units {
        accepted,
        void,
        slashed,
        missed,
    } = units;
    UnitCounts {
        accepted,
        void,
        slashed,
        missed,
    }
}

fn miners(view: &View<'_>) -> Vec<MinerRow> {
    let miners = view.scan::<Miner>(&()).into_iter();
    miners
        .map(|(address, miner)| miner_row(view, address, &miner))
        .collect()
}

/// One miner as the page shows it.
#[must_use]
pub fn miner_row(view: &View<'_>, address: Address, miner: &Miner) -> MinerRow {
    let unit = UnitId {
        run: RunId::ZERO,
        step: Step::ZERO,
        kind: if miner.class == ClassId::EXACT {
            UnitKind::Gradient
        } else {
            UnitKind::Rollout
        },
        index: 0,
    };
    let rate = sample::rate(view, &run::parameters(view), unit, address);
    let listed = class::listed(view, miner.class);
    let class = listed.and_then(|listed| class::class(view, listed));
    MinerRow {
        address,
        status: match miner.status {
            Status::Active | Status::Idle if miner.accused > 0 => "accused",
            Status::Active => "active",
            Status::Idle => "idle",
            Status::Leaving => "leaving",
            Status::Slashed(_) => "slashed",
        }
        .to_owned(),
        bond: miner.bond,
        earned: miner.earned,
        vesting: miner.vesting_total(),
        units: counts(miner.units),
        quota_micro: miner.quota.get(),
        audit_rate_micro: rate.get(),
        class: class
            .as_ref()
            .map_or("exact", |class| class.name.as_str())
            .to_owned(),
        evidence: class.as_ref().map(|class| EvidenceRow {
            units_count: miner.lifetime.units_count,
            micro: miner.lifetime.evidence_micro,
            limit_micro: class.lifetime_micro.void,
        }),
        slash: match miner.status {
            Status::Slashed(slashed) => Some(SlashRow {
                unit: slashed.unit,
                height: slashed.at,
                check: slashed.finding.check,
                measured: slashed.finding.measured,
                limit: slashed.finding.limit,
                reason: slashed.finding.to_string(),
                burned: slashed.burned,
                bounty: slashed.bounty,
            }),
            Status::Active | Status::Idle | Status::Leaving => None,
        },
    }
}

fn validators(view: &View<'_>) -> Vec<ValidatorRow> {
    let row = |(operator, validator): (_, Validator)| ValidatorRow {
        operator,
        stake: validator.stake,
        power: validator.power,
        standing: super::staking::words(validator.standing),
        audits: validator.audits_count,
        earned: validator.earned,
        fined: validator.fined,
    };
    view.scan::<Validator>(&()).into_iter().map(row).collect()
}

fn proposals(view: &View<'_>) -> Vec<ProposalRow> {
    let newest = proposal::all(view).into_iter().take(PROPOSALS_COUNT_MAX);
    newest
        .filter_map(|(id, _)| proposal_row(view, id))
        .collect()
}

/// One proposal as the page shows it.
#[must_use]
pub fn proposal_row(view: &View<'_>, id: ProposalId) -> Option<ProposalRow> {
    let (proposal, Content(payload)) = proposal::stored(view, id)?;
    let tally = proposal.tally;
    let millionths = |share: Share| Micro::new(in_millionths(share.numerator, share.denominator));
    Some(ProposalRow {
        id,
        title: proposal.title.as_str().to_owned(),
        track: proposal.track.to_string(),
        changes: describe(&proposal, &payload),
        yes: Amount::new(tally.yes),
        no: Amount::new(tally.no),
        abstain: Amount::new(tally.abstain),
        veto: Amount::new(tally.veto),
        support_needed: millionths(proposal.rule.support),
        approval_needed: millionths(proposal.rule.approval.share()),
        total: Amount::new(tally.eligible),
        status: proposal.status.as_str().to_owned(),
        voting_ends: proposal.voting_ends,
        enact_at: proposal.due_at(settings(view).calendar),
    })
}

fn run_overview(view: &View<'_>, id: RunId) -> Option<RunOverview> {
    let run: Run = view.get(&id)?;
    let recipe = run::recipe(view, id)?;
    let phase = match recipe.phase(run.step) {
        Some(Phase::Pretrain) => "pretrain",
        Some(Phase::Reinforce) => "reinforce",
        None => "finished",
    };
    let environment = environment::by_hash(recipe.environment.as_bytes());
    let checkpoint = run::agreed(view, id, run.step).map(|agreed| agreed.checkpoint.model);
    let step_units = step_units(view, id, run.step);
    Some(RunOverview {
        phase: phase.to_owned(),
        stage: stage_name(&run, step_units).to_owned(),
        step: run.step,
        steps_count: recipe.steps_count(),
        pretrain_steps_count: recipe.pretrain.steps_count,
        checkpoint,
        parameters_count: parameters_count(&recipe),
        environment: environment.map_or("unknown", |e| e.name()).to_owned(),
        step_units,
        points: points(view, id, &recipe),
        escrow: run.escrow,
    })
}

const fn stage_name(run: &Run, units: StepUnits) -> &'static str {
    match run.stage {
        Stage::Opening { .. } => "opening",
        Stage::Working { .. } if units.committed == units.assigned => "settling",
        Stage::Working { .. } => "working",
        Stage::Attesting { .. } => "attesting",
        Stage::Finished => "finished",
    }
}

fn parameters_count(recipe: &Recipe) -> u64 {
    // A recipe is checked at genesis; one of an impossible shape has no parameters.
    miner::model::parameters_count(recipe).map_or(0, |count| count as u64)
}

fn step_units(view: &View<'_>, id: RunId, step: Step) -> StepUnits {
    let mut sum = StepUnits::default();
    for (_, unit) in task::units(view, id, step) {
        sum.assigned += 1;
        sum.committed += u32::from(unit.commitment.is_some());
        sum.settled += u32::from(unit.outcome().is_some());
    }
    sum
}

pub(super) fn points(view: &View<'_>, id: RunId, recipe: &Recipe) -> Vec<StepPoint> {
    let closed = view.scan::<Closed>(&id);
    closed
        .into_iter()
        .map(|((_, step), closed)| point(view, id, recipe, step, &closed))
        .collect()
}

fn point(view: &View<'_>, id: RunId, recipe: &Recipe, step: Step, closed: &Closed) -> StepPoint {
    let millionths = |part: u64, whole: u64| (part.saturating_mul(1_000_000)).checked_div(whole);
    let agreed: Option<Agreed> = run::agreed(view, id, step.next());
    let evaluation = agreed.and_then(|agreed| agreed.checkpoint.evaluation);
    StepPoint {
        step,
        height: closed.at,
        loss_micro: closed
            .loss_micro
            .filter(|_| recipe.phase(step) == Some(Phase::Pretrain)),
        reward_micro: closed.reward_micro.checked_div(closed.samples_count),
        exact_micro: millionths(closed.exact_count, closed.samples_count),
        evaluation_micro: evaluation
            .and_then(|e| millionths(e.exact_count.into(), e.prompts_count.into())),
        units: counts(closed.units),
    }
}

/// What passes is good, what fails or stops is bad, the rest is news.
const fn governed_tone(event: &governance::Event) -> &'static str {
    use governance::Event as Governed;
    match event {
        Governed::StatusChanged {
            status: ProposalStatus::Passed | ProposalStatus::Executed { .. },
            ..
        }
        | Governed::UpgradeActivated { .. }
        | Governed::StageAdvanced { .. } => "good",
        Governed::StatusChanged {
            status: ProposalStatus::Failed { .. } | ProposalStatus::Vetoed,
            ..
        }
        | Governed::DepositBurned { .. }
        | Governed::Paused { .. }
        | Governed::UpgradeLapsed { .. } => "bad",
        _ => "info",
    }
}

/// The page's line for an event; nothing for events that come by the hundred.
#[must_use]
pub fn event_row(height: Height, event: &Event) -> Option<EventRow> {
    tone(event).map(|tone| EventRow {
        height,
        tone: tone.to_owned(),
        text: event.to_string(),
    })
}

fn tone(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Governed { what } => governed_tone(what),
        Event::MinerSlashed { .. }
        | Event::AuditorFined { .. }
        | Event::MinerFined { .. }
        | Event::PayForfeited { .. }
        | Event::AuditEscalated { .. }
        | Event::UnitConvicted { .. }
        | Event::UnitAppealed { .. }
        | Event::UnitContested { .. }
        | Event::DisputeLost { .. }
        | Event::ValidatorJailed { .. }
        | Event::ValidatorFrozen { .. }
        | Event::ValidatorSlashed { .. }
        | Event::AppealEnded { is_lost: true, .. }
        | Event::ContestEnded { is_lost: true, .. } => "bad",
        Event::AppealEnded { .. }
        | Event::ContestEnded { .. }
        | Event::CheckpointAgreed { .. }
        | Event::MinerRegistered { .. }
        | Event::VerifierRegistered { .. }
        | Event::MinerResumed { .. }
        | Event::ValidatorRegistered { .. }
        | Event::ValidatorReleased { .. } => "good",
        Event::StepAssigned { .. }
        | Event::MinerIdle { .. }
        | Event::DisputeOpened { .. }
        | Event::AcceptanceWaits { .. }
        | Event::Staked { .. }
        | Event::Unstaked { .. }
        | Event::Restaked { .. }
        | Event::CommissionSet { .. }
        | Event::KeyNamed { .. }
        | Event::KeyRotated { .. }
        | Event::Minted { .. }
        | Event::LeaveNoticed { .. }
        | Event::Left { .. }
        | Event::ProposerSilent { .. } => "info",
        Event::UnitOpened { correction, .. } if correction.is_some() => "info",
        Event::PlantJudged { is_found: true, .. } => "good",
        Event::PlantJudged { .. } => "bad",
        Event::UnitSettled {
            outcome: Outcome::Slashed { .. } | Outcome::Void { .. },
            ..
        } => "bad",
        Event::VerdictRevealed {
            contradiction: Some(_),
            ..
        } => "bad",
        Event::StepClosed { gradients, .. } if !gradients.missing.is_empty() => "info",
        Event::Transferred { .. }
        | Event::StepClosed { .. }
        | Event::UnitCommitted { .. }
        | Event::UnitOpened { .. }
        | Event::UnitSettled { .. }
        | Event::AuditDrawn { .. }
        | Event::AuditOpened { .. }
        | Event::SegmentDrawn { .. }
        | Event::UpdateDrawn { .. }
        | Event::AuditorSeated { .. }
        | Event::DisputeMoved { .. }
        | Event::StakeFreed { .. }
        | Event::RewardsClaimed { .. }
        | Event::BondAdded { .. }
        | Event::VerdictRevealed { .. } => return None,
    })
}
