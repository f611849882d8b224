//! Units: one piece of work from assignment to settlement. State lives inside its stage.

mod challenge;

pub use challenge::Challenge;

use crate::{View, state::Record};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, Amount, BlobId, Height, Micro, RunId, Step,
    class::Listed,
    rollout::{Correction, Opened, Root, Sketch, Totals},
    task::{Beacon, UnitId, UnitKind},
    transaction,
    verdict::{Finding, Verdict},
    vrf::Output,
};
use serde::{Deserialize, Serialize};

/// What a miner says its blob holds; audits check it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Claim {
    /// Everything about the samples, and sums over them.
    Rollout {
        /// Binds the unit, what is sealed included.
        root: Root,
        /// The sums.
        totals: Totals,
    },
    /// The states between segments, and sums over inner steps.
    Gradient {
        /// Binds the states.
        root: Root,
        /// Tokens that carried loss: the weight in the aggregate.
        tokens_count: u32,
        /// Mean inner loss in millionths of a nat.
        loss_micro: i64,
        /// What the update lost, where the recipe has feedback.
        feedback: Option<BlobId>,
    },
}

impl Claim {
    /// Response tokens, or tokens that carried loss.
    #[must_use]
    pub const fn tokens_count(&self) -> u32 {
        match self {
            Self::Rollout { totals, .. } => totals.tokens_count,
            Self::Gradient { tokens_count, .. } => *tokens_count,
        }
    }
}

/// A bound blob.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Commitment {
    /// The blob.
    pub blob: BlobId,
    /// Its size.
    pub blob_bytes: u64,
    /// What it is said to hold.
    pub claim: Claim,
    /// When it was bound.
    pub at: Height,
    /// Validators that hold the blob.
    pub attested_by: Vec<Address>,
    /// When they first were a quorum. The draw waits for it: a miner that could still withhold its
    /// blob once it knows the draw would never be audited against its will.
    pub available_at: Option<Height>,
    /// Whether the audit draw is over.
    pub draw: Draw,
}

/// Whether the beacon has spoken about a unit, and the probability of an audit that it had.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "draw", rename_all = "kebab-case")]
pub enum Draw {
    /// Not yet.
    Pending,
    /// No audit.
    Spared {
        /// In millionths.
        rate: Micro,
    },
    /// No audit, but a check of its update.
    Update {
        /// Of an audit, in millionths.
        rate: Micro,
        /// Of at least this check, in millionths.
        update_rate: Micro,
    },
    /// An audit.
    Drawn {
        /// In millionths.
        rate: Micro,
    },
}

/// Where one auditor is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub enum Opinion {
    /// Has not spoken.
    Pending,
    /// Has bound a verdict.
    Committed {
        /// See [`protocol::verdict::commitment`].
        commitment: transaction::Commitment,
    },
    /// Has opened it.
    Revealed {
        /// The verdict.
        verdict: Verdict,
        /// The auditor's own sketch of a rollout unit.
        sketch: Option<Sketch>,
        /// When.
        at: Height,
    },
}

/// An auditor's part in an audit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Seat {
    /// Whose.
    pub auditor: Address,
    /// What its verdict weighs in this round: seats drawn for it, or its stake.
    pub weight: u64,
    /// Where it is.
    pub opinion: Opinion,
}

/// How many judge, and how much of the unit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "tier", rename_all = "lowercase")]
pub enum Tier {
    /// About one auditor that drew itself, or three drawn publicly where nobody did.
    One,
    /// Three others, drawn.
    Three,
    /// Sixty-four drawn seats, or all auditors if they are fewer.
    Committee,
    /// Every validator.
    Everyone {
        /// The only group of samples that is repeated; nothing for the whole unit.
        group: Option<u32>,
    },
}

/// How auditors of a first round draw themselves.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Sortition {
    /// The beacon that drew the unit.
    pub beacon: Beacon,
    /// Its height; the first stage begins above it.
    pub since: Height,
    /// Blocks of a stage.
    pub stage_blocks: u64,
    /// Auditors that every stage is expected to add.
    pub seats: Micro,
    /// Blocks after the first commitment in which others may commit.
    pub grace_blocks: u64,
}

/// One round of judging.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Audit {
    /// How many judge, and how much of the unit.
    #[serde(flatten)]
    pub tier: Tier,
    /// How its auditors draw themselves, if they do; nothing once three are drawn instead.
    pub sortition: Option<Sortition>,
    /// Who judges.
    pub seats: Vec<Seat>,
    /// Last height for commitments; while nobody has drawn itself, for the first of them.
    pub commit_by: Height,
    /// Last height for openings.
    pub reveal_by: Height,
}

/// A round that waits for the beacon that draws who sits in it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Waiting {
    /// The round.
    #[serde(flatten)]
    pub tier: Tier,
    /// The block whose beacon draws.
    pub draw_at: Height,
}

