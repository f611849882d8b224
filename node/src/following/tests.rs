#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::local::Local;
use engine::Device;
use miner::gradient::{self, GradientInputs};
use network::{FolderStore, Network, NetworkConfig};
use protocol::{
    Address,
    codec::encode,
    task::{Beacon, UnitId, UnitKind},
};
use std::sync::LazyLock;
use tempfile::TempDir;

fn recipe() -> Arc<Recipe> {
    let text = include_str!("../../../tests/scenarios/recipes/tiny.json");
    let mut recipe: Recipe = serde_json::from_str(text).unwrap();
    // Three updates are fewer bytes than a checkpoint.
    recipe.pretrain.units_count = 3;
    Arc::new(recipe)
}

/// Two steps, as validators make them.
struct History {
    recipe: Arc<Recipe>,
    updates: [Vec<Vec<u8>>; 2],
    checkpoints: [Checkpoint; 2],
    files: Vec<Vec<u8>>,
}

static HISTORY: LazyLock<History> = LazyLock::new(|| {
    let recipe = recipe();
    let mut now = verifier::Successor {
        model: miner::initial_model(&recipe).unwrap(),
        outer: miner::initial_outer(&recipe).unwrap(),
    };
    let mut files = Vec::new();
    let steps = [0, 1].map(|step| {
        let payloads: Vec<Payload> = (0..3).map(|i| payload(&recipe, &now, step, i)).collect();
        let at = Step::new(step);
        let next = verifier::checkpoint::advance(&recipe, at, &now.model, &now.outer, &payloads);
        now = next.unwrap();
        let (model, outer) = (now.model.to_safetensors(), now.outer.to_safetensors());
        let checkpoint = Checkpoint {
            run: RunId::ZERO,
            step: at.next(),
            model: CheckpointId::of(&model),
            model_bytes: model.len() as u64,
            weights: BlobId::from_bytes(engine::trainer::file::name(now.model.as_slice())),
            outer: BlobId::of(&outer),
            outer_bytes: outer.len() as u64,
            evaluation: None,
        };
        files.extend([model, outer]);
        (payloads.iter().map(encode).collect::<Vec<_>>(), checkpoint)
    });
    let [(first, after_first), (second, after_second)] = steps;
    History {
        recipe,
        updates: [first, second],
        checkpoints: [after_first, after_second],
        files,
    }
});

fn unit(step: u64, index: u32) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step: Step::new(step),
        kind: UnitKind::Gradient,
        index,
    }
}

fn miner_of(index: u32) -> Address {
    Address::from_bytes([u8::try_from(index).unwrap(); 32])
}

fn payload(recipe: &Recipe, now: &verifier::Successor, step: u64, index: u32) -> Payload {
    let inputs = GradientInputs {
        unit: unit(step, index),
        miner: miner_of(index),
        recipe,
        beacon: &Beacon::from_bytes([7; 32]),
        model: &now.model,
        generation: None,
        feedback: None,
    };
    gradient::payload(&inputs, &Device::cpu(1)).unwrap()
}

impl History {
    fn context(&self, step: usize) -> StepContext {
        let checkpoint = |step: Option<usize>| step.map(|step| self.checkpoints[step].clone());
        StepContext {
            run: RunId::ZERO,
            step: Step::new(step as u64),
            beacon: Beacon::from_bytes([7; 32]),
            checkpoint: checkpoint(step.checked_sub(1)),
            checkpoint_before: checkpoint(step.checked_sub(2)),
            beacon_before: None,
        }
    }
    /// What the chain says of a step's updates.
    fn inputs(&self, step: usize) -> Vec<Input> {
        let input = |(index, blob): (u32, &Vec<u8>)| Input {
            unit: unit(step as u64, index),
            miner: miner_of(index),
            blob: BlobId::of(blob),
            blob_bytes: blob.len() as u64,
            correction: None,
        };
        (0..).zip(&self.updates[step]).map(input).collect()
    }
}

/// A node of a network of two.
struct Node {
    bench: Workbench,
    _home: TempDir,
}

impl Node {
    async fn start(seed: u8, others: &[&Self]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FolderStore::open(home.path().join("blobs")).unwrap());
        let others = others.iter();
        let settings = NetworkConfig {
            signing_seed: [seed; 32],
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            bootstrap: others
                .flat_map(|node| node.bench.network.listen_addresses())
                .collect(),
            home: home.path().to_owned(),
            chain: "following-test".to_owned(),
        };
        let store = Arc::clone(&blobs);
        let (network, mut events) = Network::start(settings, store as _).await.unwrap();
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let local = Arc::new(Local::default());
        Self {
            bench: Workbench::new(blobs, network, local, Device::cpu(1)).following(),
            _home: home,
        }
    }
    /// Goes to a step, and returns how many bytes of blobs that took.
    async fn follow(&self, step: usize, updates: Vec<Input>) -> u64 {
        let before = self.bench.network.traffic().received_bytes();
        let context = HISTORY.context(step);
        let updates = async { Ok(updates) };
        let followed = self.bench.follow(&HISTORY.recipe, &context, updates).await;
        followed.unwrap();
        let model = self
            .bench
            .model(&HISTORY.recipe, context.checkpoint.as_ref());
        let model = model.await.unwrap().id;
        if let Some(checkpoint) = context.checkpoint {
            assert_eq!(model, checkpoint.model);
        }
        self.bench.network.traffic().received_bytes() - before
    }
}

