//! Seeded bugs: the checker must find each of them, or it is of no use.

use crate::plan::operator;
use ledger_consensus::{
    Application, ApplicationError, Certificate, Check, DoubleSign, HeightParams, Validator,
    ValidatorSet,
};
use protocol::{BlockId, Height};

/// No plan has more.
const NODES_COUNT_MAX: usize = 16;

/// A bug that all nodes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A restart forgets what was signed.
    ForgetsSignatures,
    /// Every node counts its own half of the validators three times, so that half of them decide.
    CountsHalfAsQuorum,
    /// A store says that a block is written while it is not.
    LosesLastBlock,
    /// A transfer reaches its receiver twice on the disk.
    CreditsTwice,
    /// Nobody reports who contradicts itself.
    IgnoresEvidence,
}

/// An application with a bug, or without.
#[derive(Debug)]
pub(crate) struct Port<A> {
    pub(crate) inner: A,
    pub(crate) mutant: Option<Mutant>,
    /// The node's number.
    pub(crate) node: usize,
}

impl<A: Application> Application for Port<A> {
    fn tip(&self) -> (Height, BlockId) {
        self.inner.tip()
    }
    fn params(&self, height: Height) -> HeightParams {
        let mut params = self.inner.params(height);
        if self.mutant == Some(Mutant::CountsHalfAsQuorum) {
            let own_half = (self.node % 2..NODES_COUNT_MAX).step_by(2);
            let own_half: Vec<_> = own_half.map(|node| operator(node).address()).collect();
            let weigh = |validator: &Validator| {
                let is_own_half = own_half.contains(&validator.key);
                let weight = if is_own_half { 3 } else { 1 };
                Validator {
                    power: validator.power * weight,
                    ..*validator
                }
            };
            let all = params.validators.as_slice().iter();
            params.validators = ValidatorSet::new(all.map(weigh).collect()).unwrap();
        }
        params
    }
    fn propose(
        &mut self,
        height: Height,
        round: u32,
        bytes_max: u32,
        now_ms: u64,
    ) -> Result<Vec<u8>, ApplicationError> {
        self.inner.propose(height, round, bytes_max, now_ms)
    }
    fn check(&mut self, height: Height, round: u32, block: &[u8]) -> Check {
        self.inner.check(height, round, block)
    }
    fn commit(&mut self, block: &[u8], certificate: &Certificate) -> Result<(), ApplicationError> {
        self.inner.commit(block, certificate)
    }
    fn block(&self, height: Height) -> Option<(Vec<u8>, Certificate)> {
        self.inner.block(height)
    }
    fn history_min(&self) -> Height {
        self.inner.history_min()
    }
    fn evidence(&mut self, evidence: DoubleSign) {
        if self.mutant != Some(Mutant::IgnoresEvidence) {
            self.inner.evidence(evidence);
        }
    }
}
