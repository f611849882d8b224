//! Rollouts: the blob that a rollout unit's commitment names. Spec: 02-rollout.

use crate::{
    Address,
    codec::{BoundedVec, Bytes, DecodeError, decode},
    task::UnitId,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Most prompts in a unit.
pub const GROUPS_COUNT_MAX: usize = 64;
/// Most samples of one prompt.
pub const SAMPLES_COUNT_MAX: usize = 64;
/// Most tokens in one sample's response.
pub const TOKENS_COUNT_MAX: usize = 4096;
/// Most TOPLOC proofs of one sample.
pub const PROOFS_COUNT_MAX: usize = 130;
/// Longest TOPLOC proof in bytes (k = 512).
pub const PROOF_BYTES_MAX: usize = 1026;
/// Largest rollout blob in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Positions of activations kept by each TOPLOC proof, the scheme's k.
pub const PROOF_TOP_COUNT: usize = 128;
/// Tokens covered by one TOPLOC proof after the first.
pub const PROOF_CHUNK_TOKENS: usize = 32;

/// Why a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Finish {
    /// The end-of-sequence token was drawn; it is the last token.
    EndOfSequence,
    /// The length limit was reached.
    Cap,
}

/// One sample of a group.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sample {
    /// Response token ids, the end-of-sequence token included.
    pub tokens: BoundedVec<u32, TOKENS_COUNT_MAX>,
    /// Why it ended.
    pub finish: Finish,
    /// Reward in millionths, as the environment computed it.
    pub reward_micro: u32,
    /// TOPLOC proofs over last hidden states: first the prompt, then chunks of the response.
    pub proofs: BoundedVec<Bytes<PROOF_BYTES_MAX>, PROOFS_COUNT_MAX>,
}

/// All samples of one prompt.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Group {
    /// In slot order.
    pub samples: BoundedVec<Sample, SAMPLES_COUNT_MAX>,
}

/// A rollout unit's blob.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Payload {
    /// The unit.
    pub unit: UnitId,
    /// Who computed it.
    pub miner: Address,
    /// In group order.
    pub groups: BoundedVec<Group, GROUPS_COUNT_MAX>,
}

impl Payload {
    /// Reads a blob.
    ///
    /// # Errors
    /// When the bytes are not one canonical payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("rollout payload", bytes, PAYLOAD_BYTES_MAX)
    }
    /// All samples, in order.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.groups
            .as_slice()
            .iter()
            .flat_map(|group| group.samples.as_slice())
    }
    /// The totals that the commitment repeats on chain.
    #[must_use]
    pub fn totals(&self, exact_micro: u32) -> Totals {
        let mut totals = Totals::default();
        for sample in self.samples() {
            totals.samples_count += 1;
            totals.tokens_count +=
                u32::try_from(sample.tokens.as_slice().len()).unwrap_or(u32::MAX);
            totals.reward_micro += u64::from(sample.reward_micro);
            totals.exact_count += u32::from(sample.reward_micro == exact_micro);
        }
        totals
    }
}

/// Sums over a unit's samples, repeated on chain and checked by audits.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Totals {
    /// Samples.
    pub samples_count: u32,
    /// Response tokens.
    pub tokens_count: u32,
    /// Sum of rewards in millionths.
    pub reward_micro: u64,
    /// Samples with full reward.
    pub exact_count: u32,
}
