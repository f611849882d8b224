//! Tally: integer rationals, independent of the order of votes. Spec: 04-transaction, Proposals.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::transaction::Choice;

/// Stake by choice, and all stake that could have voted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tally {
    /// For.
    pub yes: u64,
    /// Against.
    pub no: u64,
    /// Neither, but counted for support.
    pub abstain: u64,
    /// All stake that could have voted.
    pub eligible: u64,
}

/// Support needed: yes and abstain together, as a share of eligible stake.
pub const SUPPORT: (u64, u64) = (1, 3);

impl Tally {
    /// Adds one holder's stake.
    pub const fn count(&mut self, choice: Choice, stake: u64) {
        let side = match choice {
            Choice::Yes => &mut self.yes,
            Choice::No => &mut self.no,
            Choice::Abstain => &mut self.abstain,
        };
        *side = side.saturating_add(stake);
    }
    /// Whether the proposal passes: more yes than no, and yes with abstain at least [`SUPPORT`]
    /// of eligible stake. A further no can neither reach support nor add approval.
    #[must_use]
    pub fn passes(&self) -> bool {
        let (numerator, denominator) = SUPPORT;
        let support = u128::from(self.yes).saturating_add(u128::from(self.abstain));
        let supported = support.saturating_mul(u128::from(denominator))
            >= u128::from(self.eligible).saturating_mul(u128::from(numerator));
        self.yes > self.no && supported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(yes: u64, no: u64, abstain: u64) -> Tally {
        Tally {
            yes,
            no,
            abstain,
            eligible: 90,
        }
    }

    #[test]
    fn passing_needs_support_and_more_yes_than_no() {
        for (yes, no, abstain, passes) in [
            (30, 0, 0, true),
            (29, 0, 0, false),
            (29, 0, 1, true),
            (20, 20, 50, false),
            (46, 44, 0, true),
            (0, 0, 90, false),
        ] {
            assert_eq!(
                tally(yes, no, abstain).passes(),
                passes,
                "{yes} {no} {abstain}"
            );
        }
    }

    #[test]
    fn another_no_never_turns_failure_into_success() {
        for yes in 0..30 {
            for no in 0..30 {
                for abstain in [0, 10, 29] {
                    let before = tally(yes, no, abstain).passes();
                    assert!(before || !tally(yes, no + 1, abstain).passes());
                }
            }
        }
    }
}
