//! How much memory a model needs, before it is loaded.
//!
//! Everything large is a vector whose length follows from the configuration, so the plan is
//! arithmetic, not measurement. All numbers are bytes; values are f32 and counted as 4.
//!
//! ```text
//! training     weights, both packings, gradients, AdamW's two moments, the round's first weights,
//!              activations of a run of rows, logits of a run, buffers of the way back
//! generation   weights, one packing, keys and values of every sequence, hidden states, logits
//! ```
//!
//! A run is as many whole sequences as fit 512 rows, or one longer sequence; so activations grow
//! with the length of a sequence, not with the batch. What is left out (tables, names, stacks,
//! the allocator's own) is a few megabytes. While a directory is read its mapped files are in
//! memory too; those pages are the system's, which takes them back when it needs them.

use crate::trainer::{Checkpointing, LOGIT_ROWS_MAX, RUN_ROWS_MAX};
use crate::transformer::attention::BLOCK_ROWS_MAX;
use crate::transformer::config::{Family, ModelConfig};
use crate::transformer::decode::PROMPT_ROWS_MAX;
use crate::transformer::parameters::Layout;

/// Bytes of an f32.
const VALUE: u64 = 4;
/// Columns of the widest panel: packed matrices are whole panels.
const PANEL: u64 = 32;

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of parameters.
    pub parameters: u64,
    /// The weights, flat.
    pub weights: u64,
    /// The matrices once more, in the order that products on the way forward read.
    pub packed: u64,
    /// The same for the way back.
    pub packed_backward: u64,
    /// One gradient a weight, and the embedding's own part.
    pub gradients: u64,
    /// `AdamW`'s two moments.
    pub optimizer: u64,
    /// The weights that a pseudo-gradient is counted from.
    pub base: u64,
    /// What all blocks keep for the way back.
    pub activations: u64,
    /// The same with [`Checkpointing::Blocks`].
    pub activations_checkpointed: u64,
    /// Gradients of a run's rows on the way back.
    pub buffers: u64,
    /// Logits of a run's rows.
    pub logits: u64,
    /// Keys and values of all sequences of the batch.
    pub cache: u64,
    /// Hidden states and logits of generation, and the buffers of a pass over prompts.
    pub generation: u64,
}

impl Plan {
    /// The plan for `batch` sequences of `length` tokens.
    #[must_use]
    pub fn new(config: &ModelConfig, batch: usize, length: usize) -> Self {
        let sizes = Sizes::new(config);
        let parameters = Layout::new(config).length() as u64;
        let (batch, length) = (batch as u64, length as u64);
        // A run is whole sequences: as many as fit, or one.
        let run = |limit: usize| (limit as u64 / length.max(1)).max(1).min(batch) * length;
        let (whole, prompt_rows) = (run(RUN_ROWS_MAX), run(PROMPT_ROWS_MAX));
        let logit_rows = whole.min(LOGIT_ROWS_MAX as u64);
        let packed = sizes.packed();
        let hidden = batch * length * sizes.hidden;
        let prompts = prompt_rows * (sizes.block() + 3 * sizes.hidden);
        let steps = batch * (2 * sizes.vocab + sizes.block());
        Self {
            parameters,
            weights: VALUE * parameters,
            packed: VALUE * packed,
            packed_backward: VALUE * sizes.packed_backward(),
            gradients: VALUE * (parameters + sizes.vocab * sizes.hidden),
            optimizer: VALUE * 2 * parameters,
            base: VALUE * parameters,
            activations: VALUE * whole * sizes.layers * sizes.block(),
            activations_checkpointed: VALUE * whole * (sizes.layers * sizes.hidden + sizes.block()),
            buffers: VALUE * (whole * sizes.backward() + sizes.mixture(length)),
            logits: VALUE * logit_rows * sizes.vocab,
            cache: VALUE * batch * sizes.cache(length),
            generation: VALUE * (hidden + steps + prompts + sizes.mixture(length)),
        }
    }

    /// Bytes of a training step.
    #[must_use]
    pub fn training(&self, checkpointing: Checkpointing) -> u64 {
        let activations = match checkpointing {
            Checkpointing::Off => self.activations,
            Checkpointing::Blocks => self.activations_checkpointed,
        };
        [
            self.weights,
            self.packed,
            self.packed_backward,
            self.gradients,
            self.optimizer,
            self.base,
            activations,
            self.buffers,
            self.logits,
        ]
        .into_iter()
        .sum()
    }

    /// Bytes of generating the whole batch at once.
    #[must_use]
    pub fn generating(&self) -> u64 {
        self.weights + self.packed + self.cache + self.generation
    }
}

/// The configuration in numbers of values.
struct Sizes {
    vocab: u64,
    hidden: u64,
    gated: u64,
    layers: u64,
    query: u64,
    key: u64,
    heads: u64,
    key_heads: u64,
    head_dim: u64,
    head_norms: bool,
}

impl Sizes {
    fn new(config: &ModelConfig) -> Self {
        Self {
            vocab: config.vocab_size as u64,
            hidden: config.hidden_size as u64,
            gated: config.intermediate_size as u64,
            layers: config.num_hidden_layers as u64,
            query: config.query_width() as u64,
            key: config.key_width() as u64,
            heads: config.num_attention_heads as u64,
            key_heads: config.num_key_value_heads as u64,
            head_dim: config.head_dim as u64,
            head_norms: config.family == Family::Qwen3,
        }
    }

    /// Width of queries, keys and values.
    fn qkv(&self) -> u64 {
        self.query + 2 * self.key
    }

    /// The matrices as panels of output columns.
    fn packed(&self) -> u64 {
        let panels = |outputs: u64| outputs.next_multiple_of(PANEL);
        let block = panels(self.qkv()) * self.hidden
            + panels(self.hidden) * self.query
            + panels(2 * self.gated) * self.hidden
            + panels(self.hidden) * self.gated;
        self.layers * block + panels(self.vocab) * self.hidden
    }

    /// The matrices as panels of input columns.
    fn packed_backward(&self) -> u64 {
        let panels = |inputs: u64| inputs.next_multiple_of(PANEL);
        let hidden = panels(self.hidden);
        let block = (self.qkv() + 2 * self.gated) * hidden
            + self.hidden * (panels(self.query) + panels(self.gated));
        self.layers * block + self.vocab * hidden
    }

    /// What one block keeps for one row.
    fn block(&self) -> u64 {
        let norms = if self.head_norms {
            self.query + self.key + self.heads + self.key_heads
        } else {
            0
        };
        let attention = 2 * self.hidden + 1 + norms + self.qkv() + self.query + 2 * self.heads;
        attention + 2 * self.hidden + 1 + 3 * self.gated
    }

    /// Gradients and residual streams of one row, outside the blocks.
    fn backward(&self) -> u64 {
        7 * self.hidden + self.qkv().max(2 * self.gated) + self.query.max(self.gated)
    }

    /// What one thread needs to mix the values of one head: packed keys, values, queries and
    /// their gradients, and the probabilities of a block of rows.
    fn mixture(&self, length: u64) -> u64 {
        length * 8 * self.head_dim + 2 * BLOCK_ROWS_MAX as u64 * length.next_multiple_of(PANEL)
    }

    /// Keys and values of one sequence.
    fn cache(&self, length: u64) -> u64 {
        let keys = length.next_multiple_of(PANEL) * self.head_dim;
        let values = self.head_dim.next_multiple_of(PANEL) * length;
        self.layers * self.key_heads * (keys + values)
    }
}
