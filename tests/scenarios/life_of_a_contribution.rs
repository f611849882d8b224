//! One contribution from task to checkpoint, in a network of processes, one function a stage.

use crate::support::{Devnet, complaint, text};
use ledger_evidence::{Anchor, File};
use network::FolderStore;
use node::rpc::{
    overview::Overview,
    query::{BlockAnswer, UnitAnswer},
    server::StatusAnswer,
};
use protocol::{
    BlobId, CheckpointId,
    recipe::Phase,
    rollout::{Payload, sketch_seal},
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::Check,
};
use serde_json::Value;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn life_of_a_contribution() {
    let mut devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    let unit = task(&devnet).await;
    let payload = rollout(&devnet, &unit);
    proof(&unit, &payload);
    let height = transaction(&devnet, &unit).await;
    block(&devnet, height).await;
    let audited = sample(&devnet).await;
    verdict(&audited);
    reward(&devnet, &audited).await;
    let model = checkpoint(&devnet).await;
    facts(&devnet, &audited);
    from_a_trusted_header(&devnet, &audited).await;
    provenance(&devnet, model);
    devnet.interrupt().await;
    signing_history(&devnet);
}

/// A beacon assigned a unit to a miner, which had no say in it.
async fn task(devnet: &Devnet) -> UnitAnswer {
    let is_reinforcing = |now: &Overview| {
        now.run
            .as_ref()
            .is_some_and(|run| run.step.get() > run.pretrain_steps_count)
    };
    let now = devnet.until("reinforcement", is_reinforcing).await;
    let run = now.run.unwrap();
    let step = protocol::Step::new(run.pretrain_steps_count);
    let id = UnitId {
        run: protocol::RunId::ZERO,
        step,
        kind: UnitKind::Rollout,
        index: 0,
    };
    let unit: UnitAnswer = devnet.ask(&format!("/v1/units/{id}")).await;
    assert!(now.miners.iter().any(|miner| miner.address == unit.miner));
    unit
}

fn blob(devnet: &Devnet, id: BlobId) -> Vec<u8> {
    let store = FolderStore::open(devnet.home().join("validator-1/blobs")).unwrap();
    store
        .get(&id)
        .unwrap()
        .expect("validators hold every accepted blob")
}

/// The miner generated all samples of its groups and served them as one blob.
fn rollout(devnet: &Devnet, unit: &UnitAnswer) -> Payload {
    let commitment = unit.commitment.as_ref().unwrap();
    let bytes = blob(devnet, commitment.blob);
    assert_eq!(bytes.len() as u64, commitment.blob_bytes);
    let payload = Payload::decode(&bytes).unwrap();
    assert_eq!((payload.unit, payload.miner), (unit.unit, unit.miner));
    assert!(payload.samples().count() > 1);
    payload
}

/// Every sample's proofs are sealed by themselves; the miner opened their sketch when it was asked.
fn proof(unit: &UnitAnswer, payload: &Payload) {
    let seals: BTreeSet<_> = payload.samples().map(|sample| sample.sealed).collect();
    assert_eq!(seals.len(), payload.samples().count());
    assert!(unit.opening.plant.is_some(), "{unit:?}");
    if let Some(opened) = &unit.opening.sketch {
        let seal = sketch_seal(payload.unit, payload.miner, opened);
        assert_eq!(payload.sketch_seal, seal);
    }
}

/// A signed commitment named the blob on the chain.
async fn transaction(devnet: &Devnet, unit: &UnitAnswer) -> protocol::Height {
    let commitment = unit.commitment.as_ref().unwrap();
    let block: BlockAnswer = devnet
        .client
        .get(&format!("/v1/blocks/{}", commitment.at))
        .await
        .unwrap();
    let binds = |body: &Body| {
        matches!(body, Body::CommitRollouts { unit: id, blob, .. }
            if *id == unit.unit && *blob == commitment.blob)
    };
    let found = block
        .transactions
        .iter()
        .find(|t| binds(&t.transaction.body))
        .unwrap();
    assert_eq!(found.transaction.sender, unit.miner);
    commitment.at
}

/// Consensus ordered it, with the signatures of more than two thirds of stake.
async fn block(devnet: &Devnet, height: protocol::Height) {
    let block: BlockAnswer = devnet
        .client
        .get(&format!("/v1/blocks/{height}"))
        .await
        .unwrap();
    assert_eq!(block.header.height, height);
    assert!(
        block.signatures_count >= 3,
        "{} of 4 signed",
        block.signatures_count
    );
}

/// A later beacon drew units for audit.
async fn sample(devnet: &Devnet) -> UnitAnswer {
    let mut units = Vec::new();
    for step in 0..16 {
        for kind in ["rollout", "gradient"] {
            for index in 0..8 {
                units.push(format!("/v1/units/0.{step}.{kind}.{index}"));
            }
        }
    }
    let started = std::time::Instant::now();
    loop {
        for path in &units {
            let Ok(unit) = devnet.client.get::<UnitAnswer>(path).await else {
                continue;
            };
            let revealed = unit
                .audits
                .iter()
                .flat_map(|audit| &audit.seats)
                .any(|seat| matches!(seat.opinion, ledger_state::unit::Opinion::Revealed { .. }));
            if revealed && unit.summary.starts_with("accepted") {
                return unit;
            }
        }
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "{}",
            devnet.log()
        );
    }
}

