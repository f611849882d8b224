//! The shape of a model, read from and written to a Hugging Face `config.json`.

use serde::{Deserialize, Serialize};

/// The shape of a Llama-family model.
///
/// Serialises as a `config.json` that Hugging Face `transformers` reads as `LlamaForCausalLM`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ConfigFile", into = "ConfigFile")]
pub struct ModelConfig {
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
    /// A setting that changes the mathematics in a way this engine does not have.
    #[error("{field} = {value} is not supported")]
    Unsupported {
        /// The field of `config.json`.
        field: &'static str,
        /// Its value as text.
        value: String,
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
        let sizes = [
            ("vocab_size", self.vocab_size, SIZE_MAX),
            ("hidden_size", self.hidden_size, SIZE_MAX),
            ("intermediate_size", self.intermediate_size, SIZE_MAX),
            ("num_hidden_layers", self.num_hidden_layers, LAYERS_MAX),
            ("num_attention_heads", self.num_attention_heads, SIZE_MAX),
            ("num_key_value_heads", self.num_key_value_heads, SIZE_MAX),
            ("head_dim", self.head_dim, 1 << 12),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                SIZE_MAX,
            ),
        ];
        for (field, value, limit) in sizes {
            if value == 0 || value > limit {
                return Err(ConfigError::Size {
                    field,
                    value,
                    limit,
                });
            }
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return Err(ConfigError::Heads {
                heads: self.num_attention_heads,
                key_heads: self.num_key_value_heads,
            });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ConfigError::OddHead {
                value: self.head_dim,
            });
        }
        for (field, value) in [
            ("rms_norm_eps", self.rms_norm_eps),
            ("rope_theta", self.rope_theta),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(ConfigError::Number {
                    field,
                    value: value.to_string(),
                });
            }
        }
        if self
            .parameter_count()
            .is_none_or(|count| count > PARAMETERS_MAX)
        {
            return Err(ConfigError::Parameters {
                limit: PARAMETERS_MAX,
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
        let block = attention
            .checked_add(keys)?
            .checked_add(gated)?
            .checked_add(2 * d)?;
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

/// `config.json` as it is written: optional fields have Hugging Face's defaults, unknown fields
/// are ignored, and fields that would change the mathematics are refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    model_type: Option<String>,
    #[serde(default)]
    hidden_act: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default)]
    num_key_value_heads: Option<usize>,
    #[serde(default)]
    head_dim: Option<usize>,
    #[serde(default)]
    rms_norm_eps: Option<f32>,
    #[serde(default)]
    rope_theta: Option<f32>,
    #[serde(default)]
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default, skip_serializing)]
    attention_bias: bool,
    #[serde(default, skip_serializing)]
    mlp_bias: bool,
    #[serde(default, skip_serializing)]
    rope_scaling: Option<serde_json::Value>,
    #[serde(default, skip_serializing)]
    rope_parameters: Option<RopeParameters>,
}

/// Where newer versions of `transformers` write the rotary base.
#[derive(Clone, Debug, Deserialize)]
struct RopeParameters {
    #[serde(default)]
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_type: Option<String>,
}

impl TryFrom<ConfigFile> for ModelConfig {
    type Error = ConfigError;

    fn try_from(file: ConfigFile) -> Result<Self, ConfigError> {
        file.refuse_unsupported()?;
        let heads = file.num_attention_heads.max(1);
        let rope = file.rope_parameters.and_then(|rope| rope.rope_theta);
        let config = Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: file.num_attention_heads,
            num_key_value_heads: file.num_key_value_heads.unwrap_or(file.num_attention_heads),
            head_dim: file.head_dim.unwrap_or(file.hidden_size / heads),
            rms_norm_eps: file.rms_norm_eps.unwrap_or(1e-6),
            rope_theta: file.rope_theta.or(rope).unwrap_or(10_000.0),
            max_position_embeddings: file.max_position_embeddings.unwrap_or(2048),
            tie_word_embeddings: file.tie_word_embeddings,
        };
        config.validate()?;
        Ok(config)
    }
}

impl ConfigFile {
    fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        let unsupported = |field, value: &str| {
            Err(ConfigError::Unsupported {
                field,
                value: value.to_owned(),
            })
        };
        match self.model_type.as_deref() {
            None | Some("llama") => {}
            Some(other) => return unsupported("model_type", other),
        }
        match self.hidden_act.as_deref() {
            None | Some("silu" | "swish") => {}
            Some(other) => return unsupported("hidden_act", other),
        }
        if self.attention_bias {
            return unsupported("attention_bias", "true");
        }
        if self.mlp_bias {
            return unsupported("mlp_bias", "true");
        }
        if let Some(scaling) = &self.rope_scaling
            && !scaling.is_null()
        {
            return unsupported("rope_scaling", &scaling.to_string());
        }
        match self
            .rope_parameters
            .as_ref()
            .and_then(|rope| rope.rope_type.as_deref())
        {
            None | Some("default") => Ok(()),
            Some(other) => unsupported("rope_parameters.rope_type", other),
        }
    }
}

impl From<ModelConfig> for ConfigFile {
    fn from(config: ModelConfig) -> Self {
        Self {
            architectures: Some(vec!["LlamaForCausalLM".to_owned()]),
            model_type: Some("llama".to_owned()),
            hidden_act: Some("silu".to_owned()),
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            num_key_value_heads: Some(config.num_key_value_heads),
            head_dim: Some(config.head_dim),
            rms_norm_eps: Some(config.rms_norm_eps),
            rope_theta: Some(config.rope_theta),
            max_position_embeddings: Some(config.max_position_embeddings),
            tie_word_embeddings: config.tie_word_embeddings,
            attention_bias: false,
            mlp_bias: false,
            rope_scaling: None,
            rope_parameters: None,
        }
    }
}

#[cfg(test)]
mod tests;
