//! Lazy Summer, 2026: among twelve calls of a routine motion, one gave a role to a stranger; a
//! guardian saw it and cancelled.
//!
//! Here no call can be nested, for actions are typed and none holds another; the one action that
//! changes who may do what puts the whole motion on its own strict track, every interface marks
//! it, and the guardian may cancel until it is executed.

use super::{attacker, finish, guarding, staked, status, stored};
use crate::support::{key, payload, propose_by, set, vote};
use governance::{describe::describe, proposal::Status};
use ledger_state::proposal;
use protocol::{
    Height,
    codec::{BoundedVec, DecodeError, decode, encode},
    proposal::{Action, Choice, Cohort, Guard, Payload, Track},
};

fn routine_with_a_grant() -> Vec<Action> {
    let friends = (0..6).map(|n| key("friend", n).address()).collect();
    let mut actions: Vec<Action> = (0..9).map(|n| set("audit-rate", 20_000 + n)).collect();
    actions.insert(
        4,
        Action::ElectCouncil {
            cohort: Cohort::First,
            members: BoundedVec::new(friends).unwrap(),
        },
    );
    actions
}

#[test]
fn one_grant_among_ten_routine_changes_rules_them_all_and_is_marked() {
    let mut chain = staked(&[100_000; 4]);
    let id = propose_by(
        &mut chain,
        &attacker(),
        routine_with_a_grant(),
        Height::ZERO,
    );
    let (proposal, content) = proposal::stored(&chain.view(), id).unwrap();
    assert_eq!(
        proposal.track,
        Track::Offices,
        "not the track of the nine others"
    );
    let changes = describe(&proposal, &content.0);
    let marked: Vec<usize> = (0..changes.len())
        .filter(|n| changes[*n].is_permission)
        .collect();
    assert_eq!(marked, [4]);
    // As many as would carry a routine change do not carry it.
    vote(&mut chain, id, 0, Choice::Yes);
    assert_eq!(finish(&mut chain, id), Status::Rejected);
}

#[test]
fn the_guardian_cancels_it_even_after_it_passed() {
    let mut chain = staked(&[100_000; 4]);
    let id = propose_by(
        &mut chain,
        &attacker(),
        routine_with_a_grant(),
        Height::ZERO,
    );
    for holder in 0..3 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    while !matches!(status(&chain, id), Status::Timelocked { .. }) {
        chain.wait(1);
    }
    let cancel = guarding(Guard::Cancel { proposal: id });
    chain.block(vec![(key("steward", 0), cancel)]);
    chain.wait(40);
    assert!(matches!(
        stored(&chain, id).status,
        Status::Cancelled { .. }
    ));
    let council = governance::council::council(&chain.view());
    assert!(council.first.is_empty());
}

#[test]
fn an_action_that_holds_a_transaction_cannot_be_written_down() {
    let signal = encode(&payload(vec![Action::Signal]));
    let inner = encode(&protocol::transaction::Body::AdvanceStage);
    // The byte of the only action, then a body where its fields would be.
    let at = signal.len() - 1 - 8;
    for kind in 0..=u8::MAX {
        let mut bytes = signal.clone();
        bytes[at] = kind;
        bytes.splice(at + 1..at + 1, inner.clone());
        let read: Result<Payload, DecodeError> = decode("payload", &bytes, 1 << 16);
        if let Ok(read) = read {
            // Some kinds read those bytes as a number; none reads them as something to execute.
            assert!(
                !matches!(read.actions.as_slice(), [Action::Signal]),
                "{read:?}"
            );
        }
    }
}
