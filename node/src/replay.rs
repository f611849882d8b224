//! `cairn replay`: derives every checkpoint again, from genesis, blocks and blobs alone.
//!
//! It trusts nothing that the validator computed: every block's certificate is checked against
//! the validators in force, the state machine runs from genesis, every state root is compared, and
//! every checkpoint is built from the accepted gradient blobs and compared byte for byte (by hash)
//! with what the validators agreed on.

use crate::{export::validator_home, keeping};
use anyhow::{Context as _, Result, bail, ensure};
use engine::{
    Device, Parameters, Threads,
    trainer::{OuterState, file},
};
use ledger_consensus::{Certificate, Validator, ValidatorSet};
use ledger_state::{State, apply, genesis, run, unit, validator::Sets};
use ledger_store::Store;
use network::FolderStore;
use protocol::{
    BlobId, CheckpointId, Height, RunId, Step, block::Block, checkpoint::Checkpoint, codec::decode,
    genesis::Genesis, gradient, recipe::Recipe, task::UnitKind,
};
use serde::Serialize;
use std::path::Path;
use verifier::checkpoint::validation_loss;

/// What a replay found when everything was equal.
#[derive(Clone, Debug, Serialize)]
struct Replayed {
    /// Blocks applied.
    blocks: u64,
    /// Checkpoints derived and equal.
    checkpoints: u64,
    /// The last of them.
    checkpoint: Option<CheckpointId>,
    /// How good each of them is, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validation: Vec<Validation>,
}

/// How good a checkpoint is on text that nobody trained on.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Validation {
    /// The run.
    pub(crate) run: RunId,
    /// The step that starts from it.
    pub(crate) step: Step,
    /// Tokens of accepted gradients that it has learned from.
    pub(crate) tokens_count: u64,
    /// Mean loss on the corpus' validation part, in nats a token.
    pub(crate) loss: f64,
}

/// A run's model as this replay derives it.
struct Derived {
    recipe: Recipe,
    model: Parameters,
    outer: OuterState,
    tokens_count: u64,
}

/// Replays a validator's chain.
///
/// # Errors
/// When anything differs, with the first block or step that does.
pub fn run(home: &Path, rows: Option<usize>, json: bool) -> Result<()> {
    let replayed = replay(home, rows)?;
    let text = if json {
        serde_json::to_string_pretty(&replayed).context("cannot encode the result")?
    } else {
        let mut text = String::new();
        for point in &replayed.validation {
            let Validation {
                run,
                step,
                tokens_count,
                loss,
            } = point;
            text += &format!(
                "run {run} step {step}: validation loss {loss:.4} after {tokens_count} tokens\n"
            );
        }
        text + &format!(
            "{} blocks and {} checkpoints derived again; every byte is equal{}",
            replayed.blocks,
            replayed.checkpoints,
            replayed
                .checkpoint
                .map(|id| format!("; the last is {id}"))
                .unwrap_or_default()
        )
    };
    crate::devnet::screen::print(&text)
}

/// Losses on the validation part of all checkpoints of a run, each derived again.
pub(crate) fn validation(home: &Path, run: RunId, rows_count: usize) -> Result<Vec<Validation>> {
    let mut points = replay(home, Some(rows_count))?.validation;
    points.retain(|point| point.run == run);
    Ok(points)
}

fn replay(home: &Path, rows: Option<usize>) -> Result<Replayed> {
    let path = validator_home(home)?;
    let home = crate::home::Home::open(&path)?;
    let genesis = home.genesis()?;
    let store = keeping::open(&home)?;
    let blobs = FolderStore::open(home.join("blobs"))?;
    replay_blocks(&genesis, store.as_ref(), &blobs, rows)
}

fn replay_blocks(
    genesis: &Genesis,
    store: &dyn Store,
    blobs: &FolderStore,
    rows: Option<usize>,
) -> Result<Replayed> {
    let mut state = genesis::state(genesis)?;
    let mut derived = genesis
        .runs
        .iter()
        .map(|run| initial(&run.recipe))
        .collect::<Result<Vec<_>>>()?;
    let tip = store.tip()?.context("the store is empty")?;
    let first = store.first()?;
    ensure!(
        first <= Height::new(1),
        "this node keeps blocks from height {first} on; a replay needs them from 1 on: ask a node \
         whose `keep_blocks` is 0, or set it here and run `cairn store repair`"
    );
    let mut replayed = Replayed {
        blocks: 0,
        checkpoints: 0,
        checkpoint: None,
        validation: Vec::new(),
    };
    for (index, run) in (0_u64..).zip(&derived) {
        let place = (RunId::new(index), Step::ZERO);
        replayed.validation.extend(validate(run, place, rows)?);
    }
    for height in 1..=tip.height.get() {
        let height = Height::new(height);
        let steps = steps(&state, derived.len());
        step_block(genesis, store, &mut state, height)?;
        replayed.blocks += 1;
        // Votes may have created runs in this block.
        let created = |known: &[Derived]| RunId::new(known.len() as u64);
        while let Some(recipe) = run::recipe(&state.view(), created(&derived)) {
            derived.push(initial(&recipe)?);
        }
        for (index, before) in (0_u64..).zip(steps) {
            let id = RunId::new(index);
            let agreed = state
                .view()
                .get::<run::Run>(&id)
                .filter(|run| run.step > before);
            let Some(now) = agreed else { continue };
            let position = usize::try_from(index).context("run number")?;
            let run = derived
                .get_mut(position)
                .context("invariant: one per run")?;
            replayed.checkpoint = Some(advance(run, &state, blobs, (id, now.step))?);
            replayed.checkpoints += 1;
            replayed
                .validation
                .extend(validate(run, (id, now.step), rows)?);
        }
    }
    Ok(replayed)
}

