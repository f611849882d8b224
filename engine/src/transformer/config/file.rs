//! `config.json` as it is written: optional fields have Hugging Face's defaults for the family,
//! unknown fields are ignored, and fields that would change the mathematics are refused.
//!
//! Older files have `rope_theta` and `rope_scaling` beside the sizes; since `transformers` 5 both
//! are in `rope_parameters`. Either form is read; the older is written, which every version reads.

use super::{ConfigError, Family, ModelConfig, RopeScaling};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The fields that the engine looks at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ConfigFile {
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
    /// Absent is the family's default; null is `num_attention_heads`.
    #[serde(default, deserialize_with = "present")]
    num_key_value_heads: Option<Option<usize>>,
    #[serde(default)]
    head_dim: Option<usize>,
    #[serde(default)]
    rms_norm_eps: Option<f32>,
    #[serde(default)]
    rope_theta: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_scaling: Option<RopeFile>,
    #[serde(default)]
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: Option<bool>,
    #[serde(flatten, skip_serializing)]
    foreign: Foreign,
}

/// Settings that are read only to be refused, and the newer place of the rotary settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Foreign {
    #[serde(default)]
    rope_parameters: Option<RopeFile>,
    #[serde(default)]
    attention_bias: Option<bool>,
    #[serde(default)]
    mlp_bias: Option<bool>,
    #[serde(default)]
    use_sliding_window: Option<bool>,
    #[serde(default)]
    sliding_window: Option<Value>,
    #[serde(default)]
    layer_types: Option<Vec<String>>,
    #[serde(default)]
    partial_rotary_factor: Option<f32>,
    #[serde(default)]
    quantization_config: Option<Value>,
}

/// Rotary settings, of either form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RopeFile {
    #[serde(default, skip_serializing)]
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_type: Option<String>,
    /// The oldest name of `rope_type`.
    #[serde(default, rename = "type", skip_serializing)]
    kind: Option<String>,
    #[serde(default)]
    factor: Option<f32>,
    #[serde(default)]
    low_freq_factor: Option<f32>,
    #[serde(default)]
    high_freq_factor: Option<f32>,
    #[serde(default)]
    original_max_position_embeddings: Option<usize>,
    #[serde(default, skip_serializing)]
    partial_rotary_factor: Option<f32>,
}

/// Tells a null, `Some(None)`, from an absent field.
fn present<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Option<usize>>, D::Error> {
    Option::deserialize(source).map(Some)
}

fn unsupported(field: &'static str, value: &impl ToString) -> ConfigError {
    ConfigError::Unsupported {
        field,
        value: value.to_string(),
    }
}

impl Family {
    const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    fn key_value_heads_default(self, heads: usize) -> usize {
        match self {
            Self::Llama => heads,
            Self::Qwen2 | Self::Qwen3 => 32,
        }
    }

    fn head_dim_default(self, hidden_size: usize, heads: usize) -> usize {
        match self {
            Self::Llama | Self::Qwen2 => hidden_size / heads.max(1),
            Self::Qwen3 => 128,
        }
    }

    fn max_position_embeddings_default(self) -> usize {
        match self {
            Self::Llama => 2048,
            Self::Qwen2 | Self::Qwen3 => 32_768,
        }
    }
}

impl TryFrom<ConfigFile> for ModelConfig {
    type Error = ConfigError;

    fn try_from(file: ConfigFile) -> Result<Self, ConfigError> {
        let family = file.family()?;
        file.refuse_unsupported(family)?;
        let (rope_theta, rope_scaling) = file.rope()?;
        let heads = file.num_attention_heads;
        let key_value_heads = match file.num_key_value_heads {
            Some(count) => count.unwrap_or(heads),
            None => family.key_value_heads_default(heads),
        };
        let head_dim = file.head_dim;
        let positions = file.max_position_embeddings;
        let config = Self {
            family,
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads,
            head_dim: head_dim.unwrap_or_else(|| family.head_dim_default(file.hidden_size, heads)),
            rms_norm_eps: file.rms_norm_eps.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            max_position_embeddings: positions
                .unwrap_or_else(|| family.max_position_embeddings_default()),
            tie_word_embeddings: file.tie_word_embeddings.unwrap_or(false),
        };
        config.validate()?;
        Ok(config)
    }
}

impl ConfigFile {
    /// The family that `model_type` and `architectures` agree on; Llama if neither is there.
    fn family(&self) -> Result<Family, ConfigError> {
        let unknown = |field, value: &str| ConfigError::Family {
            field,
            value: value.to_owned(),
        };
        let architecture = self.architectures.iter().flatten().next();
        let named = architecture.map(|name| {
            let mut all = Family::ALL.into_iter();
            all.find(|family| family.architecture() == name)
                .ok_or_else(|| unknown("architecture", name))
        });
        let typed = self.model_type.as_ref().map(|name| {
            let mut all = Family::ALL.into_iter();
            all.find(|family| family.model_type() == name)
                .ok_or_else(|| unknown("model_type", name))
        });
        match (typed.transpose()?, named.transpose()?) {
            (Some(typed), Some(named)) if typed != named => {
                let value = format!(
                    "{} beside model_type {}",
                    named.architecture(),
                    typed.model_type()
                );
                Err(unsupported("architectures", &value))
            }
            (Some(family), _) | (None, Some(family)) => Ok(family),
            (None, None) => Ok(Family::Llama),
        }
    }