/// A conviction, frozen until its miner has appealed or may not any more.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Conviction {
    /// What the unit is convicted of.
    pub finding: Finding,
    /// Last height for an appeal.
    pub appeal_by: Height,
}

/// A conviction that its miner contested.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Appeal {
    /// When.
    pub at: Height,
    /// What it loses if it is convicted in the end.
    pub bond: Amount,
    /// What it was convicted of.
    pub finding: Finding,
}

/// An acceptance that waits, for auditors were outvoted who may contest it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Contest {
    /// Last height for that.
    pub contest_by: Height,
    /// Those who do and have not lost, in the order in which they are heard.
    pub contestants: Vec<Contestant>,
    /// Those who lost.
    pub lost: Vec<Contestant>,
}

/// An outvoted auditor that stakes a bond on being right.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Contestant {
    /// Who.
    pub auditor: Address,
    /// Whose account the bond is from.
    pub payer: Address,
    /// What it loses if it is wrong.
    pub bond: Amount,
    /// What it found.
    pub finding: Finding,
}

/// What a unit's miner has opened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Opening {
    /// Last height for what is due now; nothing while nothing is.
    pub open_by: Option<Height>,
    /// Whether the unit was altered on purpose; nothing while nobody knows.
    pub plant: Option<Plant>,
    /// The sketch: of a gradient unit, that of the state where its segment ends.
    pub sketch: Option<Opened>,
}

impl Opening {
    /// Rounds that judged a planted fault.
    #[must_use]
    pub fn planted_rounds(&self) -> usize {
        match self.plant {
            Some(Plant::Fault { rounds_count, .. }) => rounds_count as usize,
            Some(Plant::Absent) | None => 0,
        }
    }
    /// What undoes the planted fault.
    #[must_use]
    pub const fn correction(&self) -> Option<Correction> {
        match self.plant {
            Some(Plant::Fault { correction, .. }) => Some(correction),
            Some(Plant::Absent) | None => None,
        }
    }
}

/// Whether a unit was altered on purpose.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "plant", rename_all = "lowercase")]
pub enum Plant {
    /// It was not.
    Absent,
    /// One token was.
    Fault {
        /// The right one.
        correction: Correction,
        /// The miner's randomness, which says where and which.
        output: Output,
        /// Rounds that judged the unit before this was known.
        rounds_count: u32,
    },
}

/// Why a unit is void: nobody is paid, and nobody slashed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum VoidReason {
    /// Not enough validators could fetch the blob in time, or it is not canonical: for fault, and
    /// with a penalty, once a step.
    Unavailable,
    /// Validators attested that they hold the blob, and could not find it when it was judged.
    Lost,
    /// Re-execution by everyone found no quorum.
    NoQuorum,
    /// Its miner was slashed for another unit.
    MinerSlashed,
    /// Its miner did not open what it had sealed: for fault, and with a penalty.
    Withheld,
    /// It differs from the exact engine by more than honest work of its class was ever seen to:
    /// for fault, and no accusation.
    Differs,
    /// Its miner's audited units together differ more than honest ones do: likewise.
    Evidence,
}

impl VoidReason {
    /// The outcome of a unit that no finding voids.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Void {
            reason: self,
            finding: None,
        }
    }
    /// Whether its miner let it come to this: it is a newcomer again, and its quota shrinks.
    #[must_use]
    pub const fn is_for_fault(self) -> bool {
        match self {
            Self::Unavailable | Self::Withheld | Self::Differs | Self::Evidence => true,
            Self::Lost | Self::NoQuorum | Self::MinerSlashed => false,
        }
    }
    /// Whether its miner's work is beyond the limits of its class: it loses its appeals, and
    /// forfeits pay that has not vested.
    #[must_use]
    pub const fn is_beyond_class(self) -> bool {
        match self {
            Self::Differs | Self::Evidence => true,
            Self::Unavailable
            | Self::Withheld
            | Self::Lost
            | Self::NoQuorum
            | Self::MinerSlashed => false,
        }
    }
}

/// What a miner is fined for keeping back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// What is due of a unit that it sealed, each time.
    Opening,
    /// Blobs that it committed, once a step.
    Blob,
}

/// Why an auditor is fined, the worst first.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum AuditFault {
    /// A higher round found the opposite of its verdict.
    Overturned,
    /// It accepted a unit in which a fault was planted.
    MissedPlant,
    /// It did not commit, or did not open, in time.
    Silent,
}

/// How a unit ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Paid and used.
    Accepted {
        /// The payout.
        paid: Amount,
    },
    /// Not paid, nobody punished.
    Void {
        /// Why.
        reason: VoidReason,
        /// The finding beyond its limit, if there is one.
        finding: Option<Finding>,
    },
    /// Proven wrong.
    Slashed {
        /// The finding beyond its limit.
        finding: Finding,
    },
    /// Never committed.
    Missed,
}

