//! A network in which a miner joins late, one vanishes, one is slow and one sabotages trains on,
//! and every checkpoint of it can be derived again.

use crate::support::{Devnet, complaint, text};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disturbed_network_trains_on_and_can_be_replayed() {
    let events = "miner-3:join@2,miner-1:vanish@3,miner-2:slow=3";
    let cheats = ["--cheats", "poison", "--miners", "4"];
    let arguments = ["--fresh", "--steps", "5", "--events", events];
    let mut devnet = Devnet::start(&[arguments.as_slice(), &cheats].concat());
    assert!(devnet.ended().await, "all is well\n{}", devnet.log());
    let summary = devnet.summary();
    assert!(
        summary["loss_last"].as_f64() < summary["loss_first"].as_f64(),
        "{summary}"
    );
    assert_eq!(summary["cheats"][0]["name"], "poison", "{summary}");
    assert_eq!(summary["state_roots_agree"], Value::Bool(true), "{summary}");

    for said in ["miner-3 joins at step 2", "miner-1 is killed at step 3"] {
        assert!(devnet.log().contains(said), "{said}\n{}", devnet.log());
    }
    let log = |name: &str| std::fs::read_to_string(devnet.home().join(name).join("log")).unwrap();
    let (first, late) = (log("miner-0"), log("miner-3"));
    assert!(first.contains("the checkpoint was added up"), "{first}");
    assert!(late.contains("this one is downloaded"), "{late}");
    assert!(late.contains("computed unit"), "{late}");

    let home = devnet.home();
    let home = home.to_str().unwrap();
    let arguments = ["replay", "--home", home, "--validation-rows", "4", "--json"];
    let replay = devnet.command(&arguments);
    assert!(replay.status.success(), "{}", complaint(&replay));
    let replayed: Value = serde_json::from_str(&text(&replay)).unwrap();
    assert_eq!(replayed["checkpoints"], summary["steps"]);
    assert_eq!(replayed["checkpoint"], summary["checkpoint"]);
    let points = replayed["validation"].as_array().unwrap();
    let loss = |point: &Value| point["loss"].as_f64().unwrap();
    assert!(
        loss(points.last().unwrap()) < loss(&points[0]),
        "{points:?}"
    );
}

/// A sparse update starts from what the miner's updates lost before, which only the miner has: one
/// that is killed goes on with it, and one that comes late starts from zeros.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_miner_still_has_what_its_sparse_updates_lost() {
    let events = "miner-2:join@1,miner-1:kill@2";
    let form = ["--cheats", "none", "--updates", "sparse"];
    let arguments = ["--fresh", "--steps", "4", "--events", events];
    let mut devnet = Devnet::start(&[arguments.as_slice(), &form].concat());
    assert!(devnet.ended().await, "all is well\n{}", devnet.log());
    let summary = devnet.summary();
    assert!(
        summary["loss_last"].as_f64() < summary["loss_first"].as_f64(),
        "{summary}"
    );
    assert!(
        summary["units"]["accepted"].as_u64() >= Some(4 * 4),
        "{summary}"
    );
    assert_eq!(summary["honest"]["void"], 0, "{summary}");
    assert_eq!(summary["state_roots_agree"], Value::Bool(true), "{summary}");
    assert!(devnet.log().contains("miner-1 is killed at step 2"));
    let log = |name: &str| std::fs::read_to_string(devnet.home().join(name).join("log")).unwrap();
    for name in ["miner-0", "miner-1", "miner-2"] {
        assert!(!log(name).contains("lost before is not here"), "{name}");
        let kept = std::fs::read_dir(devnet.home().join(name).join("feedback")).unwrap();
        // At most those that the chain names, and those of the last step.
        assert!((1..=8).contains(&kept.count()), "{name}");
    }
    assert!(log("miner-0").contains("the checkpoint was added up"));

    let home = devnet.home();
    let home = home.to_str().unwrap();
    let replay = devnet.command(&["replay", "--home", home, "--json"]);
    assert!(replay.status.success(), "{}", complaint(&replay));
    let replayed: Value = serde_json::from_str(&text(&replay)).unwrap();
    assert_eq!(replayed["checkpoints"], summary["steps"]);
    assert_eq!(replayed["checkpoint"], summary["checkpoint"]);
}
