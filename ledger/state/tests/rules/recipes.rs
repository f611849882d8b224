//! What a recipe may say about aggregation and its inner optimiser. Spec: 01-task, 09-checkpoint.

use crate::support::Setup;
use ledger_state::genesis::{self, GenesisError};
use protocol::{Micro, recipe::Aggregation};

fn refused(change: impl FnOnce(&mut Aggregation)) -> Option<&'static str> {
    let mut setup = Setup::default();
    change(&mut setup.recipe.aggregation);
    match genesis::state(&setup.genesis()) {
        Ok(_) => None,
        Err(GenesisError::Recipe { what, .. }) => Some(what),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_epsilon_has_bounds() {
    let refused = |epsilon_nano| {
        let mut setup = Setup::default();
        setup.recipe.pretrain.epsilon_nano = epsilon_nano;
        genesis::state(&setup.genesis()).is_err()
    };
    let found = [0, 1, 1_000_000_000, 1_000_000_001].map(refused);
    assert_eq!(found, [true, false, false, true]);
}

#[test]
fn limits_of_aggregation_have_bounds() {
    assert_eq!(refused(|_| ()), None);
    let million = Micro::ONE;
    let norm_max = |value| refused(|limits| limits.norm_max = Micro::new(value));
    assert_eq!(norm_max(0), Some("aggregation.norm_max"));
    assert_eq!(norm_max(1), None);
    assert_eq!(norm_max(1_000_000_000_001), Some("aggregation.norm_max"));
    let norm_ratio = |value| refused(|limits| limits.norm_ratio = Micro::new(value));
    assert_eq!(
        norm_ratio(million.get() - 1),
        Some("aggregation.norm_ratio")
    );
    assert_eq!(norm_ratio(1_000_000_001), Some("aggregation.norm_ratio"));
    let weight_cap = |value| refused(|limits| limits.weight_cap = Micro::new(value));
    assert_eq!(weight_cap(9_999), Some("aggregation.weight_cap"));
    assert_eq!(weight_cap(million.get()), None);
    assert_eq!(
        weight_cap(million.get() + 1),
        Some("aggregation.weight_cap")
    );
    let center_ratio = |value| refused(|limits| limits.center_ratio = Micro::new(value));
    assert_eq!(center_ratio(million.get()), None);
    assert_eq!(
        center_ratio(million.get() - 1),
        Some("aggregation.center_ratio")
    );
    let rounds = |value| refused(|limits| limits.center_rounds_count = value);
    assert_eq!(rounds(16), None);
    assert_eq!(rounds(17), Some("aggregation.center_rounds_count"));
}
