//! From one trusted validator set to later headers.

use borsh::{BorshDeserialize, BorshSerialize};
use ledger_consensus::{
    Certificate, CertificateError, VALIDATOR_COUNT_MAX, Validator, ValidatorSet, ValidatorSetError,
};
use protocol::{
    Address, BlockId, ChainId, Height, ValidatorsHash,
    block::{Header, validators_hash},
    codec::BoundedVec,
    genesis::Genesis,
};

/// Most links of one proof.
pub const LINKS_COUNT_MAX: usize = 4_096;

/// A validator set as it travels: keys with their powers, in ascending order of key.
pub type Members = BoundedVec<(Address, u64), VALIDATOR_COUNT_MAX>;

/// A later header, and what makes it final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Link {
    /// The header.
    pub header: Header,
    /// The precommits of more than two thirds of the power of its height.
    pub certificate: Certificate,
    /// Who decided it; nothing if that is the set trusted so far.
    pub validators: Option<Members>,
    /// Who decides the next height; nothing if that is the same set.
    pub next_validators: Option<Members>,
}

/// Why a header is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Another chain.
    #[error("header is of chain {found}; this chain is {expected}")]
    Chain {
        /// The header's.
        found: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// Not later than what is trusted already.
    #[error("header has height {found}; it must be above {trusted}")]
    Height {
        /// The header's.
        found: Height,
        /// Of the header trusted so far.
        trusted: Height,
    },
    /// Time went back.
    #[error("header has time {found} ms; a header below it has {trusted} ms")]
    Time {
        /// The header's.
        found: u64,
        /// Of the header trusted so far.
        trusted: u64,
    },
    /// A list of validators that is none.
    #[error("validators of header {height}: {source}")]
    Set {
        /// The header's height.
        height: Height,
        /// What is wrong.
        source: ValidatorSetError,
    },
    /// Another list than the header's.
    #[error("header {height} names validators {expected}; the list given has hash {found}")]
    Validators {
        /// The header's height.
        height: Height,
        /// Of the list.
        found: ValidatorsHash,
        /// In the header.
        expected: ValidatorsHash,
    },
    /// A certificate of another block.
    #[error("certificate is for block {found} of height {height}; the header is block {expected}")]
    Block {
        /// The certificate's height.
        height: Height,
        /// The certificate's block.
        found: BlockId,
        /// The header's.
        expected: BlockId,
    },
    /// A block cannot be decided before the round in which it was built.
    #[error("header {height} says round {found}; its certificate is of round {decided}")]
    Round {
        /// The header's height.
        height: Height,
        /// The header's round.
        found: u32,
        /// The certificate's.
        decided: u32,
    },
    /// The validators did not decide it.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its signers are strangers to whoever only knows the set trusted so far.
    #[error(
        "header {height} is signed by power {power} of {power_total} trusted at height {trusted}; \
         more than two thirds are needed to leave out what is in between"
    )]
    Untrusted {
        /// The header's height.
        height: Height,
        /// Power in the trusted set of those who signed.
        power: u64,
        /// All power of the trusted set.
        power_total: u64,
        /// Where the trusted set comes from.
        trusted: Height,
    },
    /// A header whose parent is another one.
    #[error("header {height} has parent {found}; the header before it is block {expected}")]
    Parent {
        /// The header's height.
        height: Height,
        /// In the header.
        found: BlockId,
        /// Of the header before.
        expected: BlockId,
    },
}

/// A header that validators decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The header. It binds the state before its block.
    pub header: Header,
    /// Its identifier.
    pub id: BlockId,
    /// Power of those whose signatures were checked.
    pub power: u64,
    /// Power of all validators of its height.
    pub power_total: u64,
}

/// Knows who decides the next height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    chain: ChainId,
    height: Height,
    time_ms: u64,
    set: ValidatorSet,
}

fn set_of(height: Height, members: &[(Address, u64)]) -> Result<ValidatorSet, LinkError> {
    let validator = |(key, power): &(Address, u64)| Validator {
        key: *key,
        power: *power,
    };
    ValidatorSet::new(members.iter().map(validator).collect())
        .map_err(|source| LinkError::Set { height, source })
}

fn hash_of(set: &ValidatorSet) -> ValidatorsHash {
    let members: Vec<_> = set.as_slice().iter().map(|v| (v.key, v.power)).collect();
    validators_hash(&members)
}

/// The set whose hash a header names.
fn named(
    height: Height,
    members: Option<&Members>,
    otherwise: &ValidatorSet,
    expected: ValidatorsHash,
) -> Result<ValidatorSet, LinkError> {
    let set = match members {
        Some(members) => set_of(height, members.as_slice())?,
        None => otherwise.clone(),
    };
    let found = hash_of(&set);
    if found != expected {
        return Err(LinkError::Validators {
            height,
            found,
            expected,
        });
    }
    Ok(set)
}

