//! Why files are not a model: one line each, with what was expected and what was found.

use crate::transformer::config::ConfigError;
use std::path::PathBuf;

/// The types that are read, as error messages name them.
const READ: &str = "F32, BF16 or F16";

/// Why bytes are not a model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not safetensors.
    #[error("file is not valid safetensors: {reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
    /// A file that ends too early or too late.
    #[error("file has {length} bytes; its header asks for {expected}")]
    FileLength {
        /// Bytes in the file.
        length: usize,
        /// Bytes that the header describes, itself included.
        expected: u64,
    },
    /// A tensor whose bytes are not what its shape and type ask for.
    #[error("tensor {name} has {bytes} bytes; {dtype} {shape:?} asks for {expected}")]
    TensorLength {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes between its offsets.
        bytes: u64,
        /// Bytes that the shape and type ask for.
        expected: u64,
    },
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
    #[error("tensor {name} is missing; expected {READ} {expected:?}")]
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
    /// A tensor of another shape, or of a type that is not read.
    #[error("tensor {name} is {dtype} {shape:?}; expected {READ} {expected:?}")]
    Mismatch {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
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

/// Why a directory is not a model; every message is one line that begins with the file.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The operating system refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A text file longer than any real one.
    #[error("{}: file has {length} bytes; allowed are {limit}", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// The longest allowed.
        limit: u64,
    },
    /// A text file that cannot be understood.
    #[error("{}: {reason}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A directory without weights.
    #[error("{}: neither model.safetensors nor model.safetensors.index.json is there", path.display())]
    NoWeights {
        /// The directory.
        path: PathBuf,
    },
    /// The index names something that is not a file of this directory.
    #[error("{}: {name} is not a file name", path.display())]
    FileName {
        /// The index.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A tensor in another file than the index says.
    #[error("{}: tensor {name} is not in this file by model.safetensors.index.json", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A head that differs from the embeddings it is tied to.
    #[error("{}: tensor lm_head.weight differs from model.embed_tokens.weight, but config.json ties them", path.display())]
    Untied {
        /// The file.
        path: PathBuf,
    },
    /// A file of weights is wrong.
    #[error("{}: {error}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: LoadError,
    },
    /// A file of another format is wrong.
    #[error("{}: {error}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: crate::import::ImportError,
    },
}
