//! Downloaded models in GGUF, by a writer of the smallest file that holds one.

use crate::{Decoder, safetensors::config};
use engine::{Parameters, import::from_gguf};

pub(crate) const DECODER: Decoder = Decoder {
    name: "gguf",
    run,
    seeds: || vec![file(&Parameters::initialize(&config(), [3; 32]))],
};

fn run(bytes: &[u8]) {
    if let Ok(imported) = from_gguf(bytes) {
        let values = imported.parameters.as_slice();
        assert!(values.iter().all(|value| value.is_finite()));
    }
}

/// Where GGUF has another name for a tensor.
const NAMES: [(&str, &str); 11] = [
    ("model.embed_tokens", "token_embd"),
    ("model.layers.0.input_layernorm", "blk.0.attn_norm"),
    ("model.layers.0.post_attention_layernorm", "blk.0.ffn_norm"),
    ("model.layers.0.self_attn.q_proj", "blk.0.attn_q"),
    ("model.layers.0.self_attn.k_proj", "blk.0.attn_k"),
    ("model.layers.0.self_attn.v_proj", "blk.0.attn_v"),
    ("model.layers.0.self_attn.o_proj", "blk.0.attn_output"),
    ("model.layers.0.mlp.gate_proj", "blk.0.ffn_gate"),
    ("model.layers.0.mlp.up_proj", "blk.0.ffn_up"),
    ("model.layers.0.mlp.down_proj", "blk.0.ffn_down"),
    ("model.norm", "output_norm"),
];

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

fn setting(key: &str, code: u32, value: &[u8]) -> Vec<u8> {
    [&text(key), &code.to_le_bytes()[..], value].concat()
}

fn settings() -> Vec<Vec<u8>> {
    let number = |key: &str, value: u32| setting(&format!("llama.{key}"), 4, &value.to_le_bytes());
    let real = |key: &str, value: f32| setting(&format!("llama.{key}"), 6, &value.to_le_bytes());
    vec![
        setting("general.architecture", 8, &text("llama")),
        number("block_count", 1),
        number("context_length", 8),
        number("embedding_length", 4),
        number("feed_forward_length", 6),
        number("attention.head_count", 2),
        number("attention.head_count_kv", 1),
        number("attention.key_length", 2),
        real("attention.layer_norm_rms_epsilon", 1e-5),
        real("rope.freq_base", 10_000.0),
    ]
}

fn file(model: &Parameters) -> Vec<u8> {
    let settings = settings();
    let tensors = model.layout().tensors();
    let mut head = b"GGUF".to_vec();
    head.extend(3_u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((settings.len() as u64).to_le_bytes());
    head.extend(settings.concat());
    let mut data = Vec::new();
    for tensor in tensors {
        let (stem, kind) = tensor.name.rsplit_once('.').unwrap();
        let named = NAMES.iter().find(|(ours, _)| *ours == stem).unwrap();
        head.extend(text(&format!("{}.{kind}", named.1)));
        head.extend(u32::try_from(tensor.shape.len()).unwrap().to_le_bytes());
        for size in tensor.shape.iter().rev() {
            head.extend((*size as u64).to_le_bytes());
        }
        head.extend(0_u32.to_le_bytes());
        head.extend((data.len() as u64).to_le_bytes());
        let values = model.as_slice()[tensor.range()].iter();
        data.extend(values.flat_map(|value| value.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    head.resize(head.len().next_multiple_of(32), 0);
    [head, data].concat()
}
