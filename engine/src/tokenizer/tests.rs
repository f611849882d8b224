//! Templates, and a small tokenizer in a directory.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn a_literal_system_message_is_taken_from_the_template() {
    let smollm = concat!(
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}",
        "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}",
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}",
        "{% endfor %}"
    );
    let system = Some("You are helpful".to_owned());
    assert_eq!(Chat::of(smollm), Some(Chat { system }));
    let escaped = smollm.replace('\n', "\\n");
    assert_eq!(Chat::of(&escaped), Chat::of(smollm));
    let computed = "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}";
    assert_eq!(Chat::of(computed), Some(Chat { system: None }));
    assert_eq!(Chat::of("[INST] {{ message }} [/INST]"), None);
}

const TOKENIZER: &str = r#"{
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
        {"id": 0, "content": "<|im_start|>", "single_word": false, "lstrip": false,
         "rstrip": false, "normalized": false, "special": true},
        {"id": 1, "content": "<|im_end|>", "single_word": false, "lstrip": false,
         "rstrip": false, "normalized": false, "special": true}
    ],
    "normalizer": null, "post_processor": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "vocab": {"<|im_start|>": 0, "<|im_end|>": 1, "a": 2, "b": 3,
              "ab": 4, "Ċ": 5, "Ġ": 6}, "merges": ["a b"]}
}"#;

#[test]
fn a_directory_gives_tokens_text_and_chats() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("tokenizer.json", TOKENIZER);
    let plain = Tokenizer::from_directory(directory.path()).unwrap();
    assert_eq!(plain.encode("ab a\n").unwrap(), [4, 6, 2, 5]);
    assert_eq!(plain.decode(&[4, 6, 2, 1]).unwrap(), "ab a");
    assert_eq!((plain.eos(), plain.chat("a")), (None, None));
    write(
        "tokenizer_config.json",
        r#"{"eos_token": {"content": "b"}, "chat_template": null}"#,
    );
    let with_eos = Tokenizer::from_directory(directory.path()).unwrap();
    assert_eq!(with_eos.eos(), Some(3));
    write(
        "chat_template.jinja",
        "{{ '<|im_start|>system\\nab<|im_end|>\\n' }}",
    );
    let chat = Tokenizer::from_directory(directory.path()).unwrap();
    assert_eq!(chat.eos(), Some(1));
    assert_eq!(
        chat.chat("b").unwrap(),
        "<|im_start|>system\nab<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn damaged_directories_are_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let error = || {
        let error = Tokenizer::from_directory(directory.path()).unwrap_err();
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    assert!(error().contains("tokenizer.json: No such file"));
    let path = directory.path().join("tokenizer.json");
    std::fs::write(&path, "{").unwrap();
    assert!(error().contains("tokenizer.json: EOF"));
    std::fs::write(&path, TOKENIZER).unwrap();
    std::fs::write(directory.path().join("tokenizer_config.json"), "[").unwrap();
    assert!(error().contains("tokenizer_config.json: "));
}
