#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use governance::parameters::Name;
use ledger_state::{
    apply, beacon,
    bond::{Miner, Status},
    genesis, run, select,
    validator::Sets,
};
use protocol::{
    ChainId, Micro, SigningKey, StateRoot,
    block::{self, Header},
    class::{ClassId, ClassTable, Lifetime},
    codec::Text,
    genesis::{Account, Genesis, Governance, Parameter, Validator},
    transaction::{Fee, Transaction},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Transactions that a small mempool may hold.
const COUNT_MAX: usize = 64;

/// A chain of one validator, with accounts that have tokens and idle miners that may resume.
struct World {
    chain: ChainId,
    state: State,
    operator: SigningKey,
    payers: Vec<SigningKey>,
    miners: Vec<SigningKey>,
    mempool: Mempool,
}

fn key(role: u8, index: u8) -> SigningKey {
    let mut seed = [role; 32];
    seed[0] = index;
    SigningKey::from_seed(seed)
}

fn parameter((name, value): (Name, u64)) -> Parameter {
    let name = Text::new(name.as_str()).unwrap();
    Parameter { name, value }
}

fn idle(key: &SigningKey) -> Miner {
    Miner {
        bond: Amount::ZERO,
        vrf: key.vrf().public(),
        class: ClassId::EXACT,
        status: Status::Idle,
        eligible_from: Height::ZERO,
        quota: Micro::ONE,
        judged: 0,
        units: ledger_state::bond::Units::default(),
        earned: Amount::ZERO,
        vesting: Vec::new(),
        accused: 0,
        appealed: Amount::ZERO,
        lifetime: Lifetime::default(),
    }
}

impl World {
    fn new() -> Self {
        let (operator, payers) = (key(1, 0), (0..12).map(|index| key(2, index)));
        let payers: Vec<SigningKey> = payers.collect();
        let miners: Vec<SigningKey> = (0..24).map(|index| key(3, index)).collect();
        let account = |key: &SigningKey| Account {
            address: key.address(),
            balance: Amount::new(100_000),
        };
        let genesis = Genesis {
            name: Text::new("mempool").unwrap(),
            time_ms: 1,
            validators: vec![Validator {
                operator: operator.address(),
                holder: operator.address(),
                stake: Amount::new(100),
                vrf: operator.vrf().public(),
            }],
            accounts: payers.iter().map(account).collect(),
            runs: Vec::new(),
            parameters: vec![parameter((Name::BlockGas, 100_000))],
            governance: Governance {
                day_blocks: 10,
                deposit_base: Amount::new(10),
                steward: None,
                stage: 1,
                treasury: Amount::ZERO,
            },
            classes: ClassTable::default(),
            supply_cap: Amount::new(1_000_000_000_000_000),
        };
        let mut state = genesis::state(&genesis).unwrap();
        let mut view = state.view();
        for miner in &miners {
            view.put(&miner.address(), &idle(miner));
        }
        let writes = view.into_writes();
        state.advance(writes);
        Self {
            chain: genesis.chain_id(),
            state,
            operator,
            payers,
            miners,
            mempool: Mempool::new(Limits::of(COUNT_MAX)),
        }
    }
    fn nonce(&self, sender: Address) -> Nonce {
        let at = account(&self.state.view(), sender).nonce;
        self.mempool.next_nonce(sender, at)
    }
    fn signed(&self, key: &SigningKey, nonce: Nonce, body: Body, tip: u64) -> Verified {
        let fee = match body.lane() {
            Lane::Duty => Fee::NONE,
            Lane::Paid => Fee {
                max: Amount::new(5_000 + tip),
                tip: Amount::new(tip),
            },
        };
        let content = Transaction::new(self.chain, key.address(), nonce, body);
        content.with_fee(fee).sign(key).verify(self.chain).unwrap()
    }
    fn transfer(&self, payer: usize, nonce: u64, tip: u64) -> Verified {
        let body = Body::Transfer {
            to: self.operator.address(),
            amount: Amount::new(1),
        };
        self.signed(&self.payers[payer], Nonce::new(nonce), body, tip)
    }
    fn resume(&self, miner: usize) -> Verified {
        let key = &self.miners[miner];
        self.signed(key, self.nonce(key.address()), Body::Resume, 0)
    }
    fn insert(&mut self, transaction: Verified) -> Result<(), MempoolError> {
        let inserted = self.mempool.insert(&self.state, transaction);
        self.check();
        inserted
    }
    fn block(&mut self, count_max: usize) -> Vec<Verified> {
        let chosen = select(&self.state, self.mempool.candidates(), count_max);
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
            transactions_root: StateRoot::from_bytes([0; 32]),
            validators,
            next_validators,
            beacon_proof: beacon::prove(&view, &self.operator.vrf()),
        };
        let block = block::Verified::assemble(header, chosen.clone());
        let transition = apply(&self.state, &block).unwrap();
        let height = tip.height.next();
        self.state.advance_to(transition.writes, transition.tree);
        self.mempool.retain_valid(&self.state, height);
        self.check();
        chosen
    }
    /// What holds at all times.
    fn check(&self) {
        let pool = &self.mempool;
        let paid = || pool.waiting.values().filter(|w| w.lane() == Lane::Paid);
        let bytes: usize = pool.waiting.values().map(Waiting::bytes_count).sum();
        let early_bytes: usize = pool.early.values().map(Waiting::bytes_count).sum();
        assert!(pool.waiting.len() <= COUNT_MAX);
        assert!(paid().count() <= COUNT_MAX / 4 * 3);
        assert!(pool.early.len() <= COUNT_MAX / 8);
        assert!(early_bytes <= COUNT_MAX / 8 * 2048);
        assert_eq!(pool.bytes_count(), bytes + early_bytes);
        assert_eq!(pool.paid_gas, paid().map(|w| w.gas).sum::<u64>());
        let view = self.state.view();
        let mut chain: Option<(Address, Nonce)> = None;
        for (sender, nonce) in pool.waiting.keys() {
            let expected = match chain {
                Some((last, nonce)) if last == *sender => nonce.next(),
                _ => account(&view, *sender).nonce,
            };
            assert_eq!(*nonce, expected, "a chain has a gap");
            chain = Some((*sender, *nonce));
        }
        let senders: BTreeSet<Address> = pool.waiting.keys().map(|key| key.0).collect();
        let ends: BTreeSet<End> = senders.iter().filter_map(|s| pool.end(*s)).collect();
        assert_eq!(pool.ends, ends);
        assert!(pool.written.keys().all(|sender| senders.contains(sender)));
    }
}

