//! A chain in which power moves, to lead clients along and astray.

use ledger_consensus::{Certificate, SignedVote, Vote, VoteKind};
use ledger_tree::Tree;
use light_client::{Client, Evidence, Link, Members};
use protocol::{
    Address, Amount, ChainId, Height, SigningKey, StateRoot,
    block::{Header, validators_hash},
    class::ClassTable,
    codec::{BoundedVec, Text},
    genesis::{Genesis, Governance, Validator},
    vrf,
};
use std::collections::BTreeMap;

pub(crate) type Powers = Vec<(Address, u64)>;
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

/// Powers of keys by number, in order of key.
pub(crate) fn powers(of: &[(u8, u64)]) -> Powers {
    let mut powers: Powers = of
        .iter()
        .map(|(n, power)| (key(*n).address(), *power))
        .collect();
    powers.sort_unstable();
    powers
}

pub(crate) fn members(powers: &Powers) -> Members {
    BoundedVec::new(powers.clone()).unwrap()
}

pub(crate) fn entries() -> Entries {
    (0..50_u8)
        .map(|n| (vec![n, 1], vec![n; n.into()]))
        .collect()
}

/// Headers from height 1 on, and who decides each.
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) headers: Vec<Header>,
    sets: Vec<Powers>,
}

impl World {
    /// A chain decided by `sets[h]` at height h + 1; genesis is the first.
    pub(crate) fn new(sets: &[Powers]) -> Self {
        let validator = |(operator, stake): &(Address, u64)| Validator {
            operator: *operator,
            holder: *operator,
            stake: Amount::new(*stake),
            vrf: key(1).vrf().public(),
        };
        let genesis = Genesis {
            name: Text::new("light").unwrap(),
            time_ms: 1_000,
            validators: sets[0].iter().map(validator).collect(),
            accounts: Vec::new(),
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
        };
        let mut headers: Vec<Header> = Vec::new();
        for (index, pair) in sets.windows(2).enumerate() {
            let parent = headers.last().map_or(genesis.block_id(), Header::id);
            headers.push(Header {
                version: 0,
                chain: genesis.chain_id(),
                height: Height::new(index as u64 + 1),
                round: 0,
                parent,
                time_ms: 1_000 + index as u64,
                proposer: pair[0][0].0,
                state_root: Tree::of(&entries()).root(),
                transactions_root: StateRoot::from_bytes([0; 32]),
                validators: validators_hash(&pair[0]),
                next_validators: validators_hash(&pair[1]),
                beacon_proof: vrf::Proof::from_bytes([0; vrf::PROOF_BYTES]),
            });
        }
        let sets = sets.to_vec();
        Self {
            genesis,
            headers,
            sets,
        }
    }
    pub(crate) fn client(&self) -> Client {
        Client::of_genesis(&self.genesis).unwrap()
    }
    pub(crate) fn header(&self, height: u64) -> &Header {
        &self.headers[usize::try_from(height).unwrap() - 1]
    }
    pub(crate) fn set(&self, height: u64) -> &Powers {
        &self.sets[usize::try_from(height).unwrap() - 1]
    }
    /// The link to a height, signed by those of its validators whose number is given; lists of
    /// validators wherever they may be needed.
    pub(crate) fn link(&self, height: u64, signers: &[u8]) -> Link {
        let header = self.header(height).clone();
        Link {
            certificate: certify(&header, signers),
            header,
            validators: Some(members(self.set(height))),
            next_validators: Some(members(self.set(height + 1))),
        }
    }
    /// Evidence of some keys at a height.
    pub(crate) fn evidence(&self, links: Vec<Link>, keys: &[Vec<u8>]) -> Evidence {
        let entries = entries();
        let tree = Tree::of(&entries);
        Evidence {
            links: BoundedVec::new(links).unwrap(),
            state: tree.prove(keys, |key| entries.get(key).cloned()).unwrap(),
        }
    }
}

/// The precommits of these keys for a header.
pub(crate) fn certify(header: &Header, signers: &[u8]) -> Certificate {
    sign(header.chain, header, signers)
}

/// The same, for a chain of the caller's choice.
pub(crate) fn sign(chain: ChainId, header: &Header, signers: &[u8]) -> Certificate {
    let vote = Vote {
        kind: VoteKind::Precommit,
        height: header.height,
        round: header.round,
        block_id: Some(header.id()),
    };
    let signed = signers
        .iter()
        .map(|n| SignedVote::new(chain, vote, &key(*n)));
    let mut signatures: Vec<_> = signed.map(|vote| (vote.signer, vote.signature)).collect();
    signatures.sort_unstable_by_key(|(key, _)| *key);
    Certificate {
        height: header.height,
        round: header.round,
        block_id: header.id(),
        signatures: BoundedVec::new(signatures).unwrap(),
    }
}