    fn refuse_unsupported(&self, family: Family) -> Result<(), ConfigError> {
        let foreign = &self.foreign;
        match self.hidden_act.as_deref() {
            None | Some("silu" | "swish") => {}
            Some(other) => return Err(unsupported("hidden_act", &other)),
        }
        for (field, value) in [
            ("attention_bias", foreign.attention_bias),
            ("mlp_bias", foreign.mlp_bias),
            ("use_sliding_window", foreign.use_sliding_window),
        ] {
            if value == Some(true) {
                return Err(unsupported(field, &true));
            }
        }
        // Qwen files state a window that `use_sliding_window`, false if absent, turns off.
        if let (Family::Llama, Some(window)) = (family, &foreign.sliding_window)
            && foreign.use_sliding_window != Some(false)
        {
            return Err(unsupported("sliding_window", window));
        }
        let mut layers = foreign.layer_types.iter().flatten();
        if let Some(kind) = layers.find(|kind| *kind != "full_attention") {
            return Err(unsupported("layer_types", kind));
        }
        if let Some(method) = &foreign.quantization_config {
            return Err(unsupported("quantization_config", method));
        }
        match foreign.partial_rotary_factor {
            Some(factor) if factor != 1.0 => Err(unsupported("partial_rotary_factor", &factor)),
            _ => Ok(()),
        }
    }

    /// The rotary base and scaling, from whichever place they are written in.
    fn rope(&self) -> Result<(f32, RopeScaling), ConfigError> {
        let written = match (&self.foreign.rope_parameters, &self.rope_scaling) {
            (Some(_), Some(_)) => {
                let value = "an addition to rope_parameters";
                return Err(unsupported("rope_scaling", &value));
            }
            (Some(written), None) | (None, Some(written)) => written.clone(),
            (None, None) => RopeFile::default(),
        };
        let theta = written.rope_theta.or(self.rope_theta);
        Ok((theta.unwrap_or(10_000.0), written.scaling()?))
    }
}

impl RopeFile {
    fn scaling(&self) -> Result<RopeScaling, ConfigError> {
        if let Some(factor) = self.partial_rotary_factor
            && factor != 1.0
        {
            return Err(unsupported(
                "rope_parameters.partial_rotary_factor",
                &factor,
            ));
        }
        let missing = |field| ConfigError::Missing { field };
        match self.rope_type.as_deref().or(self.kind.as_deref()) {
            None | Some("default") => Ok(RopeScaling::Default),
            Some("llama3") => Ok(RopeScaling::Llama3 {
                factor: self.factor.ok_or(missing("rope_scaling.factor"))?,
                low_freq_factor: self
                    .low_freq_factor
                    .ok_or(missing("rope_scaling.low_freq_factor"))?,
                high_freq_factor: self
                    .high_freq_factor
                    .ok_or(missing("rope_scaling.high_freq_factor"))?,
                original_max_position_embeddings: self
                    .original_max_position_embeddings
                    .ok_or(missing("rope_scaling.original_max_position_embeddings"))?,
            }),
            Some(other) => Err(unsupported("rope_type", &other)),
        }
    }
}

/// What the file says of it; nothing where frequencies are not changed.
fn rope_file(scaling: RopeScaling) -> Option<RopeFile> {
    match scaling {
        RopeScaling::Default => None,
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => Some(RopeFile {
            rope_type: Some("llama3".to_owned()),
            factor: Some(factor),
            low_freq_factor: Some(low_freq_factor),
            high_freq_factor: Some(high_freq_factor),
            original_max_position_embeddings: Some(original_max_position_embeddings),
            ..RopeFile::default()
        }),
    }
}

impl From<ModelConfig> for ConfigFile {
    fn from(config: ModelConfig) -> Self {
        let ModelConfig {
            family,
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            rms_norm_eps,
            rope_theta,
            rope_scaling,
            max_position_embeddings,
            tie_word_embeddings,
        } = config;
        Self {
            architectures: Some(vec![family.architecture().to_owned()]),
            model_type: Some(family.model_type().to_owned()),
            hidden_act: Some("silu".to_owned()),
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: Some(Some(num_key_value_heads)),
            head_dim: Some(head_dim),
            rms_norm_eps: Some(rms_norm_eps),
            rope_theta: Some(rope_theta),
            rope_scaling: rope_file(rope_scaling),
            max_position_embeddings: Some(max_position_embeddings),
            tie_word_embeddings: Some(tie_word_embeddings),
            foreign: Foreign::default(),
        }
    }
}
