//! What both miners and validators compute with: blobs, models, and one computation at a time.

use crate::{
    following::Following,
    local::{Local, Work, timeline::Activity},
};
use anyhow::{Context as _, Result, anyhow};
use engine::{Device, Parameters, trainer::OuterState};
use network::{FolderStore, NetworkHandle};
use protocol::{BlobId, CheckpointId, checkpoint::Checkpoint, recipe::Recipe};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Models kept in memory: the current one, the one before, and the next.
const MODELS_COUNT_MAX: usize = 3;
/// How long one attempt to fetch a blob may take before it counts as failed.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// A model with its identity.
#[derive(Debug)]
pub struct Model {
    /// Hash of its safetensors file.
    pub id: CheckpointId,
    /// Its weights.
    pub parameters: Parameters,
}

/// Shared means of computing.
#[derive(Debug)]
pub struct Workbench {
    /// Blobs on disk.
    pub blobs: Arc<FolderStore>,
    /// Where missing blobs come from.
    pub network: NetworkHandle,
    /// Counters.
    pub local: Arc<Local>,
    device: Device,
    /// Whether it was said that the device failed.
    said: AtomicBool,
    turn: Semaphore,
    models: Mutex<VecDeque<Arc<Model>>>,
    /// How many times as long as it could it takes to compute.
    slowness: u32,
    /// How it gets from checkpoint to checkpoint, if the node does not compute them for the chain.
    pub(crate) following: Option<Following>,
}

impl Workbench {
    /// A workbench that computes on `device`.
    #[must_use]
    pub fn new(
        blobs: Arc<FolderStore>,
        network: NetworkHandle,
        local: Arc<Local>,
        device: Device,
    ) -> Self {
        local.count_traffic(network.traffic());
        let turn = Semaphore::new(1);
        let models = Mutex::default();
        Self {
            blobs,
            network,
            local,
            device,
            said: AtomicBool::new(false),
            turn,
            models,
            slowness: 1,
            following: None,
        }
    }
    /// The same, on a machine as much slower.
    #[must_use]
    pub fn slowed(self, slowness: u32) -> Self {
        Self { slowness, ..self }
    }
    /// The same, of a node that follows checkpoints instead of attesting them.
    #[must_use]
    pub fn following(self) -> Self {
        Self {
            following: Some(Following::default()),
            ..self
        }
    }
    /// What the engine computes on.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device.clone()
    }
    /// Runs a computation off the event loop, one at a time, and counts its time.
    ///
    /// # Errors
    /// When the computation panicked or the process is stopping.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: Work,
        computation: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _turn = self
            .turn
            .acquire()
            .await
            .context("the process is stopping")?;
        self.compute_now(work, computation).await
    }
    /// The same beside whatever is computed already: for what has a clock of its own.
    ///
    /// # Errors
    /// When the computation panicked.
    pub async fn compute_now<T: Send + 'static>(
        &self,
        work: Work,
        computation: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let local = Arc::clone(&self.local);
        let _busy = self.local.busy(match work {
            Work::Mining(_) | Work::Audit(_) => Activity::Computing,
            Work::Checkpoint => Activity::AddingUp,
        });
        let began = Instant::now();
        let result = tokio::task::spawn_blocking(move || local.timed(work, computation)).await;
        tokio::time::sleep(began.elapsed() * self.slowness.saturating_sub(1)).await;
        if let Some(reason) = self.device.failure()
            && !self.said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("the GPU failed ({reason}); from now on the processor computes");
        }
        result.map_err(|error| anyhow!("computation failed: {error}"))
    }
    /// A blob's bytes, fetched from peers if they are not here.
    ///
    /// # Errors
    /// When nobody served it in time, or the disk failed.
    pub async fn blob(&self, id: BlobId, bytes: u64) -> Result<Vec<u8>> {
        if let Some(found) = self.blobs.get(&id)? {
            return Ok(found);
        }
        let _busy = self.local.busy(Activity::Fetching);
        let fetch = self.network.fetch(id, bytes, Vec::new());
        tokio::time::timeout(FETCH_TIMEOUT, fetch)
            .await
            .map_err(|_| anyhow!("blob {id} did not arrive within {FETCH_TIMEOUT:?}"))??;
        self.blobs
            .get(&id)?
            .with_context(|| format!("blob {id} vanished from the disk"))
    }
    /// Keeps a blob and offers it to peers.
    ///
    /// # Errors
    /// When the disk failed.
    pub async fn keep(&self, bytes: &[u8]) -> Result<BlobId> {
        let id = self.blobs.insert(bytes)?;
        self.network.provide(id).await;
        Ok(id)
    }
    fn cached(&self, wanted: impl Fn(&Model) -> bool) -> Option<Arc<Model>> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.iter().find(|model| wanted(model)).cloned()
    }
    /// Remembers a model.
    pub fn remember(&self, model: Arc<Model>) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.retain(|known| known.id != model.id);
        models.push_front(model);
        models.truncate(MODELS_COUNT_MAX);
    }
    /// The model of a checkpoint, or the initial one if there is none yet.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not the recipe's shape.
    pub async fn model(
        &self,
        recipe: &Recipe,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Arc<Model>> {
        let Some(checkpoint) = checkpoint else {
            return initial_model(recipe);
        };
        let id = checkpoint.model;
        if let Some(model) = self.cached(|model| model.id == id) {
            return Ok(model);
        }
        let bytes = self.blob(id.blob(), checkpoint.model_bytes).await?;
        let parameters = Parameters::from_safetensors(&bytes)
            .with_context(|| format!("checkpoint {id} cannot be loaded"))?;
        let model = Arc::new(Model { id, parameters });
        self.remember(Arc::clone(&model));
        Ok(model)
    }
    /// The outer optimiser's state of a checkpoint, or the initial one.
    ///
    /// # Errors
    /// When it cannot be fetched or read.
    pub async fn outer(
        &self,
        recipe: &Recipe,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<OuterState> {
        let Some(checkpoint) = checkpoint else {
            return Ok(miner::initial_outer(recipe)?);
        };
        let bytes = self.blob(checkpoint.outer, checkpoint.outer_bytes).await?;
        OuterState::from_safetensors(&bytes)
            .with_context(|| format!("optimiser state {} cannot be loaded", checkpoint.outer))
    }
}

/// Lets a recipe that somebody wrote name the weights that its seed gives, if it names none; one
/// that nobody can run stays as it is, and is refused elsewhere.
pub fn name_weights(recipe: &mut Recipe) {
    if recipe.initial_weights.is_none() {
        recipe.initial_weights = miner::initial_weights(recipe).ok();
    }
}

/// The model from which a run starts.
///
/// # Errors
/// When the recipe's shape is impossible.
pub fn initial_model(recipe: &Recipe) -> Result<Arc<Model>> {
    let parameters = miner::initial_model(recipe)?;
    let id = CheckpointId::of(&parameters.to_safetensors());
    Ok(Arc::new(Model { id, parameters }))
}
