//! Verdicts: what an auditor measured, against which limit. Spec: 07-verdict.

use crate::{
    Address,
    class::{Level, Limits},
    codec::BoundedVec,
    identifiers::tagged_hash,
    rollout::Sketch,
    task::UnitId,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// What was checked. Each variant says what `measured` counts; the exact class has limit zero.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Blobs that could not be had within the window.
    Availability,
    /// Bytes are one canonical payload of this unit and miner: faults found.
    Encoding,
    /// Groups and samples missing or too many.
    Completeness,
    /// Commitment fields that differ from the payload.
    Commitment,
    /// Samples whose end breaks the length or finish rules.
    Finish,
    /// Tokens that are not the seeded draw under the assigned checkpoint.
    Sampling,
    /// Samples whose seal does not hide what the recomputed activations give, and a sketch that
    /// differs.
    Activations,
    /// Samples whose claimed reward is not what the environment computes.
    Reward,
    /// Inner losses that differ from re-execution.
    Loss,
    /// Bytes of the compressed pseudo-gradient that differ from re-execution.
    Update,
    /// Signed commitments to the unit beyond the first.
    Equivocation,
    /// Planted faults that are missing, or are not what the miner's randomness says.
    Plant,
    /// The most, in millionths of a nat, by which a token that was sent loses against the seeded
    /// draw.
    Margin,
    /// Those losses over all tokens of the unit, each cut at half a nat.
    MarginSum,
    /// The largest distance of any token's projections from the exact ones.
    ProjectionPeak,
    /// The distance that all but a twentieth of the tokens keep.
    ProjectionBulk,
    /// Evidence that all audited units of a miner give together, in millionths of a nat.
    Lifetime,
    /// Whether the state at the end of a gradient unit's segment differs from re-execution.
    State,
    /// Whether what a gradient unit's update lost differs from re-execution.
    Feedback,
}

impl Check {
    /// All of them, in the order of their bytes.
    pub const ALL: [Self; 19] = [
        Self::Availability,
        Self::Encoding,
        Self::Completeness,
        Self::Commitment,
        Self::Finish,
        Self::Sampling,
        Self::Activations,
        Self::Reward,
        Self::Loss,
        Self::Update,
        Self::Equivocation,
        Self::Plant,
        Self::Margin,
        Self::MarginSum,
        Self::ProjectionPeak,
        Self::ProjectionBulk,
        Self::Lifetime,
        Self::State,
        Self::Feedback,
    ];

    /// The stable name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Encoding => "encoding",
            Self::Completeness => "completeness",
            Self::Commitment => "commitment",
            Self::Finish => "finish",
            Self::Sampling => "sampling",
            Self::Activations => "activations",
            Self::Reward => "reward",
            Self::Loss => "loss",
            Self::Update => "update",
            Self::Equivocation => "equivocation",
            Self::Plant => "plant",
            Self::Margin => "margin",
            Self::MarginSum => "margin-sum",
            Self::ProjectionPeak => "projection-peak",
            Self::ProjectionBulk => "projection-bulk",
            Self::Lifetime => "lifetime",
            Self::State => "state",
            Self::Feedback => "feedback",
        }
    }
}

impl Check {
    /// The rule that the check is about, in a line, and where the specification states it.
    #[must_use]
    pub const fn rule(self) -> (&'static str, &'static str) {
        match self {
            Self::Availability => ("the blob can be had", "04-transaction §4"),
            Self::Encoding => (
                "the blob is one payload of this unit and miner",
                "02-rollout §2",
            ),
            Self::Completeness => (
                "every group has every sample, and none more",
                "02-rollout §2",
            ),
            Self::Commitment => ("root and sums are those of the payload", "02-rollout §5"),
            Self::Finish => (
                "a response ends with its only end of sequence, or at the limit",
                "02-rollout §1",
            ),
            Self::Sampling => (
                "every token is the seeded draw under the assigned checkpoint",
                "02-rollout §1",
            ),
            Self::Activations => (
                "what is sealed is what the model's activations give",
                "02-rollout §3",
            ),
            Self::Reward => ("rewards are what the environment computes", "02-rollout §1"),
            Self::Loss => (
                "inner losses are those of the assigned steps",
                "02-gradient §4",
            ),
            Self::Update => (
                "the update is what the assigned steps give",
                "02-gradient §4",
            ),
            Self::Equivocation => ("a unit is committed to once", "07-verdict §8"),
            Self::Plant => (
                "faults are planted where and as the miner's randomness says",
                "02-rollout §7",
            ),
            Self::Margin => (
                "no token loses against the seeded draw by more than its class may",
                "tolerant §2",
            ),
            Self::MarginSum => (
                "all tokens together lose no more than units of the class may",
                "tolerant §2",
            ),
            Self::ProjectionPeak => (
                "no token's projections are farther off than those of its class",
                "tolerant §2",
            ),
            Self::ProjectionBulk => (
                "nearly all projections are as near as those of its class",
                "tolerant §2",
            ),
            Self::Lifetime => (
                "a miner's units together differ no more than honest ones do",
                "tolerant §3",
            ),
            Self::State => (
                "the state after a segment is what its steps give",
                "02-gradient §3",
            ),
            Self::Feedback => (
                "what is bound as lost is what the update lost",
                "02-gradient §5",
            ),
        }
    }
}

