//! Validators that sign two messages of one place.

use super::{power_of, record, restake, setup, stake, staked, start, unstake};
use crate::support::{Chain, Setup, propose, vote};
use governance::parameters::Name;
use ledger_state::{
    Event, run,
    validator::{Standing, powers},
};
use protocol::{
    BlockId, Height, SigningKey,
    proposal::{Action, Choice},
    transaction::Body,
    vote::{DoubleSign, SignedVote, Vote, VoteKind},
};

/// Two precommits of one round, for a block and for none.
pub(crate) fn evidence(chain: &Chain, signer: &SigningKey, height: u64) -> Body {
    let vote = |block_id| Vote {
        kind: VoteKind::Precommit,
        height: Height::new(height),
        round: 0,
        block_id,
    };
    let block = Some(BlockId::from_bytes([1; 32]));
    Body::ReportDoubleSign {
        evidence: Box::new(DoubleSign::Vote {
            first: SignedVote::new(chain.id, vote(None), signer),
            second: SignedVote::new(chain.id, vote(block), signer),
        }),
    }
}

fn report(chain: &mut Chain, signer: usize, height: u64) {
    let body = evidence(chain, &chain.operator(signer), height);
    chain.block(vec![(chain.miner(2), body)]);
}

#[test]
fn it_is_frozen_at_once_and_slashed_after_the_delay() {
    let mut chain = start();
    let (operator, holder) = (chain.operator(0).address(), chain.holder(0));
    chain.wait(3);
    let before = chain.balance(chain.miner(2).address());
    report(&mut chain, 0, 3);
    let shown_at = chain.height();
    let slashed_at = Height::new(shown_at.get() + 7);
    let found = record(&chain, operator);
    assert_eq!(found.standing, Standing::Frozen { slashed_at });
    assert_eq!((found.power, found.stake.get()), (0, 100_000));
    assert_eq!(powers(&chain.view()).len(), 3);
    for body in [unstake(operator, 1_000), stake(operator, 1_000)] {
        let rejection = chain.reject(holder.clone(), body);
        assert_eq!(rejection.code(), 233, "{rejection}");
    }
    chain.wait_for(slashed_at);
    // Alone it is a quarter of all power: three quarters of its stake. A tenth of that goes to
    // whoever showed it.
    let found = record(&chain, operator);
    assert_eq!(found.standing, Standing::Removed);
    assert_eq!(found.stake.get(), 25_000);
    let after = chain.balance(chain.miner(2).address());
    assert_eq!(after, before + 7_500);
    assert_eq!(run::tip(&chain.view()).burned.get(), 67_500);
    let again = chain.reject(chain.miner(2), evidence(&chain, &chain.operator(0), 3));
    assert_eq!(again.code(), 232, "{again}");
    chain.wait(20);
    assert_eq!(power_of(&chain, operator), 0, "it never comes back");
    chain.block(vec![(holder.clone(), unstake(operator, 25_000))]);
    chain.wait(21);
    assert_eq!(chain.balance(holder.address()), 25_000);
}

#[test]
fn one_of_many_loses_the_least_share() {
    let mut chain = Chain::start(&Setup {
        stakes: vec![10_000; 70],
        ..setup()
    });
    chain.wait(3);
    report(&mut chain, 5, 2);
    chain.wait(7);
    let operator = chain.operator(5).address();
    assert_eq!(record(&chain, operator).stake.get(), 9_500);
}

#[test]
fn those_who_do_it_together_lose_everything() {
    let mut chain = Chain::start(&Setup {
        stakes: vec![100_000; 6],
        ..setup()
    });
    chain.wait(3);
    report(&mut chain, 0, 2);
    chain.wait(2);
    report(&mut chain, 1, 3);
    chain.wait(9);
    // A sixth and a fifth of the power of the time: more than a third.
    for index in [0, 1] {
        let found = record(&chain, chain.operator(index).address());
        assert_eq!((found.standing, found.stake.get()), (Standing::Removed, 0));
    }
}

