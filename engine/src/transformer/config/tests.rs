//! Reading Hugging Face configurations.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const LLAMA: &str = r#"{
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "rms_norm_eps": 1e-05, "rope_theta": 100000, "max_position_embeddings": 8192,
    "tie_word_embeddings": true, "attention_bias": false, "rope_scaling": null,
    "torch_dtype": "bfloat16", "bos_token_id": 1
}"#;

#[test]
fn hugging_face_config_is_read_with_its_defaults() {
    let config: ModelConfig = serde_json::from_str(LLAMA).unwrap();
    assert_eq!(config.head_dim, 64);
    assert_eq!(config.num_key_value_heads, 3);
    assert!(config.tie_word_embeddings);
    assert_eq!(config.rope_theta, 100_000.0);
}

#[test]
fn config_survives_its_own_text() {
    let config: ModelConfig = serde_json::from_str(LLAMA).unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
}

#[test]
fn settings_that_change_the_mathematics_are_refused() {
    let changes = [
        (
            r#""rope_scaling": null"#,
            r#""rope_scaling": {"type": "linear", "factor": 2}"#,
        ),
        (r#""attention_bias": false"#, r#""attention_bias": true"#),
        (r#""hidden_act": "silu""#, r#""hidden_act": "gelu""#),
        (r#""model_type": "llama""#, r#""model_type": "mamba""#),
        (r#""num_key_value_heads": 3"#, r#""num_key_value_heads": 4"#),
        (r#""num_key_value_heads": 3"#, r#""num_key_value_heads": 0"#),
        (
            r#""vocab_size": 49152"#,
            r#""vocab_size": 18446744073709551615"#,
        ),
        (r#""rms_norm_eps": 1e-05"#, r#""rms_norm_eps": -1.0"#),
        (
            r#""tie_word_embeddings": true"#,
            r#""tie_word_embeddings": true, "head_dim": 63"#,
        ),
        (
            r#""num_hidden_layers": 30"#,
            r#""num_hidden_layers": 1000000"#,
        ),
    ];
    for (from, to) in changes {
        let text = LLAMA.replace(from, to);
        assert_ne!(text, LLAMA);
        assert!(
            serde_json::from_str::<ModelConfig>(&text).is_err(),
            "{to} was accepted"
        );
    }
}

#[test]
fn newer_rope_parameters_are_read() {
    let text = LLAMA.replace(
        r#""rope_theta": 100000"#,
        r#""rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}"#,
    );
    let config: ModelConfig = serde_json::from_str(&text).unwrap();
    assert_eq!(config.rope_theta, 500_000.0);
}
