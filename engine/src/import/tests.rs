//! Whole files: a small writer makes them, so that every part can be wrong.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests; sizes are small"
)]

use super::*;
use crate::testing::{config, model};
use crate::transformer::config::ModelConfig;

/// A file under construction.
#[derive(Clone, Default)]
struct Writer {
    settings: Vec<(String, u32, Vec<u8>)>,
    /// Name, sizes innermost first, block type, bytes.
    tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = (value.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

fn texts(values: &[&str]) -> Vec<u8> {
    let mut bytes = 8_u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(values.len() as u64).to_le_bytes());
    bytes.extend(values.iter().flat_map(|value| text(value)));
    bytes
}

impl Writer {
    fn text(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), 8, text(value)));
    }

    fn number(&mut self, key: &str, value: usize) {
        let bytes = (value as u32).to_le_bytes().to_vec();
        self.settings.push((key.to_owned(), 4, bytes));
    }

    fn float(&mut self, key: &str, value: f32) {
        let bytes = value.to_le_bytes().to_vec();
        self.settings.push((key.to_owned(), 6, bytes));
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend_from_slice(&3_u32.to_le_bytes());
        out.extend_from_slice(&(self.tensors.len() as u64).to_le_bytes());
        out.extend_from_slice(&(self.settings.len() as u64).to_le_bytes());
        for (key, code, value) in &self.settings {
            out.extend(text(key));
            out.extend_from_slice(&code.to_le_bytes());
            out.extend_from_slice(value);
        }
        let mut offset = 0_u64;
        for (name, sizes, code, bytes) in &self.tensors {
            out.extend(text(name));
            out.extend_from_slice(&(sizes.len() as u32).to_le_bytes());
            out.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
            out.extend_from_slice(&code.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            offset = (offset + bytes.len() as u64).next_multiple_of(32);
        }
        for (_, _, _, bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend_from_slice(bytes);
        }
        out
    }
}

/// The rows of queries and keys as llama.cpp's converter stores them: `reshape(heads, 2, D / 2)`
/// with the last two exchanged.
fn permuted(values: &[f32], head_dim: usize, width: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for head in values.chunks(head_dim * width) {
        for i in 0..head_dim / 2 {
            for j in 0..2 {
                let row = j * (head_dim / 2) + i;
                out.extend_from_slice(&head[row * width..][..width]);
            }
        }
    }
    out
}

/// A file of f32 tensors with the model's values.
fn written(model: &Parameters) -> Writer {
    let mut writer = Writer::default();
    let config = model.config();
    let name = match config.family {
        Family::Llama => "llama",
        Family::Qwen2 => "qwen2",
        Family::Qwen3 => "qwen3",
    };
    writer.text("general.architecture", name);
    for (key, value) in [
        ("block_count", config.num_hidden_layers),
        ("context_length", config.max_position_embeddings),
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.num_key_value_heads),
        ("attention.key_length", config.head_dim),
    ] {
        writer.number(&format!("{name}.{key}"), value);
    }
    let eps = format!("{name}.attention.layer_norm_rms_epsilon");
    writer.float(&eps, config.rms_norm_eps);
    writer.float(&format!("{name}.rope.freq_base"), config.rope_theta);
    for tensor in model.layout().tensors() {
        let values = model.get(&tensor.range());
        let turned =
            tensor.name.ends_with("q_proj.weight") || tensor.name.ends_with("k_proj.weight");
        let values = if turned && config.family == Family::Llama {
            permuted(values, config.head_dim, tensor.shape[1])
        } else {
            values.to_vec()
        };
        let sizes = tensor.shape.iter().rev().map(|&size| size as u64);
        writer.tensors.push((
            gguf_name(&tensor.name),
            sizes.collect(),
            0,
            values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ));
    }
    writer
}

#[test]
fn every_family_survives_the_format() {
    for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
        for tie_word_embeddings in [true, false] {
            let config = ModelConfig {
                family,
                tie_word_embeddings,
                ..config()
            };
            let mut model = Parameters::initialize(&config, [5; 32]);
            // Biases and gains that differ.
            for (index, value) in model.as_mut_slice().iter_mut().enumerate() {
                *value += (index % 5) as f32 * 0.1;
            }
            let imported = from_gguf(&written(&model).bytes()).unwrap();
            assert_eq!(imported.parameters, model, "{family:?}");
            assert_eq!(imported.tokenizer, None);
        }
    }
}

#[test]
fn names_are_those_of_the_format() {
    for (ours, theirs) in [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
        (
            "model.layers.12.input_layernorm.weight",
            "blk.12.attn_norm.weight",
        ),
        ("model.layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias"),
        (
            "model.layers.3.self_attn.k_norm.weight",
            "blk.3.attn_k_norm.weight",
        ),
        (
            "model.layers.3.self_attn.o_proj.weight",
            "blk.3.attn_output.weight",
        ),
        (
            "model.layers.3.mlp.down_proj.weight",
            "blk.3.ffn_down.weight",
        ),
        (
            "model.layers.3.post_attention_layernorm.weight",
            "blk.3.ffn_norm.weight",
        ),
    ] {
        assert_eq!(gguf_name(ours), theirs);
    }
}

/// The error of the test model's file after a change.
fn error(change: impl Fn(&mut Writer)) -> String {
    let mut writer = written(&model());
    change(&mut writer);
    from_gguf(&writer.bytes()).unwrap_err().to_string()
}

