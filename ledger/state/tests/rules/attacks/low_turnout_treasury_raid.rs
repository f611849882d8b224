//! Compound, July 2024: 51.84 % of the votes cast, on a weekend, gave 499 000 tokens to those who
//! cast them. Synthetify, October 2023: ten lookalike motions before holders who did not look.
//!
//! Here a large payment needs a third of all stake and more than 67 % of the votes; splitting it
//! into actions or motions gains nothing; and whatever passes, a tenth a month is all that leaves.

use super::{attacker, finish, loot, proposing, refusal, staked, status, treasury, voting};
use crate::support::{Chain, key, propose_by, vote};
use governance::{Refusal, proposal::Status};
use protocol::{
    Amount, Height,
    proposal::{Choice, Track},
};

#[test]
fn a_bare_majority_of_a_low_turnout_does_not_pay_itself() {
    // The raider has 18 % of all stake, most others do not look.
    let mut chain = staked(&[180_000, 167_000, 400_000, 253_000]);
    let before = treasury(&chain);
    let id = propose_by(&mut chain, &attacker(), vec![loot(50_000)], Height::ZERO);
    assert_eq!(super::stored(&chain, id).track, Track::TreasuryLarge);
    vote(&mut chain, id, 0, Choice::Yes);
    vote(&mut chain, id, 1, Choice::No);
    let tally = super::stored(&chain, id).tally;
    assert!(tally.yes > tally.no, "51.87 % of the votes cast say yes");
    assert_eq!(finish(&mut chain, id), Status::Rejected);
    assert_eq!(treasury(&chain), before);
}

#[test]
fn many_small_payments_need_what_their_sum_needs() {
    let mut chain = staked(&[100_000; 4]);
    let parts: Vec<_> = (0..10).map(|_| loot(1_000)).collect();
    let id = propose_by(&mut chain, &attacker(), parts, Height::ZERO);
    assert_eq!(super::stored(&chain, id).track, Track::TreasuryMedium);
    let more = proposing((0..10).map(|_| loot(5_001)).collect());
    let refused = refusal(&chain, key("miner", 1), more);
    let (amount, amount_max) = (Amount::new(50_010), Amount::new(50_000));
    assert_eq!(refused, Refusal::SpendTooLarge { amount, amount_max });
}

#[test]
fn lookalikes_are_one_at_a_time_and_cost_more_each() {
    let mut chain = staked(&[100_000; 4]);
    let id = propose_by(&mut chain, &attacker(), vec![loot(1_000)], Height::ZERO);
    let again = refusal(&chain, attacker(), proposing(vec![loot(999)]));
    assert_eq!(again, Refusal::ProposerBusy { id });
    let first = super::stored(&chain, id).price;
    let second = propose_by(&mut chain, &key("miner", 1), vec![loot(998)], Height::ZERO);
    assert!(super::stored(&chain, second).price > first);
}

/// Those who hold enough may take a twentieth, and then another; then the month is over.
#[test]
fn a_captured_majority_takes_a_tenth_a_month_and_no_more() {
    let mut chain = staked(&[300_000, 50_000, 25_000, 25_000]);
    let before = treasury(&chain);
    let raids: Vec<_> = (0..3).map(|raider| raid(&mut chain, raider)).collect();
    let ends: Vec<Status> = raids.iter().map(|id| finish(&mut chain, *id)).collect();
    let paid = ends
        .iter()
        .filter(|end| matches!(end, Status::Executed { .. }))
        .count();
    assert_eq!(paid, 2, "{ends:?}");
    assert!(matches!(ends[2], Status::Failed { .. }), "{ends:?}");
    let taken = before - treasury(&chain);
    assert!(taken <= before / 10, "{taken} of {before}");
}

fn raid(chain: &mut Chain, raider: usize) -> protocol::ProposalId {
    let raider = key("miner", raider);
    let actions = vec![loot(45_000)];
    let id = propose_by(chain, &raider, actions, Height::ZERO);
    let holder = chain.holder(0);
    chain.block(vec![(holder, voting(id, Choice::Yes))]);
    assert!(matches!(status(chain, id), Status::Voting { .. }));
    id
}
