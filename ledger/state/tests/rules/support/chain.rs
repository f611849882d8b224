//! A chain and its replica. Every block goes through its bytes and is checked against the
//! invariants: supply, root, replica.

use super::{
    Setup,
    keys::{Validator, key},
};
use ledger_state::{
    Event, Rejection, State, View, account, apply, beacon, check_transaction, genesis, run, select,
    staking::rotation, supply, validator,
};
use protocol::{
    Address, Amount, ChainId, Height, Nonce, SigningKey, StateRoot,
    block::{self, Block, Header},
    task::UnitId,
    transaction::{self, Body, Fee, Transaction},
};
use std::collections::{BTreeMap, BTreeSet};

/// A chain in memory.
pub(crate) struct Chain {
    /// After the last block.
    pub(crate) state: State,
    /// Applies the same blocks from their bytes.
    replica: State,
    /// Its identity.
    pub(crate) id: ChainId,
    /// Its validators.
    pub(crate) validators: Vec<Validator>,
    /// Its funded miners.
    pub(crate) miners: Vec<SigningKey>,
    /// Other keys that may sit in a round.
    pub(crate) keys: Vec<SigningKey>,
    /// Everything that happened.
    pub(crate) log: Vec<(Height, Event)>,
    /// Whether miners open what is due, first thing in every block.
    pub(crate) opens: bool,
    /// Units whose miners never open them.
    pub(crate) silent: BTreeSet<UnitId>,
}