#[test]
fn a_paid_transaction_is_replaced_for_an_eighth_more_and_a_duty_by_the_newest() {
    let mut world = World::new();
    let insert = |world: &mut World, tip| {
        let transfer = world.transfer(0, 0, tip);
        world.insert(transfer)
    };
    insert(&mut world, 0).unwrap();
    insert(&mut world, 0).unwrap();
    insert(&mut world, 1).unwrap();
    insert(&mut world, 80).unwrap();
    let refused = insert(&mut world, 89).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "transaction has tip 89; in place of the one waiting it needs 90"
    );
    insert(&mut world, 90).unwrap();
    assert_eq!(world.mempool.count(), 1);
    let (one, other) = (world.resume(0), world.resume(0));
    world.insert(one).unwrap();
    world.insert(other.clone()).unwrap();
    assert_eq!(
        world.mempool.get(other.sender(), other.nonce()),
        Some(&other)
    );
}

#[test]
fn what_comes_early_waits_aside_until_it_follows() {
    let mut world = World::new();
    for nonce in [2, 1, 3] {
        let early = world.transfer(0, nonce, 1);
        world.insert(early).unwrap();
    }
    assert!(world.mempool.candidates().is_empty());
    let first = world.transfer(0, 0, 1);
    world.insert(first).unwrap();
    assert_eq!(world.mempool.candidates().len(), 4);
    assert_eq!(world.block(10).len(), 4);
}

#[test]
fn strangers_fill_only_what_is_kept_for_early_ones() {
    let mut world = World::new();
    for index in 0..200 {
        let stranger = key(9, index);
        let early = world.signed(&stranger, Nonce::new(1), Body::Resume, 0);
        world.insert(early).unwrap();
        let refused = world.signed(&stranger, Nonce::ZERO, Body::Resume, 0);
        assert!(world.insert(refused).is_err());
    }
    assert_eq!(world.mempool.count(), COUNT_MAX / 8);
    assert!(world.mempool.written.is_empty());
}