/// The auditor's verdict lists every check with measured value and limit.
fn verdict(unit: &UnitAnswer) {
    let output = serde_json::to_value(unit).unwrap();
    let findings = &output["audits"][0]["seats"][0]["opinion"]["verdict"];
    let checks: Vec<&str> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|f| f["check"].as_str())
        .collect();
    let needed = match unit.unit.kind {
        UnitKind::Rollout => vec![Check::Sampling, Check::Activations, Check::Reward],
        UnitKind::Gradient => vec![Check::Loss, Check::Update],
    };
    for check in needed {
        assert!(checks.contains(&check.as_str()), "{check:?} in {checks:?}");
    }
    for finding in findings.as_array().unwrap() {
        assert!(finding["measured"].as_u64() <= finding["limit"].as_u64());
    }
}

/// The unit was paid, and the command that says why says so.
async fn reward(devnet: &Devnet, unit: &UnitAnswer) {
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let id = unit.unit.to_string();
    let output = devnet.command(&["query", "--node", &node, "unit", &id]);
    assert!(output.status.success(), "{}", complaint(&output));
    let answer = text(&output);
    assert!(
        answer.contains("accepted at height") && answer.contains("paid"),
        "{answer}"
    );
    let miner: Value = devnet
        .client
        .get(&format!("/v1/miners/{}", unit.miner))
        .await
        .unwrap();
    assert!(miner["earned"].as_u64().unwrap() > 0, "{miner}");
}

/// Validators agreed on the checkpoint that the unit went into; its file has that hash.
async fn checkpoint(devnet: &Devnet) -> CheckpointId {
    let run: Value = devnet.ask("/v1/runs/0").await;
    let recipe: protocol::recipe::Recipe = serde_json::from_value(run["recipe"].clone()).unwrap();
    let step = protocol::Step::new(run["step"].as_u64().unwrap());
    assert_ne!(recipe.phase(step), Some(Phase::Pretrain));
    let model: CheckpointId = run["checkpoint"]["model"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let bytes = blob(devnet, model.blob());
    assert_eq!(CheckpointId::of(&bytes), model);
    assert!(engine::Parameters::from_safetensors(&bytes).is_ok());
    compared(devnet, model, &bytes);
    told(devnet, step);
    model
}

/// One command says that a file is the agreed checkpoint, or where it differs first.
fn compared(devnet: &Devnet, model: CheckpointId, bytes: &[u8]) {
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let file = devnet.home().join("mine.safetensors");
    let own = file.to_string_lossy().into_owned();
    let diff = || {
        let model = model.to_string();
        devnet.command(&["checkpoint", "diff", &own, &model, "--with", &node])
    };
    std::fs::write(&file, bytes).unwrap();
    let output = diff();
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(text(&output).trim(), "equal");
    let mut changed = bytes.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&file, changed).unwrap();
    let output = diff();
    assert!(!output.status.success());
    let said = complaint(&output);
    assert!(
        said.contains("differ first in piece") && said.contains("weight"),
        "{said}"
    );
}

/// A step says what became of its gradient units.
fn told(devnet: &Devnet, step: protocol::Step) {
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let before = step.saturating_sub(1).to_string();
    let output = devnet.command(&["query", "--node", &node, "step", &before]);
    assert!(output.status.success(), "{}", complaint(&output));
    let said = text(&output);
    assert!(
        said.contains("gradient units") && said.contains("closed_at"),
        "{said}"
    );
}

/// Has a node write a proof, and checks it without the node.
fn proven(devnet: &Devnet, command: &[&str]) -> (String, Vec<u8>) {
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let file = devnet.home().join("fact.proof");
    let path = file.to_string_lossy().into_owned();
    let output = devnet.command(&[command, &["--node", &node, "--out", &path]].concat());
    assert!(
        output.status.success(),
        "{command:?}: {}",
        complaint(&output)
    );
    let output = checked(devnet, &path);
    assert!(
        output.status.success(),
        "{command:?}: {}",
        complaint(&output)
    );
    (text(&output), std::fs::read(&file).unwrap())
}

fn checked(devnet: &Devnet, file: &str) -> std::process::Output {
    let genesis = devnet.home().join("genesis.json");
    devnet.command(&["verify", file, "--genesis", &genesis.to_string_lossy()])
}

