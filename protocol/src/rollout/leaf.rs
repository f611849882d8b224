//! Leaves: everything about one sample that the miner answers for.

use super::{Digest, Finish, Payload, Sample, Seal};
use crate::{identifiers::tagged_hash, task::UnitId};
use borsh::BorshSerialize;

/// Under which a leaf binds the tokens of a response.
pub const TOKENS_TAG: &str = "cairn/rollout-tokens/v1";

/// One sample, in a fixed number of bytes whatever its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Leaf {
    /// The unit.
    pub unit: UnitId,
    /// Index of the group.
    pub group: u32,
    /// Index in the group.
    pub slot: u32,
    /// Hash of the prompt, which is not in the blob.
    pub prompt: Digest,
    /// Hash of the response.
    pub tokens: Digest,
    /// Response tokens.
    pub tokens_count: u32,
    /// Why it ended.
    pub finish: Finish,
    /// Reward in millionths.
    pub reward_micro: u32,
    /// The sealed section.
    pub sealed: Seal,
}

impl Leaf {
    /// The leaf of the sample in one place of a unit.
    #[must_use]
    pub fn of(unit: UnitId, (group, slot): (u32, u32), prompt: &[u32], sample: &Sample) -> Self {
        let Sample {
            tokens,
            finish,
            reward_micro,
            sealed,
        } = sample;
        let response = tokens.as_slice();
        Self {
            unit,
            group,
            slot,
            prompt: prompt_digest(prompt),
            tokens: tokens_digest(response),
            tokens_count: u32::try_from(response.len()).unwrap_or(u32::MAX),
            finish: *finish,
            reward_micro: *reward_micro,
            sealed: *sealed,
        }
    }
    /// What stands in the tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(tagged_hash("cairn/rollout-leaf/v1", self))
    }
}

/// What a leaf has of a prompt.
#[must_use]
pub fn prompt_digest(prompt: &[u32]) -> Digest {
    Digest::from_bytes(tagged_hash("cairn/rollout-prompt/v1", prompt))
}

/// What a leaf has of a response.
#[must_use]
pub fn tokens_digest(response: &[u32]) -> Digest {
    Digest::from_bytes(tagged_hash(TOKENS_TAG, response))
}

/// All leaves of a unit, group after group; nothing unless there is one prompt a group.
#[must_use]
pub fn leaves(payload: &Payload, prompts: &[Vec<u32>]) -> Option<Vec<Leaf>> {
    let groups = payload.groups.as_slice();
    if groups.len() != prompts.len() {
        return None;
    }
    let mut leaves = Vec::new();
    for ((group, samples), prompt) in (0..).zip(groups).zip(prompts) {
        for (slot, sample) in (0..).zip(samples.samples.as_slice()) {
            leaves.push(Leaf::of(payload.unit, (group, slot), prompt, sample));
        }
    }
    Some(leaves)
}
