//! What a training step computes with: the model's shape, the batch's, and the optimiser's numbers;
//! and what a part of a reinforcement unit does.

use crate::rows::Sequences;

/// How the rotary frequencies differ from powers of `theta`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// They do not.
    #[default]
    Default,
    /// Llama 3.1's: long waves are stretched, short ones kept, those between interpolated.
    Llama3 {
        /// By how much long waves are stretched.
        factor: f32,
        /// Waves longer than the original context divided by this are stretched in full.
        low_freq_factor: f32,
        /// Waves shorter than the original context divided by this are kept.
        high_freq_factor: f32,
        /// Context in tokens before the stretching.
        original_max_position_embeddings: usize,
    },
}

/// The shape of a model; names as in its `config.json`, sizes in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// Token ids.
    pub vocab_size: u64,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width of the gated layer.
    pub intermediate_size: u64,
    /// Blocks.
    pub layers_count: u32,
    /// Query heads.
    pub heads_count: u64,
    /// Key heads, and value heads.
    pub key_heads_count: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// Added to the mean square of a norm.
    pub eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// How they are changed.
    pub rope_scaling: RopeScaling,
    /// Whether queries, keys and values have biases (Qwen2).
    pub has_biases: bool,
    /// Whether query and key heads are normalised (Qwen3).
    pub has_head_norms: bool,
    /// Whether the embedding is the output head.
    pub is_tied: bool,
}

/// Where a block's weights begin in the flat vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Gain of the first norm.
    pub norm1: u64,
    /// Matrices of queries, keys and values.
    pub qkv: u64,
    /// Their biases.
    pub bias: u64,
    /// Gain of the norm of query heads.
    pub query_norm: u64,
    /// Gain of the norm of key heads.
    pub key_norm: u64,
    /// The last matrix of the attention.
    pub out: u64,
    /// Gain of the second norm.
    pub norm2: u64,
    /// Matrices of gate and up.
    pub gate_up: u64,
    /// The last matrix of the gated layer.
    pub down: u64,
    /// Where the next block begins.
    pub end: u64,
}

impl Model {
    /// Width of all query heads.
    #[must_use]
    pub const fn query_width(&self) -> u64 {
        self.heads_count * self.head_dim
    }
    /// Width of queries, keys and values.
    #[must_use]
    pub const fn qkv_width(&self) -> u64 {
        (self.heads_count + 2 * self.key_heads_count) * self.head_dim
    }
    /// Heads that are rotated: of queries and of keys.
    pub(crate) const fn turned_heads_count(&self) -> u64 {
        self.heads_count + self.key_heads_count
    }
    /// The key head that a query head reads.
    pub(crate) const fn key_head_of(&self, head: u64) -> u64 {
        head / (self.heads_count / self.key_heads_count)
    }
    pub(crate) const fn embedding_length(&self) -> u64 {
        self.vocab_size * self.hidden_size
    }
    /// Where the weights of block `layer` begin, in canonical order (arithmetic §4).
    #[must_use]
    pub const fn places(&self, layer: u32) -> Places {
        let (d, ff) = (self.hidden_size, self.intermediate_size);
        let bias_length = if self.has_biases { self.qkv_width() } else { 0 };
        let gain_length = if self.has_head_norms {
            self.head_dim
        } else {
            0
        };
        let length = 2 * d
            + self.qkv_width() * d
            + bias_length
            + 2 * gain_length
            + d * self.query_width()
            + 3 * d * ff;
        let norm1 = self.embedding_length() + layer as u64 * length;
        let qkv = norm1 + d;
        let bias = qkv + self.qkv_width() * d;
        let query_norm = bias + bias_length;
        let key_norm = query_norm + gain_length;
        let out = key_norm + gain_length;
        let norm2 = out + d * self.query_width();
        let gate_up = norm2 + d;
        let down = gate_up + 2 * ff * d;
        Places {
            norm1,
            qkv,
            bias,
            query_norm,
            key_norm,
            out,
            norm2,
            gate_up,
            down,
            end: down + d * ff,
        }
    }
    /// Where the gain of the final norm begins.
    pub(crate) const fn final_norm_place(&self) -> u64 {
        self.places(self.layers_count).norm1
    }
    /// Where the output head begins.
    #[must_use]
    pub const fn head_place(&self) -> u64 {
        if self.is_tied {
            0
        } else {
            self.final_norm_place() + self.hidden_size
        }
    }
    /// Number of parameters.
    #[must_use]
    pub const fn parameters_count(&self) -> u64 {
        let own_head = if self.is_tied {
            0
        } else {
            self.embedding_length()
        };
        self.final_norm_place() + self.hidden_size + own_head
    }
}

/// A part of a batch: sequences of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Sequences.
    pub sequences_count: u64,
    /// Tokens of each.
    pub length: u64,
}

impl Part {
    /// Tokens of the part.
    #[must_use]
    pub const fn rows_count(&self) -> u64 {
        self.sequences_count * self.length
    }
}

/// The numbers of one step of `AdamW` (arithmetic §7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimiser {
    /// Step size, warm-up included.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Weight decay.
    pub decay: f32,
    /// `1 - beta1^t`.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
    /// Largest norm of the gradient.
    pub norm_max: f32,
}

/// One inner step of pre-training.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The model.
    pub model: Model,
    /// The batch: one to four parts, none of them empty. More would make the loss read more tensors
    /// than one move of a dispute asks for.
    pub parts: Vec<Part>,
    /// The optimiser.
    pub optimiser: Optimiser,
}

/// The numbers of the clipped objective (arithmetic §7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Ratios below `1 - clip_low` no longer push a bad token down.
    pub clip_low: f32,
    /// Ratios above `1 + clip_high` no longer push a good token up.
    pub clip_high: f32,
    /// Ratios above this no longer push a bad token down.
    pub delta: f32,
    /// Divides the logits, as in sampling.
    pub temperature: f32,
    /// Divides the loss: response tokens of all groups of the unit.
    pub normaliser: f32,
    /// Parts of the unit: as often its loss counts.
    pub parts_count: u32,
}

/// One part of a reinforcement unit: what its groups add to the sum of the parts before.
#[derive(Clone, Debug, PartialEq)]
pub struct Reinforcement {
    /// The model that learns, and the shape of the one that drew the responses.
    pub model: Model,
    /// Prompts with their responses, as the plan has them.
    pub sequences: Sequences,
    /// What is learned.
    pub objective: Objective,
}
