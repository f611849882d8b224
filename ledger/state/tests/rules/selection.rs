//! What a proposer selects is a block that everyone accepts.

use crate::support::{Chain, Setup};
use ledger_state::{fee::PAID_COUNT_MAX, select, select_within};
use protocol::{Amount, transaction::Body};

#[test]
fn selection_leaves_out_what_is_invalid_and_keeps_the_order() {
    let mut chain = Chain::start(&Setup::default());
    let to = chain.miner(1).address();
    let send = |amount: u64| {
        let amount = Amount::new(amount);
        Body::Transfer { to, amount }
    };
    let miner = chain.miner(0);
    let content = [10, 0, 20, 49_000, 30].map(|amount| (miner.clone(), send(amount)));
    let signed = chain.sign(content.to_vec());
    // The second is invalid, so the numbers after it do not follow.
    let chosen = select(&chain.state, signed.clone(), 10);
    assert_eq!(chosen, &signed[..1]);

    let content = [10, 20, 49_000, 30].map(|amount| (miner.clone(), send(amount)));
    let mut signed = chain.sign(content.to_vec());
    signed.push(signed[0].clone());
    signed.extend(chain.sign(vec![(chain.miner(1), Body::Resume)]));
    let chosen = select(&chain.state, signed.clone(), 10);
    assert_eq!(chosen, &signed[..4]);
    assert_eq!(select(&chain.state, signed, 3).len(), 3);
    chain.extend(chosen);
}

#[test]
fn a_selection_fits_into_a_block_by_count_and_bytes() {
    let mut chain = Chain::start(&Setup::default());
    let to = chain.miner(1).address();
    let from = chain.miner(0);
    let short = |_| {
        let amount = Amount::new(1);
        (from.clone(), Body::Transfer { to, amount })
    };
    let bytes_max = 50_000;
    let signed = chain.sign((0..3_000).map(short).collect());
    let chosen = select_within(&chain.state, signed.clone(), usize::MAX, bytes_max);
    assert!(chosen.len() < signed.len());
    let bytes: usize = chosen.iter().map(|one| one.bytes_count()).sum();
    let next = signed[chosen.len()].bytes_count();
    let paid_bytes_max = bytes_max / 5 * 4;
    assert!(bytes <= paid_bytes_max);
    assert!(bytes + next > paid_bytes_max, "the paid lane is full");
    chain.extend(chosen);

    let signed = chain.sign((0..PAID_COUNT_MAX + 1).map(short).collect());
    let chosen = select(&chain.state, signed, usize::MAX);
    assert_eq!(chosen.len(), PAID_COUNT_MAX);
    chain.extend(chosen);
}
