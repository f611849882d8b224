//! Files of weights.
//!
//! A checkpoint is a canonical safetensors file: the same values give the same bytes.
//!
//! ```text
//! u64 little-endian header length | JSON header, padded with spaces to 8 bytes | f32 data
//! ```
//!
//! Keys of the header are sorted by bytes, `__metadata__` first, without white space; tensors lie
//! in the order of their names without gaps. The file of a checkpoint carries its `config.json`
//! in the metadata, so it is complete by itself, and its BLAKE3 hash names it.
//!
//! A download from Hugging Face is a [directory] instead, with one safetensors file or several
//! in any order and any of three types. Both are read by the same checks ([`file`]).
//!
//! Spec: arithmetic §9

mod directory;
mod error;
mod file;

use crate::transformer::config::ModelConfig;
use crate::transformer::parameters::{Layout, Parameters};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

pub(crate) use directory::map;
pub use error::{DirectoryError, LoadError};
pub(crate) use file::{File, widen_f16};

/// The metadata key of the configuration.
const CONFIG: &str = "config";
/// Values converted at a time: a buffer that stays in the cache.
const CHUNK: usize = 1 << 14;

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
pub(crate) fn write(metadata: &BTreeMap<String, String>, tensors: Vec<Source<'_>>) -> Vec<u8> {
    let values: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    let mut bytes = Vec::with_capacity(values * 4 + 256 * tensors.len());
    write_to(&mut bytes, metadata, tensors).expect("invariant: memory takes every byte");
    bytes
}

/// BLAKE3 of what [`write`] gives.
fn hash(metadata: &BTreeMap<String, String>, tensors: Vec<Source<'_>>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    write_to(&mut hasher, metadata, tensors).expect("invariant: a hash takes every byte");
    hasher.finalize().into()
}

/// Writes sorted tensors and metadata in the canonical form, a chunk at a time.
pub(crate) fn write_to(
    out: &mut impl io::Write,
    metadata: &BTreeMap<String, String>,
    mut tensors: Vec<Source<'_>>,
) -> io::Result<()> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let header = header(metadata, &tensors);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for tensor in &tensors {
        write_values(out, tensor.values)?;
    }
    Ok(())
}

fn header(metadata: &BTreeMap<String, String>, tensors: &[Source<'_>]) -> String {
    let text = |value: Result<String, serde_json::Error>| {
        value.expect("invariant: strings and integers always serialise")
    };
    let mut header = String::from("{\"__metadata__\":");
    header.push_str(&text(serde_json::to_string(metadata)));
    let mut offset = 0;
    for tensor in tensors {
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
    header
}

fn write_values(out: &mut impl io::Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for part in values.chunks(CHUNK) {
        bytes.clear();
        for value in part {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Feeds values to a hash as little-endian f32.
pub(crate) fn hash_values(hasher: &mut blake3::Hasher, values: &[f32]) {
    write_values(hasher, values).expect("invariant: a hash takes every byte");
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
        write(&config_metadata(self.config()), self.sources())
    }

    /// BLAKE3 of the canonical file, which is never held as a whole.
    #[must_use]
    pub fn file_id(&self) -> [u8; 32] {
        hash(&config_metadata(self.config()), self.sources())
    }

    fn sources(&self) -> Vec<Source<'_>> {
        let tensors = self.layout().tensors().iter().map(|tensor| Source {
            name: tensor.name.clone(),
            shape: &tensor.shape,
            values: self.get(&tensor.range()),
        });
        tensors.collect()
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

    /// Reads a file whose configuration is given.
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
