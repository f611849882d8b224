//! One row for every way in which a block or transaction is not valid.

mod audit;
mod equivocation;
mod fees;
mod header;
mod opening;
mod rest;
mod staking;
mod votes;
mod work;

use governance::Refusal;
use ledger_state::Rejection;
use std::collections::BTreeSet;

/// The variant that a row must produce, and how.
type Row = (&'static str, fn() -> Rejection);

fn rows() -> Vec<Row> {
    [
        header::ROWS,
        fees::ROWS,
        rest::ROWS,
        staking::ROWS,
        work::ROWS,
        equivocation::ROWS,
        opening::ROWS,
        audit::ROWS,
        votes::ROWS,
    ]
    .concat()
}

#[test]
fn every_row_produces_its_rejection() {
    for (name, produce) in rows() {
        let rejection = produce();
        assert_eq!(rejection.name(), name, "{rejection}");
        let row = (rejection.code(), name);
        assert!(Rejection::ALL.contains(&row) || Refusal::ALL.contains(&row));
    }
}

#[test]
fn every_rejection_has_a_row() {
    let tested: BTreeSet<&str> = rows().iter().map(|(name, _)| *name).collect();
    let missing = Rejection::ALL
        .iter()
        .filter(|(_, name)| !tested.contains(name));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "no row produces {missing:?}");
}

#[test]
fn codes_are_unique_and_in_order() {
    let all = [Rejection::ALL, Refusal::ALL].concat();
    assert!(all.is_sorted_by(|(first, _), (second, _)| first < second));
}

#[test]
fn messages_say_fact_value_and_limit() {
    for (name, produce) in rows() {
        let message = produce().to_string();
        assert!(!message.contains(['{', '}']), "{name}: {message}");
        assert!(!message.ends_with('.'), "{name}: {message}");
        assert!(
            message.starts_with(|c: char| !c.is_uppercase()),
            "{name}: {message}"
        );
    }
}
