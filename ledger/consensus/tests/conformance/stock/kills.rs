//! A validator in a process of its own, killed without warning again and again.

use super::{Network, PATIENCE, assert_same_chain, key};
use crate::ledger::{MemoryApplication, read_journal};
use ledger_consensus::{EngineConfig, HeightParams, start};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::{sleep, timeout};

const VICTIM: usize = 3;
const KILL_COUNT: u64 = 6;
/// The test, whose process starts itself again as the victim; what follows configures it.
const TEST: &str = "stock::kills::a_killed_validator_resumes_and_never_contradicts_itself";
const VICTIM_LISTEN: &str = "VICTIM_LISTEN";
const VICTIM_PEERS: &str = "VICTIM_PEERS";
const VICTIM_HOME: &str = "VICTIM_HOME";

fn launch(config: &EngineConfig) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(VICTIM_LISTEN, &config.listen)
        .env(VICTIM_PEERS, config.peers.join(","))
        .env(VICTIM_HOME, &config.home)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn params(network: &Network) -> HeightParams {
    HeightParams {
        block_interval_ms: 20,
        ..HeightParams::new(network.set.clone())
    }
}

/// Waits until the victim has this many blocks on disk.
async fn journal_reaches(path: &Path, count: usize) {
    let reached = async {
        while read_journal(path).len() < count {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_validator_resumes_and_never_contradicts_itself() {
    if let Ok(home) = std::env::var(VICTIM_HOME) {
        return victim(Path::new(&home)).await;
    }
    let mut network = Network::new(4, 20, 70_000);
    let config = network.config(VICTIM);
    std::fs::create_dir_all(&config.home).unwrap();
    let journal = config.home.join("journal");
    let mut victim = launch(&config);
    for index in 0..VICTIM {
        network.start(index).await;
    }
    for kill in 1..=KILL_COUNT {
        let before = read_journal(&journal).len();
        journal_reaches(&journal, before + 5).await;
        // Different moments within a height.
        sleep(Duration::from_millis(7 * kill)).await;
        victim.kill().unwrap();
        victim.wait().unwrap();
        victim = launch(&config);
    }
    let before = read_journal(&journal).len();
    journal_reaches(&journal, before + 10).await;
    victim.kill().unwrap();
    victim.wait().unwrap();
    network.stop_all().await;

    let mut chains: Vec<_> = network.applications[..VICTIM]
        .iter()
        .map(MemoryApplication::blocks)
        .collect();
    chains.push(read_journal(&journal));
    assert_same_chain(&chains, &network.set);
    for application in &network.applications {
        assert_eq!(application.0.evidence.lock().unwrap().as_slice(), []);
    }
}

/// The victim's process, which ends by being killed.
async fn victim(home: &Path) {
    let variable = |name| std::env::var(name).unwrap();
    let (listen, peers) = (variable(VICTIM_LISTEN), variable(VICTIM_PEERS));
    let parent = std::os::unix::process::parent_id();
    let params = params(&Network::new(4, 20, 0));
    let application = MemoryApplication::journaled(params, 70_000, &home.join("journal"));
    let config = EngineConfig {
        peers: peers.split(',').map(str::to_owned).collect(),
        ..EngineConfig::new(super::CHAIN, key(4), home.into(), listen)
    };
    let handle = start(config, application).await.unwrap();
    // An orphan ends by itself.
    while std::os::unix::process::parent_id() == parent {
        sleep(Duration::from_millis(100)).await;
    }
    handle.shutdown().await.unwrap();
}
