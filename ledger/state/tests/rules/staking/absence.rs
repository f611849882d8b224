//! Validators that let their turns pass.

use super::{block_without, next_epochs, power_of, record, staked, start};
use crate::support::{Chain, Setup};
use governance::parameters::Name;
use ledger_state::{
    Event,
    validator::{Standing, powers},
};
use protocol::{Address, transaction::Body};

fn strict(stakes: Vec<u64>) -> Chain {
    Chain::start(&Setup {
        stakes,
        parameters: vec![
            (Name::EpochBlocks, 1_000),
            (Name::JailTurns, 3),
            (Name::JailBlocks, 10),
        ],
        ..Setup::default()
    })
}

fn until_jailed(chain: &mut Chain, absent: Address) -> u64 {
    for heights in 1..200 {
        let events = block_without(chain, absent);
        let is_jailed = |event: &Event| match event {
            Event::ValidatorJailed { operator, .. } => *operator == absent,
            _ => false,
        };
        if events.iter().any(is_jailed) {
            return heights;
        }
    }
    panic!("{absent} was not jailed");
}

#[test]
fn who_is_absent_for_some_turns_in_a_row_is_jailed_and_loses_little() {
    let mut chain = strict(vec![100_000; 4]);
    let absent = chain.operator(2).address();
    until_jailed(&mut chain, absent);
    let found = record(&chain, absent);
    assert!(matches!(found.standing, Standing::Jailed { .. }));
    assert_eq!((found.power, found.turns.missed), (0, 3));
    // Ten tokens for every silent round, and 100 millionths of the rest, rounded up.
    let fined = found.fined.get();
    assert_eq!(found.stake.get(), 100_000 - fined - 10);
    assert_eq!(powers(&chain.view()).len(), 3);
    chain.wait(20);
    assert_eq!(record(&chain, absent).turns.missed, 3, "it has no turns");
}

#[test]
fn a_block_ends_the_row_of_missed_turns() {
    let mut chain = strict(vec![100_000; 4]);
    let absent = chain.operator(2).address();
    while record(&chain, absent).turns.missed_in_a_row < 2 {
        block_without(&mut chain, absent);
    }
    while record(&chain, absent).turns.missed_in_a_row > 0 {
        chain.wait(1);
    }
    until_jailed(&mut chain, absent);
    assert!(record(&chain, absent).turns.missed >= 5);
}

#[test]
fn an_outage_of_many_rounds_is_one_missed_turn_and_jails_nobody() {
    let mut chain = strict(vec![100_000; 4]);
    chain.extend_in(60, Vec::new());
    for index in 0..4 {
        let operator = chain.operator(index).address();
        assert!(record(&chain, operator).turns.missed_in_a_row <= 1);
    }
    assert_eq!(powers(&chain.view()).len(), 4);
}

#[test]
fn absence_takes_at_most_a_third_of_the_power_in_an_epoch() {
    let mut chain = strict(vec![100_000; 6]);
    let all: Vec<Address> = (0..6).map(|i| chain.operator(i).address()).collect();
    until_jailed(&mut chain, all[0]);
    until_jailed(&mut chain, all[1]);
    for _ in 0..40 {
        block_without(&mut chain, all[2]);
    }
    let third = record(&chain, all[2]);
    assert_eq!(third.standing, Standing::Bonded);
    assert!(third.turns.missed_in_a_row > 3);
    assert_eq!(powers(&chain.view()).len(), 4);
}

#[test]
fn a_jailed_validator_comes_back_with_the_next_epoch_after_it_asks() {
    let mut chain = strict(vec![100_000; 4]);
    chain.change(|view| {
        let mut parameters = ledger_state::run::parameters(view);
        parameters.set(Name::EpochBlocks, 4).unwrap();
        view.put(&(), &ledger_state::run::InForce(parameters));
    });
    let (operator, key) = (chain.operator(1).address(), chain.operator(1));
    until_jailed(&mut chain, operator);
    let early = chain.reject(key.clone(), Body::Unjail { operator });
    assert_eq!(early.code(), 246, "{early}");
    chain.wait(10);
    assert_eq!(power_of(&chain, operator), 0, "it did not ask");
    chain.block(vec![(key.clone(), Body::Unjail { operator })]);
    next_epochs(&mut chain);
    let own = staked(&chain, operator, chain.holder(1).address());
    assert_eq!(power_of(&chain, operator), own);
    let again = chain.reject(key, Body::Unjail { operator });
    assert_eq!(again.code(), 245, "{again}");
}

#[test]
fn whoever_cannot_pay_for_power_stays_jailed() {
    let mut chain = start();
    let operator = chain.operator(1).address();
    chain.change(|view| {
        let mut validator: ledger_state::validator::Validator = view.get(&operator).unwrap();
        validator.standing = Standing::Jailed {
            until: protocol::Height::ZERO,
        };
        view.put(&operator, &validator);
    });
    let leave = super::unstake(operator, 95_000);
    chain.block(vec![(chain.holder(1), leave)]);
    let rejection = chain.reject(chain.holder(1), Body::Unjail { operator });
    assert_eq!(rejection.code(), 236, "{rejection}");
}
