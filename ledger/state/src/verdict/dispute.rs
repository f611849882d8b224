//! Disputes: whether a training step was taken right is computed here, down to one multiplication.
//!
//! A miner that is convicted for a segment of a gradient need not ask more auditors. It shows
//! where each inner step of the segment led, and an auditor that convicted it points to the first
//! that is wrong; from there both play the game of [`engine_trace::dispute`]. What is left in the
//! end is one operation, or one number of the batch, and this program computes it. So nobody's
//! vote decides: an honest miner wins against any number of liars, and one honest auditor among
//! those that convicted is enough to convict for good.
//!
//! ```text
//! appeal ─▶ steps of the segment ─▶ the first wrong ─▶ tensor ─▶ number ─▶ operation ─▶ verdict
//!                               ├─▶ the first wrong block of a dense update ─────────▶ verdict
//!                               ├─▶ chunk of a sparse update ─▶ its values ─▶ value ─▶ verdict
//!                               ├─▶ file of what it lost ─▶ … ─▶ piece ─▶ value ─────▶ verdict
//!                               └─▶ block of a reinforcement unit ─▶ norm ─▶ square ─▶ verdict
//! ```
//!
//! The convicting auditors are challengers one after the other, for one may lose on purpose. So are
//! those that were outvoted when a unit was accepted and contest that ([`super::contest`]).
//!
//! Spec: 07-verdict §11 and §12, trace

mod claim;
mod norm;
mod operation;
mod part;
mod play;
pub mod players;
mod rollouts;
mod sparse;
mod step;
mod update;
mod walk;

pub use claim::{
    Asked, Block, Claimed, Entries, Move, Planned, Proof, Refused, Shown, Steps, Taken,
};
pub use norm::Norm;
pub use operation::Operation;
pub use part::{Doubted, Plan};
pub use play::play;
pub use rollouts::{Leafed, Response, Token};

use super::{accept, contest, execute};
use crate::{
    View,
    event::Event,
    run, slash,
    state::Record,
    unit::{AuditFault, Challenge, Seat, Unit},
};
use borsh::{BorshDeserialize, BorshSerialize};
use engine_trace::{
    dispute::{Number, Side},
    sparse::Chunk,
    tree::{Name as Hash, Opening, Span},
};
use governance::parameters::Name;
use protocol::{
    Address, Height, RunId,
    class::Level,
    task::{UnitId, UnitKind},
    verdict::{Check, Finding},
};
use serde::{Deserialize, Serialize};
use step::Task;

/// A dispute about a gradient unit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Dispute {
    /// What the unit was convicted of, or what the challenger found that contests its acceptance.
    pub finding: Finding,
    /// Auditors that accuse it and were not heard yet; the first is the challenger.
    pub challengers: Vec<Address>,
    /// Challengers that were refuted.
    pub refuted: Vec<Address>,
    /// Challengers that let their time pass.
    pub silent: Vec<Address>,
    /// Where the miner says that each inner step of the segment led, once it has.
    pub steps: Vec<Taken>,
    /// Where it is.
    pub place: Place,
    /// What the sides have left for their moves.
    pub clocks: Clocks,
    /// Last height for the next move.
    pub move_by: Height,
    /// Moves so far.
    pub moves_count: u32,
}

impl Record for Dispute {
    const TABLE: u8 = 17;
    type Key = UnitId;
}

/// Blocks that each side has left for all of its moves; both begin anew with every challenger. Time
/// for each move would let whoever must lose make everyone wait for all of them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Clocks {
    /// The miner's.
    pub miner: u64,
    /// The challenger's.
    pub challenger: u64,
    /// When the turn began that is now.
    pub since: Height,
}

