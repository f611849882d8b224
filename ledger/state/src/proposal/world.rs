//! A view as governance's world.

use crate::{
    View, account, class,
    genesis::check_recipe,
    run::{self, InForce, Plants, Run, RunRecipe, Stage},
    slash, staking,
    state::{Key, Record, key_bytes},
    task::{self, BEACON_DELAY_BLOCKS},
    unit,
    validator::Validator,
};
use borsh::{BorshDeserialize, BorshSerialize, io};
use governance::{
    Parameters,
    proposal::Proposal,
    store::{self, Store},
    world::{Operator, Planted, RunStage, World},
};
use protocol::{Address, Amount, Height, ProposalId, RunId, Step, class::Class, recipe::Recipe};

/// A record of governance, as its bytes.
struct Governed(Vec<u8>);

impl BorshSerialize for Governed {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.0)
    }
}

impl BorshDeserialize for Governed {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Where a proposal lies in the state.
#[must_use]
pub fn key(id: ProposalId) -> Vec<u8> {
    let path = Path(store::key_bytes::<Proposal>(&id));
    key_bytes::<Governed>(&path)
}

impl Record for Governed {
    const TABLE: u8 = 11;
    type Key = Path;
}

/// A key of governance, as its bytes; it is the last part of an entry's key.
struct Path(Vec<u8>);

impl Key for Path {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self(std::mem::take(bytes).to_vec()))
    }
}

impl Store for View<'_> {
    fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        let record: Option<Governed> = self.get(&Path(key.to_vec()));
        record.map(|Governed(bytes)| bytes)
    }
    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.put(&Path(key), &Governed(value)),
            None => self.delete::<Governed>(&Path(key)),
        }
    }
    fn list(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let found = self.scan::<Governed>(&Path(prefix.to_vec()));
        found
            .into_iter()
            .map(|(Path(key), Governed(value))| (key, value))
            .collect()
    }
}

impl World for View<'_> {
    fn attempt<T, E>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        View::attempt(self, operation)
    }
    fn balance(&self, account: Address) -> Amount {
        account::account(self, account).balance
    }
    fn set_balance(&mut self, owner: Address, balance: Amount) {
        let mut account = account::account(self, owner);
        account.balance = balance;
        self.put(&owner, &account);
    }
    fn burn(&mut self, amount: Amount) {
        slash::burn(self, amount);
    }
    fn parameters(&self) -> Parameters {
        run::parameters(self)
    }
    fn set_parameters(&mut self, parameters: &Parameters) {
        self.put(&(), &InForce(parameters.clone()));
    }
    fn run(&self, run: RunId) -> Option<RunStage> {
        self.get::<Run>(&run).map(|run| match run.stage {
            Stage::Finished => RunStage::Finished,
            Stage::Opening { .. } | Stage::Working { .. } | Stage::Attesting { .. } => {
                RunStage::Running
            }
        })
    }
    fn create_run(
        &mut self,
        recipe: &Recipe,
        budget: Amount,
        start_at: Height,
    ) -> Result<RunId, String> {
        let runs = self.scan::<Run>(&());
        let next = runs.last().map_or(0, |(id, _)| id.get().saturating_add(1));
        check_recipe(next, recipe).map_err(|error| error.to_string())?;
        let now = run::tip(self).height.next();
        let beacon_at = start_at.max(now.saturating_add(BEACON_DELAY_BLOCKS));
        let id = RunId::new(next);
        let run = Run {
            escrow: budget,
            step: Step::ZERO,
            stage: Stage::Opening { beacon_at },
        };
        self.put(&id, &run);
        self.put(&id, &RunRecipe(recipe.clone()));
        Ok(id)
    }
    fn set_class(&mut self, class: &Class) -> Result<u32, String> {
        class::set(self, class).map_err(|error| error.to_string())
    }
    fn fund_run(&mut self, id: RunId, amount: Amount) {
        if let Some(mut run) = self.get::<Run>(&id) {
            run.escrow = run.escrow.saturating_add(amount.get());
            self.put(&id, &run);
        }
    }
    /// Units under way are still judged and paid: what they may cost stays in escrow.
    fn stop_run(&mut self, id: RunId) -> Amount {
        let Some(mut run) = self.get::<Run>(&id) else {
            return Amount::ZERO;
        };
        let units = task::units(self, id, run.step);
        let open = units
            .iter()
            .filter(|(_, unit)| !matches!(unit.stage, unit::Stage::Settled { .. }));
        let owed = open.fold(0, |sum: u64, (unit, _)| {
            sum.saturating_add(crate::reward::price(self, *unit).get())
        });
        let kept = run.escrow.min(Amount::new(owed));
        let returned = run.escrow.saturating_sub(kept.get());
        run.escrow = kept;
        run.stage = Stage::Finished;
        self.put(&id, &run);
        returned
    }
    fn operators(&self) -> Vec<Operator> {
        let validators = self.scan::<Validator>(&()).into_iter();
        let powerful = validators.filter(|(_, validator)| validator.power > 0);
        let known = powerful.map(|(operator, validator)| Operator {
            operator,
            holder: validator.holder,
            power: validator.power,
        });
        known.collect()
    }
    fn cancel_slash(&mut self, operator: Address) -> bool {
        staking::contradiction::cancel(self, operator)
    }
    fn planted(&self) -> Option<Planted> {
        let Plants { recent, .. } = self.get(&())?;
        let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Some(Planted {
            planted: count(recent.len()),
            found: count(recent.iter().filter(|is_found| **is_found).count()),
        })
    }
}
