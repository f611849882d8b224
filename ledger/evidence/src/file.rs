//! The file: evidence, and what it is about.

use crate::{
    provenance::{self, COMMITMENTS_COUNT_MAX, Provenance},
    subject::{Record, Subject},
};
use borsh::{BorshDeserialize, BorshSerialize};
use ledger_tree::NotProven;
use light_client::{Certified, Client, Evidence, EvidenceError, LinkError, Members};
use protocol::{
    BlockId, ChainId, Height, RunId, Step, TransactionId,
    block::Header,
    codec::{BoundedVec, DecodeError, decode, encode},
    genesis::Genesis,
    task::UnitId,
    transaction::{Unverified, VerifyError},
};

/// The first bytes of every file, with the version of the format.
const MAGIC: &[u8; 16] = b"cairn proof 0002";
/// Largest file in bytes.
const FILE_BYTES_MAX: usize = 1 << 28;

/// What a file claims.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum About {
    /// What the state has under one name.
    Entry(Subject),
    /// How a checkpoint came to be.
    Provenance {
        /// The run.
        run: RunId,
        /// The step that starts from the checkpoint.
        step: Step,
        /// The commitments of all accepted units of all steps before, in order of unit.
        commitments: BoundedVec<Unverified, COMMITMENTS_COUNT_MAX>,
    },
}

/// A header to begin with instead of genesis. Who checks the file names its block; it proves
/// nothing to anyone else.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Begin {
    /// The header.
    pub header: Header,
    /// The validators that it names for the next height.
    pub next_validators: Members,
}

/// What whoever checks a file trusts.
#[derive(Clone, Copy, Debug)]
pub enum Anchor<'a> {
    /// A genesis.
    Genesis(&'a Genesis),
    /// A block that they have from a source that they believe.
    Block(BlockId),
}

/// A proof file.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct File {
    /// Where it begins; at genesis if it is nothing.
    pub begin: Option<Begin>,
    /// From there to the entries.
    pub evidence: Evidence,
    /// What they are.
    pub about: About,
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another file.
    #[error(
        "file does not begin with {:?}; it is no proof",
        String::from_utf8_lossy(MAGIC)
    )]
    NoProof,
    /// Damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The genesis, or the header that the file begins with, has no validators.
    #[error("where it begins: {0}")]
    Begin(LinkError),
    /// It proves something to others.
    #[error(
        "the file begins at block {block} of height {height}; whoever trusts that block names it, \
         genesis does not lead there"
    )]
    BeginsLater {
        /// Its height.
        height: Height,
        /// The block.
        block: BlockId,
    },
    /// It begins somewhere else.
    #[error("the file begins at {found}; you trust block {trusted}")]
    BeginsElsewhere {
        /// Its beginning.
        found: String,
        /// Who checks it trusts this.
        trusted: BlockId,
    },
    /// Headers or state do not hold.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The proof is about something else.
    #[error("{what}: {source}")]
    Open {
        /// What it should be about.
        what: String,
        /// What is missing.
        source: NotProven,
    },
    /// A record of another version.
    #[error("{what} is not a record that this version knows: {reason}")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
    /// No such run.
    #[error("there is no run {run}")]
    RunAbsent {
        /// The run.
        run: RunId,
    },
    /// No such checkpoint.
    #[error("no checkpoint of step {step} of run {run} was agreed on")]
    CheckpointAbsent {
        /// The run.
        run: RunId,
        /// The step.
        step: Step,
    },
    /// Forged.
    #[error("commitment {id}: {source}")]
    Signature {
        /// The transaction.
        id: TransactionId,
        /// What is wrong.
        source: VerifyError,
    },
    /// Another kind of transaction.
    #[error("transaction {id} commits to no unit")]
    NoCommitment {
        /// The transaction.
        id: TransactionId,
    },
    /// Nobody signed for a unit.
    #[error("unit {unit} was accepted; the file lacks what its miner signed")]
    Unsigned {
        /// The unit.
        unit: UnitId,
    },
    /// Its miner signed something else.
    #[error("what was signed about unit {unit} is not what the chain bound")]
    OtherCommitment {
        /// The unit.
        unit: UnitId,
    },
    /// A commitment of no accepted unit.
    #[error("the file has a commitment to unit {unit}, which is in no checkpoint before")]
    Superfluous {
        /// The unit.
        unit: UnitId,
    },
}

/// What a file proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// What the state has under one name, or nothing.
    Entry {
        /// The name.
        subject: Subject,
        /// What it has.
        record: Option<Box<Record>>,
    },
    /// How a checkpoint came to be.
    Provenance(Box<Provenance>),
}

/// A proven finding, and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The chain.
    pub chain: ChainId,
    /// The header; the state is the one after its parent.
    pub certified: Certified,
    /// The height of what was trusted, 0 of genesis, and its time in milliseconds since 1970.
    pub trusted: (Height, u64),
    /// Headers from there to it, itself included.
    pub links_count: usize,
    /// What is proven.
    pub finding: Finding,
}

impl File {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &encode(self)].concat()
    }
    /// Reads a file.
    ///
    /// # Errors
    /// When the bytes are not one canonical file.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let body = bytes.strip_prefix(MAGIC).ok_or(Refusal::NoProof)?;
        Ok(decode("proof", body, FILE_BYTES_MAX)?)
    }
    /// What the file begins with, if it is what is trusted.
    fn begin(&self, anchor: Anchor<'_>) -> Result<Client, Refusal> {
        let elsewhere = |found, trusted| Refusal::BeginsElsewhere { found, trusted };
        match (anchor, &self.begin) {
            (Anchor::Genesis(genesis), None) => Client::of_genesis(genesis).map_err(Refusal::Begin),
            (Anchor::Genesis(_), Some(begin)) => Err(Refusal::BeginsLater {
                height: begin.header.height,
                block: begin.header.id(),
            }),
            (Anchor::Block(trusted), None) => Err(elsewhere("genesis".to_owned(), trusted)),
            (Anchor::Block(trusted), Some(begin)) => {
                let (header, found) = (&begin.header, begin.header.id());
                if found != trusted {
                    return Err(elsewhere(format!("block {found}"), trusted));
                }
                Client::of_header(header, &begin.next_validators).map_err(Refusal::Begin)
            }
        }
    }
    /// Checks everything, from what is trusted on.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, anchor: Anchor<'_>) -> Result<Verified, Refusal> {
        let Self {
            evidence, about, ..
        } = self;
        let client = self.begin(anchor)?;
        let (chain, trusted) = (client.chain(), (client.height(), client.time_ms()));
        let held = evidence.verify(client)?;
        let finding = match about {
            About::Entry(subject) => {
                let what = || subject.to_string();
                let found = held.state.get(&subject.key());
                let found = found.map_err(|source| Refusal::Open {
                    what: what(),
                    source,
                })?;
                let record = found.map(|bytes| subject.read(bytes)).transpose();
                let record = record.map_err(|reason| Refusal::Unreadable {
                    what: what(),
                    reason,
                })?;
                Finding::Entry {
                    subject: *subject,
                    record: record.map(Box::new),
                }
            }
            About::Provenance {
                run,
                step,
                commitments,
            } => {
                let asked = (*run, *step);
                let made = provenance::verify(&held.state, chain, asked, commitments.as_slice())?;
                Finding::Provenance(Box::new(made))
            }
        };
        Ok(Verified {
            chain,
            certified: held.certified,
            trusted,
            links_count: evidence.links.as_slice().len(),
            finding,
        })
    }
}
