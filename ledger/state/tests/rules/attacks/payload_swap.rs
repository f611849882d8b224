//! Tornado Cash, May 2023: voters approved a contract; its code was another when it ran, and gave
//! its author more votes than everybody else had.
//!
//! Here the bytes are kept with the vote, the identifier is their hash, and what is executed are
//! these bytes and no others.

use super::{attacker, finish, refusal, staked, stored};
use crate::support::{key, payload, propose_by, set, vote};
use governance::{Refusal, parameters::Name, proposal::Status};
use ledger_state::{proposal, run};
use protocol::{Amount, Height, proposal::Choice, transaction::Body};

#[test]
fn what_was_approved_is_what_runs() {
    let mut chain = staked(&[100_000; 4]);
    let harmless = vec![set("audit-rate", 30_000)];
    let id = propose_by(&mut chain, &attacker(), harmless.clone(), Height::ZERO);
    let submitted_at = chain.height();
    for holder in 0..3 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    // Other bytes are another proposal, without a vote; and its author has one alive already.
    let harmful = payload(vec![set("audit-rate", 80_000)]);
    assert_ne!(harmful.id(attacker().address(), submitted_at), id);
    let swap = Body::Propose {
        payload: harmful,
        deposit: Amount::new(1_000),
    };
    assert_eq!(
        refusal(&chain, attacker(), swap.clone()),
        Refusal::ProposerBusy { id }
    );
    chain.block(vec![(key("miner", 1), swap)]);

    assert!(matches!(finish(&mut chain, id), Status::Executed { .. }));
    let rate = run::parameters(&chain.view()).get(Name::AuditRate);
    assert_eq!(rate, 30_000);
    let (proposal, content) = proposal::stored(&chain.view(), id).unwrap();
    assert_eq!(content.0.actions.as_slice(), harmless);
    assert_eq!(content.0.id(proposal.proposer, proposal.submitted_at), id);
}

/// Nobody takes an author's words ahead of it to own their identifier.
#[test]
fn a_copy_by_somebody_else_is_another_proposal() {
    let mut chain = staked(&[100_000; 4]);
    let words = vec![set("audit-rate", 30_000)];
    let copy = propose_by(&mut chain, &key("miner", 1), words.clone(), Height::ZERO);
    let own = propose_by(&mut chain, &attacker(), words, Height::ZERO);
    assert_ne!(own, copy);
    vote(&mut chain, copy, 0, Choice::Yes);
    assert_eq!(stored(&chain, own).tally.yes, 0);
}
