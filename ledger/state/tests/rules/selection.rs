//! What a proposer selects is a block that everyone accepts.

use crate::support::{Chain, Setup};
use ledger_state::select;
use protocol::{
    Amount, Height,
    block::{BLOCK_BYTES_MAX, TRANSACTIONS_COUNT_MAX},
    codec::Text,
    transaction::{Action, Body},
};

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
    let long = |index: usize| {
        let title = Text::new(format!("{index:0>200}")).unwrap();
        let action = Action::ChangeParameter {
            parameter: Text::new("audit-rate").unwrap(),
            value: 500_000,
            enact_at: Height::new(1_000),
        };
        (chain.holder(0), Body::Propose { title, action })
    };
    let signed = chain.sign((0..3_000).map(long).collect());
    let chosen = select(&chain.state, signed.clone(), usize::MAX);
    assert!(chosen.len() < signed.len());
    let bytes = chain.assemble(chosen.clone()).to_block().unwrap().encode();
    let next = signed[chosen.len()].as_unverified().encode().len();
    assert!(bytes.len() <= BLOCK_BYTES_MAX);
    assert!(
        bytes.len() + next + 256 > BLOCK_BYTES_MAX,
        "the block is full"
    );
    chain.extend(chosen);

    let to = chain.miner(1).address();
    let short = |_| {
        let amount = Amount::new(1);
        (chain.miner(0), Body::Transfer { to, amount })
    };
    let signed = chain.sign((0..TRANSACTIONS_COUNT_MAX + 1).map(short).collect());
    let chosen = select(&chain.state, signed, usize::MAX);
    assert_eq!(chosen.len(), TRANSACTIONS_COUNT_MAX);
    chain.extend(chosen);
}
