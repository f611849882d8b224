//! The chain that is decided, its load, and a replica that trusts no store.

use anyhow::{Context as _, Result, ensure};
use ledger_consensus::{Certificate, Validator, ValidatorSet};
use ledger_state::{State, apply, genesis, validator::Sets};
use ledger_store::Store;
use protocol::{
    Amount, Height, Nonce, SigningKey,
    block::Block,
    class::ClassTable,
    codec::{Text, decode},
    genesis::{Account, Genesis, Governance},
    transaction::{Body, Fee, Transaction, Unverified},
};
use rand::{Rng as _, rngs::StdRng};

const HOLDERS_COUNT: u64 = 40;

fn key(kind: u8, number: u64) -> SigningKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(seed)
}

pub(crate) fn operator() -> SigningKey {
    key(1, 0)
}

/// One validator, and accounts that pay one another.
pub(crate) fn chain() -> Result<Genesis> {
    let operator = operator();
    let account = |number| Account {
        address: key(2, number).address(),
        balance: Amount::new(1_000_000_000_000),
    };
    Ok(Genesis {
        name: Text::new("torture")?,
        time_ms: 1_000,
        validators: vec![protocol::genesis::Validator {
            operator: operator.address(),
            holder: key(3, 0).address(),
            stake: Amount::new(1_000),
            vrf: operator.vrf().public(),
        }],
        accounts: (0..HOLDERS_COUNT).map(account).collect(),
        runs: Vec::new(),
        parameters: Vec::new(),
        governance: Governance {
            day_blocks: 1_000,
            deposit_base: Amount::new(100),
            steward: None,
            stage: 1,
            treasury: Amount::new(0),
        },
        supply_cap: Amount::new(u64::MAX),
        classes: ClassTable::default(),
    })
}

/// A transfer by one of the holders; half of them go to accounts that are new.
pub(crate) fn transfer(
    genesis: &Genesis,
    random: &mut StdRng,
    nonce: impl Fn(&SigningKey) -> Nonce,
) -> Unverified {
    let sender = key(2, random.gen_range(0..HOLDERS_COUNT));
    let receiver = match random.gen_bool(0.5) {
        true => key(2, random.gen_range(0..HOLDERS_COUNT)).address(),
        false => protocol::Address::from_bytes(random.r#gen()),
    };
    let amount = Amount::new(random.gen_range(1..1_000));
    let body = Body::Transfer {
        to: receiver,
        amount,
    };
    let fee = Fee {
        max: Amount::new(10),
        tip: Amount::ZERO,
    };
    let content = Transaction::new(genesis.chain_id(), sender.address(), nonce(&sender), body);
    content.with_fee(fee).sign(&sender)
}

/// A state that follows blocks from genesis by the rules alone.
pub(crate) struct Replica {
    genesis: Genesis,
    pub(crate) state: State,
    pub(crate) height: Height,
}

impl Replica {
    pub(crate) fn new() -> Result<Self> {
        let genesis = chain()?;
        let state = genesis::state(&genesis)?;
        Ok(Self {
            genesis,
            state,
            height: Height::ZERO,
        })
    }
    /// Applies the blocks that are new, and compares everything that the store holds.
    pub(crate) fn follow(&mut self, store: &dyn Store) -> Result<()> {
        store.check().context("not everything is there")?;
        let Some(tip) = store.tip()? else {
            ensure!(self.height == Height::ZERO, "the store is empty");
            return Ok(());
        };
        ensure!(
            tip.height >= self.height,
            "the tip went back from {} to {}",
            self.height,
            tip.height
        );
        while self.height < tip.height {
            self.step(store)?;
        }
        let entries = store.state()?;
        ensure!(
            entries == *self.state.entries(),
            "the state at height {} has other entries than its blocks lead to",
            tip.height
        );
        ensure!(
            State::from_entries(entries).root() == tip.state_root,
            "the state at height {} has another root than the tip says",
            tip.height
        );
        Ok(())
    }
    fn step(&mut self, store: &dyn Store) -> Result<()> {
        let height = self.height.next();
        let stored = store.block(height)?;
        let stored = stored.with_context(|| format!("block {height} is missing"))?;
        let chain = self.genesis.chain_id();
        let block = Block::decode(&stored.block)?.verify(chain)?;
        let certificate: Certificate = decode("certificate", &stored.certificate, 1 << 20)?;
        let sets = Sets::of(&self.state.view()).current.into_iter();
        let set = sets.map(|(key, power)| Validator { key, power }).collect();
        certificate.verify(chain, &ValidatorSet::new(set)?)?;
        ensure!(
            certificate.block_id == block.id() && stored.block_id == block.id(),
            "block {height} is not the one that was decided"
        );
        let transition = apply(&self.state, &block)?;
        ensure!(
            transition.root == stored.state_root,
            "the state after block {height} is another"
        );
        for transaction in block.transactions() {
            let found = store.transaction_height(transaction.id())?;
            ensure!(found == Some(height), "the index lost a transaction");
        }
        self.state.advance_to(transition.writes, transition.tree);
        self.height = height;
        Ok(())
    }
}
