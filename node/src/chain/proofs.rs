//! What the chain can prove to whoever has its genesis: headers that lead from there to the tip's,
//! and entries of the state under that one.
//!
//! A header binds the state *before* its block, and only a decided header proves anything. So the
//! chain keeps the tree before its last block, which shares nearly everything with the one after,
//! and what that block replaced. Validator sets of the past are kept as notes, by their hashes.

use super::{Chain, Shared};
use ledger_consensus::Certificate;
use ledger_state::{State, state::Writes, validator::Sets};
use ledger_store::{Store, StoreError};
use ledger_tree::{Proof, TooLarge, Tree};
use light_client::{Client, Evidence, LINKS_COUNT_MAX, Link, LinkError, Members};
use protocol::{
    Height, ValidatorsHash,
    block::{Block, Header, validators_hash},
    codec::{BoundedVec, DecodeError, decode, encode},
    genesis::Genesis,
};
use std::fmt;

/// Largest note of a validator set in bytes.
const SET_BYTES_MAX: usize = 1 << 16;
/// Largest encoded sequence of links.
const LINKS_BYTES_MAX: usize = 1 << 26;
/// The note of headers that lead from genesis to the first that a store keeps, or to one above it:
/// what a node needs to prove anything to whoever knows only genesis.
pub(crate) const ANCHOR: &[u8] = b"anchor";

/// Headers that lead from what somebody trusts to a later one.
pub type Links = BoundedVec<Link, LINKS_COUNT_MAX>;

/// Reads links.
///
/// # Errors
/// When the bytes are something else.
pub fn decode_links(bytes: &[u8]) -> Result<Links, DecodeError> {
    decode("links", bytes, LINKS_BYTES_MAX)
}

/// The state before the last block.
#[derive(Debug)]
pub(super) struct Before {
    height: Height,
    tree: Tree,
    replaced: Writes,
}

impl Before {
    /// Moves the state past the block of a height, and remembers what it was.
    pub(super) fn advance(state: &mut State, height: Height, writes: Writes, tree: Tree) -> Self {
        let before = state.tree().clone();
        Self {
            height,
            tree: before,
            replaced: state.advance_to(writes, tree),
        }
    }
    fn read(&self, state: &State, key: &[u8]) -> Option<Vec<u8>> {
        match self.replaced.get(key) {
            Some(replaced) => replaced.clone(),
            None => state.entries().get(key).cloned(),
        }
    }
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The node has not decided a block since it started.
    #[error("no block was decided since this node started; ask again after the next one")]
    TooEarly,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store has is not what the chain decided.
    #[error("block {height}: {reason}")]
    Damaged {
        /// The block.
        height: Height,
        /// What is wrong with it.
        reason: String,
    },
    /// Validators of which this node has no list.
    #[error("validators {hash} of height {height} are not known here; ask an older node")]
    ValidatorsUnknown {
        /// The height.
        height: Height,
        /// The list's hash.
        hash: ValidatorsHash,
    },
    /// What is trusted is not before what can be proven.
    #[error("proofs are by the header of height {height} now; one from height {from} has to wait")]
    Later {
        /// What is trusted.
        from: Height,
        /// What can be proven.
        height: Height,
    },
    /// Its own headers do not lead there.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// More than a proof may hold.
    #[error("{0}")]
    TooLarge(String),
}

impl From<TooLarge> for ProveError {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error.to_string())
    }
}

/// What those trust for whom something is proven.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// The genesis.
    Genesis(&'a Genesis),
    /// The header of a height.
    Header(Height),
}

fn note(hash: ValidatorsHash) -> Vec<u8> {
    [b"validators/".as_slice(), hash.as_bytes()].concat()
}

/// Notes the lists that the next headers will name, unless the state before had them.
pub(super) fn keep_sets(
    store: &dyn Store,
    state: &State,
    known: Option<&Sets>,
) -> Result<(), StoreError> {
    let sets = Sets::of(&state.view());
    for set in [&sets.current, &sets.next] {
        let is_known = known.is_some_and(|known| [&known.current, &known.next].contains(&set));
        if !is_known {
            store.put_local(&note(validators_hash(set)), &encode(set))?;
        }
    }
    Ok(())
}

fn damaged(height: Height) -> impl Fn(&dyn fmt::Display) -> ProveError {
    move |reason| ProveError::Damaged {
        height,
        reason: reason.to_string(),
    }
}