#[test]
fn stake_that_left_after_it_is_reached_wherever_it_is() {
    let mut chain = start();
    let (operator, other) = (chain.operator(0).address(), chain.operator(1).address());
    let [early, late, mover] = [0, 1, 2].map(|index| chain.miner(index));
    let all = [&early, &late, &mover];
    chain.block(
        all.map(|owner| (owner.clone(), stake(operator, 8_000)))
            .to_vec(),
    );
    chain.block(vec![(early.clone(), unstake(operator, 8_000))]);
    chain.wait(2);
    let infraction = chain.height().get() + 1;
    chain.block(vec![
        (late.clone(), unstake(operator, 8_000)),
        (mover.clone(), restake(operator, other, 8_000)),
    ]);
    // Part of what moved leaves again.
    chain.block(vec![(mover.clone(), unstake(other, 7_000))]);
    let body = evidence(&chain, &chain.operator(0), infraction);
    chain.block(vec![(chain.holder(2), body)]);
    chain.wait(8);
    assert_eq!(record(&chain, operator).standing, Standing::Removed);
    let [early_was, late_was, mover_was] = all.map(|owner| chain.balance(owner.address()));
    chain.wait(30);
    let gained = |owner: &SigningKey, was| chain.balance(owner.address()) - was;
    assert_eq!(gained(&early, early_was), 8_000, "it left before");
    assert_eq!(staked(&chain, other, mover.address()), 0);
    // When it was shown, the validator had 116 000 of 416 000.
    let share = 3 * (116_000 * 1_000_000_u64).div_ceil(416_000);
    let lost = (8_000 * share).div_ceil(1_000_000);
    assert_eq!(gained(&late, late_was), 8_000 - lost);
    assert_eq!(gained(&mover, mover_was), 7_000 - (lost - 1_000));
}

#[test]
fn what_a_frozen_validator_may_lose_waits_for_the_slash() {
    let mut chain = start();
    let (owner, operator) = (chain.miner(0), chain.operator(0).address());
    chain.block(vec![(owner.clone(), stake(operator, 8_000))]);
    chain.block(vec![(owner.clone(), unstake(operator, 8_000))]);
    let left_at = chain.height().get();
    chain.wait(18);
    report(&mut chain, 0, left_at);
    chain.wait_for(Height::new(left_at + 25));
    assert_eq!(chain.balance(owner.address()), 42_000, "due at 21 days");
    chain.wait(6);
    assert_eq!(chain.balance(owner.address()), 44_000);
}

#[test]
fn a_vote_cancels_the_slash() {
    let mut chain = start();
    let operator = chain.operator(0).address();
    chain.wait(3);
    report(&mut chain, 0, 3);
    let shown_at = chain.height();
    let id = propose(
        &mut chain,
        vec![Action::CancelSlash { operator }],
        Height::ZERO,
    );
    for holder in 1..4 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    chain.wait(10);
    let cancelled = chain.count(|event| {
        matches!(event, Event::Governed {
        what: governance::Event::SlashCancelled { operator: o } } if *o == operator)
    });
    assert_eq!(cancelled, 1);
    let found = record(&chain, operator);
    assert!(matches!(found.standing, Standing::Jailed { .. }));
    assert_eq!(found.stake.get(), 100_000);
    // Neither the same evidence nor other of before undoes the vote.
    for height in [3, shown_at.get()] {
        let again = chain.reject(chain.miner(2), evidence(&chain, &chain.operator(0), height));
        assert_eq!(again.code(), 255, "{again}");
    }
    chain.block(vec![(chain.operator(0), Body::Unjail { operator })]);
    super::next_epochs(&mut chain);
    assert_eq!(power_of(&chain, operator), 100_000);
    // What is new counts.
    let new = chain.height().get();
    report(&mut chain, 0, new);
    assert!(matches!(
        record(&chain, operator).standing,
        Standing::Frozen { .. }
    ));
}

#[test]
fn the_last_one_with_power_keeps_deciding_until_it_is_slashed() {
    let mut chain = Chain::start(&Setup {
        stakes: vec![100_000],
        parameters: vec![(Name::EpochBlocks, 4), (Name::JailTurns, 2)],
        ..Setup::default()
    });
    chain.wait(3);
    report(&mut chain, 0, 3);
    chain.wait(12);
    assert_eq!(powers(&chain.view()).len(), 1);
    assert_eq!(chain.height().get(), 16);
}
