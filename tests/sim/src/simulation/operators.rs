//! What operators do: they bring a node back that lost its store, and change a validator's key.

use super::{Event, RESTART_MS, Simulation};
use crate::{Join, joining::Source, machine::Machine};

/// How often a node without a store looks for a state before it takes every block.
const TRIES_COUNT_MAX: u32 = 6;
impl Simulation {
    /// A node without a store takes the state of others, if it should. Whether it may be started: a
    /// state whose next header is not decided yet is waited for, but not for ever.
    pub(super) fn take_state(&mut self, node: usize) -> Result<bool, String> {
        let machine = &mut self.machines[node];
        if machine.joins == Some(Join::Replay) || machine.tries_count >= TRIES_COUNT_MAX {
            machine.joins = None;
            return Ok(true);
        }
        machine.tries_count += 1;
        let sources: Vec<Source> = self.machines.iter().filter_map(Machine::source).collect();
        if sources.is_empty() {
            return Ok(false);
        }
        self.machines[node].joins = None;
        let (height, root) = self.machines[node].join(&self.genesis, &sources)?;
        self.trace.update(root.as_bytes());
        self.states_taken += 1;
        self.checker.joined(node, height, root)?;
        Ok(true)
    }

    pub(super) fn rotate(&mut self, number: usize) {
        let (_, node) = self.plan.rotations[number];
        let mut honest = self
            .machines
            .iter()
            .filter(|machine| machine.liar.is_none());
        if let Some(process) = honest.find_map(|machine| machine.process.as_ref()) {
            self.workload.rotate(&process.chain, node);
        }
        self.gossip();
    }

    pub(super) fn succeed(&mut self, node: usize) {
        if self.machines[node].is_succeeded() {
            self.machines[node].succeed();
            self.rotated += 1;
            self.at(RESTART_MS * 1_000, Event::Start(node));
        }
    }

    pub(super) fn signed_again(&self) -> u64 {
        let signs = |machine: &&Machine| {
            let last = self.checker.decided_last(&machine.key.address());
            machine.renewed_at.is_some_and(|renewed| last > renewed)
        };
        self.machines.iter().filter(signs).count() as u64
    }
}
