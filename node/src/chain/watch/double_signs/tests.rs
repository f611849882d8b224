#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use governance::parameters::Name;
use ledger_state::{State, genesis};
use ledger_store::MemoryStore;
use protocol::{
    Amount, BlockId, SigningKey,
    class::ClassTable,
    codec::Text,
    genesis::{Account, Genesis, Governance, Parameter, Validator as Founder},
    vote::{SignedVote, Vote, VoteKind},
};

fn operator(which: u8) -> SigningKey {
    SigningKey::from_seed([1 + which; 32])
}

/// Three validators of a chain in which evidence is of use for seven blocks.
fn state() -> (ChainId, State) {
    let founder = |which: u8| Founder {
        operator: operator(which).address(),
        holder: SigningKey::from_seed([20 + which; 32]).address(),
        stake: Amount::new(100_000),
        vrf: operator(which).vrf().public(),
    };
    let genesis = Genesis {
        name: Text::new("watch").unwrap(),
        time_ms: 1,
        validators: [0, 1, 2].map(founder).to_vec(),
        accounts: vec![Account {
            address: SigningKey::from_seed([30; 32]).address(),
            balance: Amount::new(1_000),
        }],
        runs: Vec::new(),
        parameters: vec![Parameter {
            name: Text::new(Name::UnbondingDays.as_str()).unwrap(),
            value: 8,
        }],
        governance: Governance {
            day_blocks: 1,
            deposit_base: Amount::new(100),
            steward: None,
            stage: 1,
            treasury: Amount::ZERO,
        },
        supply_cap: Amount::new(1_000_000),
        classes: ClassTable::default(),
    };
    (genesis.chain_id(), genesis::state(&genesis).unwrap())
}

fn at(state: &mut State, height: u64) {
    let mut view = state.view();
    let tip = run::tip(&view);
    let height = Height::new(height);
    view.put(&(), &run::Tip { height, ..tip });
    let writes = view.into_writes();
    state.advance(writes);
}

fn stand(state: &mut State, which: u8, standing: Standing) {
    let mut view = state.view();
    let key = operator(which).address();
    let mut validator: Validator = view.get(&key).unwrap();
    validator.standing = standing;
    view.put(&key, &validator);
    let writes = view.into_writes();
    state.advance(writes);
}

fn evidence(chain: ChainId, which: u8, height: u64, block: u8) -> DoubleSign {
    let vote = |block_id| Vote {
        kind: VoteKind::Prevote,
        height: Height::new(height),
        round: 0,
        block_id,
    };
    let block = Some(BlockId::from_bytes([block; 32]));
    DoubleSign::Vote {
        first: SignedVote::new(chain, vote(None), &operator(which)),
        second: SignedVote::new(chain, vote(block), &operator(which)),
    }
}

fn heights(reported: &[DoubleSign]) -> Vec<(Address, u64)> {
    let row = |one: &DoubleSign| (one.signer(), one.height().get());
    reported.iter().map(row).collect()
}

#[test]
fn evidence_is_reported_again_after_a_restart_until_the_chain_has_it() {
    let (chain, mut state) = state();
    at(&mut state, 5);
    let store = MemoryStore::new();
    let mut seen = DoubleSigns::recovered(&store, chain).unwrap();
    for (which, height, block) in [
        (0, 3, 1),
        (0, 3, 2),
        (0, 4, 1),
        (1, 2, 1),
        (2, 6, 1),
        (2, 7, 1),
    ] {
        seen.note(chain, evidence(chain, which, height, block), &store);
    }
    assert_eq!(seen.0.len(), 5, "a place counts once");
    // Killed before anything was reported.
    drop(seen);
    let mut seen = DoubleSigns::recovered(&store, chain).unwrap();
    let mut wanted = vec![
        (operator(0).address(), 4),
        (operator(1).address(), 2),
        (operator(2).address(), 6),
    ];
    wanted.sort_unstable();
    let reported = seen.unreported(&state.view(), &store);
    assert_eq!(heights(&reported), wanted, "the latest that is due of each");
    assert_eq!(
        seen.unreported(&state.view(), &store),
        reported,
        "until the chain has it"
    );

    let slashed_at = Height::new(9);
    stand(&mut state, 0, Standing::Frozen { slashed_at });
    wanted.retain(|(signer, _)| *signer != operator(0).address());
    assert_eq!(heights(&seen.unreported(&state.view(), &store)), wanted);
    let mut again = DoubleSigns::recovered(&store, chain).unwrap();
    assert_eq!(again.0.len(), 3, "what the chain has is forgotten for good");
    let until = Height::new(6);
    stand(&mut state, 0, Standing::Jailed { until });
    assert_eq!(
        heights(&again.unreported(&state.view(), &store)),
        wanted,
        "a vote took it back"
    );
}

