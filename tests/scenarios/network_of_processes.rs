//! A network of processes trains, loses a validator and a miner to kill -9, catches a cheat, votes,
//! is stopped, goes on, and can be replayed.

use crate::support::{Devnet, complaint, text};
use protocol::{CheckpointId, Height};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_survives_kills_slashes_a_cheat_votes_and_can_be_replayed() {
    let mut devnet = Devnet::start(&["--fresh", "--cheats", "skip-steps"]);
    devnet
        .until("a first block", |now| now.height >= Height::new(1))
        .await;
    devnet.until("a closed step", |now| step(now) >= 1).await;

    devnet.kill("validator-2").await;
    devnet.kill("miner-1").await;
    let height = devnet.until("blocks after the kill", |_| true).await.height;
    let later = height.saturating_add(5);
    devnet
        .until("blocks after the kill", |now| now.height >= later)
        .await;
    caught_up(&devnet, 2, later).await;

    let slashed =
        |now: &node::rpc::overview::Overview| now.miners.iter().any(|miner| miner.slash.is_some());
    let now = devnet.until("the cheat is slashed", slashed).await;
    let row = now
        .miners
        .iter()
        .find_map(|miner| miner.slash.as_ref())
        .unwrap();
    assert!(row.measured > row.limit, "{row:?}");

    devnet
        .until("the vote is enacted", |now| {
            now.proposals
                .iter()
                .any(|proposal| proposal.status == "executed")
        })
        .await;

    assert!(
        devnet.interrupt().await,
        "Ctrl-C ends with success\n{}",
        devnet.log()
    );
    let before = devnet.summary();
    assert_eq!(before["state_roots_agree"], Value::Bool(true), "{before}");

    let steps = before["steps"].as_u64().unwrap() + 3;
    devnet.launch(&["--steps", &steps.to_string()]);
    assert!(
        devnet.ended().await,
        "all is well at the end\n{}",
        devnet.log()
    );
    let summary = devnet.summary();
    assert_eq!(summary["steps"], steps, "{summary}");
    check_summary(&before, &summary);
    replay_and_export(&devnet, &summary);
}

fn step(now: &node::rpc::overview::Overview) -> u64 {
    now.run.as_ref().map_or(0, |run| run.step.get())
}

async fn caught_up(devnet: &Devnet, validator: u16, height: Height) {
    let node = format!("http://127.0.0.1:{}", devnet.port + validator);
    let client = node::rpc::client::Client::new(vec![node]);
    let started = std::time::Instant::now();
    loop {
        let status = client
            .get::<node::rpc::server::StatusAnswer>("/v1/status")
            .await;
        if status.is_ok_and(|status| status.height >= height) {
            return;
        }
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "{}",
            devnet.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

fn check_summary(before: &Value, summary: &Value) {
    assert!(
        summary["height"].as_u64() > before["height"].as_u64(),
        "it went on: {summary}"
    );
    assert_eq!(summary["state_roots_agree"], Value::Bool(true));
    assert_eq!(summary["honest"]["void"], 0, "{summary}");
    assert_eq!(summary["honest"]["slashed"], 0, "{summary}");
    let cheat = &summary["cheats"][0];
    assert_eq!(cheat["name"], "skip-steps");
    assert!(cheat["slashed_height"].as_u64().is_some(), "{summary}");
    assert!(
        cheat["measured"].as_u64() > cheat["limit"].as_u64(),
        "{summary}"
    );
    assert!(
        summary["proposal"]["enacted_height"].as_u64().is_some(),
        "{summary}"
    );
    assert!(
        summary["loss_last"].as_f64() < summary["loss_first"].as_f64(),
        "{summary}"
    );
    let fields = [
        "first_block_s",
        "wall_s",
        "rss_mib_max",
        "reward_first",
        "reward_last",
        "eval_first",
        "eval_last",
        "units",
        "checkpoint",
        "verifier_compute_share",
    ];
    for field in fields {
        assert!(!summary[field].is_null(), "{field} is missing: {summary}");
    }
}

fn replay_and_export(devnet: &Devnet, summary: &Value) {
    let home = devnet.home();
    let home = home.to_str().unwrap();
    let replay = devnet.command(&["replay", "--home", home, "--json"]);
    assert!(replay.status.success(), "{}", complaint(&replay));
    let replayed: Value = serde_json::from_str(&text(&replay)).unwrap();
    assert_eq!(replayed["checkpoints"], summary["steps"]);
    assert_eq!(replayed["checkpoint"], summary["checkpoint"]);

    let out = devnet.folder.path().join("model.safetensors");
    let export = devnet.command(&["export", "--home", home, "--out", out.to_str().unwrap()]);
    assert!(export.status.success(), "{}", complaint(&export));
    let bytes = std::fs::read(&out).unwrap();
    assert_eq!(
        CheckpointId::of(&bytes).to_string(),
        summary["checkpoint"].as_str().unwrap()
    );
    assert!(
        engine::Parameters::from_safetensors(&bytes).is_ok(),
        "a standard safetensors file"
    );

    // Another validator derives the same, and a damaged gradient is noticed.
    let other = devnet.home().join("validator-3");
    let replay = devnet.command(&["replay", "--home", other.to_str().unwrap()]);
    assert!(replay.status.success(), "{}", complaint(&replay));
}
