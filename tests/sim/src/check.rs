//! What must hold after every step, and in the end.

use crate::{Plan, machine::Machine, plan};
use ledger_consensus::{Certificate, Message, Validator, ValidatorSet, stock::core_engine::Said};
use ledger_state::{
    State, apply, genesis, supply,
    validator::{Sets, Standing, Validator as Record},
};
use ledger_store::{Store as _, StoredBlock};
use protocol::{
    Address, BlockId, ChainId, Height, PublicKey, StateRoot, TransactionId,
    block::{self, Block},
    codec::decode,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What is wrong, when, and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Fact and values.
    pub what: String,
    /// Milliseconds of virtual time since the beginning.
    pub at_ms: u64,
    /// The command that repeats it.
    pub command: String,
    /// Of everything up to then.
    pub trace: [u8; 32],
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            at_ms,
            command,
            trace,
        } = self;
        let trace = blake3::Hash::from_bytes(*trace).to_hex();
        write!(f, "{what}, at {at_ms} ms (trace {trace}); again: {command}")
    }
}

/// A block as the first honest node that committed it had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Agreed {
    id: BlockId,
    root: StateRoot,
}

/// Follows all honest nodes.
#[derive(Debug)]
pub struct Checker {
    chain: ChainId,
    /// Applies every block that any honest node commits first, by the rules alone.
    replica: State,
    agreed: BTreeMap<Height, Agreed>,
    transactions: BTreeSet<TransactionId>,
    nonces: BTreeMap<Address, u64>,
    /// What honest keys signed.
    signed: BTreeMap<(PublicKey, Height, u32, Message), [u8; 32]>,
    /// The last height that a key helped to decide.
    decided: BTreeMap<PublicKey, Height>,
    /// Keys of honest nodes, those of later included.
    honest: BTreeSet<PublicKey>,
    /// Operators of honest nodes.
    operators: BTreeSet<Address>,
    liars: BTreeSet<PublicKey>,
    /// Heights whose validator set was another than the one before.
    pub(crate) sets_changed: u64,
    /// Whether liars have a third of the power: then nothing is promised.
    pub(crate) is_void: bool,
}

type Found = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Found {
    if holds { Ok(()) } else { Err(what()) }
}

impl Checker {
    pub(crate) fn new(plan: &Plan) -> Self {
        let all = (0..plan.stakes.len()).map(|node| plan::operator(node).address());
        let liars = plan.liars.iter();
        let liars: BTreeSet<PublicKey> = liars
            .map(|(node, _)| plan::operator(*node).address())
            .collect();
        let genesis = plan.genesis();
        let operators: BTreeSet<Address> = all.filter(|key| !liars.contains(key)).collect();
        let rotate = plan.rotations.iter();
        let successors = rotate.map(|(_, node)| plan::successor(*node).address());
        Self {
            chain: genesis.chain_id(),
            replica: genesis::state(&genesis).unwrap(),
            agreed: BTreeMap::new(),
            transactions: BTreeSet::new(),
            nonces: BTreeMap::new(),
            signed: BTreeMap::new(),
            decided: BTreeMap::new(),
            honest: operators.iter().copied().chain(successors).collect(),
            operators,
            liars,
            sets_changed: 0,
            is_void: false,
        }
    }

    /// The highest block of all.
    pub(crate) fn height(&self) -> Height {
        let last = self.agreed.last_key_value();
        last.map_or(Height::ZERO, |(height, _)| *height)
    }

    /// A node sent this.
    pub(crate) fn heard(&mut self, said: &Said) -> Found {
        let signer = said.signer();
        if !self.honest.contains(&signer) {
            return Ok(());
        }
        let signed = said.signed(self.chain);
        let place = (signer, signed.height, signed.round, signed.message);
        let known = *self.signed.entry(place).or_insert(signed.digest);
        ensure(known == signed.digest, || {
            let (signer, height, round, message) = place;
            format!("honest {signer} signed two of {message:?} at height {height}, round {round}")
        })
    }

    /// An honest node has a new tip.
    pub(crate) fn committed(&mut self, machine: &Machine) -> Found {
        let Some(process) = &machine.process else {
            return Ok(());
        };
        let tip = process.chain.view(ledger_state::run::tip);
        let node = machine.number;
        ensure(tip.height >= machine.acknowledged, || {
            let before = machine.acknowledged;
            format!(
                "node {node} lost blocks: it had {before} and has {}",
                tip.height
            )
        })?;
        let mut height = machine.acknowledged;
        while height < tip.height {
            height = height.next();
            let stored = machine.disk.block(height).map_err(|e| e.to_string())?;
            let missing = || format!("node {node} does not have block {height}");
            self.compare(node, height, &stored.ok_or_else(missing)?)?;
        }
        let root = process.chain.view(|view| view.root());
        let agreed = self.agreed.get(&tip.height).map(|agreed| agreed.root);
        ensure(agreed.is_none_or(|agreed| agreed == root), || {
            format!("node {node} has another state after block {}", tip.height)
        })
    }

