//! Watches the engine, ends it, and says how it ended.
//!
//! Malachite's actors may stop without the process noticing, and on a failed write-ahead log they
//! stop on purpose and stay silent. So the supervisor waits for any of the engine's tasks to end
//! and asks the engine for a sign of life now and then. Whatever happens, everything is taken down
//! in order and within a bounded time: the network first, so that its port is free.

use super::{EngineError, context::CairnContext};
use arc_malachitebft_engine::network::NetworkRef;
use malachitebft_app_channel::{Channels, ConsensusRequest, EngineHandle as NodeHandle};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info};

/// Time between questions for a sign of life.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the engine may be silent. Long, because a commit may be slow and waits in line.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long each stage of the shutdown may take.
const STAGE_WAIT: Duration = Duration::from_millis(600);

/// A built engine.
pub(super) struct Engine {
    pub(super) channels: Channels<CairnContext>,
    pub(super) network: NetworkRef<CairnContext>,
    pub(super) node: NodeHandle,
}

type Outcome = Result<(), EngineError>;

/// A running engine. Dropping the handle shuts it down in the background.
#[derive(Debug)]
pub struct EngineHandle {
    shutdown: oneshot::Sender<()>,
    outcome: watch::Receiver<Option<Outcome>>,
    refused_count: Arc<AtomicU64>,
}

impl EngineHandle {
    /// Resolves when the engine has stopped: with an error if it stopped by itself. May be awaited
    /// any number of times.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn stopped(&self) -> Result<(), EngineError> {
        ended(self.outcome.clone()).await
    }

    /// Stops the engine and waits until it has; takes less than two seconds.
    ///
    /// # Errors
    /// When the engine had already failed; see [`EngineError`].
    pub async fn shutdown(self) -> Result<(), EngineError> {
        let Self {
            shutdown,
            outcome,
            refused_count: _,
        } = self;
        // An engine that has already stopped no longer listens.
        shutdown.send(()).ok();
        ended(outcome).await
    }

    /// How many proposed bodies or parts of bodies were refused so far.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused_count.load(Ordering::Relaxed)
    }
}

async fn ended(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    match outcome.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
        Err(_) => Err(EngineError::Stopped {
            reason: "its supervisor is gone".to_owned(),
        }),
    }
}

/// Watches an engine until it ends.
pub(super) fn supervise(
    network: NetworkRef<CairnContext>,
    node: NodeHandle,
    requests: mpsc::Sender<ConsensusRequest<CairnContext>>,
    driver: oneshot::Receiver<Outcome>,
    refused_count: Arc<AtomicU64>,
) -> EngineHandle {
    let (shutdown_sender, shutdown) = oneshot::channel();
    let (outcome_sender, outcome) = watch::channel(None);
    tokio::spawn(async move {
        let outcome = watch_and_end(network, node, requests, driver, shutdown).await;
        match &outcome {
            Ok(()) => info!("consensus engine stopped"),
            Err(error) => error!(%error, "consensus engine failed"),
        }
        outcome_sender.send_replace(Some(outcome));
    });
    EngineHandle {
        shutdown: shutdown_sender,
        outcome,
        refused_count,
    }
}

async fn watch_and_end(
    network: NetworkRef<CairnContext>,
    node: NodeHandle,
    requests: mpsc::Sender<ConsensusRequest<CairnContext>>,
    mut driver: oneshot::Receiver<Outcome>,
    shutdown: oneshot::Receiver<()>,
) -> Outcome {
    let NodeHandle { actor, mut handle } = node;
    let stopped = |reason: &str| {
        Err(EngineError::Stopped {
            reason: reason.to_owned(),
        })
    };
    let mut driver_ended = false;
    let outcome = tokio::select! {
        biased;
        _ = shutdown => Ok(()),
        ended = &mut driver => {
            driver_ended = true;
            match ended {
                Ok(Ok(())) => stopped("its actors are gone; malachite's log says why"),
                Ok(Err(error)) => Err(error),
                Err(_) => stopped("the thread that runs the application panicked"),
            }
        }
        _ = &mut handle => stopped("one of its actors failed; malachite's log says why"),
        silent = silence(&requests) => {
            let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            Err(EngineError::Silent { silent_ms })
        }
    };
    if let Err(error) = network.stop_and_wait(None, Some(STAGE_WAIT)).await {
        debug!(%error, "network was not running");
    }
    actor.stop(None);
    if timeout(STAGE_WAIT, async { actor.wait(None).await.ok() })
        .await
        .is_err()
    {
        debug!("consensus actors are slow to stop");
    }
    if !driver_ended && timeout(STAGE_WAIT, driver).await.is_err() {
        debug!("application is slow to stop");
    }
    outcome
}

/// Resolves when the engine has not answered for too long.
async fn silence(requests: &mpsc::Sender<ConsensusRequest<CairnContext>>) -> Duration {
    let mut answered = Instant::now();
    loop {
        sleep(HEARTBEAT_INTERVAL).await;
        let question = ConsensusRequest::dump_state(requests);
        if let Ok(Ok(_)) = timeout(SILENCE_MAX, question).await {
            answered = Instant::now();
        }
        if answered.elapsed() >= SILENCE_MAX {
            return answered.elapsed();
        }
    }
}