impl Chain {
    /// The height whose header certifies what [`Self::prove`] proves now.
    #[must_use]
    pub fn proven_at(&self) -> Option<Height> {
        self.read().before.as_ref().map(|before| before.height)
    }
    /// Proves what the state before the last block has under these keys, to whoever trusts the
    /// start.
    ///
    /// # Errors
    /// See [`ProveError`].
    pub fn prove(&self, start: Start<'_>, keys: &[Vec<u8>]) -> Result<Evidence, ProveError> {
        let (height, state) = self.prove_state(keys)?;
        let links = match start {
            Start::Genesis(genesis) => self.links(genesis, height)?,
            Start::Header(from) if from >= height => {
                return Err(ProveError::Later { from, height });
            }
            Start::Header(from) => self.links_from(from, height)?,
        };
        Ok(Evidence { links, state })
    }
    /// Notes how the headers from `first` on follow from genesis, before those below are dropped.
    ///
    /// # Errors
    /// See [`ProveError`].
    pub fn keep_anchor(&self, genesis: &Genesis, first: Height) -> Result<(), ProveError> {
        let links = self.links(genesis, first)?;
        Ok(self.store.put_local(ANCHOR, &encode(&links))?)
    }
    /// A header and the validators of the height after it.
    ///
    /// # Errors
    /// See [`ProveError`].
    pub fn header(&self, height: Height) -> Result<(Header, Members), ProveError> {
        let (header, _) = self.decided(height)?;
        let next = self.members(height, header.next_validators)?;
        Ok((header, next))
    }
    /// A list of validators, by its hash.
    ///
    /// # Errors
    /// When this node does not have it.
    pub fn validators(&self, hash: ValidatorsHash) -> Result<Members, ProveError> {
        self.members(Height::ZERO, hash)
    }
    fn prove_state(&self, keys: &[Vec<u8>]) -> Result<(Height, Proof), ProveError> {
        let shared = self.read();
        let Shared { state, before, .. } = &*shared;
        let before = before.as_ref().ok_or(ProveError::TooEarly)?;
        let proof = before.tree.prove(keys, |key| before.read(state, key))?;
        Ok((before.height, proof))
    }
    /// Headers that lead from genesis to a height, each as far from the one before as can be.
    ///
    /// # Errors
    /// See [`ProveError`].
    pub fn links(&self, genesis: &Genesis, to: Height) -> Result<Links, ProveError> {
        let mut client = Client::of_genesis(genesis)?;
        let mut links = Vec::new();
        // Without the first headers, those that were noted take their place.
        if self.store.first()? > Height::new(1)
            && let Some(noted) = self.store.get_local(ANCHOR)?
        {
            let noted = decode_links(&noted).map_err(|error| damaged(to)(&error))?;
            let mut along = client.clone();
            for link in noted.as_slice() {
                along.advance(link)?;
            }
            if along.height() <= to {
                (client, links) = (along, noted.into_vec());
            }
        }
        self.extend(client, links, to)
    }
    /// Headers that lead from one that somebody trusts to a later one.
    ///
    /// # Errors
    /// See [`ProveError`].
    pub fn links_from(&self, from: Height, to: Height) -> Result<Links, ProveError> {
        let (header, next) = self.header(from)?;
        self.extend(Client::of_header(&header, &next)?, Vec::new(), to)
    }
    fn extend(
        &self,
        mut client: Client,
        mut links: Vec<Link>,
        to: Height,
    ) -> Result<Links, ProveError> {
        while client.height() < to && links.len() <= LINKS_COUNT_MAX {
            let at = client.height();
            let mut ahead = to.get().saturating_sub(at.get());
            let link = loop {
                let link = self.link(at.saturating_add(ahead), &client)?;
                match client.advance(&link) {
                    Ok(_) => break link,
                    // Too much power moved in between; the next header always follows.
                    Err(LinkError::Untrusted { .. }) if ahead > 1 => ahead /= 2,
                    Err(error) => return Err(error.into()),
                }
            };
            links.push(link);
        }
        BoundedVec::new(links).map_err(|error| ProveError::TooLarge(error.to_string()))
    }
    /// A block's header and certificate.
    fn decided(&self, height: Height) -> Result<(Header, Certificate), ProveError> {
        let damaged = damaged(height);
        let stored = self.store.block(height)?;
        let stored = stored.ok_or_else(|| damaged(&"it is missing"))?;
        let header = Block::decode(&stored.block)
            .map_err(|error| damaged(&error))?
            .header;
        let certificate: Certificate =
            decode("certificate", &stored.certificate, 1 << 20).map_err(|error| damaged(&error))?;
        Ok((header, certificate))
    }
    fn link(&self, height: Height, client: &Client) -> Result<Link, ProveError> {
        let (header, certificate) = self.decided(height)?;
        let trusted: Vec<_> = client
            .set()
            .as_slice()
            .iter()
            .map(|v| (v.key, v.power))
            .collect();
        let Header {
            validators,
            next_validators,
            ..
        } = header;
        let unless = |hash: ValidatorsHash, known: ValidatorsHash| {
            let list = || self.members(height, hash);
            (hash != known).then(list).transpose()
        };
        Ok(Link {
            validators: unless(validators, validators_hash(&trusted))?,
            next_validators: unless(next_validators, validators)?,
            header,
            certificate,
        })
    }
    fn members(&self, height: Height, hash: ValidatorsHash) -> Result<Members, ProveError> {
        let stored = self.store.get_local(&note(hash))?;
        let stored = stored.ok_or(ProveError::ValidatorsUnknown { height, hash })?;
        decode("validators", &stored, SET_BYTES_MAX).map_err(|error| damaged(height)(&error))
    }
}
