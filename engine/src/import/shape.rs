//! The configuration of a GGUF file, and what its settings must not say.

use super::gguf::{File, Value};
use super::{ImportError, gguf};
use crate::transformer::config::{Family, ModelConfig, RopeScaling};

/// The configuration that the settings describe.
pub(super) fn config(file: &File<'_>) -> Result<ModelConfig, ImportError> {
    let architecture = text(file, "general.architecture")?;
    let family = match architecture {
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        other => return Err(unsupported("general.architecture", other)),
    };
    let key = |name: &str| format!("{architecture}.{name}");
    refuse(file, &key)?;
    let (heads, hidden_size) = (
        file.size(&key("attention.head_count"))?,
        file.size(&key("embedding_length"))?,
    );
    let key_heads = file.unsigned(&key("attention.head_count_kv"))?;
    let head_dim = file.unsigned(&key("attention.key_length"))?;
    let embedding = file.tensor("token_embd.weight");
    let vocab = embedding.map(|tensor: &gguf::TensorInfo<'_>| tensor.shape[0]);
    let theta = file.float(&key("rope.freq_base"))?.unwrap_or(10_000.0);
    let eps = key("attention.layer_norm_rms_epsilon");
    let eps = file.float(&eps)?.ok_or(ImportError::KeyMissing {
        key: eps,
        expected: "a number",
    })?;
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let config = ModelConfig {
        family,
        vocab_size: match vocab {
            Some(vocab) => vocab,
            None => file.size(&key("vocab_size"))?,
        },
        hidden_size,
        intermediate_size: file.size(&key("feed_forward_length"))?,
        num_hidden_layers: file.size(&key("block_count"))?,
        num_attention_heads: heads,
        num_key_value_heads: key_heads.map_or(heads, size),
        head_dim: head_dim.map_or(hidden_size / heads.max(1), size),
        rms_norm_eps: narrow(eps),
        rope_theta: narrow(theta),
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: file.size(&key("context_length"))?,
        tie_word_embeddings: file.tensor("output.weight").is_none(),
    };
    config.validate()?;
    let rotated = file.unsigned(&key("rope.dimension_count"))?;
    match rotated {
        Some(count) if size(count) != config.head_dim => Err(unsupported(
            &key("rope.dimension_count"),
            &count.to_string(),
        )),
        _ => Ok(config),
    }
}

/// Settings and tensors that change the mathematics.
fn refuse(file: &File<'_>, key: &dyn Fn(&str) -> String) -> Result<(), ImportError> {
    let scaling = key("rope.scaling.type");
    match file.text(&scaling)? {
        None | Some("none") => {}
        Some(other) => return Err(unsupported(&scaling, other)),
    }
    for name in ["attention.sliding_window", "expert_count"] {
        let key = key(name);
        match file.unsigned(&key)? {
            None | Some(0) => {}
            Some(value) => return Err(unsupported(&key, &value.to_string())),
        }
    }
    for name in ["rope.scaling.factor", "rope.scale_linear"] {
        let key = key(name);
        match file.get(&key) {
            None => {}
            Some(Value::Float(factor)) if *factor == 1.0 || *factor == 0.0 => {}
            Some(other) => return Err(unsupported(&key, &format!("{other:?}"))),
        }
    }
    // Llama 3's stretched frequencies arrive as a table without the numbers that made it.
    match file.tensor("rope_freqs.weight") {
        Some(_) => Err(unsupported(
            "rope_freqs.weight",
            "a table of rotary factors",
        )),
        None => Ok(()),
    }
}

pub(super) fn text<'a>(file: &File<'a>, key: &str) -> Result<&'a str, ImportError> {
    file.text(key)?.ok_or_else(|| ImportError::KeyMissing {
        key: key.to_owned(),
        expected: "text",
    })
}

fn unsupported(key: &str, value: &str) -> ImportError {
    ImportError::Unsupported {
        key: key.to_owned(),
        value: value.escape_debug().to_string(),
    }
}

/// A number that the file has as f32 already, or that becomes the nearest one.
#[expect(clippy::cast_possible_truncation, reason = "rounds to nearest")]
fn narrow(value: f64) -> f32 {
    value as f32
}
