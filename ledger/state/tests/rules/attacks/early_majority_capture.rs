//! What happens to young networks: whoever holds most of the first tokens decides everything,
//! changes the rules so that it always will, and takes what there is.
//!
//! Here more than half is not two thirds; a third stops it by veto and burns its deposit; the floor
//! under every rule is compiled in; the guardian of the first stages may cancel, and cannot pass
//! anything itself; and no message leads back to an earlier stage.

use super::{attacker, finish, guarding, loot, proposing, refusal, staked, status, treasury};
use crate::support::{key, payload, propose_by, set, vote};
use governance::{Refusal, proposal::Status, track};
use protocol::{
    Height, Micro,
    proposal::{Action, Amendment, Choice, Guard, Track},
};

/// Sixty percent in one hand.
const STAKES: [u64; 4] = [600_000, 140_000, 130_000, 130_000];

fn amend(track: Track, support: u64, approval: u64) -> Action {
    let floor = track::floor(track);
    Action::AmendTrack {
        track,
        rule: Amendment {
            deposit_multiple: floor.deposit_multiple,
            voting_days: floor.voting_days,
            timelock_days: floor.timelock_days,
            support: Micro::new(support),
            approval: Micro::new(approval),
        },
    }
}

#[test]
fn a_majority_cannot_lower_the_rules_that_bind_it() {
    let chain = staked(&STAKES);
    let lower = proposing(vec![amend(Track::Constitution, 100_000, 500_001)]);
    let refused = refusal(&chain, attacker(), lower);
    assert!(matches!(refused, Refusal::BelowFloor { .. }), "{refused}");
    // Nor raise them so far that nobody else could ever decide.
    let raise = proposing(vec![amend(Track::Constitution, 900_000, 950_000)]);
    let refused = refusal(&chain, attacker(), raise);
    assert!(matches!(refused, Refusal::AboveCeiling { .. }), "{refused}");
}

#[test]
fn more_than_half_does_not_decide_what_is_critical() {
    let mut chain = staked(&STAKES);
    let burn = vec![set("audit-fault-penalty", 1_000_000_000)];
    let id = propose_by(&mut chain, &attacker(), burn, Height::ZERO);
    vote(&mut chain, id, 0, Choice::Yes);
    for holder in 1..4 {
        vote(&mut chain, id, holder, Choice::No);
    }
    assert_eq!(
        finish(&mut chain, id),
        Status::Rejected,
        "60 % is less than two thirds"
    );
}

#[test]
fn a_minority_vetoes_and_the_deposit_burns() {
    let mut chain = staked(&STAKES);
    let before = (treasury(&chain), chain.balance(attacker().address()));
    let id = propose_by(&mut chain, &attacker(), vec![loot(900)], Height::ZERO);
    vote(&mut chain, id, 0, Choice::Yes);
    for holder in 1..4 {
        vote(&mut chain, id, holder, Choice::Veto);
    }
    assert_eq!(finish(&mut chain, id), Status::Vetoed);
    assert_eq!(treasury(&chain), before.0);
    assert_eq!(chain.balance(attacker().address()), before.1 - 100);
}

/// The other three do not even look; the guardian does.
#[test]
fn the_guardian_cancels_and_can_do_nothing_more() {
    let mut chain = staked(&STAKES);
    let before = treasury(&chain);
    let id = propose_by(&mut chain, &attacker(), vec![loot(50_000)], Height::ZERO);
    vote(&mut chain, id, 0, Choice::Yes);
    while !matches!(status(&chain, id), Status::Timelocked { .. }) {
        chain.wait(1);
    }
    let cancel = guarding(Guard::Cancel { proposal: id });
    chain.block(vec![(key("steward", 0), cancel)]);
    chain.wait(30);
    assert!(matches!(status(&chain, id), Status::Cancelled { .. }));
    assert_eq!(treasury(&chain), before);
    let decree = guarding(Guard::Decree {
        payload: payload(vec![loot(1)]),
    });
    let refused = refusal(&chain, key("steward", 0), decree);
    assert_eq!(refused, Refusal::PowerEnded { act: "decree" });
}
