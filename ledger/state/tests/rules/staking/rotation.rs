//! A validator changes its consensus key and keeps everything else.

use super::{contradiction::evidence, next_epochs, record, setup, stake};
use crate::support::{Chain, Setup, key};
use ledger_state::{
    Event, beacon,
    staking::rotation::{key_of, operator_of, signing_key},
    validator::{Sets, Standing},
};
use protocol::{SigningKey, staking::Succession, transaction::Body};

pub(crate) fn rotate(chain: &Chain, operator: usize, key: &SigningKey) -> Body {
    let operator = chain.operator(operator).address();
    let succession = Succession::new(chain.id, operator, key);
    Body::RotateKey { succession }
}

/// A chain whose first validator rotates in its first block, and the new key.
fn rotating() -> (Chain, SigningKey) {
    let mut chain = Chain::start(&Setup {
        stakes: vec![100_000; 4],
        ..setup()
    });
    let new = key("new", 0);
    let body = rotate(&chain, 0, &new);
    let events = chain.block(vec![(chain.holder(0), body)]);
    let (operator, key) = (chain.operator(0).address(), new.address());
    assert!(
        events.contains(&Event::KeyNamed { operator, key }),
        "{events:?}"
    );
    (chain, new)
}

fn signs(chain: &Chain, key: &SigningKey) -> bool {
    let set = Sets::of(&chain.view()).current;
    assert!(
        set.is_sorted(),
        "a set is in the order of its keys: {set:?}"
    );
    assert_eq!(set.len(), 4);
    set.iter().any(|(signer, _)| *signer == key.address())
}

#[test]
fn the_new_key_signs_from_the_next_epoch_on_and_nothing_else_changes() {
    let (mut chain, new) = rotating();
    let old = chain.operator(0);
    let operator = old.address();
    chain.block(vec![(chain.miner(0), stake(operator, 5_000))]);
    let before = record(&chain, operator);
    chain.wait(1);
    assert_eq!(
        key_of(&chain.view(), operator),
        operator,
        "the epoch is not over"
    );
    chain.wait(1);
    assert_eq!(chain.height().get(), 4, "the epoch is over");
    assert_eq!(key_of(&chain.view(), operator), new.address());
    // The next height is still the old key's to decide.
    assert!(signs(&chain, &old));
    assert_eq!(signing_key(&chain.view(), operator), operator);
    // Block 5 is still the old set's, as its header said.
    assert!(signs(&chain, &old) && !signs(&chain, &new));
    chain.wait(1);
    assert!(signs(&chain, &new) && !signs(&chain, &old));
    let after = record(&chain, operator);
    assert_eq!(after.stake, before.stake);
    assert_eq!((after.holder, after.vrf), (before.holder, before.vrf));
    assert_eq!(
        (after.standing, after.stakers_count),
        (before.standing, before.stakers_count)
    );
    // It proposes with the new key, under its own randomness, and its turns are its operator's.
    let mut counted = 0;
    for _ in 0..16 {
        let proposes = chain.header().proposer == new.address();
        chain.wait(1);
        // The count begins anew with an epoch.
        let is_counted = record(&chain, operator).turns.made > 0;
        counted += u64::from(proposes && is_counted);
    }
    assert!(counted > 0);
    for key in [operator, new.address()] {
        assert_eq!(operator_of(&chain.view(), key), Some(operator));
    }
}

#[test]
fn silence_of_the_new_key_is_its_validators() {
    let (mut chain, new) = rotating();
    next_epochs(&mut chain);
    let operator = chain.operator(0).address();
    while chain.header().proposer != new.address() {
        chain.wait(1);
    }
    let set = Sets::of(&chain.view()).current;
    let height = chain.height().next();
    let present = |round: &u32| beacon::proposer(&set, height, *round) != Some(new.address());
    let round = (0..100).find(present).unwrap();
    let before = record(&chain, operator);
    chain.extend_in(round, Vec::new());
    let after = record(&chain, operator);
    assert!(after.rounds_missed_count > before.rounds_missed_count);
    assert!(after.stake < before.stake, "it is fined");
    assert_eq!(after.turns.missed_in_a_row, 1);
}

#[test]
fn what_the_old_key_signed_while_it_counted_still_slashes_the_validator() {
    let (mut chain, new) = rotating();
    next_epochs(&mut chain);
    let (old, operator) = (chain.operator(0), chain.operator(0).address());
    // It was in the sets of heights 1 to 5.
    let late = chain.reject(chain.miner(2), evidence(&chain, &old, 6));
    assert_eq!(late.code(), 254, "{late}");
    let mut other = rotating().0;
    next_epochs(&mut other);
    for (chain, signer, height) in [(&mut chain, old, 5), (&mut other, new, 7)] {
        let body = evidence(chain, &signer, height);
        chain.block(vec![(chain.miner(2), body)]);
        let slashed_at = protocol::Height::new(chain.height().get() + 7);
        assert_eq!(
            record(chain, operator).standing,
            Standing::Frozen { slashed_at }
        );
        chain.wait_for(slashed_at);
        let found = record(chain, operator);
        assert_eq!(
            (found.standing, found.stake.get()),
            (Standing::Removed, 25_000)
        );
    }
}

#[test]
fn it_rotates_again_and_no_key_ever_comes_back() {
    let (mut chain, new) = rotating();
    let newer = key("new", 1);
    let pending = chain.reject(chain.holder(0), rotate(&chain, 0, &newer));
    assert_eq!(pending.code(), 250, "{pending}");
    next_epochs(&mut chain);
    let body = rotate(&chain, 0, &newer);
    chain.block(vec![(chain.holder(0), body)]);
    next_epochs(&mut chain);
    assert!(signs(&chain, &newer) && !signs(&chain, &new));
    let old = chain.operator(0);
    for (validator, key) in [(0, &new), (0, &old), (1, &new), (1, &old), (1, &newer)] {
        let taken = chain.reject(chain.holder(validator), rotate(&chain, validator, key));
        assert_eq!(taken.code(), 249, "{taken}");
    }
    for key in [&new, &newer] {
        let owner = chain.miner(0);
        let body = super::registration(&chain, &owner, key, 20_000);
        assert_eq!(chain.reject(owner, body).code(), 249);
    }
}

#[test]
fn one_that_is_jailed_rotates_and_stays_jailed() {
    let (mut chain, new) = {
        let mut chain = super::start();
        let operator = chain.operator(0).address();
        chain.change(|view| {
            let mut validator: ledger_state::validator::Validator = view.get(&operator).unwrap();
            let until = protocol::Height::new(30);
            validator.standing = Standing::Jailed { until };
            validator.power = 0;
            view.put(&operator, &validator);
        });
        (chain, key("new", 0))
    };
    let body = rotate(&chain, 0, &new);
    chain.block(vec![(chain.holder(0), body)]);
    next_epochs(&mut chain);
    let operator = chain.operator(0).address();
    assert_eq!(key_of(&chain.view(), operator), new.address());
    assert!(matches!(
        record(&chain, operator).standing,
        Standing::Jailed { .. }
    ));
    assert_eq!(record(&chain, operator).power, 0);
}
