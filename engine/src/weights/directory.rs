//! A model as Hugging Face keeps it: a directory with `config.json` and safetensors files.
//!
//! The weights are one file, `model.safetensors`, or several that `model.safetensors.index.json`
//! lists. Files are mapped into memory and every tensor is copied once, widened to f32, to its
//! place in the flat vector: nothing is held twice, and pages that were read can be dropped.
//!
//! This is the one place where the engine opens files; everything else takes bytes.

use super::file::{File, shown};
use super::{DirectoryError, LoadError, write_to};
use crate::transformer::config::ModelConfig;
use crate::transformer::parameters::{Layout, Parameters};
use memmap2::Mmap;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Largest `config.json`.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Largest `model.safetensors.index.json`.
const INDEX_BYTES_MAX: u64 = 1 << 26;
/// The configuration's file name.
const CONFIG: &str = "config.json";
/// File name of weights in one file.
const SINGLE: &str = "model.safetensors";
/// File name of the list of weights in several files.
const INDEX: &str = "model.safetensors.index.json";
/// The output head, which a file with tied embeddings may repeat.
const HEAD: &str = "lm_head.weight";

/// The index of a model in several files.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// A file of weights, mapped.
struct Shard {
    path: PathBuf,
    name: String,
    bytes: Mmap,
}

impl ModelConfig {
    /// Reads `config.json` of a directory.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn from_directory(directory: &Path) -> Result<Self, DirectoryError> {
        let path = directory.join(CONFIG);
        let text = read_text(&path, CONFIG_BYTES_MAX)?;
        serde_json::from_str(&text).map_err(|error| DirectoryError::Text {
            path,
            reason: error.to_string(),
        })
    }
}

impl Parameters {
    /// Reads a Hugging Face directory: `config.json` and f32, bf16 or f16 weights in one file or
    /// in several, which are mapped into memory.
    ///
    /// Tables of rotary frequencies, which old files have, are skipped; a head that repeats tied
    /// embeddings must equal them; other tensors that the model does not have are refused.
    ///
    /// # Errors
    /// One line with the file, the tensor, what was expected and what was found.
    pub fn from_directory(directory: &Path) -> Result<Self, DirectoryError> {
        let config = ModelConfig::from_directory(directory)?;
        let (origin, shards, places) = open(directory)?;
        let mut files = Vec::with_capacity(shards.len());
        for shard in &shards {
            let file = File::parse(&shard.bytes).map_err(|error| shard.wrong(error))?;
            if let Some(places) = &places {
                shard.check_places(&file, places)?;
            }
            files.push((shard, file));
        }
        assemble(&config, &origin, &files)
    }

    /// Writes a directory that [`from_directory`](Self::from_directory) and `transformers` read:
    /// `config.json` and `model.safetensors` in f32.
    ///
    /// # Errors
    /// What the operating system says, with the file.
    pub fn to_directory(&self, directory: &Path) -> Result<(), DirectoryError> {
        let within = |path: &Path, result: std::io::Result<()>| {
            let path = path.to_owned();
            result.map_err(|error| DirectoryError::Io { path, error })
        };
        within(directory, std::fs::create_dir_all(directory))?;
        let path = directory.join(CONFIG);
        within(&path, std::fs::write(&path, config_text(self.config())))?;
        let path = directory.join(SINGLE);
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let written = std::fs::File::create(&path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write_to(&mut out, &metadata, self.sources())?;
            out.flush()
        });
        within(&path, written)
    }
}

/// `config.json`, for readers.
fn config_text(config: &ModelConfig) -> String {
    let text = serde_json::to_string_pretty(config);
    text.expect("invariant: a configuration serialises") + "\n"
}

