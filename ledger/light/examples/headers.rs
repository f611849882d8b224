//! How long a light client takes to verify 10 000 headers.
//!
//! ```sh
//! cargo run --release -p light-client --example headers
//! ```
//!
//! A chain of 10 000 headers by 4 and by 100 validators of equal power, one of whom is replaced
//! every 100 heights. Prints milliseconds of this thread's processor time for one proof of the last
//! header from genesis, with headers left out wherever two thirds of the trusted power sign; for
//! all 10 000 headers, those in between by their hashes; and for a certificate at every height.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a measurement, printed"
)]

use ledger_consensus::{Certificate, SignedVote, Vote, VoteKind};
use light_client::{Client, Link, ancestors};
use protocol::{
    Address, BlockId, ChainId, Height, SigningKey, StateRoot,
    block::{Header, validators_hash},
    codec::BoundedVec,
    vrf,
};
use rustix::time::{ClockId, clock_gettime};

const HEADERS_COUNT: u64 = 10_000;
/// Heights between two changes of the set.
const EPOCH_BLOCKS: u64 = 100;

fn now_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let from = now_ms();
    let result = work();
    (result, now_ms() - from)
}

fn key(number: u64) -> SigningKey {
    SigningKey::from_seed(seed(number))
}

fn seed(number: u64) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

/// The keys of a height's set: every epoch the oldest leaves.
fn keys(height: u64, count: u64) -> Vec<(Address, SigningKey)> {
    let first = height / EPOCH_BLOCKS;
    let mut keys: Vec<_> = (first..first + count)
        .map(|number| (key(number).address(), key(number)))
        .collect();
    keys.sort_unstable_by_key(|(address, _)| *address);
    keys
}

fn powers(keys: &[(Address, SigningKey)]) -> Vec<(Address, u64)> {
    keys.iter().map(|(address, _)| (*address, 1)).collect()
}

fn chain(count: u64) -> Vec<Link> {
    let mut parent = BlockId::from_bytes([0; 32]);
    let mut links = Vec::new();
    let mut current = keys(0, count);
    for height in 0..=HEADERS_COUNT {
        let next = match (height + 1).is_multiple_of(EPOCH_BLOCKS) {
            true => keys(height + 1, count),
            false => current.clone(),
        };
        let header = Header {
            version: 0,
            chain: ChainId::from_bytes([1; 32]),
            height: Height::new(height),
            round: 0,
            parent,
            time_ms: height,
            proposer: current[0].0,
            state_root: StateRoot::from_bytes([2; 32]),
            transactions_root: StateRoot::from_bytes([3; 32]),
            validators: validators_hash(&powers(&current)),
            next_validators: validators_hash(&powers(&next)),
            beacon_proof: vrf::Proof::from_bytes([0; vrf::PROOF_BYTES]),
        };
        parent = header.id();
        let vote = Vote {
            kind: VoteKind::Precommit,
            height: header.height,
            round: 0,
            block_id: Some(parent),
        };
        let quorum = current.len() * 2 / 3 + 1;
        let signed = current[..quorum]
            .iter()
            .map(|(_, key)| SignedVote::new(header.chain, vote, key))
            .map(|vote| (vote.signer, vote.signature));
        let certificate = Certificate {
            height: header.height,
            round: 0,
            block_id: parent,
            signatures: BoundedVec::new(signed.collect()).unwrap(),
        };
        links.push(Link {
            header,
            certificate,
            validators: Some(BoundedVec::new(powers(&current)).unwrap()),
            next_validators: Some(BoundedVec::new(powers(&next)).unwrap()),
        });
        current = next;
    }
    links
}

/// The fewest links from the first to the last: each goes as far as it can, by halves.
fn leaps(links: &[Link]) -> Vec<Link> {
    let first = &links[0];
    let mut client = Client::of_header(&first.header, first.next_validators.as_ref().unwrap());
    let client = client.as_mut().unwrap();
    let mut chosen = Vec::new();
    while (client.height().get() as usize) < links.len() - 1 {
        let at = client.height().get() as usize;
        let mut to = links.len() - 1;
        while client.advance(&links[to]).is_err() {
            to = at + (to - at) / 2;
        }
        chosen.push(links[to].clone());
    }
    chosen
}

fn measure(count: u64) {
    let links = chain(count);
    let first = &links[0];
    let client = Client::of_header(&first.header, first.next_validators.as_ref().unwrap()).unwrap();
    let chosen = leaps(&links);
    let follow = |links: &[Link]| {
        let mut client = client.clone();
        for link in links {
            client.advance(link).unwrap();
        }
        client.height()
    };
    let (height, leaps_ms) = timed(|| follow(&chosen));
    assert_eq!(height.get(), HEADERS_COUNT);
    let headers: Vec<Header> = links.iter().map(|link| link.header.clone()).collect();
    let (last, before) = headers.split_last().unwrap();
    let (_, all_ms) = timed(|| {
        follow(&chosen);
        ancestors(before, last).unwrap();
    });
    let (_, each_ms) = timed(|| follow(&links[1..]));
    println!(
        "{count} validators, {} changes: last header {leaps_ms:.1} ms by {} certificates, all \
         {HEADERS_COUNT} headers {all_ms:.1} ms, a certificate each {each_ms:.0} ms",
        HEADERS_COUNT / EPOCH_BLOCKS,
        chosen.len()
    );
}

fn main() {
    for count in [4, 100] {
        measure(count);
    }
}
