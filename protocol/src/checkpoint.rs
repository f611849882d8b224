//! Checkpoints: what validators attest after a step. Spec: 09-checkpoint.

use crate::{BlobId, CheckpointId, RunId, Step};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Greedy decoding of held-out prompts by the checkpoint.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Evaluation {
    /// Prompts tried.
    pub prompts_count: u32,
    /// Answers that were exactly right.
    pub exact_count: u32,
}

/// The model and optimiser state from which step `step` starts.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Checkpoint {
    /// The run.
    pub run: RunId,
    /// The step that starts from it.
    pub step: Step,
    /// Hash of the safetensors file.
    pub model: CheckpointId,
    /// Size of the safetensors file.
    pub model_bytes: u64,
    /// Plain BLAKE3 of the weights alone, f32 little-endian in the order of the model's tensors:
    /// the name by which a dispute about a step that starts here knows them.
    pub weights: BlobId,
    /// Hash of the outer optimiser's state.
    pub outer: BlobId,
    /// Size of the outer optimiser's state.
    pub outer_bytes: u64,
    /// Held-out evaluation, when the recipe asks for one at this step.
    pub evaluation: Option<Evaluation>,
}