/// Copies every tensor of the layout from the file that has it.
fn assemble(
    config: &ModelConfig,
    origin: &Path,
    files: &[(&Shard, File<'_>)],
) -> Result<Parameters, DirectoryError> {
    let layout = Layout::new(config);
    let mut sources = Vec::with_capacity(layout.tensors().len());
    // Every tensor is checked before memory of the model's size is taken.
    for tensor in layout.tensors() {
        let mut all = files.iter();
        let Some((shard, file)) = all.find(|(_, file)| file.contains(&tensor.name)) else {
            return Err(DirectoryError::Weights {
                path: origin.to_owned(),
                error: LoadError::TensorMissing {
                    name: tensor.name.clone(),
                    expected: tensor.shape.clone(),
                },
            });
        };
        file.check(&tensor.name, &tensor.shape)
            .map_err(|error| shard.wrong(error))?;
        sources.push((tensor, shard, file));
    }
    let known = |name: &str| {
        layout.tensor(name).is_some()
            || (config.tie_word_embeddings && name == HEAD)
            || name.ends_with("rotary_emb.inv_freq")
    };
    for (shard, file) in files {
        file.refuse_unknown(known)
            .map_err(|error| shard.wrong(error))?;
    }
    let mut parameters = Parameters::zeros(config);
    for (tensor, shard, file) in sources {
        let values = &mut parameters.as_mut_slice()[tensor.range()];
        file.read(&tensor.name, values)
            .map_err(|error| shard.wrong(error))?;
    }
    if config.tie_word_embeddings {
        for (shard, file) in files.iter().filter(|(_, file)| file.contains(HEAD)) {
            check_tied_head(&parameters, shard, file)?;
        }
    }
    Ok(parameters)
}

/// Refuses a head that is not the embeddings it is said to be.
fn check_tied_head(
    parameters: &Parameters,
    shard: &Shard,
    file: &File<'_>,
) -> Result<(), DirectoryError> {
    let config = parameters.config();
    let shape = [config.vocab_size, config.hidden_size];
    let mut head = vec![0.0; config.vocab_size * config.hidden_size];
    file.check(HEAD, &shape)
        .and_then(|()| file.read(HEAD, &mut head))
        .map_err(|error| shard.wrong(error))?;
    if head != parameters.get(&parameters.layout().head()) {
        let path = shard.path.clone();
        return Err(DirectoryError::Untied { path });
    }
    Ok(())
}

/// The file that names all tensors, the files of weights, and which tensor is where if there are
/// several.
type Opened = (PathBuf, Vec<Shard>, Option<BTreeMap<String, String>>);

fn open(directory: &Path) -> Result<Opened, DirectoryError> {
    let path = directory.join(SINGLE);
    if path.exists() {
        return Ok((path, vec![Shard::open(directory, SINGLE)?], None));
    }
    let path = directory.join(INDEX);
    if !path.exists() {
        let path = directory.to_owned();
        return Err(DirectoryError::NoWeights { path });
    }
    let text = read_text(&path, INDEX_BYTES_MAX)?;
    let index: Index = serde_json::from_str(&text).map_err(|error| DirectoryError::Text {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    let mut names: Vec<&String> = index.weight_map.values().collect();
    names.sort_unstable();
    names.dedup();
    let mut shards = Vec::with_capacity(names.len());
    for name in names {
        // A name with a separator would leave the directory.
        if Path::new(name)
            .file_name()
            .is_none_or(|part| part != name.as_str())
        {
            let name = shown(name);
            return Err(DirectoryError::FileName { path, name });
        }
        shards.push(Shard::open(directory, name)?);
    }
    if shards.is_empty() {
        let reason = "weight_map is empty".to_owned();
        return Err(DirectoryError::Text { path, reason });
    }
    Ok((path, shards, Some(index.weight_map)))
}

impl Shard {
    fn open(directory: &Path, name: &str) -> Result<Self, DirectoryError> {
        let path = directory.join(name);
        match map(&path) {
            Ok(bytes) => Ok(Self {
                path,
                name: name.to_owned(),
                bytes,
            }),
            Err(error) => Err(DirectoryError::Io { path, error }),
        }
    }

    fn wrong(&self, error: LoadError) -> DirectoryError {
        DirectoryError::Weights {
            path: self.path.clone(),
            error,
        }
    }

    /// Checks that the file has exactly the tensors that the index places in it.
    fn check_places(
        &self,
        file: &File<'_>,
        places: &BTreeMap<String, String>,
    ) -> Result<(), DirectoryError> {
        let placed = |name: &str| places.get(name) == Some(&self.name);
        if let Some(name) = file.names().into_iter().find(|name| !placed(name)) {
            return Err(DirectoryError::Misplaced {
                path: self.path.clone(),
                name: shown(name),
            });
        }
        let mut own = places.iter().filter(|(_, place)| **place == self.name);
        match own.find(|(name, _)| !file.contains(name)) {
            Some((name, _)) => Err(DirectoryError::Text {
                path: self.path.clone(),
                reason: format!("tensor {}, placed here by {INDEX}, is missing", shown(name)),
            }),
            None => Ok(()),
        }
    }
}

/// Maps a file for reading.
#[expect(unsafe_code, reason = "mapping a file is unsafe by nature")]
pub(crate) fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    // SAFETY: the mapping is private and read-only, and is read as plain bytes, for which every
    // value is valid. Writing to the file during the load would give other values, and cutting it
    // short would end the process, as it would for every program that maps its weights.
    unsafe { Mmap::map(&file) }
}

/// Reads a text file of bounded length.
fn read_text(path: &Path, limit: u64) -> Result<String, DirectoryError> {
    let wrong = |error| DirectoryError::Io {
        path: path.to_owned(),
        error,
    };
    let file = std::fs::File::open(path).map_err(wrong)?;
    let length = file.metadata().map_err(wrong)?.len();
    let mut text = String::new();
    // The length is not believed: a pipe has none.
    let mut bounded = file.take(limit + 1);
    if length <= limit {
        bounded.read_to_string(&mut text).map_err(wrong)?;
    }
    let length = length.max(text.len() as u64);
    if length > limit {
        return Err(DirectoryError::Long {
            path: path.to_owned(),
            length,
            limit,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
