//! The shape of a model, read from and written to a Hugging Face `config.json`.
//!
//! Three families share one decoder and differ in two details: Qwen2 adds biases to queries,
//! keys and values; Qwen3 normalises every query head and key head before it is rotated.

pub use engine_trace::RopeScaling;
use serde::{Deserialize, Serialize};

/// Which of the related decoders a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// `LlamaForCausalLM`: neither biases nor head norms.
    #[default]
    Llama,
    /// `Qwen2ForCausalLM`: biases on queries, keys and values.
    Qwen2,
    /// `Qwen3ForCausalLM`: an RMS norm on every query head and every key head.
    Qwen3,
}

/// The shape of a model of one of the [families](Family).
///
/// Serialises as a `config.json` that Hugging Face `transformers` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "file::ConfigFile", into = "file::ConfigFile")]
pub struct ModelConfig {
    /// Which decoder it is.
    pub family: Family,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated hidden layer.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even, and not necessarily `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// How the rotary frequencies are changed for long contexts.
    pub rope_scaling: RopeScaling,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding matrix.
    pub tie_word_embeddings: bool,
}

/// Why a configuration cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A size outside its bounds.
    #[error("{field} is {value}; allowed are 1 to {limit}")]
    Size {
        /// The field of `config.json`.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest value allowed.
        limit: usize,
    },
    /// Query heads that do not divide into the key heads.
    #[error("num_attention_heads {heads} is not a multiple of num_key_value_heads {key_heads}")]
    Heads {
        /// Query heads.
        heads: usize,
        /// Key and value heads.
        key_heads: usize,
    },
    /// An odd head width cannot be rotated.
    #[error("head_dim {value} is odd; rotary positions need an even width")]
    OddHead {
        /// The width.
        value: usize,
    },
    /// A number that is not finite and positive.
    #[error("{field} is {value}; it must be finite and above 0")]
    Number {
        /// The field of `config.json`.
        field: &'static str,
        /// Its value as text.
        value: String,
    },
    /// A number that is not finite and at least 1.
    #[error("{field} is {value}; it must be finite and at least 1")]
    BelowOne {
        /// The field of `config.json`.
        field: &'static str,
        /// Its value as text.
        value: String,
    },
    /// A setting that changes the mathematics in a way this engine does not have.
    #[error("{field} = {value} is not supported")]
    Unsupported {
        /// The field of `config.json`.
        field: &'static str,
        /// Its value as text.
        value: String,
    },
    /// A model of another family.
    #[error("{field} {value} is not supported; llama, qwen2 and qwen3 are")]
    Family {
        /// The field of `config.json`.
        field: &'static str,
        /// Its value as text.
        value: String,
    },
    /// A setting that the file must have and does not.
    #[error("{field} is missing")]
    Missing {
        /// The field of `config.json`.
        field: &'static str,
    },
    /// Two settings that must stand in order.
    #[error("{low} {low_value} is not below {high} {high_value}")]
    Order {
        /// The field that must be lower.
        low: &'static str,
        /// Its value as text.
        low_value: String,
        /// The field that must be higher.
        high: &'static str,
        /// Its value as text.
        high_value: String,
    },
    /// More parameters than this engine addresses.
    #[error("model has more than {limit} parameters")]
    Parameters {
        /// The largest number of parameters.
        limit: usize,
    },
}

/// Largest value of any size field.
const SIZE_MAX: usize = 1 << 24;
/// Largest number of blocks.
const LAYERS_MAX: usize = 1 << 10;
/// Largest number of parameters.
const PARAMETERS_MAX: usize = 1 << 36;

impl ModelConfig {
    /// Checks that the model can be run.
    ///
    /// # Errors
    /// The first rule that the configuration breaks.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_sizes()?;
        positive("rms_norm_eps", self.rms_norm_eps)?;
        at_least_one("rope_theta", self.rope_theta)?;
        validate_scaling(self.rope_scaling)?;
        let countable = |count: usize| count <= PARAMETERS_MAX;
        if !self.parameter_count().is_some_and(countable) {
            return Err(ConfigError::Parameters {
                limit: PARAMETERS_MAX,
            });
        }
        Ok(())
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        size("vocab_size", self.vocab_size, SIZE_MAX)?;
        size("hidden_size", self.hidden_size, SIZE_MAX)?;
        size("intermediate_size", self.intermediate_size, SIZE_MAX)?;
        size("num_hidden_layers", self.num_hidden_layers, LAYERS_MAX)?;
        size("num_attention_heads", self.num_attention_heads, SIZE_MAX)?;
        size("num_key_value_heads", self.num_key_value_heads, SIZE_MAX)?;
        size("head_dim", self.head_dim, 1 << 12)?;
        let positions = self.max_position_embeddings;
        size("max_position_embeddings", positions, SIZE_MAX)?;
        let (heads, key_heads) = (self.num_attention_heads, self.num_key_value_heads);
        if !heads.is_multiple_of(key_heads) {
            return Err(ConfigError::Heads { heads, key_heads });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ConfigError::OddHead {
                value: self.head_dim,
            });
        }
        Ok(())
    }

    /// The number of parameters, unless it overflows.
    fn parameter_count(&self) -> Option<usize> {
        let d = self.hidden_size;
        let attention = d.checked_mul(self.query_width().checked_mul(2)?)?;
        let keys = d.checked_mul(self.key_width().checked_mul(2)?)?;
        let gated = d.checked_mul(self.intermediate_size)?.checked_mul(3)?;
        let extras = match self.family {
            Family::Llama => 0,
            Family::Qwen2 => self.qkv_width(),
            Family::Qwen3 => 2 * self.head_dim,
        };
        let block = attention
            .checked_add(keys)?
            .checked_add(gated)?
            .checked_add(2 * d + extras)?;
        let embedding = self.vocab_size.checked_mul(d)?.checked_mul(2)?;
        block
            .checked_mul(self.num_hidden_layers)?
            .checked_add(embedding)?
            .checked_add(d)
    }

    /// Width of all query heads.
    pub(crate) fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key heads, and of all value heads.
    pub(crate) fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Width of one row of queries, keys and values.
    pub(crate) fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.key_width()
    }
}

fn validate_scaling(scaling: RopeScaling) -> Result<(), ConfigError> {
    let RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings: original,
    } = scaling
    else {
        return Ok(());
    };
    at_least_one("rope_scaling.factor", factor)?;
    positive("rope_scaling.low_freq_factor", low_freq_factor)?;
    positive("rope_scaling.high_freq_factor", high_freq_factor)?;
    let field = "rope_scaling.original_max_position_embeddings";
    size(field, original, SIZE_MAX)?;
    if low_freq_factor >= high_freq_factor {
        return Err(ConfigError::Order {
            low: "rope_scaling.low_freq_factor",
            low_value: low_freq_factor.to_string(),
            high: "rope_scaling.high_freq_factor",
            high_value: high_freq_factor.to_string(),
        });
    }
    Ok(())
}

fn size(field: &'static str, value: usize, limit: usize) -> Result<(), ConfigError> {
    if value == 0 || value > limit {
        return Err(ConfigError::Size {
            field,
            value,
            limit,
        });
    }
    Ok(())
}

/// A frequency above 1 would turn by angles that the sine has no domain for.
fn at_least_one(field: &'static str, value: f32) -> Result<(), ConfigError> {
    if !(value.is_finite() && value >= 1.0) {
        return Err(ConfigError::BelowOne {
            field,
            value: value.to_string(),
        });
    }
    Ok(())
}

fn positive(field: &'static str, value: f32) -> Result<(), ConfigError> {
    if !(value.is_finite() && value > 0.0) {
        return Err(ConfigError::Number {
            field,
            value: value.to_string(),
        });
    }
    Ok(())
}

mod file;
#[cfg(test)]
mod tests;
