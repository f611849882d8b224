//! Governance as a node tells it: stage and gates, rules, parameters, one proposal in full, and
//! what a body would do before anybody signs it.

use super::{
    overview::ProposalRow,
    overview_build::proposal_row,
    server::{Problem, problem},
};
use crate::chain::Chain;
use borsh::{BorshDeserialize, BorshSerialize};
use governance::{
    Rulebook, Stage, action,
    calendar::GATE_DAYS,
    gate::{Gate, gates},
    parameters::Name,
    proposal::live,
    purse::purse,
    settings,
    share::in_millionths,
    stage::{StewardPower, handover, steward_power},
    store::Records,
    submit::{Deposit, price},
    track::{Line, Rule},
    upgrade::versions,
    vote::Seat,
    world::World,
};
use ledger_state::{View, proposal, run};
use protocol::{
    Address, Amount, Height, Micro, ProposalId,
    proposal::{Module, Payload, Track, Weights},
    transaction::Body,
};
use serde::{Deserialize, Serialize};

/// Most votes and deposits of a proposal in an answer, largest first.
pub const SEATS_COUNT_MAX: usize = 100;

/// A gate and whether it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRow {
    /// Measure and line.
    #[serde(flatten)]
    pub gate: Gate,
    /// Whether it is open.
    pub holds: bool,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterRow {
    /// Its name.
    pub name: String,
    /// In force.
    pub value: u64,
    /// No vote sets it lower.
    pub min: u64,
    /// No vote sets it higher.
    pub max: u64,
    /// Whether a change by one needs the critical track.
    pub is_critical: bool,
}

/// A track's rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRow {
    /// The track.
    pub track: Track,
    /// The deposit of the next proposal.
    pub price: Amount,
    /// Days of voting.
    pub voting_days: u64,
    /// Days between passing and taking effect.
    pub timelock_days: u64,
    /// Support needed.
    pub support: Micro,
    /// Approval needed.
    pub approval: Micro,
    /// Whether approval must exceed its line.
    pub is_approval_exceeded: bool,
    /// Proposals that are not final.
    pub live_count: usize,
}

/// A planned upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// The proposal that scheduled it.
    pub proposal: ProposalId,
    /// The version.
    pub version: u32,
    /// When.
    pub height: Height,
    /// Share of power that is ready.
    pub ready: Micro,
}

/// Everything but the proposals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GovernanceAnswer {
    /// As of this height.
    pub height: Height,
    /// Blocks in a day.
    pub day_blocks: u64,
    /// The stage's number.
    pub stage: u8,
    /// Since when.
    pub stage_since: Height,
    /// The gates of the next stage; none in the last.
    pub gates: Vec<GateRow>,
    /// Days for which all have held, of those needed.
    pub held_days: u64,
    /// Days they must hold.
    pub held_days_needed: u64,
    /// The steward.
    pub steward: Option<Address>,
    /// What it may still do.
    pub steward_power: String,
    /// Modules that stand still, and until when.
    pub paused: Vec<(Module, Height)>,
    /// Tokens that votes may spend.
    pub treasury: Amount,
    /// Of them, today.
    pub treasury_left_today: Amount,
    /// Tokens held as deposits.
    pub deposits: Amount,
    /// The active version.
    pub version: u32,
    /// The planned one.
    pub plan: Option<PlanRow>,
    /// All parameters.
    pub parameters: Vec<ParameterRow>,
    /// All tracks.
    pub tracks: Vec<TrackRow>,
}

/// Stage, gates, treasury, parameters and rules now.
#[must_use]
pub fn governance(chain: &Chain) -> GovernanceAnswer {
    chain.view(answer)
}

fn answer(view: &View<'_>) -> GovernanceAnswer {
    let now = run::tip(view).height;
    let settings = settings(view);
    let handover = handover(view);
    let gates = handover.stage.next().map(|next| gates(view, next, now));
    let held = handover
        .held_since
        .map_or(0, |since| now.get().saturating_sub(since.get()));
    let purse = purse(view);
    let today = settings.calendar.day(now);
    GovernanceAnswer {
        height: now,
        day_blocks: settings.calendar.day_blocks,
        stage: handover.stage.number(),
        stage_since: handover.since,
        gates: gates.into_iter().flatten().map(gate_row).collect(),
        held_days: settings.calendar.day(Height::new(held)),
        held_days_needed: GATE_DAYS,
        steward: settings.steward,
        steward_power: power_name(steward_power(view, now), handover.stage).to_owned(),
        paused: handover
            .paused
            .into_iter()
            .filter(|(_, until)| now < *until)
            .collect(),
        treasury: purse.treasury,
        treasury_left_today: Amount::new(purse.left(today)),
        deposits: purse.deposits,
        version: versions(view).active,
        plan: plan(view),
        parameters: parameters(view),
        tracks: tracks(view, settings.deposit_base),
    }
}

