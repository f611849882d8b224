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
        (r#""rope_theta": 100000"#, r#""rope_theta": 0.999"#),
        (
            r#""rope_scaling": null"#,
            r#""rope_scaling": {"rope_type": "llama3", "factor": 0.5, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}"#,
        ),
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

/// The smallest file of a family: everything that has a default is left out.
fn bare(model_type: &str, more: &str) -> String {
    format!(
        r#"{{"model_type": "{model_type}", "vocab_size": 100, "hidden_size": 64,
            "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 32{more}}}"#
    )
}

fn read(text: &str) -> Result<ModelConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn absent_fields_have_the_defaults_of_their_family() {
    for (name, family, head_dim, positions) in [
        ("llama", Family::Llama, 2, 2048),
        ("qwen2", Family::Qwen2, 2, 32_768),
        ("qwen3", Family::Qwen3, 128, 32_768),
    ] {
        let config = read(&bare(name, "")).unwrap();
        assert_eq!(config.family, family);
        assert_eq!(config.head_dim, head_dim, "{name}");
        assert_eq!(config.max_position_embeddings, positions, "{name}");
        assert_eq!(config.num_key_value_heads, 32);
        assert_eq!(config.rms_norm_eps, 1e-6);
        assert_eq!(config.rope_theta, 10_000.0);
        assert!(!config.tie_word_embeddings);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&text).unwrap(), config);
    }
}

#[test]
fn absent_key_heads_of_qwen_are_32_and_null_ones_are_the_query_heads() {
    let text = |more| bare("qwen3", more).replace("heads\": 32", "heads\": 64");
    assert_eq!(read(&text("")).unwrap().num_key_value_heads, 32);
    let null = r#", "num_key_value_heads": null"#;
    assert_eq!(read(&text(null)).unwrap().num_key_value_heads, 64);
}

#[test]
fn the_family_is_read_from_either_field_and_both_must_agree() {
    let named = |name: &str| {
        let field = format!(r#""architectures": ["{name}"]"#);
        bare("x", "").replace(r#""model_type": "x""#, &field)
    };
    assert_eq!(
        read(&named("Qwen3ForCausalLM")).unwrap().family,
        Family::Qwen3
    );
    let error = read(&named("Qwen3MoeForCausalLM")).unwrap_err();
    assert_eq!(
        error,
        "architecture Qwen3MoeForCausalLM is not supported; llama, qwen2 and qwen3 are"
    );
    let both = r#", "architectures": ["LlamaForCausalLM"]"#;
    assert!(read(&bare("qwen2", both)).is_err());
}

#[test]
fn qwen_settings_that_change_the_mathematics_are_refused() {
    for (family, more, accepted) in [
        (
            "qwen2",
            r#""use_sliding_window": false, "sliding_window": 4096"#,
            true,
        ),
        ("qwen2", r#""use_sliding_window": true"#, false),
        (
            "qwen2",
            r#""layer_types": ["full_attention", "sliding_attention"]"#,
            false,
        ),
        (
            "qwen2",
            r#""layer_types": ["full_attention", "full_attention"]"#,
            true,
        ),
        ("qwen3", r#""attention_bias": true"#, false),
        ("qwen3", r#""attention_bias": false"#, true),
        (
            "qwen3",
            r#""quantization_config": {"quant_method": "fp8"}"#,
            false,
        ),
        (
            "qwen3",
            r#""rope_scaling": {"rope_type": "yarn", "factor": 4.0}"#,
            false,
        ),
        ("llama", r#""sliding_window": 4096"#, false),
        ("llama", r#""sliding_window": null"#, true),
        ("llama", r#""partial_rotary_factor": 0.5"#, false),
        (
            "llama",
            r#""rope_parameters": {"partial_rotary_factor": 0.5}"#,
            false,
        ),
        ("gemma", r#""dtype": "float32""#, false),
    ] {
        let text = bare(family, &format!(", {more}"));
        assert_eq!(read(&text).is_ok(), accepted, "{family} {more}");
    }
}

#[test]
fn llama3_scaling_is_read_from_older_and_newer_files() {
    let body = r#""factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3""#;
    let older = format!(r#", "rope_theta": 500000.0, "rope_scaling": {{{body}}}"#);
    let newer = format!(r#", "rope_parameters": {{"rope_theta": 500000.0, {body}}}"#);
    let config = read(&bare("llama", &older)).unwrap();
    assert_eq!(
        config.rope_scaling,
        RopeScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        }
    );
    assert_eq!(read(&bare("llama", &newer)).unwrap(), config);
    assert_eq!(
        read(&serde_json::to_string(&config).unwrap()).unwrap(),
        config
    );
    let missing = older.replace(r#""factor": 32.0,"#, "");
    let error = read(&bare("llama", &missing)).unwrap_err();
    assert_eq!(error, "rope_scaling.factor is missing");
    let crossed = older.replace(r#""low_freq_factor": 1.0"#, r#""low_freq_factor": 4.0"#);
    assert!(read(&bare("llama", &crossed)).is_err());
}

/// Published `config.json` files, abridged to what they set, with the published counts.
#[test]
fn real_configurations_give_the_published_numbers_of_parameters() {
    let qwen2 = r#"{"architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
        "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
        "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14,
        "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936}"#;
    let qwen3 = r#"{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false,
        "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072,
        "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
        "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
        "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        "use_sliding_window": false, "vocab_size": 151936}"#;
    let llama = r#"{"architectures": ["LlamaForCausalLM"], "attention_bias": false,
        "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192,
        "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
        "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0,
        "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 128256}"#;
    for (text, count) in [
        (LLAMA, 134_515_008),
        (qwen2, 494_032_768),
        (qwen3, 596_049_920),
        (llama, 1_235_814_400),
    ] {
        let config = read(text).unwrap();
        assert_eq!(crate::Layout::new(&config).length(), count);
    }
}
