//! Contradictions of validators that this node saw, until the chain has them.
//!
//! Evidence is rare, worth much, and seen by few: whoever is killed before a block holds its report
//! must still have it. So every piece is on the disk before it is reported, in one of a fixed
//! number of slots, and is read again at the next start. It goes once its signer is frozen, removed
//! or forgiven, or it has become too old to be punished. Of one signer a few pieces are kept, for
//! different places: one of them may be refused and another not.

use ledger_state::{
    View, run,
    staking::{contradiction, rotation},
    validator::{Standing, Validator},
};
use ledger_store::{Store, StoreError};
use protocol::{
    Address, ChainId, Height,
    codec::{decode, encode},
    vote::DoubleSign,
};
use std::collections::BTreeMap;

/// Pieces of evidence that are kept.
const SLOT_COUNT: u64 = 256;
/// Of one signer.
const PER_SIGNER_COUNT_MAX: usize = 4;
/// Most bytes of a piece.
const BYTES_MAX: usize = 1024;

fn key(slot: u64) -> Vec<u8> {
    [&b"double-sign/"[..], &slot.to_be_bytes()].concat()
}

/// Where a message stands: evidence about one place says the same as other evidence about it.
fn place(evidence: &DoubleSign) -> (Address, Height, u32, u8) {
    let (round, kind) = match evidence {
        DoubleSign::Vote { first, .. } => (first.vote.round, 1 + first.vote.kind as u8),
        DoubleSign::Proposal { first, .. } => (first.proposal.round, 0),
    };
    (evidence.signer(), evidence.height(), round, kind)
}

/// What was seen, by slot on the disk.
#[derive(Debug, Default)]
pub(super) struct DoubleSigns(BTreeMap<u64, DoubleSign>);

impl DoubleSigns {
    /// What was seen before a restart.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn recovered(store: &dyn Store, chain: ChainId) -> Result<Self, StoreError> {
        let mut all = BTreeMap::new();
        for slot in 0..SLOT_COUNT {
            let bytes = store.get_local(&key(slot))?.unwrap_or_default();
            if bytes.is_empty() {
                continue;
            }
            match decode::<DoubleSign>("evidence", &bytes, BYTES_MAX) {
                Ok(evidence) if evidence.verify(chain).is_ok() => {
                    all.insert(slot, evidence);
                }
                Ok(_) | Err(_) => tracing::warn!(slot, "noted evidence proves nothing"),
            }
        }
        Ok(Self(all))
    }

    /// Keeps a proof; it is on the disk when this returns.
    pub(super) fn note(&mut self, chain: ChainId, evidence: DoubleSign, store: &dyn Store) {
        if let Err(error) = evidence.verify(chain) {
            tracing::warn!("{error}");
            return;
        }
        let operator = evidence.signer();
        let known = self.0.values().any(|one| place(one) == place(&evidence));
        let own = self.0.values().filter(|one| one.signer() == operator);
        if known || own.count() >= PER_SIGNER_COUNT_MAX {
            return;
        }
        let Some(slot) = (0..SLOT_COUNT).find(|slot| !self.0.contains_key(slot)) else {
            tracing::error!(%operator, "evidence is not kept: there are {SLOT_COUNT} pieces");
            return;
        };
        let height = evidence.height();
        tracing::warn!(%operator, %height, "validator signed two messages of one place: reporting");
        if let Err(error) = store.put_local(&key(slot), &encode(&evidence)) {
            tracing::error!("evidence is forgotten at a restart: {error}");
        }
        self.0.insert(slot, evidence);
    }

    /// One proof for everybody who is to be reported, the latest. Forgets what the chain has or
    /// can no longer punish.
    pub(super) fn unreported(&mut self, view: &View<'_>, store: &dyn Store) -> Vec<DoubleSign> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let next = run::tip(view).height.next();
        let oldest = contradiction::oldest(view, next);
        self.0.retain(|slot, evidence| {
            let operator = rotation::operator_of(view, evidence.signer());
            let validator: Option<Validator> = operator.and_then(|key| view.get(&key));
            let is_open = validator.is_some_and(|validator| match validator.standing {
                Standing::Bonded | Standing::Jailed { .. } => true,
                Standing::Frozen { .. } | Standing::Removed => false,
            });
            let forgiven = operator.and_then(|key| contradiction::forgiven(view, key));
            let is_due = evidence.height() >= oldest
                && forgiven.is_none_or(|through| evidence.height() > through);
            let stays = is_open && is_due;
            if !stays && let Err(error) = store.put_local(&key(*slot), &[]) {
                tracing::warn!("evidence that is done with is read again: {error}");
            }
            stays
        });
        let mut latest: BTreeMap<Address, DoubleSign> = BTreeMap::new();
        let due = self.0.values().filter(|one| one.height() <= next);
        for evidence in due {
            let key = evidence.signer();
            let operator = rotation::operator_of(view, key).unwrap_or(key);
            let entry = latest.entry(operator).or_insert(*evidence);
            if evidence.height() > entry.height() {
                *entry = *evidence;
            }
        }
        latest.into_values().collect()
    }
}

#[cfg(test)]
mod tests;