fn initial(recipe: &Recipe) -> Result<Derived> {
    let (model, outer) = (miner::initial_model(recipe)?, miner::initial_outer(recipe)?);
    Ok(Derived {
        recipe: recipe.clone(),
        model,
        outer,
        tokens_count: 0,
    })
}

fn validate(
    run: &Derived,
    (id, step): (RunId, Step),
    rows: Option<usize>,
) -> Result<Option<Validation>> {
    let Some(rows_count) = rows else {
        return Ok(None);
    };
    let threads = Threads::new(1);
    let loss = validation_loss(&run.recipe, &run.model, rows_count, &threads)?;
    Ok(Some(Validation {
        run: id,
        step,
        tokens_count: run.tokens_count,
        loss,
    }))
}

fn steps(state: &State, runs: usize) -> Vec<Step> {
    let view = state.view();
    let step = |index| {
        view.get::<run::Run>(&RunId::new(index))
            .map_or(Step::ZERO, |r| r.step)
    };
    (0..runs as u64).map(step).collect()
}

/// Checks a block's certificate and applies it.
fn step_block(
    genesis: &Genesis,
    store: &dyn Store,
    state: &mut State,
    height: Height,
) -> Result<()> {
    let stored = store
        .block(height)?
        .with_context(|| format!("block {height} is missing"))?;
    let chain = genesis.chain_id();
    let block = Block::decode(&stored.block)
        .map_err(anyhow::Error::from)
        .and_then(|block| Ok(block.verify(chain)?))
        .with_context(|| format!("block {height}"))?;
    let certificate: Certificate = decode("certificate", &stored.certificate, 1 << 20)
        .with_context(|| format!("certificate of block {height}"))?;
    let sets = Sets::of(&state.view());
    let set = sets
        .current
        .into_iter()
        .map(|(key, power)| Validator { key, power })
        .collect::<Vec<_>>();
    certificate
        .verify(chain, &ValidatorSet::new(set)?)
        .with_context(|| format!("certificate of block {height}"))?;
    ensure!(
        certificate.block_id == block.id() && certificate.height == height,
        "certificate at height {height} is for another block"
    );
    ensure!(
        block.header().round <= certificate.round,
        "block {height} says round {}; its certificate is of round {}",
        block.header().round,
        certificate.round
    );
    let transition =
        apply(state, &block).with_context(|| format!("block {height} breaks a rule"))?;
    ensure!(
        transition.root == stored.state_root,
        "state after block {height} has root {}; {} was stored",
        transition.root,
        stored.state_root
    );
    state.advance_to(transition.writes, transition.tree);
    Ok(())
}

/// Builds a step's checkpoint from its accepted gradients and compares it with the agreed one.
fn advance(
    run: &mut Derived,
    state: &State,
    blobs: &FolderStore,
    (id, step): (RunId, Step),
) -> Result<CheckpointId> {
    let before = step.saturating_sub(1);
    let view = state.view();
    let agreed = run::agreed(&view, id, step)
        .with_context(|| format!("step {step} has no agreed checkpoint"))?;
    let mut updates = Vec::new();
    for (unit, _, commitment) in unit::accepted(&view, id, before, UnitKind::Gradient) {
        let blob = commitment.blob;
        let bytes = blobs
            .get(&blob)?
            .with_context(|| format!("blob {blob} of {unit} is missing"))?;
        let payload = gradient::Payload::decode(&bytes).with_context(|| format!("unit {unit}"))?;
        run.tokens_count += u64::from(payload.tokens_count);
        updates.push(payload);
    }
    let next =
        verifier::checkpoint::advance(&run.recipe, before, &run.model, &run.outer, &updates)?;
    let (model_file, outer_file) = (next.model.to_safetensors(), next.outer.to_safetensors());
    let (model, outer) = (CheckpointId::of(&model_file), BlobId::of(&outer_file));
    let Checkpoint {
        model: agreed_model,
        outer: agreed_outer,
        weights: agreed_weights,
        evaluation,
        ..
    } = agreed.checkpoint;
    if model != agreed_model {
        bail!("step {step} differs: derived checkpoint {model}, agreed {agreed_model}");
    }
    let weights = BlobId::from_bytes(file::name(next.model.as_slice()));
    if weights != agreed_weights {
        bail!("step {step} differs: derived weights {weights}, agreed {agreed_weights}");
    }
    if outer != agreed_outer {
        bail!("step {step} differs: derived optimiser state {outer}, agreed {agreed_outer}");
    }
    if evaluation.is_some() {
        let again = verifier::checkpoint::evaluate(&run.recipe, &next.model, &Device::cpu(1))?;
        ensure!(
            Some(again) == evaluation,
            "step {step} differs: evaluation is {again:?}"
        );
    }
    (run.model, run.outer) = (next.model, next.outer);
    Ok(model)
}
