//! `cairn model import`: a GGUF file becomes a Hugging Face directory.

use crate::devnet::screen::print;
use anyhow::{Context as _, Result};
use std::path::Path;

/// Writes `config.json`, `model.safetensors` in f32, `tokenizer.json`, `tokenizer_config.json`
/// and `generation_config.json`.
///
/// A `tokenizer.json` beside the source is preferred to the one made from the file's tokens.
///
/// # Errors
/// One line with the file and what is wrong with it.
pub(super) fn run(source: &Path, directory: &Path) -> Result<()> {
    let imported = engine::import::from_gguf_file(source)?;
    imported.parameters.to_directory(directory)?;
    let beside = source.with_file_name("tokenizer.json");
    let tokenizer = if beside.exists() {
        let text = std::fs::read_to_string(&beside);
        Some(text.with_context(|| format!("{} cannot be read", beside.display()))?)
    } else {
        imported.tokenizer
    };
    for (name, text) in [
        ("tokenizer.json", &tokenizer),
        ("tokenizer_config.json", &Some(imported.tokenizer_config)),
        ("generation_config.json", &Some(imported.generation_config)),
    ] {
        if let Some(text) = text {
            let path = directory.join(name);
            let written = std::fs::write(&path, text);
            written.with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    let types: Vec<String> = imported
        .types
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    let count = imported.parameters.as_slice().len();
    print(&format!(
        "{}: {count} parameters from tensors of {}",
        directory.display(),
        types.join(", ")
    ))?;
    if tokenizer.is_none() {
        print("its tokenizer is of a kind that is not converted; copy the original one there")?;
    }
    Ok(())
}
