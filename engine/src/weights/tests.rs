//! Round trips and hostile files.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::{config, model};
use crate::trainer::{OuterOptimizer, OuterState};

#[test]
fn parameters_survive_their_file_and_give_the_same_bytes() {
    let model = model();
    let bytes = model.to_safetensors();
    let read = Parameters::from_safetensors(&bytes).unwrap();
    assert_eq!(read, model);
    assert_eq!(read.to_safetensors(), bytes);
}

#[test]
fn file_layout_is_pinned() {
    let bytes = model().to_safetensors();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap());
    assert_eq!(length % 8, 0);
    let header = std::str::from_utf8(&bytes[8..][..usize::try_from(length).unwrap()]).unwrap();
    assert!(
        header.starts_with(r#"{"__metadata__":{"config":"{\"architectures\""#),
        "{header}"
    );
    let first =
        r#""model.embed_tokens.weight":{"dtype":"F32","shape":[37,24],"data_offsets":[0,3552]},"#;
    assert!(header.contains(first), "{header}");
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "799e1b4a4ae74f839072b466b9da8ca047dc6a9dc5dac88ea239e156dbe85b37"
    );
}

#[test]
fn every_truncation_and_flipped_header_byte_is_an_error_or_another_model() {
    let bytes = model().to_safetensors();
    for length in (0..bytes.len()).step_by(97) {
        assert!(Parameters::from_safetensors(&bytes[..length]).is_err());
    }
    for index in 0..3000.min(bytes.len()) {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[index] ^= flip;
            drop(Parameters::from_safetensors(&bytes));
        }
    }
}

/// The canonical file of a model with one tensor changed before writing.
fn changed(change: impl Fn(&mut Vec<Source<'_>>)) -> Vec<u8> {
    let model = model();
    let mut sources: Vec<_> = model
        .layout()
        .tensors()
        .iter()
        .map(|tensor| Source {
            name: tensor.name.clone(),
            shape: &tensor.shape,
            values: model.get(&tensor.range()),
        })
        .collect();
    change(&mut sources);
    write(&config_metadata(&config()), sources)
}

#[test]
fn a_missing_tensor_is_named() {
    let bytes = changed(|sources| drop(sources.remove(3)));
    let error = Parameters::from_safetensors(&bytes)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "tensor model.layers.0.self_attn.k_proj.weight is missing; \
         expected F32, BF16 or F16 [20, 24]"
    );
}

#[test]
fn an_unknown_tensor_is_named() {
    let bytes = changed(|sources| {
        sources.push(Source {
            name: "extra".to_owned(),
            shape: &[1],
            values: &[1.0],
        });
    });
    let error = Parameters::from_safetensors(&bytes)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "tensor extra does not belong to this model");
}

#[test]
fn a_wrong_shape_is_named() {
    let bytes = changed(|sources| sources[1].shape = &[4, 6]);
    let error = Parameters::from_safetensors(&bytes)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "tensor model.layers.0.input_layernorm.weight is F32 [4, 6]; \
         expected F32, BF16 or F16 [24]"
    );
}

#[test]
fn a_non_finite_value_is_named() {
    let gains = [1.0, f32::NAN].repeat(12);
    let mut broken = model();
    broken.as_mut_slice()[37 * 24..][..24].copy_from_slice(&gains);
    let error = Parameters::from_safetensors(&broken.to_safetensors()).unwrap_err();
    assert!(
        matches!(error, LoadError::NonFinite { index: 1, .. }),
        "{error}"
    );
}

#[test]
fn a_file_without_configuration_needs_one() {
    let model = model();
    let sources = model.layout().tensors().iter().map(|tensor| Source {
        name: tensor.name.clone(),
        shape: &tensor.shape,
        values: model.get(&tensor.range()),
    });
    let bytes = write(&BTreeMap::new(), sources.collect());
    assert!(matches!(
        Parameters::from_safetensors(&bytes),
        Err(LoadError::MetadataMissing { key: "config" })
    ));
    assert_eq!(
        Parameters::from_safetensors_with(&bytes, &config()).unwrap(),
        model
    );
}

#[test]
fn outer_state_survives_its_file() {
    let nesterov = OuterOptimizer::Nesterov {
        lr: 0.7,
        momentum: 0.9,
    };
    let adamw = OuterOptimizer::AdamW {
        lr: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.0,
        clip_norm: 1.0,
    };
    for optimizer in [nesterov, adamw] {
        let mut model = model();
        let gradient: Vec<f32> = model.as_slice().iter().map(|x| x * 0.01).collect();
        let mut state = OuterState::new(&optimizer, &config());
        let threads = crate::Threads::new(1);
        state
            .step(&optimizer, &mut model, &gradient, &threads)
            .unwrap();
        let bytes = state.to_safetensors();
        let read = OuterState::from_safetensors(&bytes).unwrap();
        assert_eq!(read, state);
        assert_eq!(read.to_safetensors(), bytes);
        assert_eq!(read.step_count(), 1);
        assert!(Parameters::from_safetensors(&bytes).is_err());
        let other = if optimizer == nesterov {
            adamw
        } else {
            nesterov
        };
        assert!(state.step(&other, &mut model, &gradient, &threads).is_err());
        assert!(
            state
                .step(&optimizer, &mut model, &gradient[1..], &threads)
                .is_err()
        );
    }
}