/// Where a unit is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub enum Stage {
    /// Waits for its miner.
    Assigned,
    /// Waits for attestations, the draw and auditors.
    Committed,
    /// Over.
    Settled {
        /// How.
        outcome: Outcome,
        /// When.
        at: Height,
    },
}

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Unit {
    /// Whose it is.
    pub miner: Address,
    /// Last height for its commitment.
    pub deadline: Height,
    /// Where it is.
    pub stage: Stage,
    /// What was bound; present from the stage `Committed` on unless missed.
    pub commitment: Option<Commitment>,
    /// Rounds of judging, the current one last.
    pub audits: Vec<Audit>,
    /// The next round, while nobody is drawn for it yet.
    pub waiting: Option<Waiting>,
    /// The conviction that will be executed unless it is appealed.
    pub conviction: Option<Conviction>,
    /// Convictions that were appealed, oldest first.
    pub appeals: Vec<Appeal>,
    /// What its acceptance waits for, if auditors were outvoted.
    pub contest: Option<Contest>,
    /// Probability that it must have a planted fault, in millionths; fixed at its assignment.
    pub plant_rate: Micro,
    /// What its miner has opened.
    pub opening: Opening,
    /// What its miner's updates have lost before, which this one starts from; nothing where that
    /// is all zeros, or the recipe has no feedback.
    pub feedback: Option<BlobId>,
    /// The part of a gradient unit that is judged, once it is drawn.
    pub challenge: Option<Challenge>,
    /// By which limits it is judged; nothing where every difference is proof.
    pub class: Option<Listed>,
}

impl Record for Unit {
    const TABLE: u8 = 4;
    type Key = UnitId;
}

impl Unit {
    /// A fresh unit.
    #[must_use]
    pub const fn assigned(
        miner: Address,
        deadline: Height,
        (plant_rate, class): (Micro, Option<Listed>),
    ) -> Self {
        Self {
            miner,
            deadline,
            stage: Stage::Assigned,
            commitment: None,
            audits: Vec::new(),
            waiting: None,
            conviction: None,
            appeals: Vec::new(),
            contest: None,
            plant_rate,
            opening: Opening {
                open_by: None,
                plant: None,
                sketch: None,
            },
            feedback: None,
            challenge: None,
            class,
        }
    }
    /// Rounds that judged the unit as it is meant: those before it turned out to have a planted
    /// fault found the fault, or missed it.
    #[must_use]
    pub fn rounds(&self) -> &[Audit] {
        self.audits
            .get(self.opening.planted_rounds()..)
            .unwrap_or_default()
    }
    /// Whether an auditor sits in any of its rounds.
    #[must_use]
    pub fn has_seat(&self, auditor: Address) -> bool {
        let seats = self.audits.iter().flat_map(|audit| &audit.seats);
        seats.into_iter().any(|seat| seat.auditor == auditor)
    }
    /// Whether only its update is checked.
    #[must_use]
    pub fn is_update_checked(&self) -> bool {
        self.challenge
            .is_some_and(|challenge| challenge.is_update())
    }
    /// Whether it may differ from the exact engine.
    #[must_use]
    pub const fn is_tolerant(&self) -> bool {
        self.class.is_some()
    }
    /// Whether somebody convicted it, or contests that it is right, and it is not over.
    #[must_use]
    pub fn is_accused(&self) -> bool {
        let is_convicted = self.conviction.is_some() || !self.appeals.is_empty();
        let contest = self.contest.as_ref();
        let is_contested = contest
            .is_some_and(|contest| !contest.contestants.is_empty() || !contest.lost.is_empty());
        self.outcome().is_none() && (is_convicted || is_contested)
    }
    /// How it ended, if it did.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match self.stage {
            Stage::Settled { outcome, .. } => Some(outcome),
            Stage::Assigned | Stage::Committed => None,
        }
    }
    /// Whether it was accepted.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Accepted { .. }))
    }
}

/// A step's units of one kind, by index.
#[must_use]
pub fn of_step(view: &View<'_>, run: RunId, step: Step, kind: UnitKind) -> Vec<(UnitId, Unit)> {
    view.scan::<Unit>(&((run, step), kind))
}

/// A step's accepted units of one kind with their commitments, by index.
#[must_use]
pub fn accepted(
    view: &View<'_>,
    run: RunId,
    step: Step,
    kind: UnitKind,
) -> Vec<(UnitId, Address, Commitment)> {
    let units = of_step(view, run, step, kind).into_iter();
    units
        .filter(|(_, unit)| unit.is_accepted())
        .filter_map(|(id, unit)| {
            unit.commitment
                .map(|commitment| (id, unit.miner, commitment))
        })
        .collect()
}
