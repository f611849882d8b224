//! Beacons: chained, proven, and paid for by whoever lets its turn pass.

use crate::support::{Chain, Setup};
use governance::parameters::Name;
use ledger_state::{
    Event, apply, beacon, run,
    validator::{Sets, Validator},
};
use protocol::{Address, block, task::Beacon};

fn record(chain: &Chain, operator: Address) -> Validator {
    chain.view().get(&operator).unwrap()
}

fn now(chain: &Chain) -> Beacon {
    run::tip(&chain.view()).beacon
}

/// Who proposes in a round of the next height.
fn turn(chain: &Chain, round: u32) -> Address {
    chain.header_of(round).proposer
}

#[test]
fn each_beacon_is_the_proposers_output_chained_to_the_one_before() {
    let mut chain = Chain::start(&Setup::default());
    assert_eq!(now(&chain), Beacon::of_genesis(chain.id));
    for _ in 0..5 {
        let (before, height) = (now(&chain), chain.height().next());
        let proposer = chain.key_of(turn(&chain, 0)).vrf();
        let (output, _) = proposer.prove(&before.input(chain.id, height));
        chain.wait(1);
        assert_eq!(now(&chain), before.next(&output));
    }
}

#[test]
fn what_a_block_holds_and_when_it_was_built_change_no_beacon() {
    let chain = Chain::start(&Setup::default());
    let yielded = |change: &dyn Fn(&mut block::Header)| {
        let mut header = chain.header();
        change(&mut header);
        let block = block::Verified::assemble(header, Vec::new());
        let mut state = chain.state.clone();
        let transition = apply(&state, &block).unwrap();
        state.advance(transition.writes);
        let tip = run::tip(&state.view());
        (tip.beacon, tip.block)
    };
    let (beacon, block) = yielded(&|_| {});
    let (later, other) = yielded(&|header| header.time_ms += 1);
    assert_eq!(beacon, later);
    assert_ne!(block, other);
}

#[test]
fn the_proposers_of_earlier_rounds_are_counted_and_fined() {
    let mut chain = Chain::start(&Setup::default());
    chain.wait(2);
    let silent = [turn(&chain, 0), turn(&chain, 1)];
    let before = silent.map(|operator| record(&chain, operator).stake.get());
    let proposer = turn(&chain, 2);
    let (turns, burned) = (chain.height().get(), run::tip(&chain.view()).burned);
    let events = chain.extend_in(2, Vec::new());
    assert_eq!(chain.height().get(), turns + 1);
    for (round, operator) in (0..).zip(silent) {
        let happened = events.iter().any(|event| {
            matches!(event, Event::ProposerSilent { proposer, round: r, burned }
                if *proposer == operator && *r == round && burned.get() == 10)
        });
        assert!(happened, "round {round}: {events:?}");
        let times = silent.iter().filter(|other| **other == operator).count() as u64;
        let index = silent.iter().position(|other| *other == operator).unwrap();
        let now = record(&chain, operator);
        assert_eq!(now.stake.get(), before[index] - 10 * times);
        assert_eq!(now.rounds_missed_count, times);
        assert_eq!(now.fined.get(), 10 * times);
    }
    if !silent.contains(&proposer) {
        assert_eq!(record(&chain, proposer).rounds_missed_count, 0);
    }
    let now = run::tip(&chain.view()).burned.get();
    assert_eq!(now, burned.get() + 20);
}

#[test]
fn a_block_of_round_zero_fines_nobody() {
    let mut chain = Chain::start(&Setup::default());
    chain.wait(20);
    assert_eq!(
        chain.count(|event| matches!(event, Event::ProposerSilent { .. })),
        0
    );
}

#[test]
fn an_outage_of_many_rounds_costs_a_bounded_number_of_turns() {
    let mut chain = Chain::start(&Setup::default());
    let events = chain.extend_in(1_000, Vec::new());
    let counted = usize::try_from(beacon::ROUNDS_COUNTED_MAX).unwrap();
    assert_eq!(events.len(), counted);
}

#[test]
fn one_token_of_stake_remains_however_often_a_validator_is_silent() {
    let mut setup = Setup {
        stakes: vec![5, 5, 5],
        ..Setup::default()
    };
    setup.parameters = vec![(Name::BeaconWithholdPenalty, 3)];
    let mut chain = Chain::start(&setup);
    chain.extend_in(40, Vec::new());
    let operators: Vec<Address> = (0..3).map(|i| chain.operator(i).address()).collect();
    for operator in operators {
        assert_eq!(record(&chain, operator).stake.get(), 1);
    }
    chain.wait(3);
}

#[test]
fn a_change_of_stake_counts_from_the_second_height_after_its_epoch() {
    let mut chain = Chain::start(&crate::staking::setup());
    chain.extend_in(1, Vec::new());
    let before = Sets::of(&chain.view());
    chain.wait(2);
    assert_eq!(Sets::of(&chain.view()), before, "the epoch is not over");
    chain.wait(1);
    let after = Sets::of(&chain.view());
    assert_eq!(
        after.current, before.next,
        "the next height is decided as announced"
    );
    assert_ne!(after.next, before.next, "a silent proposer was fined");
    let header = chain.header();
    assert_eq!((header.validators, header.next_validators), after.hashes());
    chain.wait(1);
    assert_eq!(Sets::of(&chain.view()).current, after.next);
}
