//! Binding before opening: nobody learns another's verdict in time to copy it.

use crate::support::{Chain, Setup, accepting, rejecting};
use protocol::{SigningKey, task::UnitId, transaction::Body, verdict::Check};

/// A chain where a committee of all auditors is asked about a unit.
fn escalated() -> (Chain, UnitId) {
    let (mut chain, id) = Chain::audited(&Setup::default());
    chain.climb_to(id, 2, &rejecting(Check::Loss, 1));
    (chain, id)
}

fn bodies(chain: &Chain, auditor: &SigningKey, id: UnitId) -> (Body, Body) {
    chain.audit_bodies(auditor, id, accepting())
}

#[test]
fn nobody_opens_before_everyone_has_bound() {
    let (mut chain, id) = escalated();
    for index in 0..3 {
        chain.block(vec![(
            chain.operator(index),
            bodies(&chain, &chain.operator(index), id).0,
        )]);
        let (_, open) = bodies(&chain, &chain.operator(0), id);
        assert_eq!(chain.reject(chain.operator(0), open).name(), "RevealEarly");
    }
    let (bind, open) = bodies(&chain, &chain.operator(3), id);
    chain.block(vec![(chain.operator(3), bind), (chain.operator(3), open)]);
}

#[test]
fn after_the_first_deadline_those_who_bound_may_open() {
    let (mut chain, id) = escalated();
    let first = chain.operator(0);
    let (bind, open) = bodies(&chain, &first, id);
    chain.block(vec![(first.clone(), bind)]);
    let commit_by = chain.unit(id).audits[2].commit_by;
    chain.wait_for(commit_by.saturating_sub(1));
    assert_eq!(
        chain.reject(first.clone(), open.clone()).name(),
        "RevealEarly"
    );
    chain.wait(1);
    let (late, _) = bodies(&chain, &chain.operator(1), id);
    let rejection =
        chain.reject_after(vec![(first.clone(), open.clone())], chain.operator(1), late);
    assert_eq!(
        rejection.name(),
        "AuditCommitLate",
        "it has seen an opening"
    );
    chain.block(vec![(first, open)]);
}

#[test]
fn a_copied_commitment_cannot_be_opened() {
    let (mut chain, id) = escalated();
    let (author, copier) = (chain.operator(0), chain.operator(1));
    let (bind, open) = bodies(&chain, &author, id);
    chain.block(vec![(author.clone(), bind.clone()), (copier.clone(), bind)]);
    for index in [2, 3] {
        let (bind, _) = bodies(&chain, &chain.operator(index), id);
        chain.block(vec![(chain.operator(index), bind)]);
    }
    chain.block(vec![(author, open.clone())]);
    assert_eq!(chain.reject(copier.clone(), open).name(), "RevealMismatch");
    let (_, own) = bodies(&chain, &copier, id);
    assert_eq!(chain.reject(copier, own).name(), "RevealMismatch");
}

#[test]
fn a_verdict_cannot_change_between_binding_and_opening() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let auditor = chain.seats(id)[0].clone();
    chain.bind(id, |_| Some(accepting()));
    chain.wait(1);
    let (_, changed) = chain.audit_bodies(&auditor, id, rejecting(Check::Loss, 1));
    assert_eq!(chain.reject(auditor, changed).name(), "RevealMismatch");
}

#[test]
fn whoever_binds_and_never_opens_delays_only_until_the_second_deadline() {
    let (mut chain, id) = escalated();
    chain.bind(id, |_| Some(accepting()));
    let reveal_by = chain.unit(id).audits[2].reveal_by;
    let two = [chain.operator(0).address(), chain.operator(1).address()];
    chain.reveal(id, |key| two.contains(&key.address()).then(accepting));
    chain.wait_for(reveal_by);
    assert_eq!(chain.outcome(id), None);
    chain.wait(1);
    assert_eq!(chain.unit(id).audits.len(), 4, "everyone is asked");
}
