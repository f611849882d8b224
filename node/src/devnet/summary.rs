//! What a devnet measured, for programs. The fields are stable.

use super::layout::{Participant, Role};
use crate::{
    local::{Report, Sort, Spent, Trust, Work},
    rpc::overview::{MinerRow, Overview, StepPoint},
};
use protocol::{Address, Amount, CheckpointId, Height, ProposalId, task::UnitKind, verdict::Check};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Units by outcome, for everyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Paid and used.
    pub accepted: u64,
    /// Not paid, nobody punished.
    pub void: u64,
    /// Proven wrong.
    pub slashed: u64,
}

/// What went wrong for honest miners to which nothing happened on purpose; all zero when all is
/// well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Honest {
    /// Units not paid.
    pub void: u64,
    /// Units proven wrong.
    pub slashed: u64,
}

/// What became of a cheat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheatOutcome {
    /// How it deceived.
    pub name: String,
    /// When it was caught.
    pub slashed_height: Option<Height>,
    /// The check that caught it.
    pub check: Option<Check>,
    /// What was measured.
    pub measured: Option<u64>,
    /// What was allowed.
    pub limit: Option<u64>,
    /// Units it had committed or was given until then; audits, if it is an auditor.
    pub units: u64,
    /// Units of its that were void, such as those that it withheld.
    pub void: u64,
    /// What it was fined as an auditor or proposer.
    pub fined: Amount,
}

/// What became of the proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalOutcome {
    /// Its id.
    pub id: ProposalId,
    /// Since when it is in force.
    pub enacted_height: Option<Height>,
}

/// What a devnet measured. Losses are nats a token; rewards and evaluations are shares of exact
/// answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Steps done.
    pub steps: u64,
    /// Last height.
    pub height: Height,
    /// From start to the first final block, in seconds.
    pub first_block_s: f64,
    /// From start to end, in seconds.
    pub wall_s: f64,
    /// Largest resident memory of all processes together, in MiB.
    pub rss_mib_max: u64,
    /// Mean loss of the first pre-training step.
    pub loss_first: Option<f64>,
    /// Mean loss of the last pre-training step.
    pub loss_last: Option<f64>,
    /// Sampled exact match of the first rollouts.
    pub reward_first: Option<f64>,
    /// Sampled exact match of the last rollouts.
    pub reward_last: Option<f64>,
    /// Greedy held-out exact match when reinforcement began.
    pub eval_first: Option<f64>,
    /// The last one.
    pub eval_last: Option<f64>,
    /// All units.
    pub units: Units,
    /// Honest miners' troubles.
    pub honest: Honest,
    /// Every cheat.
    pub cheats: Vec<CheatOutcome>,
    /// The proposal.
    pub proposal: Option<ProposalOutcome>,
    /// The last agreed checkpoint.
    pub checkpoint: Option<CheckpointId>,
    /// Whether all validators had the same state after every height.
    pub state_roots_agree: bool,
    /// Auditing time as a share of all computing time.
    pub verifier_compute_share: Option<f64>,
    /// What auditing takes beside the work that it checks.
    pub audits: Vec<AuditShare>,
    /// Where the time of every process went, and what it carried.
    pub processes: Vec<ProcessShare>,
}

/// Where a process's time went since it last started, in seconds of the clock, and what blobs it
/// carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessShare {
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Computing units or audits.
    pub computing_s: f64,
    /// Making checkpoints out of updates.
    pub adding_up_s: f64,
    /// Waiting for blobs.
    pub fetching_s: f64,
    /// Everything else.
    pub waiting_s: f64,
    /// Blob bytes that it fetched.
    pub received_bytes: u64,
    /// Blob bytes that others fetched from it.
    pub sent_bytes: u64,
}

impl ProcessShare {
    fn new((participant, report): &(Participant, Report)) -> Self {
        // Microseconds of a run are far below 2^53.
        let seconds = |us: u64| us as f64 / 1e6;
        let times = report.times;
        Self {
            name: participant.name.clone(),
            role: participant.role,
            computing_s: seconds(times.computing_us),
            adding_up_s: seconds(times.adding_up_us),
            fetching_s: seconds(times.fetching_us),
            waiting_s: seconds(times.waiting_us),
            received_bytes: report.received_bytes,
            sent_bytes: report.sent_bytes,
        }
    }
    /// All its time, in seconds.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.computing_s + self.adding_up_s + self.fetching_s + self.waiting_s
    }
}

