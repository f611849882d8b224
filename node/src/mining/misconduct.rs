//! What a miner that deceives does about its units beyond computing them wrongly.

use super::Miner;
use crate::{
    computation::Drawing,
    rpc::{client::Client, work::Work},
};
use adversaries::{Conduct, Past};
use protocol::{
    rollout::Root,
    task::UnitId,
    transaction::{Body, Transaction},
};

impl Miner {
    /// Notes what became of its units, for one that lies until somebody notices.
    pub(super) fn note(&mut self, work: &Work) {
        if let Drawing::Cheat(cheat) = &mut self.drawing {
            let past = Past {
                unpaid_count: self.reported.len() as u64,
                is_convicted: work.steps.iter().any(|step| !step.convicted.is_empty()),
            };
            *cheat = cheat.having_seen(past);
        }
    }
    /// How it behaves about a unit.
    pub(super) fn conduct(&self, unit: UnitId) -> Conduct {
        match &self.drawing {
            Drawing::Cheat(cheat) => cheat.conduct(unit),
            Drawing::Exact | Drawing::Worker(_) => Conduct::Honest,
        }
    }
    /// Shows the last of its nodes another root than the others.
    pub(super) async fn equivocate(&self, body: &Body, work: &Work) {
        let mut other = body.clone();
        if let (Body::CommitRollouts { root, .. }, Some(node)) =
            (&mut other, self.client.nodes().last())
        {
            *root = Root::from_bytes([0x2e; 32]);
            let content = Transaction::new(self.chain, self.address, work.nonce, other);
            let client = Client::new(vec![node.clone()]);
            // Whether it is taken or refused, the node has seen it.
            drop(client.submit(&content.sign(&self.key)).await);
        }
    }
}
