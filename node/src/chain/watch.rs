//! Looks out for miners that sign two commitments to one unit. Spec: 07-verdict §8.
//!
//! Only one can be on the chain, so whoever signs two shows them to different nodes. Each node
//! remembers the first that it sees of every unit, in a block, from a peer or from a client, taken
//! or refused; another root for the same unit is a proof, which the node reports by itself until
//! the miner is slashed. What is remembered is bounded by what is assigned: one commitment of one
//! miner a unit, for the latest steps.

use ledger_state::{
    View,
    bond::{Miner, Status},
    run::Run,
    unit::Unit,
};
use protocol::{
    Signature,
    rollout::Equivocation,
    task::UnitId,
    transaction::{Body, Transaction, Verified},
};
use std::collections::BTreeMap;

/// Steps for which commitments are remembered.
const STEPS_KEPT_COUNT: u64 = 4;

/// Commitments that were seen, and pairs of them that accuse their signer.
#[derive(Debug, Default)]
pub struct Watch {
    seen: BTreeMap<UnitId, (Transaction, Signature)>,
    proofs: BTreeMap<UnitId, Equivocation>,
}

impl Watch {
    /// Looks at a transaction that its sender signed.
    pub fn observe(&mut self, view: &View<'_>, transaction: &Verified) {
        let Body::CommitRollouts { unit, .. } = transaction.body() else {
            return;
        };
        let assigned: Option<Unit> = view.get(unit);
        if assigned.is_none_or(|assigned| assigned.miner != transaction.sender()) {
            return;
        }
        let unverified = transaction.as_unverified();
        let (content, signature) = (unverified.claimed(), unverified.signature());
        match self.seen.get(unit) {
            None => {
                self.seen.insert(*unit, (content.clone(), signature));
            }
            Some((first, first_signature)) => {
                let second = (content, signature);
                let proof = Equivocation::of((first, *first_signature), second);
                if let Some(proof) = proof
                    && !self.proofs.contains_key(unit)
                {
                    let miner = transaction.sender();
                    tracing::warn!(%unit, %miner, "two commitments to one unit: reporting");
                    self.proofs.insert(*unit, proof);
                }
            }
        }
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
