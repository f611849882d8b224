//! Models in other people's formats, turned into ours.
//!
//! GGUF is the one format here: a file of quantised weights with its tokenizer, which llama.cpp
//! and its relatives run. Its values are widened to f32 by each block type's published formula
//! (`blocks`), its names become Hugging Face's, and the rows of queries and keys, which the
//! format stores in another order for the llama architecture, are put back:
//!
//! ```text
//! Hugging Face row  h D + j (D / 2) + i  =  GGUF row  h D + 2 i + j,   j in {0, 1}
//! ```
//!
//! A rotated pair stands side by side in GGUF and half a head apart in Hugging Face's layout.
//! Everything is checked before it is used; hostile bytes are an error, never a panic.

mod blocks;
mod gguf;
mod shape;
mod tokens;

use crate::transformer::config::{ConfigError, Family};
use crate::transformer::parameters::{Layout, Parameters, Tensor};
use crate::weights::{DirectoryError, map};
use blocks::BlockType;
use gguf::{File, TensorInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A model read from a GGUF file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Configuration and weights.
    pub parameters: Parameters,
    /// `tokenizer.json`, unless the file's tokenizer is of a kind that is not converted.
    pub tokenizer: Option<String>,
    /// `tokenizer_config.json`: special tokens and chat template.
    pub tokenizer_config: String,
    /// `generation_config.json`: the tokens that begin and end a text.
    pub generation_config: String,
    /// How many tensors were stored as each block type, by its name, in the order of names.
    pub types: BTreeMap<&'static str, usize>,
}