/// What audits of one sort of units take beside making these units, in processor time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditShare {
    /// Kind of the units.
    pub kind: UnitKind,
    /// Whose they are.
    pub trust: Trust,
    /// Units that were made.
    pub units: u64,
    /// Audits: rounds and auditors of drawn units together.
    pub audits: u64,
    /// Time of all audits as a share of the time of making all units.
    pub share: f64,
    /// Time of one audit as a share of the time of making one unit.
    pub audit_cost: Option<f64>,
}

fn audit_shares(spent: &BTreeMap<Work, Spent>) -> Vec<AuditShare> {
    let mut shares = Vec::new();
    for kind in [UnitKind::Rollout, UnitKind::Gradient] {
        for trust in [Trust::Newcomer, Trust::Vested] {
            let of = |work: Work| spent.get(&work).copied().unwrap_or_default();
            let sort = Sort { kind, trust };
            let (made, judged) = (of(Work::Mining(sort)), of(Work::Audit(sort)));
            if made.us == 0 {
                continue;
            }
            // Microseconds of a run are far below 2^53.
            let share = judged.us as f64 / made.us as f64;
            let frequency = judged.count as f64 / made.count as f64;
            shares.push(AuditShare {
                kind,
                trust,
                units: made.count,
                audits: judged.count,
                share,
                audit_cost: (judged.count > 0).then_some(share / frequency),
            });
        }
    }
    shares
}

fn audit_share_of_all(spent: &BTreeMap<Work, Spent>) -> Option<f64> {
    let all: u64 = spent.values().map(|spent| spent.us).sum();
    let audits = spent
        .iter()
        .filter(|(work, _)| matches!(work, Work::Audit(_)));
    let audits: u64 = audits.map(|(_, spent)| spent.us).sum();
    (all > 0).then(|| audits as f64 / all as f64)
}

/// What the supervisor measured beside the chain.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From start to the first final block, in seconds.
    pub first_block_s: f64,
    /// From start to end, in seconds.
    pub wall_s: f64,
    /// Largest resident memory of all processes together, in MiB.
    pub rss_mib_max: u64,
    /// Whether all validators had the same state after every height.
    pub state_roots_agree: bool,
    /// Honest miners to which something happened on purpose.
    pub disturbed: Vec<Address>,
    /// What every process that answers reports of itself.
    pub reports: Vec<(Participant, Report)>,
}

impl Measured {
    /// What all processes spent, by sort of work.
    fn spent(&self) -> BTreeMap<Work, Spent> {
        let mut spent: BTreeMap<Work, Spent> = BTreeMap::new();
        for (work, more) in self.reports.iter().flat_map(|(_, report)| &report.spent) {
            let sum = spent.entry(*work).or_default();
            sum.us += more.us;
            sum.count += more.count;
        }
        spent
    }
}

/// Who deceives: how, and its account.
pub type Cheat = (String, Address);

fn share(micro: u64) -> f64 {
    // Millionths are far below 2^53.
    micro as f64 / 1e6
}

fn first_and_last<T>(
    points: &[StepPoint],
    value: impl Fn(&StepPoint) -> Option<T>,
) -> (Option<T>, Option<T>) {
    let first = points.iter().find_map(&value);
    (first, points.iter().rev().find_map(&value))
}

