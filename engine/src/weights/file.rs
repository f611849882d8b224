//! One safetensors file in memory, from a stranger: every read is checked first.
//!
//! The format crate validates the header (at most 100 MB, offsets without gaps or overlaps, the
//! file covered exactly); where it refuses, [`explain`] says which tensor or length is wrong.

use super::{CONFIG, LoadError};
use crate::transformer::config::ModelConfig;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Longest part of a stranger's name in a message.
const NAME_CHARACTERS_MAX: usize = 200;

/// The metadata and tensors of a file.
pub(crate) struct File<'a> {
    metadata: BTreeMap<String, String>,
    tensors: SafeTensors<'a>,
}

impl<'a> File<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let explained = |error| explain(bytes, &error);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(explained)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(explained)?;
        let metadata = header.metadata().iter().flatten();
        let metadata = metadata
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Ok(Self { metadata, tensors })
    }

    pub(crate) fn metadata(&self, key: &'static str) -> Result<&str, LoadError> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or(LoadError::MetadataMissing { key })
    }

    /// The configuration in the metadata.
    pub(crate) fn config(&self) -> Result<ModelConfig, LoadError> {
        let config: ModelConfig =
            serde_json::from_str(self.metadata(CONFIG)?).map_err(|error| LoadError::Metadata {
                key: CONFIG,
                reason: error.to_string(),
            })?;
        config.validate()?;
        Ok(config)
    }

    /// The names of its tensors, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = self.tensors.names();
        names.sort_unstable();
        names
    }

    /// Whether it has a tensor of that name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    /// Refuses names that `known` does not have.
    pub(crate) fn refuse_unknown(&self, known: impl Fn(&str) -> bool) -> Result<(), LoadError> {
        match self.names().into_iter().find(|name| !known(name)) {
            Some(name) => Err(LoadError::TensorUnknown { name: shown(name) }),
            None => Ok(()),
        }
    }

    /// Checks a tensor's presence, type and shape.
    pub(crate) fn check(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Err(LoadError::TensorMissing {
                name: name.to_owned(),
                expected: expected.to_vec(),
            });
        };
        let read = matches!(tensor.dtype(), Dtype::F32 | Dtype::BF16 | Dtype::F16);
        if read && tensor.shape() == expected {
            return Ok(());
        }
        Err(LoadError::Mismatch {
            name: name.to_owned(),
            dtype: format!("{:?}", tensor.dtype()),
            shape: tensor.shape().to_vec(),
            expected: expected.to_vec(),
        })
    }

    /// Copies a tensor's values, which must be finite.
    pub(crate) fn read(&self, name: &str, values: &mut [f32]) -> Result<(), LoadError> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Err(LoadError::TensorMissing {
                name: name.to_owned(),
                expected: vec![values.len()],
            });
        };
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::BF16 => {
                for (value, bytes) in values.iter_mut().zip(data.as_chunks::<2>().0) {
                    *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                }
            }
            Dtype::F16 => {
                for (value, bytes) in values.iter_mut().zip(data.as_chunks::<2>().0) {
                    *value = widen_f16(u16::from_le_bytes(*bytes));
                }
            }
            _ => {
                for (value, bytes) in values.iter_mut().zip(data.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(LoadError::NonFinite {
                name: name.to_owned(),
                index,
            }),
            None => Ok(()),
        }
    }
}

/// IEEE binary16 as f32, which holds every one of its values.
///
/// The fields are moved into place; `2^112` corrects the bias of the exponent, and makes
/// subnormals normal, exactly.
pub(crate) fn widen_f16(half: u16) -> f32 {
    const BIAS: f32 = f32::from_bits((127 + 112) << 23);
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff) << 13;
    let value = if half & 0x7c00 == 0x7c00 {
        magnitude | 0x7f80_0000
    } else {
        (f32::from_bits(magnitude) * BIAS).to_bits()
    };
    f32::from_bits(sign | value)
}

/// A stranger's name, on one line and not too long.
pub(super) fn shown(name: &str) -> String {
    name.escape_debug().take(NAME_CHARACTERS_MAX).collect()
}

/// An entry of a header whose numbers are not believed.
#[derive(Deserialize)]
struct Claim {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl Claim {
    /// Bytes that the shape and type ask for, if the type is one that is read.
    fn expected(&self) -> Option<u64> {
        let width: u64 = match self.dtype.as_str() {
            "F32" => 4,
            "F16" | "BF16" => 2,
            _ => return None,
        };
        let mut sizes = self.shape.iter().map(|&size| size as u64);
        sizes.try_fold(width, u64::checked_mul)
    }
}

/// What is wrong with a file that the format crate refuses.
fn explain(bytes: &[u8], error: &SafeTensorError) -> LoadError {
    let format = LoadError::Format {
        reason: error.to_string(),
    };
    let Some(&length) = bytes.first_chunk() else {
        return LoadError::FileLength {
            length: bytes.len(),
            expected: 8,
        };
    };
    let end = u64::from_le_bytes(length).saturating_add(8);
    match error {
        SafeTensorError::InvalidHeaderLength => LoadError::FileLength {
            length: bytes.len(),
            expected: end,
        },
        SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::TensorInvalidInfo => {
            let header = usize::try_from(end).ok().and_then(|end| bytes.get(8..end));
            header
                .and_then(|header| explain_header(header, bytes.len(), end))
                .unwrap_or(format)
        }
        _ => format,
    }
}

/// The first tensor of a wrong length, or the length that all tensors ask for.
fn explain_header(header: &[u8], length: usize, end: u64) -> Option<LoadError> {
    let entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let mut data = 0;
    for (name, entry) in entries {
        if name == "__metadata__" {
            continue;
        }
        let claim: Claim = serde_json::from_value(entry).ok()?;
        let [from, to] = claim.data_offsets;
        let found = to.saturating_sub(from);
        if let Some(expected) = claim.expected()
            && expected != found
        {
            return Some(LoadError::TensorLength {
                name: shown(&name),
                dtype: claim.dtype,
                shape: claim.shape,
                bytes: found,
                expected,
            });
        }
        data = data.max(to);
    }
    Some(LoadError::FileLength {
        length,
        expected: end.saturating_add(data),
    })
}