/// One node that has everything, and one that has nothing.
async fn pair(left_out: &[&[u8]]) -> (Node, Node) {
    let source = Node::start(1, &[]).await;
    let all = HISTORY.updates.iter().flatten().chain(&HISTORY.files);
    for blob in all.filter(|blob| !left_out.contains(&blob.as_slice())) {
        source.bench.keep(blob).await.unwrap();
    }
    let follower = Node::start(2, &[&source]).await;
    (source, follower)
}

fn bytes(inputs: &[Input]) -> u64 {
    inputs.iter().map(|input| input.blob_bytes).sum()
}

#[tokio::test]
async fn a_follower_adds_up_updates_and_fetches_nothing_else() {
    let (_source, follower) = pair(&[]).await;
    assert_eq!(follower.follow(0, Vec::new()).await, 0);
    // One of them is its own.
    let own = follower.bench.keep(&HISTORY.updates[0][1]).await.unwrap();
    let (first, second) = (HISTORY.inputs(0), HISTORY.inputs(1));
    let expected = bytes(&first) - HISTORY.updates[0][1].len() as u64;
    assert_eq!(follower.follow(1, first).await, expected);
    assert_eq!(follower.follow(2, second.clone()).await, bytes(&second));
    assert_eq!(follower.follow(2, Vec::new()).await, 0, "it is there");
    let has = |id| follower.bench.blobs.size(&id).unwrap().is_some();
    assert!(has(own), "what it made itself is not its to drop");
    assert!(HISTORY.checkpoints.iter().all(|one| has(one.outer)));
}

#[tokio::test]
async fn a_restarted_follower_goes_on_from_its_disk() {
    let (_source, follower) = pair(&[]).await;
    follower.follow(1, HISTORY.inputs(0)).await;
    let Node { bench, _home } = follower;
    let again = Workbench::new(bench.blobs, bench.network, bench.local, Device::cpu(1));
    let again = Node {
        bench: again.following(),
        _home,
    };
    let second = HISTORY.inputs(1);
    assert_eq!(again.follow(1, HISTORY.inputs(0)).await, 0);
    assert_eq!(again.follow(2, second.clone()).await, bytes(&second));
}

#[tokio::test]
async fn a_follower_that_joins_late_downloads_one_checkpoint_and_the_outer_state_if_it_pays() {
    let (_source, follower) = pair(&[]).await;
    let [first, second] = &HISTORY.checkpoints;
    let whole = follower.follow(1, Vec::new()).await;
    assert_eq!(whole, first.model_bytes);
    // Four steps are left in which an update of each costs less than a checkpoint.
    let updates = HISTORY.inputs(1);
    let costs = Costs {
        whole_bytes: second.model_bytes,
        updates_bytes: bytes(&updates),
        outer_bytes: first.outer_bytes,
        steps_count: 4,
    };
    let expected = match costs.way() {
        Way::AddUp => costs.updates_bytes + costs.outer_bytes,
        Way::Whole => costs.whole_bytes,
    };
    assert_eq!(follower.follow(2, updates).await, expected);
}

#[tokio::test]
async fn a_missing_update_takes_the_whole_checkpoint() {
    let (_source, follower) = pair(&[&HISTORY.updates[0][2]]).await;
    follower.follow(0, Vec::new()).await;
    follower.follow(1, HISTORY.inputs(0)).await;
    let has = |id| follower.bench.blobs.size(&id).unwrap().is_some();
    assert!(has(HISTORY.checkpoints[0].model.blob()));
    assert!(!has(HISTORY.checkpoints[0].outer), "it did not add up");
}

#[tokio::test]
async fn updates_that_give_another_name_take_the_whole_checkpoint() {
    let (_source, follower) = pair(&[]).await;
    follower.follow(0, Vec::new()).await;
    let mut inputs = HISTORY.inputs(0);
    inputs[0] = HISTORY.inputs(1)[0].clone();
    let expected = bytes(&inputs) + HISTORY.checkpoints[0].model_bytes;
    assert_eq!(follower.follow(1, inputs).await, expected);
}

#[tokio::test]
async fn a_malformed_update_takes_the_whole_checkpoint() {
    let (source, follower) = pair(&[]).await;
    let junk = source.bench.keep(b"no update at all").await.unwrap();
    let mut inputs = HISTORY.inputs(0);
    (inputs[0].blob, inputs[0].blob_bytes) = (junk, 16);
    follower.follow(1, inputs).await;
    let outer = follower.bench.blobs.size(&HISTORY.checkpoints[0].outer);
    assert_eq!(outer.unwrap(), None, "it did not add up");
}

#[test]
fn the_way_with_fewer_bytes_is_taken() {
    let costs = |updates_bytes, outer_bytes, steps_count| Costs {
        whole_bytes: 4_000,
        updates_bytes,
        outer_bytes,
        steps_count,
    };
    assert_eq!(costs(3_999, 0, 1).way(), Way::AddUp);
    assert_eq!(costs(4_000, 0, 1).way(), Way::Whole);
    assert_eq!(costs(4_001, 0, 100).way(), Way::Whole);
    // A download of 8 000 bytes pays if it saves 1 000 in each of more than eight steps.
    assert_eq!(costs(3_000, 8_000, 8).way(), Way::Whole);
    assert_eq!(costs(3_000, 8_000, 9).way(), Way::AddUp);
    assert_eq!(costs(u64::MAX, u64::MAX, u64::MAX).way(), Way::Whole);
}