/// A stranger with the genesis learns what the chain says, and that it says nothing.
fn facts(devnet: &Devnet, audited: &UnitAnswer) {
    let unit = audited.unit.to_string();
    let (said, _) = proven(devnet, &["prove", "unit", &unit]);
    assert!(
        said.contains("is final by") && said.contains("accepted at height"),
        "{said}"
    );
    let blob = audited.commitment.as_ref().unwrap().blob.to_string();
    assert!(said.contains(&blob), "{said}");
    let (said, _) = proven(devnet, &["prove", "verdict", &unit]);
    assert!(said.contains("round of"), "{said}");
    let (said, _) = proven(devnet, &["prove", "miner", &audited.miner.to_string()]);
    assert!(said.contains("bond"), "{said}");
    let (said, _) = proven(devnet, &["prove", "checkpoint", "0.1"]);
    assert!(said.contains("agreed at height"), "{said}");
    let nobody = "00".repeat(32);
    let (said, _) = proven(devnet, &["prove", "proposal", &nobody]);
    assert!(said.contains("there is no proposal"), "{said}");
}

/// Who trusts a recent header needs no genesis; a file serves those alone for whom it begins.
async fn from_a_trusted_header(devnet: &Devnet, audited: &UnitAnswer) {
    let trusted: StatusAnswer = devnet.ask("/v1/status").await;
    let at = trusted.height;
    devnet
        .until("a later block", |overview| overview.height > at)
        .await;
    let trust = format!("{at}:{}", trusted.block);
    let (node, unit) = (
        format!("http://127.0.0.1:{}", devnet.port),
        audited.unit.to_string(),
    );
    let path = devnet.home().join("trusted.proof");
    let file = path.to_string_lossy().into_owned();
    let prove = |trust: &str| {
        let about = ["prove", "unit", &unit, "--trust", trust];
        devnet.command(&[about.as_slice(), &["--node", &node, "--out", &file]].concat())
    };
    let output = prove(&trust);
    assert!(output.status.success(), "{}", complaint(&output));
    let output = devnet.command(&["verify", &file, "--trust", &trust]);
    assert!(output.status.success(), "{}", complaint(&output));
    let said = text(&output);
    assert!(
        said.contains(&format!(
            "reached from the trusted block {at} over 1 headers"
        )) && said.contains("accepted at height"),
        "{said}"
    );
    let other = format!("{at}:{}", "00".repeat(32));
    let refused = [
        devnet.command(&["verify", &file, "--trust", &other]),
        checked(devnet, &file),
        prove(&other),
    ];
    for (output, why) in
        refused
            .iter()
            .zip(["you trust block", "begins at block", "not with block"])
    {
        assert!(!output.status.success(), "{}", text(output));
        let said = complaint(output);
        assert!(said.contains(why), "{said}");
    }
}

/// One file shows a stranger which signed contributions made a model; damage is found.
fn provenance(devnet: &Devnet, model: CheckpointId) {
    let (said, bytes) = proven(devnet, &["provenance", &model.to_string()]);
    let made = format!("checkpoint {model} was made in");
    assert!(
        said.contains(&made) && said.contains("signed in transaction"),
        "{said}"
    );
    let json = std::fs::read(devnet.home().join("genesis.json")).unwrap();
    let genesis: protocol::genesis::Genesis = serde_json::from_slice(&json).unwrap();
    for part in 0..200 {
        let mut damaged = bytes.clone();
        let at = part * bytes.len() / 200 + 7;
        damaged[at.min(bytes.len() - 1)] ^= 1 << (part % 8);
        let refused =
            File::decode(&damaged).and_then(|file| file.verify(Anchor::Genesis(&genesis)));
        assert!(
            refused.is_err(),
            "byte {at} of {} may be anything",
            bytes.len()
        );
    }
    let mut other = genesis;
    other.time_ms += 1;
    assert!(
        File::decode(&bytes)
            .unwrap()
            .verify(Anchor::Genesis(&other))
            .is_err()
    );
    let file = devnet.home().join("damaged.provenance");
    let mut damaged = bytes;
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let output = checked(devnet, &file.to_string_lossy());
    assert!(!output.status.success());
    let said = complaint(&output);
    assert!(
        said.contains("proves nothing") && said.contains("signature"),
        "{said}"
    );
}

/// A validator that does not know what its key signed does not start.
fn signing_history(devnet: &Devnet) {
    let home = devnet.home().join("validator-1");
    let folder = home.to_string_lossy().into_owned();
    let file = home.join("consensus/signing-history");
    let whole = std::fs::read(&file).unwrap();
    let start = || {
        let output = devnet.command(&["validator", "--home", &folder]);
        assert!(!output.status.success());
        complaint(&output)
    };
    let export = devnet
        .home()
        .join("signed.json")
        .to_string_lossy()
        .into_owned();
    let signing = |arguments: &[&str]| {
        let command = [&["validator", "signing"], arguments, &["--home", &folder]].concat();
        let output = devnet.command(&command);
        assert!(output.status.success(), "{}", complaint(&output));
        text(&output)
    };
    signing(&["export", "--out", &export]);
    std::fs::remove_file(&file).unwrap();
    let said = start();
    assert!(said.contains("is missing, and block"), "{said}");
    // The head and its first records are an older copy.
    std::fs::write(&file, &whole[..3 * 128]).unwrap();
    let said = start();
    assert!(said.contains("is an old copy"), "{said}");
    let said = signing(&["import", &export]);
    assert!(said.contains("nothing below height"), "{said}");
}
