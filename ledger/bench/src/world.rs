//! A chain of one validator in memory: accounts that send, a crowd that only has balances, and
//! miners with units to bind.

use anyhow::{Context as _, Result, ensure};
use governance::parameters::Name;
use ledger_state::{
    State,
    account::{Account, account},
    apply, beacon, genesis, run,
    state::key_bytes,
    task,
    validator::Sets,
};
use protocol::{
    Address, Amount, BlobId, ChainId, Nonce, RunId, SigningKey, Step,
    block::{Block, Header},
    class::{ClassId, ClassTable},
    codec::Text,
    genesis::{self as wire, Genesis, Governance, Parameter, Validator},
    recipe::Recipe,
    rollout::Root,
    task::UnitKind,
    transaction::{Body, Fee, Lane, Transaction, Unverified},
};
use std::collections::BTreeMap;

/// Accounts that send.
const SENDERS_COUNT: u64 = 2_048;
/// Miners with units.
const MINERS_COUNT: u64 = 64;
/// Units of the first step.
pub(crate) const UNITS_COUNT: u32 = 2_048;

/// The chain.
pub(crate) struct World {
    chain: ChainId,
    /// After the last block.
    pub(crate) state: State,
    operator: SigningKey,
    senders: Vec<SigningKey>,
    miners: Vec<SigningKey>,
    crowd_count: u64,
}

