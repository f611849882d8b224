//! What the engine says when something is wrong.

use super::{Network, PATIENCE};
use crate::ledger::MemoryApplication;
use ledger_consensus::{
    Application, ApplicationError, Certificate, Check, DoubleSign, EngineError, HeightParams, start,
};
use protocol::{BlockId, Height};
use tokio::time::timeout;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Failure {
    Error,
    Panic,
}

/// Fails to commit the third block.
struct Failing(MemoryApplication, Failure);

impl Application for Failing {
    fn tip(&self) -> (Height, BlockId) {
        self.0.tip()
    }
    fn params(&self, height: Height) -> HeightParams {
        self.0.params(height)
    }
    fn propose(
        &mut self,
        height: Height,
        round: u32,
        bytes_max: u32,
        now_ms: u64,
    ) -> Result<Vec<u8>, ApplicationError> {
        self.0.propose(height, round, bytes_max, now_ms)
    }
    fn check(&mut self, height: Height, round: u32, block: &[u8]) -> Check {
        self.0.check(height, round, block)
    }
    fn commit(&mut self, block: &[u8], certificate: &Certificate) -> Result<(), ApplicationError> {
        if certificate.height == Height::new(3) {
            assert!(
                self.1 == Failure::Error,
                "this application is made to panic"
            );
            return Err(ApplicationError::Failed {
                reason: "disk full".to_owned(),
            });
        }
        self.0.commit(block, certificate)
    }
    fn block(&self, height: Height) -> Option<(Vec<u8>, Certificate)> {
        self.0.block(height)
    }
    fn history_min(&self) -> Height {
        self.0.history_min()
    }
    fn evidence(&mut self, evidence: DoubleSign) {
        self.0.evidence(evidence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_stops_the_engine_with_its_reason() {
    let network = Network::new(1, 20, 100);
    let application = Failing(network.applications[0].clone(), Failure::Error);
    let handle = start(network.config(0), application).await.unwrap();
    let error = timeout(PATIENCE, handle.stopped())
        .await
        .unwrap()
        .unwrap_err();
    let source = ApplicationError::Failed {
        reason: "disk full".to_owned(),
    };
    assert_eq!(
        error,
        EngineError::Application {
            height: Height::new(3),
            source
        }
    );
    assert_eq!(handle.shutdown().await, Err(error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_application_stops_the_engine() {
    let network = Network::new(1, 20, 100);
    let application = Failing(network.applications[0].clone(), Failure::Panic);
    let handle = start(network.config(0), application).await.unwrap();
    let error = timeout(PATIENCE, handle.stopped())
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, EngineError::Stopped { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_stopped_can_be_started_again_at_once() {
    let mut network = Network::new(1, 20, 100);
    for round in 1..=5 {
        network.start(0).await;
        network.all_reach(round * 5).await;
        network.stop(0).await;
    }
    network.assert_one_chain();
}