impl Client {
    /// Trusts a genesis.
    ///
    /// # Errors
    /// When its validators are no set.
    pub fn of_genesis(genesis: &Genesis) -> Result<Self, LinkError> {
        let members: Vec<_> = genesis
            .validators
            .iter()
            .map(|validator| (validator.operator, validator.stake.get()))
            .collect();
        Ok(Self {
            chain: genesis.chain_id(),
            height: Height::ZERO,
            time_ms: genesis.time_ms,
            set: set_of(Height::ZERO, &members)?,
        })
    }
    /// Trusts a header, for whoever has it from a source that it believes; `next` are the
    /// validators that it names for the next height.
    ///
    /// # Errors
    /// When `next` are others.
    pub fn of_header(header: &Header, next: &Members) -> Result<Self, LinkError> {
        let height = header.height;
        let set = set_of(height, next.as_slice())?;
        Ok(Self {
            chain: header.chain,
            height,
            time_ms: header.time_ms,
            set: named(height, None, &set, header.next_validators)?,
        })
    }
    /// The height trusted so far.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }
    /// When the block of that height was proposed, in milliseconds since 1970.
    #[must_use]
    pub const fn time_ms(&self) -> u64 {
        self.time_ms
    }
    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }
    /// The validators of the next height.
    #[must_use]
    pub const fn set(&self) -> &ValidatorSet {
        &self.set
    }
    /// Goes on to a later header; on failure the client is as it was.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn advance(&mut self, link: &Link) -> Result<Certified, LinkError> {
        let Link {
            header,
            certificate,
            validators,
            next_validators,
        } = link;
        let height = header.height;
        self.check_place(header)?;
        let set = named(height, validators.as_ref(), &self.set, header.validators)?;
        let next = named(
            height,
            next_validators.as_ref(),
            &set,
            header.next_validators,
        )?;
        let id = header.id();
        check_block(header, id, certificate)?;
        // What costs signatures comes last.
        if set != self.set {
            self.check_trust(height, certificate)?;
        }
        certificate.verify(self.chain, &set)?;
        (self.height, self.time_ms, self.set) = (height, header.time_ms, next);
        Ok(Certified {
            header: header.clone(),
            id,
            power: power_of(&set, certificate),
            power_total: set.power_total(),
        })
    }
    fn check_place(&self, header: &Header) -> Result<(), LinkError> {
        if header.chain != self.chain {
            return Err(LinkError::Chain {
                found: header.chain,
                expected: self.chain,
            });
        }
        if header.height <= self.height {
            return Err(LinkError::Height {
                found: header.height,
                trusted: self.height,
            });
        }
        if header.time_ms < self.time_ms {
            return Err(LinkError::Time {
                found: header.time_ms,
                trusted: self.time_ms,
            });
        }
        Ok(())
    }
    /// Whether those who signed for another set have two thirds of the power of the trusted one.
    fn check_trust(&self, height: Height, certificate: &Certificate) -> Result<(), LinkError> {
        let power = power_of(&self.set, certificate);
        // Who decides the very next height is known exactly.
        if self.set.is_quorum(power) && self.height.next() < height {
            return Ok(());
        }
        Err(LinkError::Untrusted {
            height,
            power,
            power_total: self.set.power_total(),
            trusted: self.height,
        })
    }
}

fn check_block(header: &Header, id: BlockId, certificate: &Certificate) -> Result<(), LinkError> {
    if certificate.block_id != id || certificate.height != header.height {
        return Err(LinkError::Block {
            height: certificate.height,
            found: certificate.block_id,
            expected: id,
        });
    }
    if certificate.round < header.round {
        return Err(LinkError::Round {
            height: header.height,
            found: header.round,
            decided: certificate.round,
        });
    }
    Ok(())
}

/// Power in this set of a certificate's signers, each counted once.
fn power_of(set: &ValidatorSet, certificate: &Certificate) -> u64 {
    let mut signers: Vec<_> = certificate
        .signatures
        .as_slice()
        .iter()
        .map(|s| s.0)
        .collect();
    signers.sort_unstable();
    signers.dedup();
    let powers = signers.iter().filter_map(|key| set.get(key));
    powers.fold(0, |sum, validator| sum.saturating_add(validator.power))
}

/// Whether headers, ascending, lead one to the next and then to `last`: if that one is trusted,
/// so are they, by their hashes alone.
///
/// # Errors
/// When one is not the parent of the next.
pub fn ancestors(headers: &[Header], last: &Header) -> Result<(), LinkError> {
    let mut next = last;
    for header in headers.iter().rev() {
        let expected = header.id();
        if next.parent != expected || header.height.next() != next.height {
            return Err(LinkError::Parent {
                height: next.height,
                found: next.parent,
                expected,
            });
        }
        next = header;
    }
    Ok(())
}
