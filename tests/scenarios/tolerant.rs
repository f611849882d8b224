//! Miners on another engine: an honest one is paid, and one that runs another model under the same
//! class loses its bond.
//!
//! Both run the exact engine over rounded weights, in a process of its own: with seven bits of
//! mantissa, which are bf16, as the class was measured (`classes/bf16-weights.json`, by
//! `cairn calibrate` over a million tokens of this recipe), or with one.

use crate::{
    holder::{gov, proposal_file, propose, told},
    support::{Devnet, PATIENCE, cairn, complaint, text},
};
use node::rpc::overview::MinerRow;
use protocol::{Address, SigningKey};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn classes() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios/classes");
    let path = folder.join("bf16-weights.json");
    path.to_str().unwrap().to_owned()
}

/// A funded account with a home.
fn account(devnet: &Devnet, name: &str, seed: u8) -> Address {
    let home = devnet.folder.path().join(name);
    std::fs::create_dir_all(&home).unwrap();
    let key = SigningKey::from_seed([seed; 32]);
    node::home::write_key(&home.join("operator.key"), &key).unwrap();
    let faucet = devnet.home().join("faucet");
    let sent = devnet.command(&[
        "transfer",
        "--home",
        faucet.to_str().unwrap(),
        "--to",
        &key.address().to_string(),
        "--amount",
        "50000",
        "--node",
        &node(devnet),
    ]);
    assert!(sent.status.success(), "{}", complaint(&sent));
    key.address()
}

fn node(devnet: &Devnet) -> String {
    format!("http://127.0.0.1:{}", devnet.port)
}

fn mine(devnet: &Devnet, name: &str, bits: &str) -> Ended {
    let log = std::fs::File::create(devnet.folder.path().join(format!("{name}.log"))).unwrap();
    let worker = format!("{} exact-worker {bits}", cairn().display());
    let child = Command::new(cairn())
        .args(["miner", "--class", "exact engine, bf16 weights"])
        .args(["--worker", &worker, "--node", &node(devnet), "--home"])
        .arg(devnet.folder.path().join(name))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Ended(child)
}

async fn until(devnet: &Devnet, name: &str, miner: Address, holds: impl Fn(&MinerRow) -> bool) {
    let started = Instant::now();
    loop {
        let found = devnet
            .client
            .get::<MinerRow>(&format!("/v1/miners/{miner}"))
            .await;
        if found.as_ref().is_ok_and(&holds) {
            return;
        }
        let log = devnet.folder.path().join(format!("{name}.log"));
        assert!(
            started.elapsed() < PATIENCE,
            "{found:?}\n{}",
            std::fs::read_to_string(log).unwrap()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_engine_is_paid_within_its_limits_and_another_model_is_slashed() {
    let classes = classes();
    let arguments = ["--fresh", "--cheats", "none", "--miners", "2", "--class"];
    let devnet = Devnet::start(&[&arguments[..], &[&classes]].concat());
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let listed = devnet.command(&["query", "classes", "--node", &node(&devnet)]);
    assert!(text(&listed).contains("exact engine, bf16 weights"));
    let (honest, liar) = (account(&devnet, "honest", 81), account(&devnet, "liar", 82));
    let _honest = mine(&devnet, "honest", "7");
    let _liar = mine(&devnet, "liar", "1");
    until(&devnet, "liar", liar, |row| row.slash.is_some()).await;
    until(&devnet, "honest", honest, |row| {
        row.evidence
            .is_some_and(|evidence| evidence.units_count >= 3)
    })
    .await;
    let row: MinerRow = devnet
        .client
        .get(&format!("/v1/miners/{honest}"))
        .await
        .unwrap();
    assert_eq!(row.class, "exact engine, bf16 weights");
    assert!(row.slash.is_none() && row.units.void == 0, "{row:?}");
    let row: MinerRow = devnet
        .client
        .get(&format!("/v1/miners/{liar}"))
        .await
        .unwrap();
    let slash = row.slash.unwrap();
    let found = ["sampling", "margin", "margin-sum"];
    assert!(found.contains(&slash.check.as_str()), "{slash:?}");
    let log = std::fs::read_to_string(devnet.folder.path().join("liar.log")).unwrap();
    assert!(log.contains(&slash.reason), "the same words:\n{log}");
    let answer = devnet.command(&[
        "query",
        "unit",
        &slash.unit.to_string(),
        "--node",
        &node(&devnet),
    ]);
    assert!(text(&answer).contains(&slash.reason), "{}", text(&answer));
    wider_limits_are_previewed(&devnet);
}

/// Whoever proposes limits within which the liar is right is told that a verdict would change.
fn wider_limits_are_previewed(devnet: &Devnet) {
    let limits = std::fs::read_to_string(classes()).unwrap();
    let mut class: serde_json::Value = serde_json::from_str(&limits).unwrap();
    let widest = serde_json::json!({"void": i64::MAX, "slash": i64::MAX});
    class["margin_micro"] = widest.clone();
    for cell in class["cells"].as_array_mut().unwrap() {
        cell["clipped_sum_micro"] = widest.clone();
        cell["mismatches_count"] = widest.clone();
    }
    proposal_file(devnet, "wide.json", &class.to_string());
    let action = "action = \"set-class\"\nclass = \"wide.json\"\n";
    let toml = format!("title = \"Anything goes\"\n[[actions]]\n{action}");
    let file = proposal_file(devnet, "wide.toml", &toml);
    let id = propose(devnet, "validator-0", &file);
    let preview = told(devnet, &["preview", &id]);
    let rejudged = &preview["classes"][0];
    let count = |name: &str| rejudged[name].as_u64().unwrap();
    assert!(count("verdicts_count") >= 3, "{preview}");
    assert!(
        count("milder_count") + count("unclear_count") >= 1,
        "{preview}"
    );
    assert_eq!(count("harsher_count"), 0, "{preview}");
    let words = text(&gov(devnet, &["preview", &id]));
    assert!(
        words.contains("judged again by the proposed limits"),
        "{words}"
    );
}

#[test]
fn a_class_that_is_not_listed_is_refused_before_anything_is_sent() {
    let refused = crate::support::run(&["miner", "--class", "other", "--home", "nowhere"]);
    assert!(!refused.status.success());
    assert!(
        complaint(&refused).contains("--worker"),
        "{}",
        complaint(&refused)
    );
}
