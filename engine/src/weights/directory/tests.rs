//! Directories in every accepted form, and every way in which one can be wrong.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::{config, model};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::fs;
use tempfile::TempDir;

/// A tensor of a file: name, type, shape, bytes.
type Raw = (String, Dtype, Vec<usize>, Vec<u8>);

fn raw(model: &Parameters, dtype: Dtype) -> Vec<Raw> {
    let tensors = model.layout().tensors().iter();
    let bytes = |values: &[f32]| match dtype {
        Dtype::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        _ => values
            .iter()
            .flat_map(|&x| crate::bf16_bits(x).to_le_bytes())
            .collect::<Vec<u8>>(),
    };
    tensors
        .map(|tensor| {
            let values = model.get(&tensor.range());
            (
                tensor.name.clone(),
                dtype,
                tensor.shape.clone(),
                bytes(values),
            )
        })
        .collect()
}

fn safetensors(tensors: &[Raw]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (name.clone(), view)
    });
    serialize(views.collect::<Vec<_>>(), None).unwrap()
}

/// A directory with the configuration of the test model.
fn directory(config: &ModelConfig) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = serde_json::to_string(config).unwrap();
    fs::write(directory.path().join(CONFIG), text).unwrap();
    directory
}

/// The error of a directory with these tensors in one file, without the directory's name.
fn error(tensors: &[Raw]) -> String {
    error_of_bytes(&safetensors(tensors))
}

fn error_of_bytes(bytes: &[u8]) -> String {
    let directory = directory(&config());
    fs::write(directory.path().join(SINGLE), bytes).unwrap();
    message(&directory)
}

fn message(directory: &TempDir) -> String {
    let error = Parameters::from_directory(directory.path()).unwrap_err();
    let prefix = format!("{}", directory.path().display());
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    let text = text.strip_prefix(&prefix).unwrap();
    text.trim_start_matches('/').to_owned()
}

#[test]
fn a_directory_survives_its_writing() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("model");
    model().to_directory(&path).unwrap();
    let read = Parameters::from_directory(&path).unwrap();
    assert_eq!(read, model());
    assert_eq!(
        read.file_id(),
        *blake3::hash(&read.to_safetensors()).as_bytes()
    );
}

#[test]
fn bf16_weights_are_widened() {
    let directory = directory(&config());
    let bytes = safetensors(&raw(&model(), Dtype::BF16));
    fs::write(directory.path().join(SINGLE), bytes).unwrap();
    let read = Parameters::from_directory(directory.path()).unwrap();
    let rounded = |x: &f32| f32::from_bits(u32::from(crate::bf16_bits(*x)) << 16);
    let expected: Vec<f32> = model().as_slice().iter().map(rounded).collect();
    assert_eq!(read.as_slice(), expected);
}

#[test]
fn every_f16_is_widened_to_its_own_value() {
    for bits in 0..=u16::MAX {
        let (sign, exponent) = (bits >> 15, i32::from(bits >> 10 & 31));
        let fraction = f64::from(bits & 1023) / 1024.0;
        let magnitude = match exponent {
            0 => fraction * 2_f64.powi(-14),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1.0 + fraction) * 2_f64.powi(exponent - 15),
        };
        let got = super::super::file::widen_f16(bits);
        if magnitude.is_nan() {
            assert!(got.is_nan());
        } else {
            assert_eq!(f64::from(got.abs()), magnitude, "{bits:#06x}");
        }
        assert_eq!(got.is_sign_negative(), sign == 1);
    }
}

