//! What an operator watches: figures, health, and what the runbook and the dashboard name.

use crate::support::Devnet;
use node::rpc::metrics::Health;
use rustix::process::{Signal, kill_process};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const RUNBOOK: &str = include_str!("../../node/operations/runbook.md");
const DASHBOARD: &str = include_str!("../../node/operations/dashboard.json");

/// Words of a text that begin with `cairn_`.
fn figures(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words.filter(|word| word.starts_with("cairn_")).collect()
}

async fn get(url: &str) -> (u16, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_there_and_a_chain_that_stands_is_not_ready() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "1"]);
    devnet
        .until("units of a step", |now| now.height.get() >= 12)
        .await;
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let (status, text) = get(&format!("{node}/metrics")).await;
    assert_eq!(status, 200);
    assert_eq!(text.matches("# EOF").count(), 1, "{text}");
    let told = figures(&text);
    for named in figures(RUNBOOK).union(&figures(DASHBOARD)) {
        assert!(told.contains(named), "{named} is in no answer:\n{text}");
    }
    assert!(text.contains("cairn_supply_tokens{part=\"cap\"}"), "{text}");
    assert!(text.contains("malachitebft_"), "{text}");
    assert_eq!(get_ready(&node).await.0, 200);
    requests_have_names(&format!("{node}/v1/status")).await;

    // Half of the power stands still, and so the chain; then it goes on.
    for (signal, wanted) in [(Signal::STOP, 503), (Signal::CONT, 200)] {
        for name in ["validator-2", "validator-3"] {
            kill_process(devnet.pid_of(name).unwrap(), signal).unwrap();
        }
        let health = until(&node, wanted).await;
        let reason = health.reason.unwrap_or_default();
        assert_eq!(reason.contains("at most 30 s"), wanted == 503, "{reason}");
    }
}

/// The client's name comes back; who gives none, or one that a log cannot hold, gets a new one.
async fn requests_have_names(url: &str) {
    let client = reqwest::Client::new();
    let named = async |given: Option<&str>| {
        let request = client.get(url);
        let request = given.into_iter().fold(request, |request, name| {
            request.header("x-request-id", name)
        });
        let answer = request.send().await.unwrap();
        let name = answer.headers()["x-request-id"].to_str().unwrap();
        name.to_owned()
    };
    assert_eq!(named(Some("wallet-17")).await, "wallet-17");
    let (first, second) = (named(None).await, named(Some("two words")).await);
    assert!(
        first != second && first.len() == 16 && second.len() == 16,
        "{first} {second}"
    );
}

async fn until(node: &str, wanted: u16) -> Health {
    let started = Instant::now();
    loop {
        let (status, health) = get_ready(node).await;
        if status == wanted {
            return health;
        }
        assert!(started.elapsed() < crate::support::PATIENCE, "{health:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn get_ready(node: &str) -> (u16, Health) {
    let (status, text) = get(&format!("{node}/v1/health/ready")).await;
    (status, serde_json::from_str(&text).unwrap())
}
