//! Who never judges what: a miner's own keys, except where everyone does.

use crate::support::{Chain, Setup, accepting, registration, rejecting};
use ledger_state::{unit::Tier, validator::Validator};
use protocol::{Address, Amount, SigningKey, task::UnitId, transaction::Body, verdict::Check};

/// A chain on which an operator and another validator's holder mine.
fn own_keys_mine(setup: &Setup) -> (Chain, Vec<UnitId>) {
    let mut setup = setup.clone();
    setup.recipe.schedule.miners_at_start_count = 2;
    let mut chain = Chain::start(&setup);
    let miners = [chain.operator(0), chain.holder(1)];
    let fund = |to: &SigningKey, from: usize| {
        let (to, amount) = (to.address(), Amount::new(20_000));
        (chain.miner(from), Body::Transfer { to, amount })
    };
    let funds = vec![fund(&miners[0], 0), fund(&miners[1], 1)];
    chain.block(funds);
    let register = |key: &SigningKey| (key.clone(), registration(key, 10_000));
    chain.block(miners.iter().map(register).collect());
    chain.open_step();
    let ids = chain.commit_all();
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    (chain, ids)
}

fn is_own(chain: &Chain, id: UnitId, auditor: Address) -> bool {
    let unit = chain.unit(id);
    let record: Validator = chain.view().get(&auditor).unwrap();
    auditor == unit.miner || record.holder == unit.miner
}

/// A validator may mine, but never judges a unit of its own keys alone.
#[test]
fn an_auditor_is_never_drawn_for_a_unit_of_its_own_key() {
    let mut setup = Setup::default();
    setup.recipe.pretrain.units_count = 60;
    let (chain, ids) = own_keys_mine(&setup);
    for id in ids {
        let auditor = chain.unit(id).audits[0].seats[0].auditor;
        assert!(!is_own(&chain, id, auditor), "{id}");
    }
}

/// Leaving own stake out where everyone judges would make a minority of all a majority.
#[test]
fn a_miner_sits_among_everyone_and_in_no_smaller_round() {
    let setup = Setup {
        stakes: vec![100_000; 6],
        ..Setup::default()
    };
    let (mut chain, ids) = own_keys_mine(&setup);
    let id = ids[0];
    chain.climb_to(id, 3, &rejecting(Check::Sampling, 7));
    let unit = chain.unit(id);
    let own = |round: usize| {
        let seats = unit.audits[round].seats.iter();
        seats
            .filter(|seat| is_own(&chain, id, seat.auditor))
            .count()
    };
    assert_eq!([own(0), own(1), own(2), own(3)], [0, 0, 0, 1]);
    assert_eq!(unit.audits[2].seats.len(), 5);
    assert!(matches!(unit.audits[3].tier, Tier::Everyone { .. }));
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
}
