//! Which steps are over long enough for what was found of their units to be forgotten.

use super::STEPS_KEPT_COUNT;
use ledger_state::{View, run::Run};
use protocol::{RunId, Step};
use std::collections::BTreeMap;

/// Where every run of the chain stands.
pub(super) struct Steps(BTreeMap<RunId, Step>);

impl Steps {
    /// Where they stand in a state.
    pub(super) fn of(view: &View<'_>) -> Self {
        let runs = view.scan::<Run>(&()).into_iter();
        Self(runs.map(|(id, run)| (id, run.step)).collect())
    }
    /// Whether the chain is so far beyond a step that nobody asks about it any more.
    pub(super) fn are_past(&self, run: RunId, step: Step) -> bool {
        let now = self.0.get(&run);
        now.is_none_or(|now| step < now.saturating_sub(STEPS_KEPT_COUNT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_ends_with_the_chains_steps_and_with_the_run() {
        let (known, gone) = (RunId::new(1), RunId::new(2));
        let steps = Steps(BTreeMap::from([(known, Step::new(9))]));
        let past: Vec<u64> = (0..12)
            .filter(|step| steps.are_past(known, Step::new(*step)))
            .collect();
        assert_eq!(past, [0, 1, 2, 3, 4]);
        assert!(steps.are_past(gone, Step::new(12)));
    }
}