#[test]
fn evidence_that_is_too_old_or_of_no_validator_is_dropped() {
    let (chain, mut state) = state();
    let store = MemoryStore::new();
    let mut seen = DoubleSigns::default();
    seen.note(chain, evidence(chain, 0, 3, 1), &store);
    seen.note(chain, evidence(chain, 50, 3, 1), &store);
    // In block 10 a contradiction of height 3 can still be shown, and in block 11 not.
    at(&mut state, 9);
    assert_eq!(
        heights(&seen.unreported(&state.view(), &store)),
        [(operator(0).address(), 3)]
    );
    at(&mut state, 10);
    assert!(seen.unreported(&state.view(), &store).is_empty());
    assert!(DoubleSigns::recovered(&store, chain).unwrap().0.is_empty());
}

#[test]
fn what_a_vote_forgave_is_dropped_and_what_is_new_stays() {
    let (chain, mut state) = state();
    let store = MemoryStore::default();
    let mut kept = DoubleSigns::default();
    at(&mut state, 9);
    for height in [4, 6, 7] {
        kept.note(chain, evidence(chain, 0, height, 1), &store);
    }
    let mut view = state.view();
    let through = Height::new(6);
    view.put(&operator(0).address(), &contradiction::Forgiven { through });
    let writes = view.into_writes();
    state.advance(writes);
    let reported = kept.unreported(&state.view(), &store);
    assert_eq!(heights(&reported), [(operator(0).address(), 7)]);
    let again = DoubleSigns::recovered(&store, chain).unwrap();
    assert_eq!(again.0.len(), 1, "what was forgiven left the disk");
}

#[test]
fn what_is_kept_is_bounded_and_only_what_proves_something() {
    let (chain, _) = state();
    let store = MemoryStore::new();
    let mut seen = DoubleSigns::default();
    for height in 1..50 {
        seen.note(chain, evidence(chain, 0, height, 1), &store);
    }
    assert_eq!(seen.0.len(), PER_SIGNER_COUNT_MAX);
    let mut forged = evidence(chain, 1, 3, 1);
    if let DoubleSign::Vote { second, .. } = &mut forged {
        second.vote.round = 1;
    }
    seen.note(chain, forged, &store);
    seen.note(
        chain,
        evidence(ChainId::from_bytes([9; 32]), 1, 3, 1),
        &store,
    );
    assert_eq!(seen.0.len(), PER_SIGNER_COUNT_MAX);
    for which in 1..100 {
        for height in 1..10 {
            seen.note(chain, evidence(chain, which, height, 1), &store);
        }
    }
    assert_eq!(seen.0.len() as u64, SLOT_COUNT);
    assert_eq!(DoubleSigns::recovered(&store, chain).unwrap().0, seen.0);
}

#[test]
fn damaged_slots_are_left_out() {
    let (chain, _) = state();
    let store = MemoryStore::new();
    store.put_local(&key(3), b"nonsense").unwrap();
    let elsewhere = evidence(ChainId::from_bytes([9; 32]), 1, 3, 1);
    store.put_local(&key(4), &encode(&elsewhere)).unwrap();
    let good = evidence(chain, 1, 3, 1);
    store.put_local(&key(5), &encode(&good)).unwrap();
    let seen = DoubleSigns::recovered(&store, chain).unwrap();
    assert_eq!(seen.0, BTreeMap::from([(5, good)]));
}