/// One check's result.
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
pub struct Finding {
    /// What was checked.
    pub check: Check,
    /// What was found, in the check's unit.
    pub measured: u64,
    /// The most that is allowed.
    pub limit: u64,
    /// The most that is not proof of deceit; in the exact class there is nothing between the two.
    pub slash_limit: u64,
    /// The first group of samples that the check found fault with; 0 where it is about all of a
    /// unit, or holds. It says which part everyone repeats if nobody agrees.
    pub group: u32,
}

impl Finding {
    /// A finding of the exact class, where nothing may differ.
    #[must_use]
    pub const fn exact(check: Check, measured: u64) -> Self {
        Self {
            check,
            measured,
            limit: 0,
            slash_limit: 0,
            group: 0,
        }
    }
    /// A finding of a tolerant class.
    #[must_use]
    pub const fn within(check: Check, measured: u64, limits: Limits) -> Self {
        Self {
            check,
            measured,
            limit: limits.void,
            slash_limit: limits.slash,
            group: 0,
        }
    }
    /// The same, first found in this group.
    #[must_use]
    pub const fn in_group(self, group: u32) -> Self {
        Self { group, ..self }
    }
    /// What it says about the work.
    #[must_use]
    pub const fn level(&self) -> Level {
        let limits = Limits {
            void: self.limit,
            slash: self.slash_limit,
        };
        limits.level(self.measured)
    }
    /// Whether the measured value is within the limit.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.measured <= self.limit
    }
}

impl std::fmt::Display for Finding {
    /// Check, measured value, limit and rule, in the words that everyone is given.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rule, section) = self.check.rule();
        let (check, measured, limit) = (self.check.as_str(), self.measured, self.limit);
        write!(
            f,
            "check {check} measured {measured}, limit {limit}: {rule} ({section})"
        )
    }
}

/// Most findings in a verdict.
pub const FINDINGS_COUNT_MAX: usize = 16;

/// All findings of one audit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verdict(BoundedVec<Finding, FINDINGS_COUNT_MAX>);

impl Verdict {
    /// A verdict from findings, in the order they were made.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(findings: Vec<Finding>) -> Result<Self, crate::codec::TooMany> {
        BoundedVec::new(findings).map(Self)
    }
    /// The findings.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.0.as_slice()
    }
    /// The reason for rejection: the first finding that is proof of deceit, or else the first
    /// beyond its limit.
    #[must_use]
    pub fn contradiction(&self) -> Option<Finding> {
        let first = |level: Level| self.findings().iter().find(|one| one.level() == level);
        first(Level::Slash).or(first(Level::Void)).copied()
    }
    /// The verdict without the result of one check.
    #[must_use]
    pub fn without(&self, check: Check) -> Self {
        let others = self.findings().iter().filter(|one| one.check != check);
        let others = BoundedVec::new(others.copied().collect());
        others.map_or_else(|_| self.clone(), Self)
    }
    /// The verdict with one more finding, in its place among the others; as it is if it is full.
    #[must_use]
    pub fn with(&self, finding: Finding) -> Self {
        let mut findings = self.without(finding.check).findings().to_vec();
        let place = findings.partition_point(|one| one.check < finding.check);
        findings.insert(place, finding);
        BoundedVec::new(findings).map_or_else(|_| self.clone(), Self)
    }
    /// The result of one check, if it was made.
    #[must_use]
    pub fn finding(&self, check: Check) -> Option<Finding> {
        let mut findings = self.findings().iter();
        findings.find(|finding| finding.check == check).copied()
    }
    /// Whether anything was checked and everything held.
    #[must_use]
    pub fn accepts(&self) -> bool {
        !self.findings().is_empty() && self.contradiction().is_none()
    }
}

/// What an auditor commits to before anyone reveals; bound to its key, so copying is worthless.
/// The sketch shows that it ran the model: the miner opens its own only afterwards.
#[must_use]
pub fn commitment(
    auditor: Address,
    unit: UnitId,
    (verdict, sketch): (&Verdict, Option<Sketch>),
    salt: &[u8; 32],
) -> [u8; 32] {
    tagged_hash(
        "cairn/audit-commitment/v1",
        &(auditor, unit, verdict, sketch, salt),
    )
}
