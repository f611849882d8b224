//! What the rules need from the world: accounts, parameters, runs, validators.

use crate::{Parameters, store::Store};
use protocol::{Address, Amount, Height, RunId, class::Class, recipe::Recipe};

/// A validator as governance sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its hot key, which signals readiness.
    pub operator: Address,
    /// Its cold key, which votes.
    pub holder: Address,
    /// Its consensus power.
    pub power: u64,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunStage {
    /// Steps follow.
    Running,
    /// No more.
    Finished,
}

/// Planted faults among the last thousand, and how many of them auditors found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Planted {
    /// Faults planted.
    pub planted: u64,
    /// Faults found.
    pub found: u64,
}

/// Everything outside governance that a proposal may read or change.
pub trait World: Store + Sized {
    /// Runs `operation`; if it fails, the world is as it was before. May be nested.
    ///
    /// # Errors
    /// What the operation returned.
    fn attempt<T, E>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E>;
    /// An account's balance.
    fn balance(&self, account: Address) -> Amount;
    /// Sets an account's balance; the rules move money, they never make it.
    fn set_balance(&mut self, account: Address, balance: Amount);
    /// Counts tokens as burned.
    fn burn(&mut self, amount: Amount);
    /// The parameters in force.
    fn parameters(&self) -> Parameters;
    /// Puts parameters in force.
    fn set_parameters(&mut self, parameters: &Parameters);
    /// A run, if it exists.
    fn run(&self, run: RunId) -> Option<RunStage>;
    /// Creates a run that may pay `budget`.
    ///
    /// # Errors
    /// Why the recipe cannot run, in words.
    fn create_run(
        &mut self,
        recipe: &Recipe,
        budget: Amount,
        start_at: Height,
    ) -> Result<RunId, String>;
    /// Lists a class of miners, or gives a listed one other limits; returns the version that this
    /// makes of the table.
    ///
    /// # Errors
    /// Why the class means nothing, in words.
    fn set_class(&mut self, class: &Class) -> Result<u32, String>;
    /// Adds to what a run may pay.
    fn fund_run(&mut self, run: RunId, amount: Amount);
    /// Ends a run and gives what it had not paid.
    fn stop_run(&mut self, run: RunId) -> Amount;
    /// All validators that have power.
    fn operators(&self) -> Vec<Operator>;
    /// Takes back the slash that a validator awaits; false if it awaits none.
    fn cancel_slash(&mut self, operator: Address) -> bool;
    /// How well planted faults are found; nothing before any were planted.
    fn planted(&self) -> Option<Planted>;
}
