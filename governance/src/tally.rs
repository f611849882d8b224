//! Tally: integer sums, exact rationals, independent of the order of votes.
//!
//! ```text
//! support  = (yes + abstain) / eligible stake
//! approval = yes / (yes + no + veto)
//! vetoed     if veto / (yes + veto) > 1/3
//! ```
//!
//! A quorum of turnout would let another No reach it and make a proposal pass; support cannot. A
//! veto measured against all votes cast could be diluted by another No into a pass; measured
//! against Yes it cannot. So no further No or Veto turns failure into success, and no further Yes
//! success into failure (checked exhaustively in the tests).

use crate::{Share, mutant::on, track::Rule};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Micro,
    proposal::{Choice, Weights},
};

/// Vetoes against yes beyond which a proposal is vetoed.
pub const VETO: Share = Share::new(1, 3);

/// Power by choice, and all power that could vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Tally {
    /// For.
    pub yes: u64,
    /// Against.
    pub no: u64,
    /// Neither, but counted for support.
    pub abstain: u64,
    /// Against, strongly.
    pub veto: u64,
    /// All power that could vote.
    pub eligible: u64,
}

/// How a vote ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// It will be executed.
    Pass,
    /// It will not.
    Reject,
    /// It will not, and its deposit burns.
    Veto,
}

/// Divides power by weights so that every unit is counted once: part i is what lies between the
/// cumulative weights before and after it, each rounded down.
#[must_use]
pub fn split(power: u64, weights: &Weights) -> [(Choice, u64); 4] {
    let (mut weight_before, mut before) = (0_u64, 0);
    Choice::ALL.map(|choice| {
        weight_before = weight_before.saturating_add(weights.of(choice).get());
        let until = Share::millionths(weight_before.min(Micro::ONE.get())).of(power);
        let part = until.saturating_sub(before);
        before = until;
        (choice, part)
    })
}

impl Tally {
    /// Adds a vote.
    pub fn add(&mut self, power: u64, weights: &Weights) {
        for (choice, part) in split(power, weights) {
            let side = self.side(choice);
            *side = side.saturating_add(part);
        }
    }
    /// Takes a vote out again, exactly as it was added.
    pub fn remove(&mut self, power: u64, weights: &Weights) {
        for (choice, part) in split(power, weights) {
            let side = self.side(choice);
            *side = side.saturating_sub(part);
        }
    }
    const fn side(&mut self, choice: Choice) -> &mut u64 {
        match choice {
            Choice::Yes => &mut self.yes,
            Choice::No => &mut self.no,
            Choice::Abstain => &mut self.abstain,
            Choice::Veto => &mut self.veto,
        }
    }
    /// Power that voted.
    #[must_use]
    pub const fn cast(&self) -> u64 {
        let against = self.no.saturating_add(self.veto);
        self.yes
            .saturating_add(self.abstain)
            .saturating_add(against)
    }
    /// Power that supports deciding the question.
    #[must_use]
    pub fn supporting(&self) -> u64 {
        if on("quorum counts every vote") {
            return self.cast();
        }
        self.yes.saturating_add(self.abstain)
    }
    /// Whether support is enough.
    #[must_use]
    pub fn is_supported(&self, rule: &Rule) -> bool {
        rule.support.is_reached_by(self.supporting(), self.eligible)
    }
    /// Whether approval is enough.
    #[must_use]
    pub fn is_approved(&self, rule: &Rule) -> bool {
        let decided = self.yes.saturating_add(self.no).saturating_add(self.veto);
        rule.approval.is_met_by(self.yes, decided)
    }
    /// Whether vetoes outweigh.
    #[must_use]
    pub fn is_vetoed(&self) -> bool {
        if on("veto is measured against all votes") {
            return VETO.is_exceeded_by(self.veto, self.cast());
        }
        VETO.is_exceeded_by(self.veto, self.yes.saturating_add(self.veto))
    }
    /// How the vote ends. A veto burns the deposit only if as much power took part as support asks
    /// for, so that one hostile unit cannot burn a stranger's deposit.
    #[must_use]
    pub fn outcome(&self, rule: &Rule) -> Outcome {
        if self.is_vetoed() {
            return if rule.support.is_reached_by(self.cast(), self.eligible) {
                Outcome::Veto
            } else {
                Outcome::Reject
            };
        }
        if self.is_supported(rule) && self.is_approved(rule) {
            Outcome::Pass
        } else {
            Outcome::Reject
        }
    }
    /// Support in millionths, rounded down.
    #[must_use]
    pub fn support_micro(&self) -> Micro {
        Micro::new(crate::share::in_millionths(
            self.supporting(),
            self.eligible,
        ))
    }
    /// Approval in millionths, rounded down.
    #[must_use]
    pub fn approval_micro(&self) -> Micro {
        let decided = self.yes.saturating_add(self.no).saturating_add(self.veto);
        Micro::new(crate::share::in_millionths(self.yes, decided))
    }
}