impl Clocks {
    /// What a side needs to compute every number of a step grows with the model, as the time does
    /// that the recipe gives for a unit.
    fn full(view: &View<'_>, run: RunId, since: Height) -> Self {
        let recipe = run::recipe(view, run);
        let unit = recipe.map_or(0, |recipe| recipe.schedule.deadline_blocks);
        let blocks = run::parameters(view).get(Name::DisputeBlocks);
        let blocks = blocks.saturating_add(unit);
        Self {
            miner: blocks,
            challenger: blocks,
            since,
        }
    }
    const fn of(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::Defendant => &mut self.miner,
            Side::Challenger => &mut self.challenger,
        }
    }
}

/// Where a dispute is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum Place {
    /// The miner owes the steps of the segment.
    Steps,
    /// The challenger owes what is wrong.
    Complaint,
    /// They play about one step.
    Step {
        /// Its index in the segment.
        index: u32,
        /// The game.
        game: Box<engine_trace::dispute::Dispute>,
    },
    /// They play about a chunk of a sparse update.
    Chunk {
        /// Its index.
        chunk: u32,
        /// What it sends.
        sent: Chunk,
        /// The values that it sends, as bits, once the miner has said them; then the challenger
        /// owes one that cannot be where it is.
        values: Option<Vec<u32>>,
    },
    /// They play about the file of what a sparse update lost.
    Feedback {
        /// The part of it that they have come to.
        span: Span,
        /// The part's name.
        name: Hash,
        /// What the miner has shown of it.
        below: Below,
    },
    /// Nobody owes anything: the conviction stands, or every challenger has lost.
    Over {
        /// Whether the miner was right.
        is_right: bool,
        /// What it came down to last; nothing if somebody was silent.
        operation: Option<Operation>,
    },
    /// The miner of a reinforcement unit owes its plan, and its table.
    Plan,
    /// They play about a part of a reinforcement unit, whose plan both have.
    Part {
        /// The plan.
        plan: Plan,
        /// The game.
        game: Box<engine_trace::dispute::Dispute>,
        /// The piece of the plan that was shown first with a question: need not be shown again.
        shown: Option<Box<Opening>>,
    },
    /// They walk down the plan to its first wrong entry.
    Walk {
        /// Its name.
        plan: Hash,
        /// The part of it that they have come to.
        span: Span,
        /// The part's name.
        name: Hash,
        /// What the miner has shown of it.
        below: Below,
        /// The entry before it, once the part is a piece that was shown and not the first.
        before: Option<[u8; 32]>,
    },
    /// The challenger owes responses of the group of this entry.
    Group(Box<Doubted>),
    /// They play about the norm of a reinforcement unit's sum, from which its update follows.
    Norm(Norm),
    /// The challenger owes the token of a row.
    Token {
        /// The plan.
        plan: Plan,
        /// Which number it is.
        number: Number,
        /// What its miner says that it is.
        claimed: u64,
    },
}

/// What a miner has shown of a part of a file.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Below {
    /// Nothing yet: it owes that.
    Due,
    /// The names of the parts below; the challenger owes the first that is wrong.
    Names(Vec<Hash>),
    /// The bytes of a piece; the challenger owes a value that is wrong.
    Piece(Vec<u8>),
}

