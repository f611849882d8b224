//! Votes at work over real processes: a holder proposes and delegates vote; a run is created and
//! miners start on it by themselves at its height; its audits follow a changed rate; it is paused
//! and resumed and stopped; an upgrade lapses for want of readiness, then another activates.

use crate::{
    holder::{act, gov, home, parameter, proposal_file, propose, refused, set, told, until_status},
    support::{Devnet, PATIENCE, complaint, run, text},
};
use protocol::Height;
use serde_json::Value;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Holders with three quarters of all stake.
const MOST: [&str; 3] = ["validator-0", "validator-1", "validator-2"];
const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_create_pause_resume_and_stop_a_run_and_schedule_upgrades() {
    let mut devnet = Devnet::start(&[
        "--fresh",
        "--cheats",
        "none",
        "--miners",
        "2",
        "--day-blocks",
        "8",
    ]);
    devnet
        .until("some blocks", |now| now.height >= Height::new(3))
        .await;
    for validator in ["validator-0", "validator-1"] {
        installed(&devnet, validator, 2).await;
    }
    // An upgrade takes longest, so it is submitted first.
    let lapsing = scheduled(&devnet, "validator-3", 2);
    let start_at = created(&devnet).await;
    starts_by_itself(&devnet, start_at).await;
    paused_and_resumed(&devnet).await;
    rate_is_followed(&devnet).await;
    lapses(&devnet, &lapsing).await;
    stopped(&devnet).await;
    activates(&devnet).await;

    assert!(devnet.interrupt().await, "{}", devnet.log());
    let validator = devnet.home().join("validator-1");
    let replay = run(&["replay", "--home", validator.to_str().unwrap()]);
    let complaint = complaint(&replay);
    assert!(
        replay.status.success(),
        "voted runs can be replayed: {complaint}"
    );
}

fn file(devnet: &Devnet, name: &str, title: &str, action: &str) -> std::path::PathBuf {
    proposal_file(
        devnet,
        name,
        &format!("title = {title:?}\n[[actions]]\n{action}"),
    )
}

/// Votes yes as these holders.
fn all_say_yes(devnet: &Devnet, who: &[&str], id: &str) {
    for holder in who {
        act(devnet, holder, &["vote", id, "yes"]);
    }
}

/// The tip's height, of the node that commands ask.
fn height(devnet: &Devnet) -> Height {
    let answer = told(devnet, &["stage"]);
    Height::new(answer["height"].as_u64().unwrap())
}

