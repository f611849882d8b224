//! Steem, March 2020: exchanges bonded their customers' coins overnight and voted a new owner's
//! validators in; the customers could not object.
//!
//! Here deposited coins are no power; whoever bonds them waits seven days, in public; a validator
//! does not vote for those whose stake it runs; and holders who vote themselves take their power
//! out of whoever they once delegated to.

use super::{finish, refusal, staked, stored, voting};
use crate::support::{key, propose, set, vote};
use governance::{Refusal, proposal::Status};
use protocol::{
    Amount, Height,
    proposal::{Choice, Track},
    transaction::Body,
};

#[test]
fn customers_coins_and_the_validators_that_run_their_stake_have_no_vote() {
    let mut chain = staked(&[100_000; 4]);
    let exchange = key("exchange", 0);
    for customer in 0..3 {
        let body = Body::Transfer {
            to: exchange.address(),
            amount: Amount::new(20_000),
        };
        chain.block(vec![(key("miner", customer), body)]);
    }
    let id = propose(&mut chain, vec![set("audit-rate", 80_000)], Height::ZERO);
    let sender = exchange.address();
    let body = voting(id, Choice::Yes);
    assert_eq!(
        refusal(&chain, exchange, body.clone()),
        Refusal::NoVotingPower { sender }
    );
    // The key that runs a validator is not the key that owns its stake.
    let operator = chain.operator(0);
    let sender = operator.address();
    assert_eq!(
        refusal(&chain, operator, body),
        Refusal::NoVotingPower { sender }
    );
    assert_eq!(stored(&chain, id).tally.cast(), 0);
}

#[test]
fn customers_who_vote_themselves_take_their_power_back() {
    let mut chain = staked(&[100_000; 4]);
    let exchange = key("exchange", 0);
    for customer in 0..3 {
        let body = Body::Delegate {
            track: Track::ParameterSafe,
            to: Some(exchange.address()),
        };
        let holder = chain.holder(customer);
        chain.block(vec![(holder, body)]);
    }
    let id = propose(&mut chain, vec![set("audit-rate", 50_000)], Height::ZERO);
    chain.block(vec![(exchange, voting(id, Choice::Yes))]);
    assert_eq!(stored(&chain, id).tally.yes, 300_000);
    for customer in 0..3 {
        vote(&mut chain, id, customer, Choice::No);
    }
    let tally = stored(&chain, id).tally;
    assert_eq!((tally.yes, tally.no), (0, 300_000));
    assert_eq!(finish(&mut chain, id), Status::Rejected);
}