/// Why bytes are not a model that can be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bytes are of another format.
    #[error("file is not GGUF")]
    Magic,
    /// A version with another structure.
    #[error("GGUF version {version} is not read; 2 and 3 are")]
    Version {
        /// The version.
        version: u32,
    },
    /// Something that would lie beyond the end.
    #[error("file has {length} bytes; {what} ends at {end}")]
    Truncated {
        /// What is cut.
        what: String,
        /// Bytes in the file.
        length: usize,
        /// Where it would end.
        end: u64,
    },
    /// A count beyond every real file's.
    #[error("{what} is {value}; allowed are at most {limit}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The count.
        value: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// A part that breaks the format.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// The part.
        what: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A setting that is not there.
    #[error("key {key} is missing; expected {expected}")]
    KeyMissing {
        /// The key.
        key: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// A setting of another type.
    #[error("key {key} is not {expected}")]
    KeyType {
        /// The key.
        key: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// A setting that changes the mathematics in a way this engine does not have.
    #[error("{key} = {value} is not supported")]
    Unsupported {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// The configuration cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor that is not there.
    #[error("tensor {name} is missing; expected {expected:?}")]
    TensorMissing {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor the model does not have.
    #[error("tensor {name} does not belong to this model")]
    TensorUnknown {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} is {dtype} {shape:?}; expected {expected:?}")]
    Mismatch {
        /// Its name.
        name: String,
        /// Its block type.
        dtype: &'static str,
        /// Its shape, outermost first.
        shape: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A block type that is not widened.
    #[error("tensor {name} has block type {code}; read are {}", BlockType::names())]
    BlockType {
        /// Its name.
        name: String,
        /// The format's number for the type.
        code: u32,
    },
    /// A value that is infinite or not a number.
    #[error("tensor {name} has a non-finite value at index {index}")]
    NonFinite {
        /// Its name.
        name: String,
        /// Index of the first such value.
        index: usize,
    },
}

/// Reads a GGUF file of the llama, qwen2 or qwen3 architecture.
///
/// # Errors
/// One line that says what is wrong with the bytes; hostile bytes never panic.
pub fn from_gguf(bytes: &[u8]) -> Result<Imported, ImportError> {
    let file = File::parse(bytes)?;
    let config = shape::config(&file)?;
    let layout = Layout::new(&config);
    let mut sources = Vec::with_capacity(layout.tensors().len());
    // Every tensor is checked before memory of the model's size is taken.
    for tensor in layout.tensors() {
        sources.push(source(&file, tensor)?);
    }
    let known: BTreeSet<&str> = sources.iter().map(|(info, ..)| info.name).collect();
    if let Some(name) = file.tensor_names().find(|name| !known.contains(name)) {
        let name = name.escape_debug().to_string();
        return Err(ImportError::TensorUnknown { name });
    }
    let mut parameters = Parameters::zeros(&config);
    let mut types = BTreeMap::new();
    for (tensor, (info, kind, data)) in layout.tensors().iter().zip(&sources) {
        *types.entry(kind.name()).or_insert(0) += 1;
        let values = &mut parameters.as_mut_slice()[tensor.range()];
        kind.widen(data, values);
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let name = info.name.to_owned();
            return Err(ImportError::NonFinite { name, index });
        }
        if config.family == Family::Llama {
            restore_rows(tensor, config.head_dim, values);
        }
    }
    Ok(Imported {
        parameters,
        tokenizer: tokens::tokenizer(&file)?,
        tokenizer_config: tokens::tokenizer_config(&file)?,
        generation_config: tokens::generation_config(&file)?,
        types,
    })
}

/// Reads a GGUF file, mapped into memory.
///
/// # Errors
/// One line with the file and what is wrong.
pub fn from_gguf_file(path: &Path) -> Result<Imported, DirectoryError> {
    let bytes = map(path).map_err(|error| DirectoryError::Io {
        path: path.to_owned(),
        error,
    })?;
    from_gguf(&bytes).map_err(|error| DirectoryError::Import {
        path: path.to_owned(),
        error,
    })
}

/// A tensor's entry, block type and bytes, all checked.
type Checked<'f, 'a> = (&'f TensorInfo<'a>, BlockType, &'a [u8]);

fn source<'f, 'a>(file: &'f File<'a>, tensor: &Tensor) -> Result<Checked<'f, 'a>, ImportError> {
    let name = gguf_name(&tensor.name);
    let Some(info) = file.tensor(&name) else {
        return Err(ImportError::TensorMissing {
            name,
            expected: tensor.shape.clone(),
        });
    };
    let code = info.code;
    let Some(kind) = BlockType::of(code) else {
        return Err(ImportError::BlockType { name, code });
    };
    let inner = tensor.shape.last().copied().unwrap_or(0);
    if info.shape != tensor.shape || !inner.is_multiple_of(kind.values()) {
        return Err(ImportError::Mismatch {
            name,
            dtype: kind.name(),
            shape: info.shape.clone(),
            expected: tensor.shape.clone(),
        });
    }
    let length = tensor.length / kind.values() * kind.bytes();
    Ok((info, kind, file.data(info, length)?))
}

/// The name that GGUF has for a tensor of ours.
fn gguf_name(name: &str) -> String {
    const PARTS: [(&str, &str); 12] = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
    ];
    const REST: [(&str, &str); 2] = [("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")];
    let (block, part) = match name.strip_prefix("model.layers.") {
        Some(rest) => match rest.split_once('.') {
            Some((index, part)) => (format!("blk.{index}."), part),
            None => (String::new(), name),
        },
        None => (String::new(), name),
    };
    let (stem, kind) = part.rsplit_once('.').unwrap_or((part, ""));
    let mut all = PARTS.iter().chain(&REST);
    let theirs = all
        .find(|(ours, _)| *ours == stem)
        .map_or(stem, |(_, theirs)| theirs);
    format!("{block}{theirs}.{kind}")
}

/// Puts the rows of queries and keys in Hugging Face's order.
fn restore_rows(tensor: &Tensor, head_dim: usize, values: &mut [f32]) {
    let name = tensor.name.as_str();
    if !name.ends_with("q_proj.weight") && !name.ends_with("k_proj.weight") {
        return;
    }
    let (width, half) = (tensor.shape[1], head_dim / 2);
    for head in values.chunks_exact_mut(head_dim * width) {
        let stored = head.to_vec();
        for (row, target) in head.chunks_exact_mut(width).enumerate() {
            let from = 2 * (row % half) + row / half;
            target.copy_from_slice(&stored[from * width..][..width]);
        }
    }
}

#[cfg(test)]
mod tests;
