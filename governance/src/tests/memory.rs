//! A world in memory, with an undo log.

use crate::{
    Parameters,
    store::Store,
    world::{Operator, Planted, RunStage, World},
};
use protocol::{Address, Amount, Height, RunId, class::Class, codec::encode, recipe::Recipe};
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

/// A run of the test world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MemoryRun {
    pub(crate) escrow: u64,
    pub(crate) stage: RunStage,
}

/// Everything but records; small enough to be saved whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) balances: BTreeMap<Address, u64>,
    pub(crate) burned: u64,
    pub(crate) parameters: Parameters,
    pub(crate) runs: BTreeMap<RunId, MemoryRun>,
    pub(crate) classes_version: u32,
}

/// A record's key, and the bytes that a write replaced.
type Replaced = (Vec<u8>, Option<Vec<u8>>);

/// The test world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) records: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) rest: Rest,
    pub(crate) operators: Vec<Operator>,
    pub(crate) planted: Option<Planted>,
    undo: Vec<Replaced>,
    depth: usize,
}

impl Hash for Memory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.records.hash(state);
        self.rest.balances.hash(state);
        self.rest.burned.hash(state);
        self.rest.runs.hash(state);
        encode(&self.rest.parameters).hash(state);
    }
}

impl Memory {
    /// The world as a node sees it that starts from a snapshot of the records.
    pub(crate) fn restored(&self, records: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self {
            records,
            undo: Vec::new(),
            ..self.clone()
        }
    }
}

impl Store for Memory {
    fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.records.get(key).cloned()
    }
    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let replaced = match value {
            Some(value) => self.records.insert(key.clone(), value),
            None => self.records.remove(&key),
        };
        if self.depth > 0 {
            self.undo.push((key, replaced));
        }
    }
    fn list(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let from = self.records.range(prefix.to_vec()..);
        let found = from.take_while(|(key, _)| key.starts_with(prefix));
        found
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

impl World for Memory {
    fn attempt<T, E>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let (mark, saved) = (self.undo.len(), self.rest.clone());
        self.depth += 1;
        let result = operation(self);
        self.depth -= 1;
        if result.is_err() {
            self.rest = saved;
            for (key, replaced) in self.undo.drain(mark..).rev() {
                match replaced {
                    Some(value) => self.records.insert(key, value),
                    None => self.records.remove(&key),
                };
            }
        }
        if self.depth == 0 {
            self.undo.clear();
        }
        result
    }
    fn balance(&self, account: Address) -> Amount {
        Amount::new(self.rest.balances.get(&account).copied().unwrap_or(0))
    }
    fn set_balance(&mut self, account: Address, balance: Amount) {
        self.rest.balances.insert(account, balance.get());
    }
    fn burn(&mut self, amount: Amount) {
        self.rest.burned += amount.get();
    }
    fn parameters(&self) -> Parameters {
        self.rest.parameters.clone()
    }
    fn set_parameters(&mut self, parameters: &Parameters) {
        self.rest.parameters = parameters.clone();
    }
    fn run(&self, run: RunId) -> Option<RunStage> {
        self.rest.runs.get(&run).map(|run| run.stage)
    }
    fn create_run(
        &mut self,
        recipe: &Recipe,
        budget: Amount,
        _start_at: Height,
    ) -> Result<RunId, String> {
        if recipe.model.hidden_size == 0 {
            return Err("model.hidden_size is 0".into());
        }
        let id = RunId::new(self.rest.runs.len() as u64);
        let run = MemoryRun {
            escrow: budget.get(),
            stage: RunStage::Running,
        };
        self.rest.runs.insert(id, run);
        Ok(id)
    }
    fn set_class(&mut self, class: &Class) -> Result<u32, String> {
        class.check().map_err(|error| error.to_string())?;
        self.rest.classes_version += 1;
        Ok(self.rest.classes_version)
    }
    fn cancel_slash(&mut self, _operator: Address) -> bool {
        false
    }
    fn fund_run(&mut self, run: RunId, amount: Amount) {
        self.rest.runs.get_mut(&run).unwrap().escrow += amount.get();
    }
    fn stop_run(&mut self, run: RunId) -> Amount {
        let run = self.rest.runs.get_mut(&run).unwrap();
        run.stage = RunStage::Finished;
        Amount::new(std::mem::take(&mut run.escrow))
    }
    fn operators(&self) -> Vec<Operator> {
        self.operators.clone()
    }
    fn planted(&self) -> Option<Planted> {
        self.planted
    }
}
