//! The tokenizer of a GGUF file as `tokenizer.json`.
//!
//! Byte-level BPE (`tokenizer.ggml.model` = `gpt2`) is converted: vocabulary, merges and special
//! tokens are in the file, and its way of cutting text into words, which the file only names, is
//! one of three here. For any other the caller has to bring the original `tokenizer.json`.

use super::ImportError;
use super::gguf::{File, Value};
use super::shape::text;
use serde_json::{Value as Json, json};

/// Words as Llama 3 and Qwen cut them; Llama takes digits in threes, Qwen one by one.
const WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// The number in `tokenizer.ggml.token_type` of control tokens.
const CONTROL: i32 = 3;
/// The number in `tokenizer.ggml.token_type` of tokens that users added.
const USER_DEFINED: i32 = 4;

/// `tokenizer.json`; nothing if the file's tokenizer is of another kind.
pub(super) fn tokenizer(file: &File<'_>) -> Result<Option<String>, ImportError> {
    if file.text("tokenizer.ggml.model")? != Some("gpt2") {
        return Ok(None);
    }
    let kind = file.text("tokenizer.ggml.pre")?.unwrap_or("");
    let Some((normalizer, words, whole_words)) = words(kind) else {
        return Ok(None);
    };
    let tokens = file.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let merges = file.texts("tokenizer.ggml.merges")?.unwrap_or_default();
    let types = match file.get("tokenizer.ggml.token_type") {
        Some(Value::Integers(types)) => types.as_slice(),
        _ => &[],
    };
    let vocabulary: serde_json::Map<String, Json> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), id.into()))
        .collect();
    if vocabulary.len() != tokens.len() {
        return Err(ImportError::Malformed {
            what: "tokenizer.ggml.tokens".to_owned(),
            reason: "a token is there twice",
        });
    }
    let added = tokens.iter().zip(types).enumerate();
    let added = added.filter(|(_, (_, kind))| matches!(**kind, CONTROL | USER_DEFINED));
    let added: Vec<Json> = added
        .map(|(id, (token, kind))| added_token(id, token, *kind == CONTROL))
        .collect();
    let byte_level = |regex: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": regex})
    };
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": words},
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": whole_words,
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    Ok(Some(document.to_string()))
}

fn added_token(id: usize, token: &str, special: bool) -> Json {
    json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": special})
}

/// Normaliser, cutters, and whether a word that is a token is taken whole, by the name that the
/// file gives.
fn words(kind: &str) -> Option<(Json, Json, bool)> {
    let byte_level = |regex: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": regex})
    };
    let split = |digits: &str| {
        json!([
            {"type": "Split", "pattern": {"Regex": WORDS.replace("DIGITS", digits)},
             "behavior": "Isolated", "invert": false},
            byte_level(false),
        ])
    };
    Some(match kind {
        "smollm" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            (Json::Null, json!([digits, byte_level(true)]), false)
        }
        "llama-bpe" => (Json::Null, split("{1,3}"), true),
        "qwen2" => (json!({"type": "NFC"}), split(""), false),
        _ => return None,
    })
}

/// `tokenizer_config.json`: special tokens and the chat template.
pub(super) fn tokenizer_config(file: &File<'_>) -> Result<String, ImportError> {
    let mut document = serde_json::Map::new();
    let tokens = file.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    for (key, name) in [
        ("tokenizer.ggml.bos_token_id", "bos_token"),
        ("tokenizer.ggml.eos_token_id", "eos_token"),
        ("tokenizer.ggml.padding_token_id", "pad_token"),
        ("tokenizer.ggml.unknown_token_id", "unk_token"),
    ] {
        let id = file.unsigned(key)?.and_then(|id| usize::try_from(id).ok());
        if let Some(token) = id.and_then(|id| tokens.get(id)) {
            document.insert(name.to_owned(), (*token).into());
        }
    }
    if file.get("tokenizer.chat_template").is_some() {
        let template = text(file, "tokenizer.chat_template")?;
        document.insert("chat_template".to_owned(), template.into());
    }
    document.insert(
        "tokenizer_class".to_owned(),
        "PreTrainedTokenizerFast".into(),
    );
    let document = Json::Object(document);
    Ok(format!("{document:#}\n"))
}

/// `generation_config.json`: where text begins and ends.
pub(super) fn generation_config(file: &File<'_>) -> Result<String, ImportError> {
    let mut document = serde_json::Map::new();
    for (key, name) in [
        ("tokenizer.ggml.bos_token_id", "bos_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
        ("tokenizer.ggml.padding_token_id", "pad_token_id"),
    ] {
        if let Some(id) = file.unsigned(key)? {
            document.insert(name.to_owned(), id.into());
        }
    }
    let document = Json::Object(document);
    Ok(format!("{document:#}\n"))
}