fn key(role: u8, number: u64) -> SigningKey {
    let mut seed = [role; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(seed)
}

/// Spread like the keys of real accounts; nobody has the secret.
pub(crate) fn stranger(number: u64) -> Address {
    let seed = BlobId::of(&number.to_le_bytes());
    Address::from_bytes(*seed.as_bytes())
}

fn recipe() -> Result<Recipe> {
    let text = include_str!("../../../tests/scenarios/recipes/tiny.json");
    let mut recipe: Recipe = serde_json::from_str(text).context("the tiny recipe")?;
    recipe.pretrain.units_count = UNITS_COUNT;
    recipe.schedule.miners_at_start_count = u32::try_from(MINERS_COUNT)?;
    Ok(recipe)
}

/// The genesis of a chain with these validators and balances, and large blocks.
pub(crate) fn genesis_of(
    validators: &[SigningKey],
    balances: &[(Address, u64)],
    runs: Vec<wire::Run>,
) -> Result<Genesis> {
    let validator = |key: &SigningKey| Validator {
        operator: key.address(),
        holder: key.address(),
        stake: Amount::new(1_000_000),
        vrf: key.vrf().public(),
    };
    let account = |(address, balance): &(Address, u64)| wire::Account {
        address: *address,
        balance: Amount::new(*balance),
    };
    let name = Text::new(Name::BlockGas.as_str())?;
    Ok(Genesis {
        name: Text::new("bench")?,
        time_ms: 1,
        validators: validators.iter().map(validator).collect(),
        accounts: balances.iter().map(account).collect(),
        runs,
        parameters: vec![Parameter {
            name,
            value: Name::BlockGas.bounds().max,
        }],
        governance: Governance {
            day_blocks: 100_000,
            deposit_base: Amount::new(1_000),
            steward: None,
            stage: 1,
            treasury: Amount::ZERO,
        },
        classes: ClassTable::default(),
        supply_cap: Amount::new(1_000_000_000_000_000),
    })
}

impl World {
    /// With this many accounts in all.
    pub(crate) fn new(accounts_count: u64) -> Result<Self> {
        let operator = key(1, 0);
        let senders: Vec<SigningKey> = (0..SENDERS_COUNT).map(|n| key(2, n)).collect();
        let miners: Vec<SigningKey> = (0..MINERS_COUNT).map(|n| key(3, n)).collect();
        let rich = senders.iter().chain(&miners);
        let balances: Vec<_> = rich.map(|key| (key.address(), 1_000_000_000)).collect();
        let run = wire::Run {
            recipe: recipe()?,
            escrow: Amount::new(1_000_000),
        };
        let genesis = genesis_of(std::slice::from_ref(&operator), &balances, vec![run])?;
        let crowd_count = accounts_count.saturating_sub(SENDERS_COUNT + MINERS_COUNT);
        let mut entries = genesis::state(&genesis)?.entries().clone();
        add_crowd(&mut entries, crowd_count);
        let mut world = Self {
            chain: genesis.chain_id(),
            state: State::from_entries(entries),
            operator,
            senders,
            miners,
            crowd_count,
        };
        world.assign()?;
        Ok(world)
    }
    /// Registers the miners and waits until they have units.
    fn assign(&mut self) -> Result<()> {
        let register = |key: &SigningKey| {
            let bond = Amount::new(Name::MinerBondMin.bounds().default);
            let (vrf, class) = (key.vrf().public(), ClassId::EXACT);
            (key.clone(), Body::RegisterMiner { bond, vrf, class })
        };
        let registrations = self.miners.iter().map(register).collect();
        let block = self.sign(registrations);
        self.extend(block)?;
        for _ in 0..100 {
            if !task::units(&self.state.view(), RunId::ZERO, Step::ZERO).is_empty() {
                return Ok(());
            }
            self.extend(Vec::new())?;
        }
        anyhow::bail!("no units within 100 blocks")
    }
    fn extend(&mut self, transactions: Vec<Unverified>) -> Result<()> {
        let block = self.block(transactions)?.verify(self.chain)?;
        let transition = apply(&self.state, &block)?;
        self.state.advance_to(transition.writes, transition.tree);
        Ok(())
    }
    /// The chain's identity.
    pub(crate) const fn chain(&self) -> ChainId {
        self.chain
    }
    fn sign(&self, content: Vec<(SigningKey, Body)>) -> Vec<Unverified> {
        let view = self.state.view();
        let mut nonces: BTreeMap<Address, Nonce> = BTreeMap::new();
        let sign = |(key, body): (SigningKey, Body)| {
            let sender = key.address();
            let next = nonces
                .entry(sender)
                .or_insert_with(|| account(&view, sender).nonce);
            let nonce = *next;
            *next = nonce.next();
            signed(self.chain, &key, nonce, body, 0)
        };
        content.into_iter().map(sign).collect()
    }
    /// Transfers of senders in turn to accounts anywhere.
    pub(crate) fn transfers(&self, count: usize, from: u64) -> Vec<Unverified> {
        let transfer = |(sender, number): (&SigningKey, u64)| {
            let to = stranger(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.crowd_count.max(1));
            let amount = Amount::new(1);
            (sender.clone(), Body::Transfer { to, amount })
        };
        let senders = self.senders.iter().cycle().take(count).zip(from..);
        self.sign(senders.map(transfer).collect())
    }
    /// Commitments to this many units from some one on.
    pub(crate) fn commitments(&self, from: usize, count: usize) -> Result<Vec<Unverified>> {
        let units = task::units(&self.state.view(), RunId::ZERO, Step::ZERO);
        let commit = |(unit, record): (protocol::task::UnitId, ledger_state::unit::Unit)| {
            let miner = self.miners.iter().find(|key| key.address() == record.miner);
            let body = Body::CommitGradient {
                unit,
                root: Root::from_bytes([4; 32]),
                blob: BlobId::of(&unit.index.to_le_bytes()),
                blob_bytes: 1_000,
                tokens_count: 64,
                loss_micro: 5_000_000,
                feedback: None,
            };
            Some((miner?.clone(), body))
        };
        let gradients = units
            .into_iter()
            .filter(|(id, _)| id.kind == UnitKind::Gradient);
        let chosen: Vec<_> = gradients
            .skip(from)
            .take(count)
            .filter_map(commit)
            .collect();
        ensure!(
            chosen.len() == count,
            "there are {} units; {count} are needed",
            chosen.len()
        );
        Ok(self.sign(chosen))
    }
    /// The next block with these transactions, as it travels.
    pub(crate) fn block(&self, transactions: Vec<Unverified>) -> Result<Block> {
        let view = self.state.view();
        let tip = run::tip(&view);
        let (validators, next_validators) = Sets::of(&view).hashes();
        let header = Header {
            version: 0,
            chain: self.chain,
            height: tip.height.next(),
            round: 0,
            parent: tip.block,
            time_ms: tip.time_ms,
            proposer: self.operator.address(),
            state_root: self.state.root(),
            transactions_root: Block::root_of(&transactions),
            validators,
            next_validators,
            beacon_proof: beacon::prove(&view, &self.operator.vrf()),
        };
        let transactions = protocol::codec::BoundedVec::new(transactions)?;
        Ok(Block {
            header,
            transactions,
        })
    }
    /// Makes an applied block's writes permanent.
    pub(crate) fn advance(&mut self, transition: ledger_state::Transition) {
        self.state.advance_to(transition.writes, transition.tree);
    }
}

/// A transaction that offers enough for its lane.
pub(crate) fn signed(
    chain: ChainId,
    key: &SigningKey,
    nonce: Nonce,
    body: Body,
    tip: u64,
) -> Unverified {
    let fee = match body.lane() {
        Lane::Duty => Fee::NONE,
        Lane::Paid => Fee {
            max: Amount::new(1_000 + tip),
            tip: Amount::new(tip),
        },
    };
    let content = Transaction::new(chain, key.address(), nonce, body);
    content.with_fee(fee).sign(key)
}

fn add_crowd(entries: &mut BTreeMap<Vec<u8>, Vec<u8>>, count: u64) {
    let record = Account {
        balance: Amount::new(5),
        nonce: Nonce::ZERO,
    };
    let value = protocol::codec::encode(&record);
    let crowd = (0..count).map(|n| (key_bytes::<Account>(&stranger(n)), value.clone()));
    // Built at once from sorted entries, a map takes no more room than it needs.
    let mut all: Vec<_> = std::mem::take(entries).into_iter().chain(crowd).collect();
    all.sort_unstable();
    *entries = all.into_iter().collect();
}