const fn power_name(power: StewardPower, stage: Stage) -> &'static str {
    match (power, stage) {
        (StewardPower::None, _) => "nothing",
        (StewardPower::Delay, _) => "delay once each",
        (StewardPower::Cancel, _) => "cancel",
        (StewardPower::Full, Stage::Steward) => "decree, cancel, pause",
        (StewardPower::Full, _) => "cancel, pause",
    }
}

fn gate_row(gate: Gate) -> GateRow {
    let holds = gate.holds();
    GateRow { gate, holds }
}

fn plan(view: &View<'_>) -> Option<PlanRow> {
    let plan = versions(view).plan?;
    let operators = view.operators();
    let sum = |ready: bool| {
        let counted = operators
            .iter()
            .filter(|one| !ready || plan.ready.contains(&one.operator));
        counted.fold(0, |sum: u64, one| sum.saturating_add(one.power))
    };
    Some(PlanRow {
        proposal: plan.proposal,
        version: plan.version,
        height: plan.height,
        ready: Micro::new(in_millionths(sum(true), sum(false))),
    })
}

fn parameters(view: &View<'_>) -> Vec<ParameterRow> {
    let values = run::parameters(view);
    let row = |name: &Name| ParameterRow {
        name: name.to_string(),
        value: values.get(*name),
        min: name.bounds().min,
        max: name.bounds().max,
        is_critical: !action::is_safe(*name, values.get(*name).saturating_add(1)),
    };
    Name::ALL.iter().map(row).collect()
}

fn tracks(view: &View<'_>, base: Amount) -> Vec<TrackRow> {
    let rulebook: Rulebook = Records::get(view, &()).unwrap_or_default();
    let live = live(view);
    let row = |track: &Track| {
        let rule = rulebook.rule(*track);
        let (support, approval, is_approval_exceeded) = lines(&rule);
        TrackRow {
            track: *track,
            price: price(base, rule.deposit_multiple, live.count()),
            voting_days: rule.voting_days,
            timelock_days: rule.timelock_days,
            support,
            approval,
            is_approval_exceeded,
            live_count: live.on(*track),
        }
    };
    Track::ALL.iter().map(row).collect()
}

/// A rule's lines in millionths, and whether approval must exceed its own.
pub(super) fn lines(rule: &Rule) -> (Micro, Micro, bool) {
    let micro =
        |share: governance::Share| Micro::new(in_millionths(share.numerator, share.denominator));
    let approval = rule.approval;
    let exceeded = matches!(approval, Line::MoreThan(_));
    (micro(rule.support), micro(approval.share()), exceeded)
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRow {
    /// Who.
    pub voter: Address,
    /// How.
    pub weights: Weights,
    /// With what: its own and what is entrusted to it, less what voted directly.
    pub power: u64,
    /// Its own.
    pub own: u64,
}

/// A proposal in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalAnswer {
    /// In short.
    #[serde(flatten)]
    pub row: ProposalRow,
    /// Who proposed.
    pub proposer: Address,
    /// When; with proposer and payload this gives the identifier.
    pub submitted_at: Height,
    /// Byte for byte what is voted on.
    pub payload: Payload,
    /// The deposit it needs.
    pub price: Amount,
    /// The deposit it has.
    pub deposited: Amount,
    /// Who put it down.
    pub depositors: Vec<(Address, Amount)>,
    /// The height whose powers count.
    pub snapshot: Height,
    /// Whether a late turn prolonged the vote.
    pub was_extended: bool,
    /// Contributors' objections as a share of all recent work.
    pub objections: Micro,
    /// Votes in all.
    pub votes_count: usize,
    /// The largest of them.
    pub votes: Vec<VoteRow>,
    /// How the count went, since this node has followed the chain.
    pub curve: Vec<CurvePoint>,
}

