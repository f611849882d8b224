//! Canonical safetensors files: the same values give the same bytes.
//!
//! ```text
//! u64 little-endian header length | JSON header, padded with spaces to 8 bytes | f32 data
//! ```
//!
//! Keys of the header are sorted by bytes, `__metadata__` first, without white space; tensors lie
//! in the order of their names without gaps. The file of a checkpoint carries its `config.json`
//! in the metadata, so it is complete by itself, and its BLAKE3 hash names it.
//!
//! Spec: arithmetic §9

use crate::transformer::config::{ConfigError, ModelConfig};
use crate::transformer::parameters::{Layout, Parameters};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use std::collections::BTreeMap;

/// Why bytes are not a model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not safetensors.
    #[error("file is not valid safetensors")]
    Format(#[source] safetensors::SafeTensorError),
    /// The metadata has no configuration.
    #[error("file has no {key} in its metadata")]
    MetadataMissing {
        /// The key looked for.
        key: &'static str,
    },
    /// A metadata entry cannot be read.
    #[error("metadata {key} cannot be read: {reason}")]
    Metadata {
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The configuration cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor the model needs is not in the file.
    #[error("tensor {name} is missing")]
    TensorMissing {
        /// Its name.
        name: String,
    },
    /// A tensor the model does not have.
    #[error("tensor {name} does not belong to this model")]
    TensorUnknown {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has shape {shape:?}; the configuration says {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor of a type that is not read.
    #[error("tensor {name} has type {dtype}; F32 and BF16 are read")]
    Type {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A value that is infinite or not a number.
    #[error("tensor {name} has a non-finite value at index {index}")]
    NonFinite {
        /// Its name.
        name: String,
        /// Index of the first such value.
        index: usize,
    },
    /// A vector whose length is not the model's.
    #[error("{name} has {length} values; {expected} are needed")]
    Length {
        /// What it is.
        name: &'static str,
        /// Its length.
        length: usize,
        /// The length it should have.
        expected: usize,
    },
}

/// The metadata key of the configuration.
const CONFIG: &str = "config";

#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

/// One tensor to be written.
pub(crate) struct Source<'a> {
    pub(crate) name: String,
    pub(crate) shape: &'a [usize],
    pub(crate) values: &'a [f32],
}

/// Writes sorted tensors and metadata in the canonical form.
pub(crate) fn write(metadata: &BTreeMap<String, String>, mut tensors: Vec<Source<'_>>) -> Vec<u8> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let text = |value: Result<String, serde_json::Error>| {
        value.expect("invariant: strings and integers always serialise")
    };
    let mut header = String::from("{\"__metadata__\":");
    header.push_str(&text(serde_json::to_string(metadata)));
    let mut offset = 0;
    for tensor in &tensors {
        let end = offset + tensor.values.len() * 4;
        let entry = Entry {
            dtype: "F32",
            shape: tensor.shape,
            data_offsets: [offset, end],
        };
        header.push(',');
        header.push_str(&text(serde_json::to_string(&tensor.name)));
        header.push(':');
        header.push_str(&text(serde_json::to_string(&entry)));
        offset = end;
    }
    header.push('}');
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + offset);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for tensor in &tensors {
        extend_values(&mut bytes, tensor.values);
    }
    bytes
}

fn extend_values(bytes: &mut Vec<u8>, values: &[f32]) {
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// Feeds values to a hash as little-endian f32.
pub(crate) fn hash_values(hasher: &mut blake3::Hasher, values: &[f32]) {
    let mut bytes = Vec::with_capacity(1 << 16);
    for part in values.chunks(1 << 14) {
        bytes.clear();
        extend_values(&mut bytes, part);
        hasher.update(&bytes);
    }
}

/// The metadata and tensors of a file.
pub(crate) struct File<'a> {
    metadata: BTreeMap<String, String>,
    tensors: SafeTensors<'a>,
}

impl<'a> File<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(LoadError::Format)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(LoadError::Format)?;
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

    /// Refuses names that `known` does not have.
    pub(crate) fn refuse_unknown(&self, known: impl Fn(&str) -> bool) -> Result<(), LoadError> {
        match self
            .tensors
            .names()
            .into_iter()
            .filter(|name| !known(name))
            .min()
        {
            Some(name) => Err(LoadError::TensorUnknown {
                name: name.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Checks a tensor's presence, type and shape.
    pub(crate) fn check(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        let missing = |_| LoadError::TensorMissing {
            name: name.to_owned(),
        };
        let tensor = self.tensors.tensor(name).map_err(missing)?;
        let shape = tensor.shape().to_vec();
        if shape != expected {
            let expected = expected.to_vec();
            return Err(LoadError::Shape {
                name: name.to_owned(),
                shape,
                expected,
            });
        }
        match tensor.dtype() {
            Dtype::F32 | Dtype::BF16 => Ok(()),
            other => Err(LoadError::Type {
                name: name.to_owned(),
                dtype: format!("{other:?}"),
            }),
        }
    }

    /// Copies a tensor's values, which must be finite.
    pub(crate) fn read(&self, name: &str, values: &mut [f32]) -> Result<(), LoadError> {
        let missing = |_| LoadError::TensorMissing {
            name: name.to_owned(),
        };
        let tensor = self.tensors.tensor(name).map_err(missing)?;
        match tensor.dtype() {
            Dtype::BF16 => {
                for (value, bytes) in values.iter_mut().zip(tensor.data().as_chunks::<2>().0) {
                    *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                }
            }
            _ => {
                for (value, bytes) in values.iter_mut().zip(tensor.data().as_chunks::<4>().0) {
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

/// The metadata that makes a file self-contained.
pub(crate) fn config_metadata(config: &ModelConfig) -> BTreeMap<String, String> {
    let text = serde_json::to_string(config).expect("invariant: a configuration serialises");
    BTreeMap::from([(CONFIG.to_owned(), text)])
}

impl Parameters {
    /// The canonical safetensors file: the same parameters give the same bytes.
    #[must_use]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let tensors = self.layout().tensors().iter().map(|tensor| Source {
            name: tensor.name.clone(),
            shape: &tensor.shape,
            values: self.get(&tensor.range()),
        });
        write(&config_metadata(self.config()), tensors.collect())
    }

    /// Reads a file that carries its configuration.
    ///
    /// # Errors
    /// What is wrong with the bytes; hostile bytes never panic.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = File::parse(bytes)?;
        let config = file.config()?;
        Self::load(&file, &config)
    }

    /// Reads a file whose configuration is given, such as one of Hugging Face's.
    ///
    /// # Errors
    /// What is wrong with the bytes; hostile bytes never panic.
    pub fn from_safetensors_with(bytes: &[u8], config: &ModelConfig) -> Result<Self, LoadError> {
        config.validate()?;
        Self::load(&File::parse(bytes)?, config)
    }

    fn load(file: &File<'_>, config: &ModelConfig) -> Result<Self, LoadError> {
        let layout = Layout::new(config);
        // Every tensor is checked before memory of the model's size is taken.
        for tensor in layout.tensors() {
            file.check(&tensor.name, &tensor.shape)?;
        }
        file.refuse_unknown(|name| layout.tensor(name).is_some())?;
        let mut parameters = Self::zeros(config);
        for tensor in layout.tensors() {
            file.read(&tensor.name, &mut parameters.as_mut_slice()[tensor.range()])?;
        }
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests;