/// Installs a program that speaks a version: a setting of the configuration, and a restart. The
/// validator will signal by itself.
async fn installed(devnet: &Devnet, validator: &str, version: u32) {
    let path = devnet.home().join(validator).join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut config: toml::Table = text.parse().unwrap();
    config.insert("ready_for_version".to_owned(), i64::from(version).into());
    std::fs::write(&path, config.to_string()).unwrap();
    devnet.kill(validator).await;
    let tip = devnet.until("the tip", |_| true).await.height;
    let height = tip.saturating_add(5);
    let started = Instant::now();
    while !gov(devnet, &["stage"]).status.success() {
        assert!(started.elapsed() < PATIENCE, "{validator} never came back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    devnet
        .until("blocks after the restart", |now| now.height >= height)
        .await;
}

/// Proposes an upgrade at the earliest height that its refusal names, and votes for it.
fn scheduled(devnet: &Devnet, who: &str, version: u32) -> (String, u64) {
    let text = |height: u64| {
        format!(
            "action = \"upgrade\"\nversion = {version}\nheight = {height}\n\
             artifacts = [{{ target = \"x86_64-linux\", hash = \"{HASH}\" }}]\n"
        )
    };
    let path = file(devnet, "upgrade.toml", "a new version", &text(1));
    let words = refused(devnet, who, 617, &["propose", path.to_str().unwrap()]);
    let earliest = words
        .split(';')
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    // Blocks pass until it is submitted.
    let at = earliest.parse::<u64>().unwrap() + 20;
    let path = file(devnet, "upgrade.toml", "a new version", &text(at));
    let id = propose(devnet, who, &path);
    all_say_yes(devnet, &MOST, &id);
    (id, at)
}

/// A run by vote, half of it cast through a delegate.
async fn created(devnet: &Devnet) -> u64 {
    let delegate = node::home::key_file(&devnet.home().join("validator-1/holder.key")).unwrap();
    act(
        devnet,
        "validator-2",
        &["delegate", "run", &delegate.address().to_string()],
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios/recipes/tiny.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut recipe: Value = serde_json::from_str(&text).unwrap();
    // As many miners as there are, or its first step would wait for more.
    recipe["schedule"]["miners_at_start_count"] = 2.into();
    std::fs::write(devnet.folder.path().join("tiny.json"), recipe.to_string()).unwrap();
    let start_at = height(devnet).get() + 95;
    let action = format!(
        "action = \"create-run\"\nrecipe = \"tiny.json\"\nbudget = 10000\nstart_at = {start_at}\n"
    );
    let path = file(devnet, "run.toml", "a second run", &action);
    let id = propose(devnet, "validator-0", &path);
    act(devnet, "validator-1", &["vote", &id, "yes"]);
    let shown = until_status(devnet, &id, "executed").await;
    // Its own stake and what is entrusted, less what its restart cost one of them.
    let yes = shown["yes"].as_u64().unwrap();
    assert!((1_999_000..=2_000_000).contains(&yes), "{shown}");
    start_at
}

/// The run, as of what commands were told: another node may answer here.
async fn run_of(devnet: &Devnet) -> Value {
    devnet.reached(height(devnet)).await;
    devnet.client.get("/v1/runs/1").await.unwrap()
}

async fn until_run(devnet: &Devnet, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let now = run_of(devnet).await;
        if holds(&now) {
            return now;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "never came: {what}: {now}\n{}",
            devnet.log()
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn step(run: &Value) -> u64 {
    run["step"].as_u64().unwrap()
}

async fn starts_by_itself(devnet: &Devnet, start_at: u64) {
    while height(devnet).get() < start_at - 1 {
        assert_eq!(step(&run_of(devnet).await), 0);
        let unit: Result<Value, _> = devnet.client.get("/v1/units/1.0.gradient.0").await;
        assert!(
            unit.is_err() || height(devnet).get() >= start_at,
            "not before its height"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Nobody told the miners; the chain did.
    let now = until_run(devnet, "a step of the new run", |now| step(now) >= 1).await;
    assert!(
        now["escrow"].as_u64().unwrap() < 10_000,
        "its units are paid from its own escrow"
    );
}

async fn paused_and_resumed(devnet: &Devnet) {
    // A pause ends by itself after three days; where everything is slow, before the vote to resume.
    let mut tries = 0..8;
    while tries.next().is_some() && !resumed(devnet).await {}
    assert!(
        !tries.is_empty(),
        "it was never resumed by vote\n{}",
        devnet.log()
    );
    let paused_at = step(&run_of(devnet).await);
    until_run(devnet, "a step after the pause", |now| {
        step(now) > paused_at
    })
    .await;
}

/// Pauses the run and votes to resume it; whether that came before the pause was over.
async fn resumed(devnet: &Devnet) -> bool {
    let pause = file(
        devnet,
        "pause.toml",
        "wait",
        "action = \"pause-run\"\nrun = 1\n",
    );
    let id = propose(devnet, "validator-0", &pause);
    act(devnet, "validator-0", &["vote", &id, "yes"]);
    until_status(devnet, &id, "executed").await;
    let resume = file(
        devnet,
        "resume.toml",
        "go on",
        "action = \"resume-run\"\nrun = 1\n",
    );
    let home = home(devnet, "validator-0");
    let path = resume.to_str().unwrap();
    let made = gov(
        devnet,
        &["propose", path, "--home", &home, "--yes", "--json"],
    );
    if !made.status.success() {
        assert!(
            complaint(&made).contains("rejection 626"),
            "{}",
            complaint(&made)
        );
        return false;
    }
    let made: Value = serde_json::from_str(&text(&made)).unwrap();
    let id = made["proposal"].as_str().unwrap();
    act(devnet, "validator-0", &["vote", id, "yes"]);
    loop {
        let status = told(devnet, &["show", id])["status"].clone();
        if status == "executed" || status == "failed" {
            return status == "executed";
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn rate_is_followed(devnet: &Devnet) {
    let path = proposal_file(
        devnet,
        "rate.toml",
        &set("look closer", "audit-rate", 80_000),
    );
    let id = propose(devnet, "validator-0", &path);
    all_say_yes(devnet, &MOST, &id);
    let shown = until_status(devnet, &id, "executed").await;
    assert_eq!(parameter(devnet, "audit-rate"), 80_000);
    let at = shown["enact_at"].as_u64().unwrap();
    assert!(height(devnet).get() >= at);
    // Every miner is audited at no less than the new floor from now on.
    devnet
        .until("audits at the new rate", |now| {
            now.miners
                .iter()
                .all(|miner| miner.audit_rate_micro >= 80_000)
        })
        .await;
}

async fn lapses(devnet: &Devnet, (id, at): &(String, u64)) {
    until_status(devnet, id, "executed").await;
    assert_eq!(told(devnet, &["stage"])["plan"]["version"], 2);
    // Two of four are ready; four fifths would be needed.
    while height(devnet).get() < *at {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let now = told(devnet, &["stage"]);
    assert_eq!(
        (&now["version"], &now["plan"]),
        (&0.into(), &Value::Null),
        "it lapsed"
    );
}

async fn stopped(devnet: &Devnet) {
    let stop = file(
        devnet,
        "stop.toml",
        "enough",
        "action = \"stop-run\"\nrun = 1\n",
    );
    let id = propose(devnet, "validator-0", &stop);
    all_say_yes(devnet, &MOST, &id);
    until_status(devnet, &id, "executed").await;
    let stopped_at = step(&run_of(devnet).await);
    let height = devnet
        .until("the tip", |_| true)
        .await
        .height
        .saturating_add(20);
    devnet
        .until("blocks after", |now| now.height >= height)
        .await;
    assert_eq!(step(&run_of(devnet).await), stopped_at, "no step follows");
}

async fn activates(devnet: &Devnet) {
    for validator in ["validator-0", "validator-1", "validator-2", "validator-3"] {
        installed(devnet, validator, 3).await;
    }
    let (id, at) = scheduled(devnet, "validator-3", 3);
    until_status(devnet, &id, "executed").await;
    while height(devnet).get() < at {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let now = told(devnet, &["stage"]);
    assert_eq!(
        (&now["version"], &now["plan"]),
        (&3.into(), &Value::Null),
        "it is active"
    );
    old_program_stops(devnet).await;
}

/// A program that does not speak the active version says so and does nothing else; one that does
/// goes on in the same home.
async fn old_program_stops(devnet: &Devnet) {
    let home = devnet.home().join("validator-2");
    let path = home.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let old = text.replace("ready_for_version = 3", "ready_for_version = 2");
    assert_ne!(old, text);
    std::fs::write(&path, &old).unwrap();
    let pid = devnet.pid_of("validator-2").expect("it runs");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let started = Instant::now();
    loop {
        let log = std::fs::read_to_string(home.join("log")).unwrap_or_default();
        if log.contains("has version 3; this program speaks versions up to 2: install one") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it never says why\n{log}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::write(&path, text).unwrap();
    let tip = devnet.until("the tip", |_| true).await.height;
    let path = home.join("log");
    let ups = |text: &str| text.matches("validator is up").count();
    let before = ups(&std::fs::read_to_string(&path).unwrap());
    while ups(&std::fs::read_to_string(&path).unwrap()) == before {
        assert!(started.elapsed() < PATIENCE, "it never came back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    devnet
        .until("blocks with all", |now| now.height >= tip.saturating_add(5))
        .await;
}
