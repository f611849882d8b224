//! How a node that computes no checkpoints for the chain, such as a miner, gets from one to the
//! next: it adds up the step's accepted updates, as validators do, or downloads the whole
//! checkpoint, whichever is fewer bytes.
//!
//! Of a model with P parameters a checkpoint has 4 P bytes, and R updates of b bits a parameter
//! have R b P / 8, its own among them, which it need not fetch (spec/scaling.md). Adding them up
//! also takes the outer optimiser's state. Whoever has followed from the start has that, and from
//! where the recipe's parts change it begins anew; whoever joins in between downloads it once, if
//! the steps that are left pay for it. What was added up counts only under the name that
//! the chain gives to the checkpoint; if the name is another, or an update cannot be had, the
//! whole checkpoint is downloaded.

use crate::{
    local::Work,
    rpc::work::{Input, StepContext},
    workbench::{Model, Workbench, initial_model},
};
use anyhow::{Context as _, Result, ensure};
use engine::{Parameters, trainer::OuterState};
use futures::future::try_join_all;
use protocol::{
    BlobId, CheckpointId, RunId, Step, checkpoint::Checkpoint, gradient::Payload, recipe::Recipe,
};
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::sync::Mutex;

/// What a following node holds of every run.
#[derive(Debug, Default)]
pub struct Following(Mutex<BTreeMap<RunId, Place>>);

/// What a step of a run starts from, and what came before it on the disk.
#[derive(Clone, Debug)]
struct Place {
    step: Step,
    model: Arc<Model>,
    outer: Option<Arc<OuterState>>,
    /// Files of this checkpoint, as far as they are on the disk, and updates fetched for it.
    files: Vec<BlobId>,
    /// Those of the one before, from which the rollouts that this step learns from were drawn.
    files_before: Vec<BlobId>,
}

/// What the ways to a checkpoint cost in bytes.
#[derive(Clone, Copy, Debug)]
struct Costs {
    whole_bytes: u64,
    /// Of the updates that are not here.
    updates_bytes: u64,
    /// Of the outer state, if it is not here.
    outer_bytes: u64,
    /// Steps for which the same outer state goes on, this one included.
    steps_count: u64,
}

/// How a checkpoint is got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AddUp,
    Whole,
}

impl Costs {
    const fn way(self) -> Way {
        let steps = if self.steps_count == 0 {
            1
        } else {
            self.steps_count
        };
        let adding_up = self.updates_bytes.saturating_mul(steps);
        if adding_up.saturating_add(self.outer_bytes) < self.whole_bytes.saturating_mul(steps) {
            Way::AddUp
        } else {
            Way::Whole
        }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            whole_bytes,
            updates_bytes,
            outer_bytes,
            ..
        } = self;
        write!(f, "the updates have {updates_bytes} bytes")?;
        if *outer_bytes > 0 {
            write!(f, ", the outer state {outer_bytes}")?;
        }
        write!(f, ", the whole checkpoint {whole_bytes}")
    }
}