    /// A node took the state of others after a height.
    pub(crate) fn joined(&self, node: usize, height: Height, root: StateRoot) -> Found {
        let agreed = self.agreed.get(&height).map(|agreed| agreed.root);
        ensure(agreed == Some(root), || {
            format!("node {node} took a state after block {height} that nobody agreed on")
        })
    }

    fn compare(&mut self, node: usize, height: Height, stored: &StoredBlock) -> Found {
        let this = Agreed {
            id: stored.block_id,
            root: stored.state_root,
        };
        let Some(agreed) = self.agreed.get(&height) else {
            self.follow(height, stored)?;
            self.agreed.insert(height, this);
            return Ok(());
        };
        ensure(*agreed == this, || {
            let (one, other) = (agreed.id, this.id);
            format!("disagreement at height {height}: {one}, and node {node} has {other}")
        })
    }

    /// Applies a block that nobody had before.
    fn follow(&mut self, height: Height, stored: &StoredBlock) -> Found {
        let block = Block::decode(&stored.block).map_err(|e| e.to_string())?;
        let block = block.verify(self.chain).map_err(|e| e.to_string())?;
        ensure(block.id() == stored.block_id, || {
            format!("block {height} is stored under another name")
        })?;
        self.certificate(height, stored)?;
        self.transactions_of(&block)?;
        let transition = apply(&self.replica, &block)
            .map_err(|rejection| format!("block {height} breaks a rule: {rejection}"))?;
        ensure(transition.root == stored.state_root, || {
            format!("the rules give another state after block {height}")
        })?;
        let before = Sets::of(&self.replica.view()).current;
        self.replica.advance_to(transition.writes, transition.tree);
        let after = Sets::of(&self.replica.view()).current;
        self.sets_changed += u64::from(before != after);
        ensure(supply::is_conserved(&self.replica.view()), || {
            format!("supply is not genesis + minted - burned after block {height}")
        })?;
        self.standings(height)
    }

    fn certificate(&mut self, height: Height, stored: &StoredBlock) -> Found {
        let certificate: Certificate =
            decode("certificate", &stored.certificate, 1 << 20).map_err(|e| e.to_string())?;
        let sets = Sets::of(&self.replica.view()).current;
        let (liars, total) = sets.iter().fold((0, 0), |(liars, total), (key, power)| {
            let lies = if self.liars.contains(key) { *power } else { 0 };
            (liars + lies, total + power)
        });
        self.is_void |= liars * 3 >= total;
        let set = sets.into_iter();
        let set = set.map(|(key, power)| Validator { key, power }).collect();
        let set = ValidatorSet::new(set).map_err(|e| e.to_string())?;
        ensure(certificate.block_id == stored.block_id, || {
            format!("the certificate at height {height} is of another block")
        })?;
        let verified = certificate.verify(self.chain, &set);
        verified
            .map_err(|error| format!("block {height} is committed without a quorum: {error}"))?;
        let signers = certificate.signatures.as_slice().iter();
        self.decided.extend(signers.map(|(key, _)| (*key, height)));
        Ok(())
    }

    /// The last height that a key helped to decide.
    pub(crate) fn decided_last(&self, key: &PublicKey) -> Height {
        self.decided.get(key).copied().unwrap_or_default()
    }

    /// Each transaction once; of each sender in order, without a gap.
    fn transactions_of(&mut self, block: &block::Verified) -> Found {
        for transaction in block.transactions() {
            let id = transaction.id();
            ensure(self.transactions.insert(id), || {
                format!("transaction {id} is applied twice")
            })?;
            let sender = transaction.sender();
            let next = self.nonces.entry(sender).or_default();
            let nonce = transaction.nonce().get();
            ensure(nonce == *next, || {
                format!("{sender} spends its number {nonce} where {next} is due")
            })?;
            *next += 1;
        }
        Ok(())
    }

    fn standings(&self, height: Height) -> Found {
        let view = self.replica.view();
        for key in &self.operators {
            let record: Option<Record> = view.get(key);
            let standing = record.map(|record| record.standing);
            let accused = matches!(standing, Some(Standing::Frozen { .. } | Standing::Removed));
            ensure(!accused, || {
                format!("honest {key} is punished as a liar at height {height}")
            })?;
        }
        Ok(())
    }

    /// Whether the chain has found this validator out.
    pub(crate) fn is_found_out(&self, operator: Address) -> bool {
        let record: Option<Record> = self.replica.view().get(&operator);
        record.is_some_and(|record| {
            matches!(record.standing, Standing::Frozen { .. } | Standing::Removed)
        })
    }

    /// Blocks, and transactions in them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.height().get(), self.transactions.len() as u64)
    }
}