impl Chain {
    /// A chain at height zero; its miners are not registered yet.
    pub(crate) fn start(setup: &Setup) -> Self {
        let genesis = setup.genesis();
        let state = genesis::state(&genesis).unwrap();
        Self {
            replica: state.clone(),
            state,
            id: genesis.chain_id(),
            validators: setup.validators(),
            miners: (0..setup.miners_count)
                .map(|index| key("miner", index))
                .collect(),
            keys: Vec::new(),
            log: Vec::new(),
            opens: true,
            silent: BTreeSet::new(),
        }
    }
    /// A view of the state.
    pub(crate) const fn view(&self) -> View<'_> {
        self.state.view()
    }
    /// The last applied height.
    pub(crate) fn height(&self) -> Height {
        run::tip(&self.view()).height
    }
    /// Spendable tokens of an account.
    pub(crate) fn balance(&self, address: Address) -> u64 {
        account::account(&self.view(), address).balance.get()
    }
    /// A miner's key.
    pub(crate) fn miner(&self, index: usize) -> SigningKey {
        self.miners[index].clone()
    }
    /// A validator's operator key.
    pub(crate) fn operator(&self, index: usize) -> SigningKey {
        self.validators[index].operator.clone()
    }
    /// A validator's holder key.
    pub(crate) fn holder(&self, index: usize) -> SigningKey {
        self.validators[index].holder.clone()
    }
    /// The key behind an address.
    pub(crate) fn key_of(&self, address: Address) -> SigningKey {
        let validators = self
            .validators
            .iter()
            .flat_map(|v| [&v.operator, &v.holder]);
        let mut all = self.miners.iter().chain(validators).chain(&self.keys);
        all.find(|key| key.address() == address).unwrap().clone()
    }

    /// Signs, numbering each sender's transactions on from its account.
    pub(crate) fn sign(&self, content: Vec<(SigningKey, Body)>) -> Vec<transaction::Verified> {
        let mut nonces: BTreeMap<Address, Nonce> = BTreeMap::new();
        let view = self.view();
        let sign = |(key, body): (SigningKey, Body)| {
            let sender = key.address();
            let next = nonces
                .entry(sender)
                .or_insert_with(|| account::account(&view, sender).nonce);
            let nonce = *next;
            *next = next.next();
            self.sign_numbered(&key, nonce, body)
        };
        content.into_iter().map(sign).collect()
    }
    /// Signs with a given number.
    pub(crate) fn sign_numbered(
        &self,
        key: &SigningKey,
        nonce: Nonce,
        body: Body,
    ) -> transaction::Verified {
        let transaction = Transaction::new(self.id, key.address(), nonce, body);
        transaction.sign(key).verify(self.id).unwrap()
    }
    /// Signs for a fee.
    pub(crate) fn sign_offering(
        &self,
        key: &SigningKey,
        nonce: u64,
        body: Body,
        fee: Fee,
    ) -> transaction::Verified {
        let transaction = Transaction::new(self.id, key.address(), Nonce::new(nonce), body);
        let signed = transaction.with_fee(fee).sign(key);
        signed.verify(self.id).unwrap()
    }

    /// The header that the next block should have.
    pub(crate) fn header(&self) -> Header {
        self.header_of(0)
    }
    /// The header that the next block should have in a round.
    pub(crate) fn header_of(&self, round: u32) -> Header {
        let view = self.view();
        let tip = run::tip(&view);
        let sets = validator::Sets::of(&view);
        let (validators, next_validators) = sets.hashes();
        let proposer = beacon::proposer(&sets.current, tip.height.next(), round).unwrap();
        let operator = rotation::operator_of(&view, proposer).unwrap();
        Header {
            version: governance::upgrade::version_at(&view, tip.height.next()),
            chain: self.id,
            height: tip.height.next(),
            round,
            parent: tip.block,
            time_ms: tip.time_ms + 1_000,
            proposer,
            state_root: self.state.root(),
            transactions_root: StateRoot::from_bytes([0; 32]),
            validators,
            next_validators,
            beacon_proof: beacon::prove(&view, &self.key_of(operator).vrf()),
        }
    }
    /// The next block with these transactions.
    pub(crate) fn assemble(&self, transactions: Vec<transaction::Verified>) -> block::Verified {
        block::Verified::assemble(self.header(), transactions)
    }
    /// Signs and applies a block; returns what happened.
    pub(crate) fn block(&mut self, content: Vec<(SigningKey, Body)>) -> Vec<Event> {
        let mut all = if self.opens {
            self.due_openings()
        } else {
            Vec::new()
        };
        let content = self.looked(&all, content);
        all.extend(content);
        let transactions = self.sign(all);
        self.extend(transactions)
    }
    /// Applies a block of signed transactions and checks the invariants.
    pub(crate) fn extend(&mut self, transactions: Vec<transaction::Verified>) -> Vec<Event> {
        self.extend_in(0, transactions)
    }
    /// The same, proposed in a later round.
    pub(crate) fn extend_in(
        &mut self,
        round: u32,
        transactions: Vec<transaction::Verified>,
    ) -> Vec<Event> {
        super::probe::note(&self.state, &transactions);
        let block = block::Verified::assemble(self.header_of(round), transactions);
        let height = block.header().height;
        let transition = apply(&self.state, &block)
            .unwrap_or_else(|rejection| panic!("block {height} is rejected: {rejection}"));

        let bytes = block.to_block().unwrap().encode();
        let received = Block::decode(&bytes).unwrap().verify(self.id).unwrap();
        let again = apply(&self.replica, &received).unwrap();
        assert_eq!(again, transition, "the replica differs at height {height}");

        self.state.advance_to(transition.writes, transition.tree);
        self.replica.advance(again.writes);
        assert_eq!(self.state.root(), transition.root);
        // Reading everything back takes longest, so not at every height.
        if height.get().is_multiple_of(7) {
            self.replica = State::from_entries(self.replica.entries().clone());
        }
        assert_eq!(self.replica.root(), transition.root);
        assert!(
            supply::is_conserved(&self.view()),
            "supply changed at {height}"
        );
        let happened = transition.events.iter().cloned();
        self.log.extend(happened.map(|event| (height, event)));
        transition.events
    }
    /// Gives somebody tokens of the first miner's.
    pub(crate) fn fund(&mut self, to: &SigningKey, amount: u64) {
        let (to, amount) = (to.address(), Amount::new(amount));
        self.block(vec![(self.miner(0), Body::Transfer { to, amount })]);
    }
    /// Changes the state as no transaction can.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut View<'_>)) {
        let mut view = self.state.view();
        change(&mut view);
        let writes = view.into_writes();
        self.state.advance(writes.clone());
        self.replica.advance(writes);
    }
    /// Applies empty blocks.
    pub(crate) fn wait(&mut self, blocks_count: u64) {
        for _ in 0..blocks_count {
            self.block(Vec::new());
        }
    }
    /// Applies empty blocks until something holds.
    pub(crate) fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if holds(self) {
                return;
            }
            self.wait(1);
        }
        panic!("{what} did not happen within 200 blocks");
    }
    /// Applies empty blocks up to a height.
    pub(crate) fn wait_for(&mut self, height: Height) {
        self.wait_until("the height", |chain| chain.height() >= height);
    }

    /// Why a transaction cannot be in the next block. Mempool, proposer and block agree on it,
    /// and it leaves no trace.
    pub(crate) fn reject(&self, key: SigningKey, body: Body) -> Rejection {
        self.reject_after(Vec::new(), key, body)
    }
    /// The same, after others in the same block.
    pub(crate) fn reject_after(
        &self,
        before: Vec<(SigningKey, Body)>,
        key: SigningKey,
        body: Body,
    ) -> Rejection {
        let mut content = before;
        content.push((key, body));
        self.reject_signed(self.sign(content))
    }
    /// The same, for the last of some signed transactions.
    pub(crate) fn reject_signed(&self, transactions: Vec<transaction::Verified>) -> Rejection {
        let (last, before) = transactions.split_last().unwrap();
        let mut view = self.view();
        for transaction in before {
            check_transaction(&mut view, transaction).unwrap();
        }
        let root = view.root();
        let rejection = check_transaction(&mut view, last).unwrap_err();
        assert_eq!(view.root(), root, "{rejection} left a trace");

        let block = self.assemble(transactions.clone());
        assert_eq!(apply(&self.state, &block), Err(rejection.clone()));
        let chosen = select(&self.state, transactions.clone(), transactions.len());
        assert_eq!(chosen, before);
        rejection
    }
}
