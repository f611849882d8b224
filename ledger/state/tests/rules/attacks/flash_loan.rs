//! Beanstalk, April 2022: borrowed tokens voted for an emergency motion that paid them back with
//! 182 million dollars of others' money, all in one transaction.
//!
//! Here tokens are no power at all; bonded stake is power only seven days later; a vote counts the
//! powers before it began; and nothing is executed in the block in which it passed.

use super::{attacker, finish, loot, proposing, refusal, staked, stored, treasury, voting};
use crate::{
    staking::stake,
    support::{Chain, Setup, key, payload},
};
use governance::{Refusal, proposal::Status};
use protocol::{ProposalId, proposal::Choice, transaction::Body};

const LOAN: u64 = 4_000_000;

/// A network in which the attacker has borrowed ten times all stake.
fn lent() -> Chain {
    Chain::start(&Setup {
        stakes: vec![100_000; 4],
        balance: LOAN + 50_000,
        ..Setup::default()
    })
}

/// Stakes the whole loan in the next block.
fn stake_loan(chain: &mut Chain) {
    let operator = key("operator", 0).address();
    chain.block(vec![(attacker(), stake(operator, LOAN))]);
}

fn propose_loot(chain: &mut Chain) -> ProposalId {
    let actions = vec![loot(1_000)];
    let id = payload(actions.clone()).id(attacker().address(), chain.height().next());
    chain.block(vec![(attacker(), proposing(actions))]);
    id
}

#[test]
fn borrowed_tokens_do_not_vote() {
    let mut chain = staked(&[100_000; 4]);
    let lender = key("miner", 1);
    let body = Body::Transfer {
        to: attacker().address(),
        amount: protocol::Amount::new(40_000),
    };
    chain.block(vec![(lender, body)]);
    let id = propose_loot(&mut chain);
    let sender = attacker().address();
    assert_eq!(
        refusal(&chain, attacker(), voting(id, Choice::Yes)),
        Refusal::NoVotingPower { sender }
    );
}

#[test]
fn stake_that_is_bonded_for_the_vote_does_not_vote() {
    let mut chain = lent();
    let before = treasury(&chain);
    stake_loan(&mut chain);
    let id = propose_loot(&mut chain);
    let sender = attacker().address();
    for _ in 0..7 {
        let body = voting(id, Choice::Yes);
        assert_eq!(
            refusal(&chain, attacker(), body),
            Refusal::NoVotingPower { sender }
        );
        chain.wait(1);
    }
    assert_eq!(
        stored(&chain, id).tally.eligible,
        400_000,
        "the loan is not counted"
    );
    assert_eq!(finish(&mut chain, id), Status::Rejected);
    assert_eq!(treasury(&chain), before);
}

/// Even who has waited seven days must hold the stake through vote and timelock.
#[test]
fn nothing_is_executed_in_the_block_that_decides() {
    let mut chain = lent();
    stake_loan(&mut chain);
    chain.wait(8);
    let id = propose_loot(&mut chain);
    chain.block(vec![(attacker(), voting(id, Choice::Yes))]);
    let (decided, before) = (chain.height(), treasury(&chain));
    while !matches!(stored(&chain, id).status, Status::Executed { .. }) {
        assert_eq!(treasury(&chain), before);
        chain.wait(1);
    }
    let days = chain.height().get() - decided.get();
    assert!(
        days >= 7 + 2,
        "{days} days lie between the vote and the money"
    );
}