impl Dispute {
    /// The auditor that disputes now.
    #[must_use]
    pub fn challenger(&self) -> Option<Address> {
        self.challengers.first().copied()
    }
    /// Whether an auditor has challenged and lost.
    pub(super) fn has_failed(&self, auditor: Address) -> bool {
        self.refuted.contains(&auditor) || self.silent.contains(&auditor)
    }
    /// The side that owes a move; neither when it is over.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        match &self.place {
            Place::Steps => Some(Side::Defendant),
            Place::Complaint => Some(Side::Challenger),
            Place::Step { game, .. } | Place::Part { game, .. } => game.turn(),
            Place::Norm(norm) => Some(norm.side()),
            Place::Plan
            | Place::Chunk { values: None, .. }
            | Place::Feedback {
                below: Below::Due, ..
            }
            | Place::Walk {
                below: Below::Due, ..
            } => Some(Side::Defendant),
            Place::Chunk { .. }
            | Place::Feedback { .. }
            | Place::Walk { .. }
            | Place::Group(_)
            | Place::Token { .. } => Some(Side::Challenger),
            Place::Over { .. } => None,
        }
    }
    /// Stops the clock of the side that moved, and starts that of the one that is to move.
    fn press(&mut self, moved: Side, height: Height) {
        let used = height.get().saturating_sub(self.clocks.since.get());
        let left = self.clocks.of(moved);
        *left = left.saturating_sub(used);
        self.clocks.since = height;
        self.moves_count = self.moves_count.saturating_add(1);
        if let Some(next) = self.side() {
            self.move_by = height.saturating_add(*self.clocks.of(next));
        }
    }
    /// Goes on where a move led, or gives the operation that decides.
    fn led(&mut self, led: sparse::Led) -> Option<Operation> {
        match led {
            Ok(place) => {
                self.place = place;
                None
            }
            Err(operation) => Some(operation),
        }
    }
    /// Who owes a move.
    #[must_use]
    pub fn turn(&self, miner: Address) -> Option<Address> {
        match self.side()? {
            Side::Defendant => Some(miner),
            Side::Challenger => self.challenger(),
        }
    }
}

/// The dispute about a unit, if there was one.
#[must_use]
pub fn of(view: &View<'_>, id: UnitId, unit: &Unit) -> Option<Dispute> {
    if unit.appeals.is_empty() && unit.contest.is_none() {
        return None;
    }
    view.get(&id)
}

/// The dispute about a unit that is not over.
#[must_use]
pub fn open_of(view: &View<'_>, id: UnitId, unit: &Unit) -> Option<Dispute> {
    of(view, id, unit).filter(|dispute| dispute.side().is_some())
}

/// Whether a dispute decides about a finding: about what the steps of a segment are, the update,
/// and what it lost.
pub(super) fn is_computed(finding: Finding) -> bool {
    let is_computed = matches!(
        finding.check,
        Check::Loss | Check::State | Check::Update | Check::Feedback
    );
    finding.level() == Level::Slash && is_computed
}

/// Whether there can be a dispute about a unit: the chain knows by name where the judged segment
/// starts and ends, and all else that its numbers follow from.
pub(super) fn is_disputable(view: &View<'_>, id: UnitId, unit: &Unit) -> bool {
    let ends = unit.challenge.is_some_and(|challenge| ended(&challenge));
    ends && id.kind == UnitKind::Gradient && Task::of(view, id, unit).is_some()
}

/// Opens the dispute about a unit that was convicted of this, if it can be had.
pub(super) fn open(
    view: &mut View<'_>,
    id: UnitId,
    unit: &Unit,
    finding: Finding,
    height: Height,
) -> Option<Vec<Event>> {
    if !is_computed(finding) || !is_disputable(view, id, unit) {
        return None;
    }
    let audit = unit.audits.last()?;
    let found =
        |seat: &&Seat| seat.verdict().and_then(|verdict| verdict.contradiction()) == Some(finding);
    let convicting = audit.seats.iter().filter(found);
    let challengers: Vec<Address> = convicting.map(|seat| seat.auditor).collect();
    challengers.first()?;
    Some(begin(view, id, unit, (challengers, finding), height))
}

