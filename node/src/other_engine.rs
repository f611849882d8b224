//! Rollouts by another engine: a worker process that a miner of a tolerant class runs.
//!
//! The worker only runs tokens through the model; what is drawn, proven and bound is decided here.
//! It is started with the first unit, given each checkpoint as it comes, and started again if it
//! ends.

use crate::workbench::Model;
use anyhow::{Context as _, Result};
use engine::{Generation, GenerationOptions, GenerationRequest};
use engine_worker::Worker;
use protocol::CheckpointId;
use std::sync::{Mutex, PoisonError};

/// Another engine, running or not.
#[derive(Debug)]
pub struct OtherEngine {
    command: Vec<String>,
    running: Mutex<Option<(CheckpointId, Worker)>>,
}

impl OtherEngine {
    /// An engine that this command starts.
    #[must_use]
    pub const fn new(command: Vec<String>) -> Self {
        Self {
            command,
            running: Mutex::new(None),
        }
    }

    /// Has the worker draw responses with a model.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer as it must.
    pub fn generate(
        &self,
        model: &Model,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever goes wrong, the next unit starts another one.
        let mut worker = match running.take() {
            Some((id, worker)) if id == model.id => worker,
            Some((_, mut worker)) => {
                worker.load(&model.parameters)?;
                worker
            }
            None => {
                let worker = Worker::start(&self.command, &model.parameters)
                    .with_context(|| format!("the worker {:?} fails", self.command.join(" ")))?;
                tracing::info!(
                    engine = worker.description(),
                    "another engine draws rollouts"
                );
                worker
            }
        };
        let generations = worker.generate(requests, options)?;
        *running = Some((model.id, worker));
        Ok(generations)
    }
}
