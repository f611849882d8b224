//! Looks out for miners that sign two commitments to one unit (Spec: 07-verdict §8), and keeps what
//! consensus saw validators sign twice (Spec: staking §6).
//!
//! Only one can be on the chain, so whoever signs two shows them to different nodes. Each node
//! remembers the first that it sees of every unit, in a block, from a peer or from a client, taken
//! or refused; another root for the same unit is a proof, which the node reports by itself until
//! the miner is slashed. What is remembered is bounded by what is assigned: one commitment of one
//! miner a unit, for the latest steps.
//!
//! A node that is restarted remembers as well: what was news is written to a ring of slots on the
//! disk, and observed again when the chain is opened. Evidence about validators is kept whole
//! (`double_signs`).

mod double_signs;

use double_signs::DoubleSigns;
use ledger_state::{
    View,
    bond::{Miner, Status},
    run::Run,
    unit::Unit,
};
use ledger_store::{Store, StoreError};
use protocol::{
    ChainId, Signature,
    codec::{decode, encode},
    rollout::Equivocation,
    task::UnitId,
    transaction::{Body, Transaction, Unverified, Verified},
    vote::DoubleSign,
};
use std::collections::BTreeMap;

/// Commitments that survive a restart: those of the latest units, two of a liar's.
const SLOTS_COUNT: u64 = 1024;
/// Most bytes of a slot: a commitment and its number.
const SLOT_BYTES_MAX: usize = 1024;
/// Steps for which commitments are remembered.
const STEPS_KEPT_COUNT: u64 = 4;

fn key(slot: u64) -> Vec<u8> {
    [&b"watch/"[..], &slot.to_be_bytes()].concat()
}

/// Commitments that were seen, and pairs of them that accuse their signer.
#[derive(Debug, Default)]
pub struct Watch {
    seen: BTreeMap<UnitId, (Transaction, Signature)>,
    proofs: BTreeMap<UnitId, Equivocation>,
    double_signs: DoubleSigns,
    /// Of the next commitment that is written to the disk.
    number: u64,
}

impl Watch {
    /// What a node of this chain had seen before it was restarted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn recovered(
        store: &dyn Store,
        chain: ChainId,
        view: &View<'_>,
    ) -> Result<Self, StoreError> {
        let mut written: Vec<(u64, Unverified)> = Vec::new();
        for slot in 0..SLOTS_COUNT {
            let bytes = store.get_local(&key(slot))?;
            let read = bytes.and_then(|bytes| decode("watched", &bytes, SLOT_BYTES_MAX).ok());
            written.extend(read);
        }
        written.sort_unstable_by_key(|(number, _)| *number);
        let mut watch = Self {
            double_signs: DoubleSigns::recovered(store, chain)?,
            ..Self::default()
        };
        for (number, transaction) in written {
            if let Ok(transaction) = transaction.verify(chain) {
                watch.observe(view, &transaction);
            }
            watch.number = number.saturating_add(1);
        }
        Ok(watch)
    }

    /// Looks at a transaction that its sender signed, and writes down what is news.
    pub fn note(&mut self, view: &View<'_>, transaction: &Verified, store: &dyn Store) {
        if !self.observe(view, transaction) {
            return;
        }
        let bytes = encode(&(self.number, transaction.as_unverified()));
        if let Err(error) = store.put_local(&key(self.number % SLOTS_COUNT), &bytes) {
            tracing::warn!("a commitment is forgotten at a restart: {error}");
        }
        self.number = self.number.saturating_add(1);
    }

    /// Looks at a transaction that its sender signed. Whether it is news: the first commitment to
    /// its unit, or one that proves a lie.
    fn observe(&mut self, view: &View<'_>, transaction: &Verified) -> bool {
        let Body::CommitRollouts { unit, .. } = transaction.body() else {
            return false;
        };
        let assigned: Option<Unit> = view.get(unit);
        if assigned.is_none_or(|assigned| assigned.miner != transaction.sender()) {
            return false;
        }
        let unverified = transaction.as_unverified();
        let (content, signature) = (unverified.claimed(), unverified.signature());
        match self.seen.get(unit) {
            None => {
                self.seen.insert(*unit, (content.clone(), signature));
                true
            }
            Some((first, first_signature)) => {
                let second = (content, signature);
                let proof = Equivocation::of((first, *first_signature), second);
                let Some(proof) = proof.filter(|_| !self.proofs.contains_key(unit)) else {
                    return false;
                };
                let miner = transaction.sender();
                tracing::warn!(%unit, %miner, "two commitments to one unit: reporting");
                self.proofs.insert(*unit, proof);
                true
            }
        }
    }

    /// Keeps the proof that a validator contradicted itself.
    pub fn note_double_sign(&mut self, chain: ChainId, evidence: DoubleSign, store: &dyn Store) {
        self.double_signs.note(chain, evidence, store);
    }

    /// Contradictions of validators that still have to be reported. Forgets what is done.
    pub fn unreported_double_signs(
        &mut self,
        view: &View<'_>,
        store: &dyn Store,
    ) -> Vec<DoubleSign> {
        self.double_signs.unreported(view, store)
    }

    /// What still has to be reported. Forgets what is old or done.
    pub fn unreported(&mut self, view: &View<'_>) -> Vec<Equivocation> {
        let is_recent = |unit: &UnitId| {
            let run: Option<Run> = view.get(&unit.run);
            run.is_some_and(|run| unit.step >= run.step.saturating_sub(STEPS_KEPT_COUNT))
        };
        self.seen.retain(|unit, _| is_recent(unit));
        self.proofs.retain(|unit, proof| {
            let miner: Option<Miner> = view.get(&proof.miner);
            let is_slashed = |miner: Miner| matches!(miner.status, Status::Slashed(_));
            is_recent(unit) && !miner.is_none_or(is_slashed)
        });
        self.proofs.values().cloned().collect()
    }
}