/// Begins the dispute between a miner and these auditors. Those who failed in one before are
/// remembered, to be fined if the miner loses after all.
pub(super) fn begin(
    view: &mut View<'_>,
    id: UnitId,
    unit: &Unit,
    (challengers, finding): (Vec<Address>, Finding),
    height: Height,
) -> Vec<Event> {
    let before: Option<Dispute> = view.get(&id);
    let (refuted, silent) = before.map_or((Vec::new(), Vec::new()), |before| {
        (before.refuted, before.silent)
    });
    let clocks = Clocks::full(view, id.run, height);
    let opened = challengers.first().map(|challenger| Event::DisputeOpened {
        unit: id,
        miner: unit.miner,
        challenger: *challenger,
    });
    // Where only the update was checked no step is disputed.
    let place = if unit.is_update_checked() {
        Place::Complaint
    } else {
        Place::Steps
    };
    let dispute = Dispute {
        finding,
        challengers,
        refuted,
        silent,
        steps: Vec::new(),
        place,
        move_by: height.saturating_add(clocks.miner),
        clocks,
        moves_count: 0,
    };
    view.put(&id, &dispute);
    opened.into_iter().collect()
}

/// Whether the miner has shown where the segment ends, if one is judged, and where the unit does.
fn ended(challenge: &Challenge) -> bool {
    (challenge.end.is_some() || challenge.is_update()) && challenge.is_served()
}

/// Ends at the end of a block what was not moved in time.
pub(super) fn settle(
    view: &mut View<'_>,
    id: UnitId,
    unit: Unit,
    dispute: Dispute,
    height: Height,
) -> Vec<Event> {
    if height <= dispute.move_by {
        return Vec::new();
    }
    match dispute.side() {
        Some(Side::Defendant) => lost(view, (id, unit), dispute, None, height),
        Some(Side::Challenger) => next(view, (id, unit), dispute, None, height),
        None => Vec::new(),
    }
}

/// The miner lost, by an operation or by its silence: its conviction is executed, or what the
/// contestant found. Challengers that had failed before are fined.
fn lost(
    view: &mut View<'_>,
    (id, unit): (UnitId, Unit),
    dispute: Dispute,
    operation: Option<Operation>,
    height: Height,
) -> Vec<Event> {
    let mut events = vec![Event::DisputeLost {
        unit: id,
        loser: unit.miner,
        operation,
    }];
    for (auditors, fault) in [
        (&dispute.refuted, AuditFault::Overturned),
        (&dispute.silent, AuditFault::Silent),
    ] {
        let fined = auditors.iter();
        events.extend(fined.filter_map(|auditor| slash::auditor(view, *auditor, id, fault)));
    }
    let finding = dispute.finding;
    end(view, id, dispute, (false, operation));
    events.extend(execute(view, id, unit, finding, height));
    events
}

/// The challenger lost: the next one begins, or nobody is left, and the unit is right.
fn next(
    view: &mut View<'_>,
    (id, mut unit): (UnitId, Unit),
    mut dispute: Dispute,
    operation: Option<Operation>,
    height: Height,
) -> Vec<Event> {
    let Some(challenger) = dispute.challenger() else {
        return Vec::new();
    };
    dispute.challengers.remove(0);
    let failed = match operation {
        Some(_) => &mut dispute.refuted,
        None => &mut dispute.silent,
    };
    failed.push(challenger);
    let mut events = vec![Event::DisputeLost {
        unit: id,
        loser: challenger,
        operation,
    }];
    let (burned, finding) = contest::fail(view, id, &mut unit, challenger);
    events.extend(burned);
    dispute.finding = finding.unwrap_or(dispute.finding);
    if dispute.challengers.is_empty() {
        end(view, id, dispute, (true, operation));
        // They all had rejected the unit, and are fined for it once nobody contests it.
        events.extend(accept(view, id, unit, height));
        return events;
    }
    dispute.place = Place::Complaint;
    dispute.clocks = Clocks::full(view, id.run, height);
    dispute.move_by = height.saturating_add(dispute.clocks.challenger);
    view.put(&id, &dispute);
    events
}

/// Keeps of a dispute what it came to.
fn end(
    view: &mut View<'_>,
    id: UnitId,
    mut dispute: Dispute,
    (is_right, operation): (bool, Option<Operation>),
) {
    dispute.steps.clear();
    dispute.place = Place::Over {
        is_right,
        operation,
    };
    view.put(&id, &dispute);
}
