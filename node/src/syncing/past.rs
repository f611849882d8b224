//! Blocks of the past: from a block that is certain down, each by the hash that the one after it
//! carries.

use super::peers::Peers;
use anyhow::{Context as _, Result, ensure};
use ledger_consensus::{Certificate, Validator, ValidatorSet};
use ledger_store::{Store, StoredBlock};
use light_client::Members;
use protocol::{
    ChainId, Height, TransactionId, ValidatorsHash,
    block::{BLOCK_BYTES_MAX, Block, Header, validators_hash},
    codec::{BoundedVec, Bytes, decode, encode},
    transaction::Verified,
};
use std::collections::{BTreeMap, btree_map::Entry};

/// Blocks in one answer.
pub const HISTORY_COUNT_MAX: usize = 64;
/// Bytes of blocks in one answer, beyond which no other is added.
pub const HISTORY_BYTES_TARGET: usize = 4 << 20;
/// Largest answer in bytes.
pub const HISTORY_BYTES_MAX: usize = HISTORY_BYTES_TARGET + 2 * (BLOCK_BYTES_MAX + (1 << 20));

type Wire = BoundedVec<(Bytes<BLOCK_BYTES_MAX>, Bytes<{ 1 << 16 }>), HISTORY_COUNT_MAX>;

/// Blocks found elsewhere, with their transactions.
pub type Found = BTreeMap<Height, (StoredBlock, Vec<TransactionId>)>;

/// Blocks from a height down, as they travel: each with its certificate.
///
/// # Errors
/// When one cannot be read or is larger than blocks are.
pub fn encode_blocks(store: &dyn Store, from: Height, count: usize) -> Result<Vec<u8>> {
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    for height in (1..=from.get()).rev().take(count.min(HISTORY_COUNT_MAX)) {
        let stored = match store.block(Height::new(height)) {
            Ok(Some(stored)) => stored,
            Ok(None) => break,
            // What there is, is an answer; nothing is none.
            Err(_) if !blocks.is_empty() => break,
            Err(error) => return Err(error.into()),
        };
        bytes += stored.block.len() + stored.certificate.len();
        blocks.push((Bytes::new(stored.block)?, Bytes::new(stored.certificate)?));
        if bytes > HISTORY_BYTES_TARGET {
            break;
        }
    }
    let wire: Wire = BoundedVec::new(blocks)?;
    Ok(encode(&wire))
}

/// Reads blocks with their certificates.
///
/// # Errors
/// When the bytes are something else.
pub fn decode_blocks(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let wire: Wire = decode("blocks", bytes, HISTORY_BYTES_MAX)?;
    let blocks = wire.into_vec().into_iter();
    Ok(blocks
        .map(|(block, certificate)| (block.as_slice().to_vec(), certificate.as_slice().to_vec()))
        .collect())
}

/// The identifiers of a block's transactions.
///
/// # Errors
/// When the bytes are no block of the chain.
pub fn transactions_of(block: &[u8], chain: ChainId) -> Result<Vec<TransactionId>> {
    let block = Block::decode(block)?.verify(chain)?;
    Ok(block.transactions().iter().map(Verified::id).collect())
}

/// Adds blocks before the first of a store, down to a height: those that were found here, and the
/// rest from peers.
///
/// # Errors
/// When nobody has one of them, or the store cannot be written.
pub async fn fill(
    store: &dyn Store,
    peers: &Peers,
    (chain, down_to): (ChainId, Height),
    found: &Found,
) -> Result<u64> {
    let mut sets = BTreeMap::new();
    let mut fetched = 0;
    let first = store.first()?;
    let stored = store.block(first)?.context("the first block is missing")?;
    let mut child = Block::decode(&stored.block)?.header;
    while child.height > down_to && child.height > Height::new(1) {
        let height = child.height.saturating_sub(1);
        let good = found.get(&height);
        if let Some((block, ids)) = good.filter(|(block, _)| block.block_id == child.parent) {
            store.backfill(block, ids)?;
            child = Block::decode(&block.block)?.header;
            continue;
        }
        let path = format!("/v1/history/{height}/{HISTORY_COUNT_MAX}");
        let chained = peers.ask_whom(0, &path, HISTORY_BYTES_MAX, |bytes| {
            follow(&decode_blocks(bytes)?, (chain, &child))
        });
        let (chained, node) = chained.await?;
        for (header, block, certificate, ids) in chained {
            if header.height < down_to {
                break;
            }
            if let Err(error) = certify(peers, &mut sets, (&header, &certificate)).await {
                peers.blame(&node, &format!("block {}: {error:#}", header.height));
                break;
            }
            let block = StoredBlock {
                block_id: header.id(),
                block,
                certificate: encode(&certificate),
                state_root: child.state_root,
            };
            store.backfill(&block, &ids)?;
            fetched += 1;
            child = header;
        }
    }
    Ok(fetched)
}

type Chained = (Header, Vec<u8>, Certificate, Vec<TransactionId>);

/// Blocks that lead down from a header, each the parent of the one before.
fn follow(
    blocks: &[(Vec<u8>, Vec<u8>)],
    (chain, child): (ChainId, &Header),
) -> Result<Vec<Chained>> {
    ensure!(!blocks.is_empty(), "there are no blocks");
    let mut expected = child.parent;
    let mut chained = Vec::new();
    for (bytes, certificate) in blocks {
        let block = Block::decode(bytes)?.verify(chain)?;
        ensure!(
            block.id() == expected,
            "block {} is not the parent {expected}",
            block.id()
        );
        let certificate: Certificate = decode("certificate", certificate, 1 << 16)?;
        ensure!(
            certificate.block_id == expected,
            "a certificate is of another block"
        );
        expected = block.header().parent;
        let ids = block.transactions().iter().map(Verified::id).collect();
        chained.push((block.header().clone(), bytes.clone(), certificate, ids));
    }
    Ok(chained)
}

/// A certificate must be good for those who will be served it; the block is certain already.
async fn certify(
    peers: &Peers,
    sets: &mut BTreeMap<ValidatorsHash, ValidatorSet>,
    (header, certificate): (&Header, &Certificate),
) -> Result<()> {
    let set = match sets.entry(header.validators) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(fetch_set(peers, header.validators).await?),
    };
    Ok(certificate.verify(header.chain, set)?)
}

async fn fetch_set(peers: &Peers, hash: ValidatorsHash) -> Result<ValidatorSet> {
    let path = format!("/v1/validators/{hash}");
    let set = peers.ask(0, &path, 1 << 16, |bytes| {
        let members: Members = decode("validators", bytes, 1 << 16)?;
        let found = validators_hash(members.as_slice());
        ensure!(found == hash, "the list has hash {found}, not {hash}");
        let members = members.as_slice().iter();
        let set = members.map(|(key, power)| Validator {
            key: *key,
            power: *power,
        });
        Ok(ValidatorSet::new(set.collect())?)
    });
    set.await
}
