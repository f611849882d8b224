//! The engine's figures in a process that starts more than one engine, as a validator does that
//! watches for a doppelgänger or waited for its signer. A process of its own, because figures are
//! the process's.
#![cfg(feature = "stock")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "the other suite uses the rest")]
#[path = "conformance/ledger.rs"]
mod ledger;

use ledger::MemoryApplication;
use ledger_consensus::{
    Application as _, EngineConfig, HeightParams, Validator, ValidatorSet, start, stock,
};
use protocol::{ChainId, SigningKey};
use std::{collections::BTreeMap, net::TcpListener, path::Path, time::Duration};
use tokio::time::timeout;

const CHAIN: ChainId = ChainId::from_bytes([6; 32]);
const PATIENCE: Duration = Duration::from_secs(300);
/// The height at which the engine is.
const HEIGHT: &str = "malachitebft_core_consensus_height";

/// What is told under a name: each sample once, or it is no document.
fn samples() -> BTreeMap<String, String> {
    let text = stock::metrics();
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.ends_with("# EOF\n"));
    let mut found = BTreeMap::new();
    for line in text.lines() {
        // What describes a figure is told once as well.
        let (name, value) = match line.strip_prefix("# ") {
            Some("EOF") => continue,
            Some(described) => (described, ""),
            None => line.rsplit_once(' ').unwrap(),
        };
        let before = found.insert(name.to_owned(), value.to_owned());
        assert_eq!(before, None, "{line} is told twice:\n{text}");
    }
    found
}

/// Runs the only validator of a chain for some blocks, and reads the figures while it runs.
async fn runs(home: &Path, seed: u8, application: &MemoryApplication) -> BTreeMap<String, String> {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let key = SigningKey::from_seed([seed; 32]);
    let config = EngineConfig::new(CHAIN, key, home.join(seed.to_string()), listen);
    let engine = start(config, application.clone()).await.unwrap();
    let ahead = application.tip().0.get() + 3;
    timeout(PATIENCE, application.reached(ahead)).await.unwrap();
    let found = samples();
    engine.shutdown().await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_started_after_another_tells_its_own_figures_once() {
    let home = tempfile::tempdir().unwrap();
    let validator = |seed: u8| Validator {
        key: SigningKey::from_seed([seed; 32]).address(),
        power: 1,
    };
    let set = ValidatorSet::new(vec![validator(1)]).unwrap();
    let params = HeightParams {
        block_interval_ms: 20,
        ..HeightParams::new(set)
    };
    let application = MemoryApplication::new(params, 100);
    let first = runs(home.path(), 1, &application).await;
    let again = runs(home.path(), 1, &application).await;
    let names = |samples: &BTreeMap<String, String>| -> Vec<String> {
        let all = samples.keys();
        all.filter(|name| name.contains("consensus"))
            .cloned()
            .collect()
    };
    assert!(!names(&first).is_empty());
    assert!(names(&again).iter().all(|name| !name.contains('#')));
    let height = |samples: &BTreeMap<String, String>| -> u64 {
        let mut all = samples.iter();
        let (_, height) = all.find(|(name, _)| name.starts_with(HEIGHT)).unwrap();
        height.parse().unwrap()
    };
    assert!(height(&again) > height(&first), "{again:?}");
}