#[test]
fn wrong_tensors_are_named_with_what_was_expected_and_found() {
    let norm = 1;
    assert_eq!(
        error(|file| drop(file.tensors.remove(norm))),
        "tensor blk.0.attn_norm.weight is missing; expected [24]"
    );
    assert_eq!(
        error(|file| file.tensors[norm].1 = vec![6, 4]),
        "tensor blk.0.attn_norm.weight is F32 [4, 6]; expected [24]"
    );
    assert_eq!(
        error(|file| file.tensors[norm].2 = 2),
        "tensor blk.0.attn_norm.weight is Q4_0 [24]; expected [24]"
    );
    let types = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";
    assert_eq!(
        error(|file| file.tensors[norm].2 = 99),
        format!("tensor blk.0.attn_norm.weight has block type 99; read are {types}")
    );
    assert_eq!(
        error(|file| file.tensors[norm].0 = "extra".to_owned()),
        "tensor blk.0.attn_norm.weight is missing; expected [24]"
    );
    assert_eq!(
        error(|file| file
            .tensors
            .push(("a\nb".to_owned(), vec![1], 0, vec![0; 4]))),
        r"tensor a\nb does not belong to this model"
    );
    let infinity = f32::INFINITY.to_le_bytes();
    assert_eq!(
        error(|file| file.tensors[norm].3[4..8].copy_from_slice(&infinity)),
        "tensor blk.0.attn_norm.weight has a non-finite value at index 1"
    );
}

#[test]
fn settings_that_change_the_mathematics_are_refused() {
    for (key, value) in [
        ("llama.rope.scaling.type", "yarn"),
        ("general.architecture", "mamba"),
    ] {
        let found = error(|file| {
            file.settings.retain(|(name, ..)| name != key);
            file.text(key, value);
        });
        assert_eq!(found, format!("{key} = {value} is not supported"));
    }
    for key in [
        "llama.attention.sliding_window",
        "llama.expert_count",
        "llama.rope.dimension_count",
    ] {
        let found = error(|file| file.number(key, 4));
        assert_eq!(found, format!("{key} = 4 is not supported"));
    }
    let table = ("rope_freqs.weight".to_owned(), vec![5], 0, vec![0; 20]);
    let found = error(|file| file.tensors.push(table.clone()));
    assert!(found.starts_with("rope_freqs.weight = "), "{found}");
    let missing = error(|file| drop(file.settings.remove(1)));
    assert_eq!(
        missing,
        "key llama.block_count is missing; expected an integer from 0"
    );
    let text = error(|file| file.settings[1] = ("llama.block_count".to_owned(), 8, text("two")));
    assert_eq!(text, "key llama.block_count is not an integer from 0");
}

#[test]
fn every_truncation_and_flipped_byte_is_an_error_or_another_model() {
    let bytes = written(&model()).bytes();
    for length in (0..bytes.len()).step_by(61) {
        assert!(from_gguf(&bytes[..length]).is_err(), "{length}");
    }
    for index in 0..2500 {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[index] ^= flip;
            drop(from_gguf(&bytes));
        }
    }
    assert!(matches!(from_gguf(b"PK"), Err(ImportError::Magic)));
}

#[test]
fn counts_beyond_the_file_are_refused_before_memory_is_taken() {
    let mut writer = written(&model());
    writer.settings.push((
        "big".to_owned(),
        9,
        [&8_u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat(),
    ));
    assert!(from_gguf(&writer.bytes()).is_err());
    writer.settings.pop();
    let mut bytes = writer.bytes();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(from_gguf(&bytes), Err(ImportError::Limit { .. })));
}

#[test]
fn byte_level_tokenizers_are_converted_and_others_left_out() {
    let with = |pre: &str| {
        let mut writer = written(&model());
        writer.text("tokenizer.ggml.model", "gpt2");
        writer.text("tokenizer.ggml.pre", pre);
        writer.text("tokenizer.chat_template", "{{ messages }}");
        writer.number("tokenizer.ggml.eos_token_id", 0);
        let (tokens, merges) = (texts(&["<end>", "a", "b", "ab"]), texts(&["a b"]));
        let types = [
            &5_u32.to_le_bytes()[..],
            &4_u64.to_le_bytes(),
            &3_i32.to_le_bytes(),
            &[1, 0, 0, 0].repeat(3),
        ];
        for (key, value) in [
            ("tokens", tokens),
            ("merges", merges),
            ("token_type", types.concat()),
        ] {
            writer
                .settings
                .push((format!("tokenizer.ggml.{key}"), 9, value));
        }
        from_gguf(&writer.bytes()).unwrap()
    };
    for pre in ["smollm", "llama-bpe", "qwen2"] {
        let imported = with(pre);
        let document: serde_json::Value =
            serde_json::from_str(&imported.tokenizer.unwrap()).unwrap();
        assert_eq!(document["model"]["vocab"]["ab"], 3);
        assert_eq!(document["model"]["merges"][0], "a b");
        assert_eq!(document["added_tokens"][0]["content"], "<end>");
        assert_eq!(document["added_tokens"].as_array().unwrap().len(), 1);
        let settings: serde_json::Value = serde_json::from_str(&imported.tokenizer_config).unwrap();
        assert_eq!(settings["eos_token"], "<end>");
        assert_eq!(settings["chat_template"], "{{ messages }}");
        assert_eq!(imported.generation_config, "{\n  \"eos_token_id\": 0\n}\n");
    }
    assert_eq!(with("tekken").tokenizer, None);
}
