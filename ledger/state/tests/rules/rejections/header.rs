//! Headers that do not follow the tip.

use super::Row;
use crate::support::{Chain, Setup};
use ledger_state::{Rejection, apply, beacon};
use protocol::{
    BlockId, Height, StateRoot, ValidatorsHash,
    block::{self, Header},
    vrf,
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
    ("ValidatorsMismatch", || {
        with(|header| header.validators = ValidatorsHash::from_bytes([7; 32]))
    }),
    ("ValidatorsMismatch", || {
        with(|header| header.next_validators = ValidatorsHash::from_bytes([7; 32]))
    }),
    ("VersionMismatch", || with(|header| header.version = 1)),
    ("ProposerUnknown", proposed_by_a_miner),
    ("ProposerUnknown", proposed_by_a_holder),
    ("ProposerOutOfTurn", proposed_by_another_validator),
    ("ProposerOutOfTurn", || with(|header| header.round += 1)),
    ("BeaconUnproven", || {
        with(|header| header.beacon_proof = vrf::Proof::from_bytes([0; vrf::PROOF_BYTES]))
    }),
    ("BeaconUnproven", proven_for_another_height),
    ("BeaconUnproven", proven_by_another_validator),
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

fn proposed_by_another_validator() -> Rejection {
    let chain = Chain::start(&Setup::default());
    let turn = chain.header().proposer;
    let others = (0..).map(|index| chain.operator(index));
    let mut others = others.filter(|operator| operator.address() != turn);
    let other = others.next().unwrap();
    rejected(&chain, |header| {
        header.proposer = other.address();
        header.beacon_proof = beacon::prove(&chain.view(), &other.vrf());
    })
}

fn proven_for_another_height() -> Rejection {
    let mut chain = Chain::start(&Setup::default());
    let before = chain.header();
    chain.wait_until("another turn", |chain| {
        let turn = chain.header().proposer;
        chain.height().get() > 0 && turn == before.proposer
    });
    rejected(&chain, |header| header.beacon_proof = before.beacon_proof)
}

fn proven_by_another_validator() -> Rejection {
    let chain = Chain::start(&Setup::default());
    rejected(&chain, |header| {
        let other = (0..3).map(|index| chain.operator(index));
        let mut other = other.filter(|operator| operator.address() != header.proposer);
        let secret = other.next().unwrap().vrf();
        header.beacon_proof = beacon::prove(&chain.view(), &secret);
    })
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
