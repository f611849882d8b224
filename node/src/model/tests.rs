//! The commands on a small random model, and what they say about a damaged one.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use engine::{Family, ModelConfig, Parameters, RopeScaling};
use std::path::Path;

fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        vocab_size: 7,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
    }
}

const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "ab": 4, "cd": 5, "Ġ": 6},
              "merges": ["a b", "c d"]}}"#;

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let model = Parameters::initialize(&config(), [1; 32]);
    model.to_directory(directory.path()).unwrap();
    std::fs::write(directory.path().join("tokenizer.json"), TOKENIZER).unwrap();
    directory
}

fn arguments(directory: &Path) -> GenerateArguments {
    GenerateArguments {
        directory: directory.to_owned(),
        prompt: "ab cd".to_owned(),
        raw: false,
        tokens: 20,
        temperature: 1.0,
        seed: 3,
        threads: Some(2),
        verify: true,
    }
}

#[test]
fn a_directory_is_shown_planned_and_continued() {
    let directory = directory();
    let path = directory.path().to_owned();
    run(Command::Show {
        directory: path.clone(),
    })
    .unwrap();
    run(Command::Plan(PlanArguments {
        directory: path.clone(),
        batch: 2,
        seq: None,
        memory: Some(1.0),
    }))
    .unwrap();
    run(Command::Generate(arguments(&path))).unwrap();
}

fn error(command: Command) -> String {
    let text = format!("{:#}", run(command).unwrap_err());
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn impossible_numbers_are_one_line() {
    let directory = directory();
    let path = directory.path().to_owned();
    let plan = |batch, seq, memory| {
        error(Command::Plan(PlanArguments {
            directory: path.clone(),
            batch,
            seq,
            memory,
        }))
    };
    assert_eq!(
        plan(1, Some(65), None),
        "seq is 65; the model allows 1 to 64"
    );
    assert_eq!(plan(0, None, None), "batch is 0; allowed are 1 to 1048576");
    assert_eq!(
        plan(1, None, Some(-1.0)),
        "memory is -1; it must be above 0"
    );
    let cold = GenerateArguments {
        temperature: -1.0,
        ..arguments(&path)
    };
    assert_eq!(
        error(Command::Generate(cold)),
        "temperature is -1; it must be finite and not below 0"
    );
    let silent = GenerateArguments {
        prompt: String::new(),
        ..arguments(&path)
    };
    assert_eq!(
        error(Command::Generate(silent)),
        "prompt has no tokens; at least 1 is needed"
    );
}

#[test]
fn damaged_files_are_named_in_one_line() {
    let directory = directory();
    let weights = directory.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let show = || {
        error(Command::Show {
            directory: directory.path().to_owned(),
        })
    };
    std::fs::write(&weights, &bytes[..bytes.len() - 4]).unwrap();
    let (found, expected) = (bytes.len() - 4, bytes.len());
    assert_eq!(
        show(),
        format!(
            "{}: file has {found} bytes; its header asks for {expected}",
            weights.display()
        )
    );
    std::fs::remove_file(&weights).unwrap();
    let text = show();
    assert!(text.ends_with("neither model.safetensors nor model.safetensors.index.json is there"));
    let import = error(Command::Import {
        source: directory.path().join("config.json"),
        directory: directory.path().to_owned(),
    });
    assert!(
        import.ends_with("config.json: file is not GGUF"),
        "{import}"
    );
}