impl Summary {
    /// Sums up an overview and what was measured beside it.
    #[must_use]
    pub fn new(overview: &Overview, cheats: &[Cheat], measured: &Measured) -> Self {
        let run = overview.run.as_ref();
        let points = run.map_or(&[][..], |run| &run.points);
        let (loss_first, loss_last) = first_and_last(points, |point| {
            point.loss_micro.map(|micro| micro as f64 / 1e6)
        });
        let (reward_first, reward_last) =
            first_and_last(points, |point| point.exact_micro.map(share));
        let reinforced = run.map_or(0, |run| run.pretrain_steps_count.saturating_sub(1));
        let from = points.partition_point(|point| point.step.get() < reinforced);
        let (eval_first, eval_last) =
            first_and_last(&points[from..], |point| point.evaluation_micro.map(share));
        let is_cheat = |row: &MinerRow| cheats.iter().any(|(_, address)| *address == row.address);
        let is_spared = |row: &MinerRow| measured.disturbed.contains(&row.address);
        let mut honest = overview.miners.iter().collect::<Vec<_>>();
        honest.retain(|row| !is_cheat(row) && !is_spared(row));
        let honest = honest.into_iter();
        let honest = honest.fold(Honest::default(), |sum, row| Honest {
            void: sum.void + row.units.void,
            slashed: sum.slashed + row.units.slashed + u64::from(row.slash.is_some()),
        });
        let (units, spent) = (overview.units, measured.spent());
        Self {
            steps: run.map_or(0, |run| run.step.get()),
            height: overview.height,
            first_block_s: measured.first_block_s,
            wall_s: measured.wall_s,
            rss_mib_max: measured.rss_mib_max,
            loss_first,
            loss_last,
            reward_first,
            reward_last,
            eval_first,
            eval_last,
            units: Units {
                accepted: units.accepted,
                void: units.void,
                slashed: units.slashed,
            },
            honest,
            cheats: cheats
                .iter()
                .map(|cheat| cheat_outcome(overview, cheat))
                .collect(),
            proposal: overview.proposals.last().map(|row| ProposalOutcome {
                id: row.id,
                enacted_height: (row.status == "executed").then_some(row.enact_at),
            }),
            checkpoint: run.and_then(|run| run.checkpoint),
            state_roots_agree: measured.state_roots_agree,
            verifier_compute_share: audit_share_of_all(&spent),
            audits: audit_shares(&spent),
            processes: measured.reports.iter().map(ProcessShare::new).collect(),
        }
    }
    /// Everything that is not as it should be; empty when all is well.
    #[must_use]
    pub fn troubles(&self, pretrain_steps_count: u64) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut check = |holds: bool, trouble: String| {
            if !holds {
                troubles.push(trouble);
            }
        };
        check(
            self.state_roots_agree,
            "validators' state roots differ".to_owned(),
        );
        let Honest { void, slashed } = self.honest;
        check(
            void == 0,
            format!("honest miners have {void} void units; 0 are allowed"),
        );
        check(
            slashed == 0,
            format!("honest miners have {slashed} slashed units; 0 are allowed"),
        );
        for cheat in &self.cheats {
            let pays = cheat.void > 0 || cheat.fined > Amount::ZERO;
            let caught = cheat.slashed_height.is_some() || pays;
            // A cheat that has had few units may not have been drawn yet.
            check(
                caught || cheat.units < 30,
                format!("cheat {} was not caught", cheat.name),
            );
        }
        if self.steps >= pretrain_steps_count.min(2)
            && let (Some(first), Some(last)) = (self.loss_first, self.loss_last)
        {
            let fell = last < first || self.steps < 3;
            check(
                fell,
                format!("loss went from {first:.3} to {last:.3}; it should fall"),
            );
        }
        troubles
    }
}

fn cheat_outcome(overview: &Overview, (name, address): &Cheat) -> CheatOutcome {
    let row = overview.miners.iter().find(|row| row.address == *address);
    let slash = row.and_then(|row| row.slash.as_ref());
    let units = row.map(|row| row.units).unwrap_or_default();
    let mut validators = overview.validators.iter();
    let auditor = validators.find(|row| row.operator == *address);
    CheatOutcome {
        name: name.clone(),
        slashed_height: slash.map(|slash| slash.height),
        check: slash.map(|slash| slash.check),
        measured: slash.map(|slash| slash.measured),
        limit: slash.map(|slash| slash.limit),
        units: units.accepted + units.slashed + auditor.map_or(0, |row| row.audits),
        void: units.void,
        fined: auditor.map_or(Amount::ZERO, |row| row.fined),
    }
}