/// A directory with the model in two files, and its index.
fn sharded() -> TempDir {
    let directory = directory(&config());
    let tensors = raw(&model(), Dtype::F32);
    let (first, second) = tensors.split_at(7);
    let mut places = serde_json::Map::new();
    for (name, part) in [("a.safetensors", first), ("b.safetensors", second)] {
        fs::write(directory.path().join(name), safetensors(part)).unwrap();
        for (tensor, ..) in part {
            places.insert(tensor.clone(), name.into());
        }
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": places});
    fs::write(directory.path().join(INDEX), index.to_string()).unwrap();
    directory
}

#[test]
fn several_files_are_read_by_their_index() {
    let read = Parameters::from_directory(sharded().path()).unwrap();
    assert_eq!(read, model());
}

#[test]
fn an_index_that_disagrees_with_its_files_is_refused() {
    let edit = |from: &str, to: &str| {
        let directory = sharded();
        let path = directory.path().join(INDEX);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        message(&directory)
    };
    let norm = r#""model.norm.weight":"b.safetensors""#;
    assert_eq!(
        edit(norm, r#""model.norm.weight":"a.safetensors""#),
        "a.safetensors: tensor model.norm.weight, placed here by \
         model.safetensors.index.json, is missing"
    );
    assert_eq!(
        edit(norm, r#""other":"b.safetensors""#),
        "b.safetensors: tensor model.norm.weight is not in this file by \
         model.safetensors.index.json"
    );
    for name in [
        "../b.safetensors",
        "/b.safetensors",
        "..",
        "",
        "x/b.safetensors",
    ] {
        let found = edit(norm, &format!(r#""model.norm.weight":"{name}""#));
        let expected = format!("model.safetensors.index.json: {name} is not a file name");
        assert_eq!(found, expected);
    }
    let gone = edit(norm, r#""model.norm.weight":"c.safetensors""#);
    assert!(gone.starts_with("c.safetensors: No such file"), "{gone}");
}

#[test]
fn a_tensor_missing_from_all_files_is_named_with_the_index() {
    let directory = directory(&ModelConfig {
        num_hidden_layers: 3,
        ..config()
    });
    for entry in fs::read_dir(sharded().keep()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name != CONFIG {
            fs::copy(&path, directory.path().join(name)).unwrap();
        }
    }
    assert_eq!(
        message(&directory),
        "model.safetensors.index.json: tensor model.layers.2.input_layernorm.weight is missing; \
         expected F32, BF16 or F16 [24]"
    );
}

#[test]
fn tied_heads_may_be_repeated_but_not_differ() {
    let mut tensors = raw(&model(), Dtype::F32);
    let (_, dtype, shape, bytes) = tensors[0].clone();
    tensors.push((HEAD.to_owned(), dtype, shape, bytes));
    let directory = directory(&config());
    fs::write(directory.path().join(SINGLE), safetensors(&tensors)).unwrap();
    assert_eq!(
        Parameters::from_directory(directory.path()).unwrap(),
        model()
    );
    tensors.last_mut().unwrap().3[1] ^= 1;
    assert_eq!(
        error(&tensors),
        "model.safetensors: tensor lm_head.weight differs from model.embed_tokens.weight, \
         but config.json ties them"
    );
}

#[test]
fn an_untied_model_needs_its_head() {
    let untied = ModelConfig {
        tie_word_embeddings: false,
        ..config()
    };
    let directory = directory(&untied);
    let bytes = safetensors(&raw(&model(), Dtype::F32));
    fs::write(directory.path().join(SINGLE), bytes).unwrap();
    assert_eq!(
        message(&directory),
        "model.safetensors: tensor lm_head.weight is missing; expected F32, BF16 or F16 [37, 24]"
    );
}

#[test]
fn rotary_tables_of_old_files_are_skipped_and_other_strangers_named() {
    let mut tensors = raw(&model(), Dtype::F32);
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned();
    tensors.push((name, Dtype::F32, vec![5], vec![0; 20]));
    let directory = directory(&config());
    fs::write(directory.path().join(SINGLE), safetensors(&tensors)).unwrap();
    assert_eq!(
        Parameters::from_directory(directory.path()).unwrap(),
        model()
    );
    tensors.push(("score\n.weight".to_owned(), Dtype::F32, vec![1], vec![0; 4]));
    assert_eq!(
        error(&tensors),
        r"model.safetensors: tensor score\n.weight does not belong to this model"
    );
}

#[test]
fn wrong_tensors_are_named_with_what_was_expected_and_found() {
    let change = |change: &dyn Fn(&mut Vec<Raw>)| {
        let mut tensors = raw(&model(), Dtype::F32);
        change(&mut tensors);
        error(&tensors)
    };
    assert_eq!(
        change(&|tensors| drop(tensors.remove(1))),
        "model.safetensors: tensor model.layers.0.input_layernorm.weight is missing; \
         expected F32, BF16 or F16 [24]"
    );
    assert_eq!(
        change(&|tensors| tensors[1].2 = vec![4, 6]),
        "model.safetensors: tensor model.layers.0.input_layernorm.weight is F32 [4, 6]; \
         expected F32, BF16 or F16 [24]"
    );
    assert_eq!(
        change(&|tensors| tensors[1].1 = Dtype::I32),
        "model.safetensors: tensor model.layers.0.input_layernorm.weight is I32 [24]; \
         expected F32, BF16 or F16 [24]"
    );
    let nan = f32::NAN.to_le_bytes();
    assert_eq!(
        change(&|tensors| tensors[1].3[8..12].copy_from_slice(&nan)),
        "model.safetensors: tensor model.layers.0.input_layernorm.weight has a non-finite value \
         at index 2"
    );
}

#[test]
fn wrong_lengths_are_told_with_their_numbers() {
    let bytes = safetensors(&raw(&model(), Dtype::F32));
    let length = bytes.len();
    let wrong = |found: usize, expected: usize| {
        format!("model.safetensors: file has {found} bytes; its header asks for {expected}")
    };
    assert_eq!(
        error_of_bytes(&bytes[..length - 5]),
        wrong(length - 5, length)
    );
    let longer = [bytes.as_slice(), &[0; 9]].concat();
    assert_eq!(error_of_bytes(&longer), wrong(length + 9, length));
    let header = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    assert_eq!(error_of_bytes(&bytes[..100]), wrong(100, header + 8));
    assert_eq!(error_of_bytes(&[]), wrong(0, 8));
    let huge = [&u64::MAX.to_le_bytes(), &bytes[8..]].concat();
    assert!(error_of_bytes(&huge).contains("not valid safetensors"));
}

/// One-tensor files whose header lies.
#[test]
fn lying_headers_are_refused() {
    let refused = |entries: &str, data: usize| {
        let mut bytes = (entries.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(entries.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        error_of_bytes(&bytes)
    };
    assert_eq!(
        refused(
            r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
            8
        ),
        "model.safetensors: tensor a has 8 bytes; F32 [3] asks for 12"
    );
    for (entries, data) in [
        // Overlapping, reversed, with a gap, overflowing, of an unknown type, not JSON.
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
                "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            8,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
            8,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}}"#,
            8,
        ),
        (
            r#"{"a":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}}"#,
            8,
        ),
        (r#"{"a":"#, 8),
        ("\u{0}\u{1}", 8),
    ] {
        let text = refused(entries, data);
        assert!(text.starts_with("model.safetensors: "), "{text}");
    }
}

#[test]
fn directories_without_files_say_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    assert!(message(&empty).starts_with("config.json: No such file"));
    assert_eq!(
        message(&directory(&config())),
        ": neither model.safetensors nor model.safetensors.index.json is there"
    );
    let odd = directory(&config());
    fs::create_dir(odd.path().join(SINGLE)).unwrap();
    assert_eq!(message(&odd), "model.safetensors: not a file");
    fs::write(empty.path().join(CONFIG), vec![b' '; (1 << 20) + 1]).unwrap();
    assert_eq!(
        message(&empty),
        "config.json: file has 1048577 bytes; allowed are 1048576"
    );
    fs::write(empty.path().join(CONFIG), r#"{"model_type": "gpt2"}"#).unwrap();
    let text = message(&empty);
    assert!(text.starts_with("config.json: missing field"), "{text}");
}