#[test]
fn a_full_pool_gives_way_to_more_tip_and_to_duties() {
    let mut world = World::new();
    for index in 0..COUNT_MAX / 4 * 3 {
        let (payer, nonce) = (index % 8, index as u64 / 8);
        let transfer = world.transfer(payer, nonce, 10);
        world.insert(transfer).unwrap();
    }
    let same = world.transfer(9, 0, 10);
    assert!(matches!(world.insert(same), Err(MempoolError::Full { .. })));
    let more = world.transfer(9, 0, 11);
    world.insert(more).unwrap();
    assert_eq!(world.mempool.count(), COUNT_MAX / 4 * 3);
    for miner in 0..24 {
        let duty = world.resume(miner);
        world.insert(duty).unwrap();
    }
    assert_eq!(world.mempool.count(), COUNT_MAX);
    let rich = world.transfer(10, 0, 5_000);
    world.insert(rich).unwrap();
    let duties = world.mempool.candidates().into_iter();
    let duties = duties.filter(|waiting| waiting.body().lane() == Lane::Duty);
    assert_eq!(duties.count(), 24, "no duty gave way");
    let chosen = world.block(usize::MAX);
    assert!(chosen[..24].iter().all(|t| t.body().lane() == Lane::Duty));
}

#[test]
fn what_nobody_could_use_is_forgotten_with_what_follows_it() {
    let mut world = World::new();
    for nonce in 0..3 {
        let transfer = world.transfer(0, nonce, 0);
        world.insert(transfer).unwrap();
    }
    for height in 1..AGE_BLOCKS_MAX {
        world.block(0);
        assert_eq!(world.mempool.count(), 3, "at {height}");
    }
    world.block(0);
    assert_eq!((world.mempool.count(), world.mempool.bytes_count()), (0, 0));
}

#[test]
fn a_tip_for_the_next_block_is_needed_only_where_not_everything_fits() {
    let mut world = World::new();
    for index in 0..8 {
        let transfer = world.transfer(index, 0, 60 * index as u64);
        world.insert(transfer).unwrap();
    }
    let gas = fee::gas(&world.transfer(0, 0, 0));
    assert_eq!(world.mempool.tip_to_be_next(8 * gas), 0);
    let needed = world.mempool.tip_to_be_next(3 * gas);
    let fourth = 60 * 4 * PRICED_GAS / gas;
    assert!(
        needed > fourth && needed < fourth * 9 / 8 + 2,
        "{needed} after {fourth}"
    );
}

/// Everything at once, at random: spam, duties, early ones, replacements, blocks.
#[test]
fn a_random_workload_keeps_every_bound_and_starves_no_duty() {
    for seed in 0..24 {
        eprintln!("seed {seed}");
        walk(seed);
    }
}

fn walk(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let mut landed = BTreeSet::new();
    for height in 0..20 {
        for _ in 0..random.gen_range(0..40) {
            let payer = random.gen_range(0..world.payers.len());
            let at = world.nonce(world.payers[payer].address()).get();
            let nonce = match random.gen_range(0..4) {
                0 => at + random.gen_range(0..4),
                1 => at.saturating_sub(random.gen_range(0..3)),
                _ => at,
            };
            let spam = world.transfer(payer, nonce, random.gen_range(0..100));
            drop(world.insert(spam));
        }
        let miner = random.gen_range(0..world.miners.len());
        let sender = world.miners[miner].address();
        let mut due = None;
        if !landed.contains(&sender) {
            let duty = world.resume(miner);
            world.insert(duty).unwrap();
            due = Some(sender);
        }
        let chosen = world.block(random.gen_range(1..30));
        if let Some(sender) = due {
            assert_eq!(chosen[0].sender(), sender, "a duty waits at {height}");
            landed.insert(sender);
        }
        let mut last: BTreeMap<Address, Nonce> = BTreeMap::new();
        for transaction in chosen {
            let before = last.insert(transaction.sender(), transaction.nonce());
            assert!(before.is_none_or(|nonce| nonce.next() == transaction.nonce()));
        }
    }
}
