//! What the verdicts of a round decide.
//!
//! | round | accepts | convicts | otherwise |
//! |---|---|---|---|
//! | one | nobody rejects, and the sketches are equal | never | three |
//! | three | all accept | all find the same | the committee |
//! | committee | > 2/3 of the seats accept | > 2/3 find the same | everyone |
//! | everyone | > 2/3 of all stake accepts | > 2/3 find the same | void |

use crate::{
    opening,
    unit::{Audit, Challenge, Opinion, Seat, Tier, Unit, VoidReason},
    validator::TWO_THIRDS,
};
use protocol::{
    Height,
    rollout::Sketch,
    task::{UnitId, UnitKind},
    verdict::{Check, Finding, Verdict},
};

/// What follows from a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing yet.
    Wait,
    /// A fault was planted: the corrected unit is judged from the beginning.
    Again,
    /// The unit is right.
    Accept,
    /// Nobody drew itself: auditors are drawn publicly.
    FallBack,
    /// A larger round judges.
    Climb,
    /// The unit is nobody's fault.
    Void(VoidReason),
    /// The unit is wrong, or differs too much to be paid, unless its miner appeals.
    Convict(Finding),
    /// The same, and nobody can be asked any more.
    Execute(Finding),
}

impl Seat {
    /// Its opened verdict.
    #[must_use]
    pub const fn verdict(&self) -> Option<&Verdict> {
        match &self.opinion {
            Opinion::Revealed { verdict, .. } => Some(verdict),
            Opinion::Pending | Opinion::Committed { .. } => None,
        }
    }
    /// The sketch that it named, once it is opened.
    #[must_use]
    pub const fn sketch(&self) -> Option<Sketch> {
        match &self.opinion {
            Opinion::Revealed { sketch, .. } => *sketch,
            Opinion::Pending | Opinion::Committed { .. } => None,
        }
    }
}

/// A round's opened verdicts, weighed.
struct Count {
    total: u64,
    accepting: u64,
    rejecting_count: usize,
    /// The heaviest contradiction, with its weight.
    heaviest: Option<(Finding, u64)>,
    spoken_count: usize,
}

fn count(audit: &Audit) -> Count {
    let weigh = |wanted: &dyn Fn(&Seat) -> bool| {
        let seats = audit.seats.iter().filter(|seat| wanted(seat));
        seats.fold(0_u64, |sum, seat| sum.saturating_add(seat.weight))
    };
    let found = |seat: &Seat| seat.verdict().and_then(Verdict::contradiction);
    let mut findings: Vec<Finding> = audit.seats.iter().filter_map(found).collect();
    let rejecting_count = findings.len();
    findings.sort_unstable();
    findings.dedup();
    let weighed = findings.into_iter().map(|finding| {
        let weight = weigh(&|seat| found(seat) == Some(finding));
        (finding, weight)
    });
    Count {
        total: weigh(&|_| true),
        accepting: weigh(&|seat| seat.verdict().is_some_and(Verdict::accepts)),
        rejecting_count,
        heaviest: weighed.max_by_key(|(_, weight)| *weight),
        spoken_count: audit.seats.iter().filter_map(Seat::verdict).count(),
    }
}

/// Whether nobody can say anything more in a round: all have, or their time is over.
fn is_closed(audit: &Audit, spoken_count: usize, height: Height) -> bool {
    let is_bound = |seat: &Seat| matches!(seat.opinion, Opinion::Committed { .. });
    spoken_count == audit.seats.len()
        || height > audit.reveal_by
        || (height > audit.commit_by && !audit.seats.iter().any(is_bound))
}

/// What a round decides at this height.
pub(super) fn decide(id: UnitId, unit: &Unit, audit: &Audit, height: Height) -> Decision {
    if audit.calls_volunteers(height).is_some() {
        return Decision::Wait;
    }
    if audit.sortition.is_some() && audit.seats.is_empty() {
        return Decision::FallBack;
    }
    let count = count(audit);
    let is_closed = is_closed(audit, count.spoken_count, height);
    match audit.tier {
        Tier::One | Tier::Three if !is_closed => Decision::Wait,
        Tier::One if opening::is_sealed(id, unit) => decide_blind(unit, audit, &count),
        Tier::One => accept_or_climb(count.accepting > 0 && count.rejecting_count == 0),
        Tier::Three => match count.heaviest {
            None if count.accepting == count.total && count.total > 0 => Decision::Accept,
            Some((finding, weight)) if weight == count.total && accuses(finding) => {
                Decision::Convict(finding)
            }
            None | Some(_) => Decision::Climb,
        },
        // An auditor that is bound is heard first, for it may have to contest what others accept.
        Tier::Committee | Tier::Everyone { .. }
            if !is_closed
                && id.kind == UnitKind::Gradient
                && by_quorum(unit, &count, Decision::Convict) == Some(Decision::Accept) =>
        {
            Decision::Wait
        }
        Tier::Committee => by_quorum(unit, &count, Decision::Convict).unwrap_or(if is_closed {
            Decision::Climb
        } else {
            Decision::Wait
        }),
        Tier::Everyone { .. } => {
            by_quorum(unit, &count, Decision::Execute).unwrap_or(if is_closed {
                Decision::Void(VoidReason::NoQuorum)
            } else {
                Decision::Wait
            })
        }
    }
}

const fn accept_or_climb(is_accepted: bool) -> Decision {
    if is_accepted {
        Decision::Accept
    } else {
        Decision::Climb
    }
}

/// A blind round accepts only if every auditor found nothing and named the miner's own sketch.
fn decide_blind(unit: &Unit, audit: &Audit, count: &Count) -> Decision {
    if opening::is_planted_round(unit) {
        return Decision::Again;
    }
    let is_unrejected = count.rejecting_count == 0;
    let Some(opened) = &unit.opening.sketch else {
        // Late. Whoever rejected is heard; otherwise the miner alone is to blame.
        return if is_unrejected {
            Decision::Void(VoidReason::Withheld)
        } else {
            Decision::Climb
        };
    };
    let mut spoken = audit.seats.iter().filter(|seat| seat.verdict().is_some());
    let sketch = opened.sketch();
    let is_matched = spoken.all(|seat| seat.sketch() == Some(sketch));
    accept_or_climb(count.accepting > 0 && is_unrejected && is_matched)
}

/// Whether a finding is about the work, rather than about the blob that nobody has.
const fn accuses(finding: Finding) -> bool {
    !matches!(finding.check, Check::Availability)
}

fn by_quorum(unit: &Unit, count: &Count, convict: fn(Finding) -> Decision) -> Option<Decision> {
    let is_quorum = |weight| TWO_THIRDS.is_exceeded_by(weight, count.total);
    if is_quorum(count.accepting) {
        return Some(Decision::Accept);
    }
    let (finding, _) = count.heaviest.filter(|(_, weight)| is_quorum(*weight))?;
    Some(if accuses(finding) {
        convict(finding)
    } else {
        Decision::Void(missing(unit))
    })
}

/// Why a unit is void whose blobs a quorum could not have. Validators had attested that they hold
/// the unit's own; the states of a gradient unit only its miner has, and must serve.
fn missing(unit: &Unit) -> VoidReason {
    let has_states = |challenge: &Challenge| !challenge.needed().is_empty();
    if unit.feedback.is_some() || unit.challenge.as_ref().is_some_and(has_states) {
        VoidReason::Withheld
    } else {
        VoidReason::Lost
    }
}