impl Workbench {
    /// Gets the checkpoint that a step starts from, in the cheaper way; whoever asks for the model
    /// afterwards finds it here. Does nothing on a workbench that does not follow. `updates` are
    /// the accepted ones of the step before, and asked for only if they are needed.
    ///
    /// # Errors
    /// When the checkpoint can be had in no way.
    pub async fn follow(
        &self,
        recipe: &Arc<Recipe>,
        context: &StepContext,
        updates: impl Future<Output = Result<Vec<Input>>>,
    ) -> Result<()> {
        let Some(Following(places)) = &self.following else {
            return Ok(());
        };
        let mut places = places.lock().await;
        let place = places.get(&context.run);
        if place.is_some_and(|place| place.step == context.step) {
            return Ok(());
        }
        let next = self.reach(recipe, context, place, updates).await?;
        self.remember(Arc::clone(&next.model));
        if let Some(past) = places.insert(context.run, next.clone()) {
            self.forget(&past, &next)?;
        }
        Ok(())
    }
    async fn reach(
        &self,
        recipe: &Arc<Recipe>,
        context: &StepContext,
        place: Option<&Place>,
        updates: impl Future<Output = Result<Vec<Input>>>,
    ) -> Result<Place> {
        let (step, before) = (context.step, context.checkpoint_before.as_ref());
        let Some(checkpoint) = &context.checkpoint else {
            return Place::initial(recipe);
        };
        if let Some(place) = self.stored(step, checkpoint)? {
            return Ok(place);
        }
        let last = step.saturating_sub(1);
        let start = match (place.filter(|place| place.step == last), before) {
            (Some(place), _) => Some(place.clone()),
            (None, Some(before)) => self.stored(last, before)?,
            (None, None) => Some(Place::initial(recipe)?),
        };
        let Some(start) = start else {
            tracing::info!(%step, "the checkpoint before is not here; this one is downloaded");
            return self.whole(step, checkpoint, Vec::new()).await;
        };
        let added_up = async {
            let mut updates = updates.await?;
            if updates.len() < recipe.schedule.gradient_units_min.max(1) as usize {
                // Then the model stays as it is, whatever they say.
                updates.clear();
            }
            let costs = self.costs(recipe, (checkpoint, before), &start, &updates)?;
            if costs.way() == Way::Whole {
                tracing::info!(%step, "the checkpoint is downloaded: {costs}");
                return Ok(None);
            }
            let place = self.add_up(recipe, (checkpoint, before), &start, &updates);
            let place = place.await?;
            tracing::info!(%step, "the checkpoint was added up: {costs}");
            anyhow::Ok(Some(place))
        };
        match added_up.await {
            Ok(Some(place)) => Ok(place),
            Ok(None) => self.whole(step, checkpoint, start.files).await,
            Err(error) => {
                tracing::warn!(%step, "the checkpoint is downloaded instead of added up: {error:#}");
                self.whole(step, checkpoint, start.files).await
            }
        }
    }
    /// A checkpoint whose model is on the disk.
    fn stored(&self, step: Step, checkpoint: &Checkpoint) -> Result<Option<Place>> {
        let model = checkpoint.model.blob();
        let Some(bytes) = self.blobs.get(&model)? else {
            return Ok(None);
        };
        let parameters = read_model(checkpoint, &bytes)?;
        let outer = self.blobs.get(&checkpoint.outer)?;
        let outer = outer.and_then(|bytes| OuterState::from_safetensors(&bytes).ok());
        let mut files = vec![model];
        files.extend(outer.as_ref().map(|_| checkpoint.outer));
        Ok(Some(Place {
            step,
            model: Arc::new(Model {
                id: checkpoint.model,
                parameters,
            }),
            outer: outer.map(Arc::new),
            files,
            files_before: Vec::new(),
        }))
    }
    async fn whole(
        &self,
        step: Step,
        checkpoint: &Checkpoint,
        files_before: Vec<BlobId>,
    ) -> Result<Place> {
        let model = checkpoint.model;
        let bytes = self.blob(model.blob(), checkpoint.model_bytes).await?;
        let parameters = read_model(checkpoint, &bytes)?;
        Ok(Place {
            step,
            model: Arc::new(Model {
                id: model,
                parameters,
            }),
            outer: None,
            files: vec![model.blob()],
            files_before,
        })
    }
    fn costs(
        &self,
        recipe: &Recipe,
        (checkpoint, before): (&Checkpoint, Option<&Checkpoint>),
        start: &Place,
        updates: &[Input],
    ) -> Result<Costs> {
        let missing = self.missing(updates)?;
        let updates_bytes = missing
            .iter()
            .fold(0_u64, |sum, update| sum.saturating_add(update.blob_bytes));
        let outer_bytes = match (&start.outer, before) {
            (None, Some(before)) => before.outer_bytes,
            (None, None) | (Some(_), _) => 0,
        };
        let (first, now) = (start.step.get(), recipe.phase(start.step));
        let steps = (first..recipe.steps_count()).take_while(|step| {
            let phase = recipe.phase(Step::new(*step));
            phase == now
        });
        Ok(Costs {
            whole_bytes: checkpoint.model_bytes,
            updates_bytes,
            outer_bytes,
            steps_count: steps.count() as u64,
        })
    }
    fn missing<'a>(&self, updates: &'a [Input]) -> Result<Vec<&'a Input>> {
        let mut missing = Vec::new();
        for update in updates {
            if self.blobs.size(&update.blob)?.is_none() {
                missing.push(update);
            }
        }
        Ok(missing)
    }
    /// Fetches the updates and aggregates them, by the same function as validators.
    async fn add_up(
        &self,
        recipe: &Arc<Recipe>,
        (checkpoint, before): (&Checkpoint, Option<&Checkpoint>),
        start: &Place,
        updates: &[Input],
    ) -> Result<Place> {
        let outer = match &start.outer {
            Some(outer) => Arc::clone(outer),
            None => Arc::new(self.outer(recipe, before).await?),
        };
        let fetch = |update: &Input| {
            let Input {
                unit,
                blob,
                blob_bytes,
                ..
            } = *update;
            async move {
                let bytes = self.blob(blob, blob_bytes).await?;
                Payload::decode(&bytes).with_context(|| format!("unit {unit} is malformed"))
            }
        };
        let mut files: Vec<BlobId> = self.missing(updates)?.iter().map(|one| one.blob).collect();
        let updates = try_join_all(updates.iter().map(fetch)).await?;
        let (recipe, last, model) = (Arc::clone(recipe), start.step, Arc::clone(&start.model));
        let computed = self.compute(Work::Checkpoint, move || {
            let model = &model.parameters;
            let next = verifier::checkpoint::advance(&recipe, last, model, &outer, &updates)?;
            let written = (next.model.to_safetensors(), next.outer.to_safetensors());
            anyhow::Ok((next, written))
        });
        let (next, (model_file, outer_file)) = computed.await??;
        let (id, outer_id) = (CheckpointId::of(&model_file), BlobId::of(&outer_file));
        ensure!(
            (id, outer_id) == (checkpoint.model, checkpoint.outer),
            "the updates give model {id} and outer state {outer_id}; the chain has {} and {}",
            checkpoint.model,
            checkpoint.outer
        );
        // A miner that is started again goes on from these files.
        files.push(self.blobs.insert(&model_file)?);
        files.push(self.blobs.insert(&outer_file)?);
        Ok(Place {
            step: last.next(),
            model: Arc::new(Model {
                id,
                parameters: next.model,
            }),
            outer: Some(Arc::new(next.outer)),
            files,
            files_before: start.files.clone(),
        })
    }
    /// Drops files that no step after this needs.
    fn forget(&self, past: &Place, now: &Place) -> Result<()> {
        let is_needed = |file: &BlobId| now.files.contains(file) || now.files_before.contains(file);
        let files = past.files.iter().chain(&past.files_before);
        for file in files.filter(|file| !is_needed(file)) {
            self.blobs.remove(file)?;
        }
        Ok(())
    }
}

impl Place {
    /// Where a run starts, which follows from its recipe.
    fn initial(recipe: &Recipe) -> Result<Self> {
        Ok(Self {
            step: Step::ZERO,
            model: initial_model(recipe)?,
            outer: Some(Arc::new(miner::initial_outer(recipe)?)),
            files: Vec::new(),
            files_before: Vec::new(),
        })
    }
}

fn read_model(checkpoint: &Checkpoint, bytes: &[u8]) -> Result<Parameters> {
    let id = checkpoint.model;
    Parameters::from_safetensors(bytes).with_context(|| format!("checkpoint {id} cannot be loaded"))
}

#[cfg(test)]
mod tests;