/// The count at a height.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct CurvePoint {
    /// After this block.
    pub height: Height,
    /// Support then.
    pub support: Micro,
    /// Approval then.
    pub approval: Micro,
}

/// One proposal.
#[must_use]
pub fn proposal(chain: &Chain, id: ProposalId) -> Option<ProposalAnswer> {
    let curve = chain.curve(id);
    chain.view(|view| proposal_answer(view, id, curve))
}

fn proposal_answer(
    view: &View<'_>,
    id: ProposalId,
    curve: Vec<CurvePoint>,
) -> Option<ProposalAnswer> {
    let (proposal, content) = proposal::stored(view, id)?;
    let mut votes = votes(view, id);
    let votes_count = votes.len();
    votes.truncate(SEATS_COUNT_MAX);
    let deposits = Records::scan::<Deposit>(view, &id);
    let depositors = deposits
        .into_iter()
        .map(|((_, from), Deposit(part))| (from, part));
    Some(ProposalAnswer {
        row: proposal_row(view, id)?,
        proposer: proposal.proposer,
        submitted_at: proposal.submitted_at,
        payload: content.0,
        price: proposal.price,
        deposited: proposal.deposited,
        depositors: depositors.collect(),
        snapshot: proposal.snapshot,
        was_extended: proposal.was_extended,
        objections: Micro::new(proposal.objections_micro),
        votes_count,
        votes,
        curve,
    })
}

fn votes(view: &View<'_>, id: ProposalId) -> Vec<VoteRow> {
    let seats = Records::scan::<Seat>(view, &id).into_iter();
    let cast = seats.filter_map(|((_, voter), seat)| {
        Some(VoteRow {
            voter,
            weights: seat.weights?,
            power: seat.power(),
            own: seat.own,
        })
    });
    let mut votes: Vec<VoteRow> = cast.collect();
    votes.sort_by_key(|vote| (std::cmp::Reverse(vote.power), vote.voter));
    votes
}

/// What a body would do in the next block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// As of this height.
    pub height: Height,
    /// What would happen, in words.
    pub events: Vec<String>,
    /// Why it is refused, if it is.
    pub refusal: Option<Problem>,
    /// The proposal that it makes.
    pub proposal: Option<ProposalRow>,
    /// The deposit that this proposal needs.
    pub price: Option<Amount>,
}

/// Tries a body as an account would sign it, and changes nothing.
#[must_use]
pub fn trial(chain: &Chain, sender: Address, body: &Body) -> Trial {
    chain.view(|view| {
        let height = run::tip(view).height;
        let mut view = view.clone();
        let tried = ledger_state::rehearse(&mut view, sender, body);
        let made = match body {
            Body::Propose { payload, .. } => Some(payload.id(sender, height.next())),
            _ => None,
        };
        let price = made.and_then(|id| Some(proposal::stored(&view, id)?.0.price));
        let (events, refusal) = match tried {
            Ok(events) => (events.iter().map(ToString::to_string).collect(), None),
            Err(rejection) => (Vec::new(), Some(problem(&rejection))),
        };
        Trial {
            height,
            events,
            refusal,
            proposal: made.and_then(|id| proposal_row(&view, id)),
            price,
        }
    })
}

/// Most proposals in an answer.
pub const PROPOSALS_COUNT_MAX: usize = 50;

/// Some of all proposals, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalsAnswer {
    /// As of this height.
    pub height: Height,
    /// All there are.
    pub count: usize,
    /// Those of this answer.
    pub proposals: Vec<ProposalRow>,
    /// Where the next answer goes on; nothing after the last.
    pub next: Option<usize>,
}

/// Proposals from a position on.
#[must_use]
pub fn proposals(chain: &Chain, from: usize) -> ProposalsAnswer {
    chain.view(|view| {
        let all = proposal::all(view);
        let next = from.saturating_add(PROPOSALS_COUNT_MAX);
        let chosen = all.iter().skip(from).take(PROPOSALS_COUNT_MAX);
        ProposalsAnswer {
            height: run::tip(view).height,
            count: all.len(),
            proposals: chosen
                .filter_map(|(id, _)| proposal_row(view, *id))
                .collect(),
            next: (next < all.len()).then_some(next),
        }
    })
}
