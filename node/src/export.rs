//! `cairn export`: the last agreed checkpoint as a file whose `b3sum` is its id on the chain.

use crate::{validator::open_offline, workbench::initial_model};
use anyhow::{Context as _, Result, bail};
use ledger_state::run::{self, Run};
use network::FolderStore;
use protocol::{CheckpointId, RunId};
use std::path::{Path, PathBuf};

/// The validator's folder in a devnet's, or the folder itself.
///
/// # Errors
/// When there is neither.
pub fn validator_home(home: &Path) -> Result<PathBuf> {
    let inside = home.join("validator-0");
    for candidate in [home.to_owned(), inside] {
        if candidate.join("store").exists() {
            return Ok(candidate);
        }
    }
    bail!("{} holds neither a devnet nor a validator", home.display())
}

/// Writes the last agreed checkpoint of the first run.
///
/// # Errors
/// When the home is in use or damaged, or the file cannot be written.
pub fn run(home: &Path, out: &Path) -> Result<()> {
    let path = validator_home(home)?;
    let (home, _, chain) = open_offline(&path)?;
    let id = RunId::ZERO;
    let (step, recipe, agreed) = chain.view(|view| {
        let step = view.get::<Run>(&id).map(|run| run.step);
        let agreed = step.and_then(|step| run::agreed(view, id, step));
        (step, run::recipe(view, id), agreed)
    });
    let (step, recipe) = (step.context("no run")?, recipe.context("no run")?);
    let (checkpoint, bytes) = match agreed {
        Some(agreed) => {
            let model = agreed.checkpoint.model;
            let blobs = FolderStore::open(home.join("blobs"))?;
            let bytes = blobs.get(&model.blob())?.with_context(|| {
                format!("checkpoint {model} is not in this validator's blobs; try another's")
            })?;
            (model, bytes)
        }
        None => {
            let model = initial_model(&recipe)?;
            (model.id, model.parameters.to_safetensors())
        }
    };
    let found = CheckpointId::of(&bytes);
    anyhow::ensure!(
        found == checkpoint,
        "file has hash {found}; the chain says {checkpoint}"
    );
    crate::home::write_atomically(out, &bytes)?;
    let count = bytes.len();
    crate::devnet::screen::print(&format!(
        "{}: checkpoint {checkpoint} of step {step}, {count} bytes",
        out.display()
    ))
}
