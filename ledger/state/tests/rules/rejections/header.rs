//! Headers that do not follow the tip.

use super::Row;
use crate::support::{Chain, Setup};
use ledger_state::{Rejection, apply};
use protocol::{
    BlockId, Height, StateRoot,
    block::{self, Header},
};

pub(super) const ROWS: &[Row] = &[
    ("HeightNotNext", || {
        with(|header| header.height = Height::new(5))
    }),
    ("HeightNotNext", || {
        with(|header| header.height = Height::new(3))
    }),
    ("ParentMismatch", || {
        with(|header| header.parent = BlockId::from_bytes([7; 32]))
    }),
    ("StateRootMismatch", || {
        with(|header| header.state_root = StateRoot::from_bytes([7; 32]))
    }),
    ("ProposerUnknown", proposed_by_a_miner),
    ("ProposerUnknown", proposed_by_a_holder),
    ("TimeBackwards", || with(|header| header.time_ms -= 1_001)),
];

/// The fate of a fourth block whose header was changed.
fn with(change: impl FnOnce(&mut Header)) -> Rejection {
    let mut chain = Chain::start(&Setup::default());
    chain.wait(3);
    rejected(&chain, change)
}

fn rejected(chain: &Chain, change: impl FnOnce(&mut Header)) -> Rejection {
    let mut header = chain.header();
    change(&mut header);
    let block = block::Verified::assemble(header, Vec::new());
    apply(&chain.state, &block).unwrap_err()
}

fn proposed_by_a_miner() -> Rejection {
    let chain = Chain::start(&Setup::default());
    rejected(&chain, |header| header.proposer = chain.miner(0).address())
}

fn proposed_by_a_holder() -> Rejection {
    let chain = Chain::start(&Setup::default());
    rejected(&chain, |header| header.proposer = chain.holder(0).address())
}

#[test]
fn a_block_may_have_the_time_of_its_parent() {
    let mut chain = Chain::start(&Setup::default());
    chain.wait(1);
    let mut header = chain.header();
    header.time_ms -= 1_000;
    let block = block::Verified::assemble(header, Vec::new());
    assert!(apply(&chain.state, &block).is_ok());
}
