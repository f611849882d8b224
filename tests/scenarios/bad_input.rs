//! What goes wrong says so in one clear line with fact, value and limit, and loses nothing.

use crate::support::{Devnet, complaint, free_ports, run};
use protocol::{Height, SigningKey};
use rustix::process::{Signal, kill_process};
use std::{net::TcpListener, process::Output};

fn one_line(output: &Output, expected: &[&str]) {
    assert!(!output.status.success());
    let complaint = complaint(output);
    assert_eq!(
        complaint.trim_end().lines().count(),
        1,
        "one line: {complaint}"
    );
    for part in expected {
        assert!(complaint.contains(part), "{part:?} is missing: {complaint}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_ports();
    let taken = TcpListener::bind(("127.0.0.1", port + 2)).unwrap();
    let home = folder.path().join("net");
    let output = run(&[
        "devnet",
        "--home",
        home.to_str().unwrap(),
        "--port",
        &port.to_string(),
        "--steps",
        "1",
    ]);
    one_line(
        &output,
        &[
            &format!("port {} on 127.0.0.1 is taken", port + 2),
            "--port",
        ],
    );
    drop(taken);
}

#[test]
fn unknown_values_of_flags_name_what_is_known() {
    let output = run(&["devnet", "--cheats", "telepathy"]);
    assert!(!output.status.success());
    let complaint = complaint(&output);
    for part in ["telepathy", "--cheats", "skip-steps", "none"] {
        assert!(complaint.contains(part), "{part:?} is missing: {complaint}");
    }
    let output = run(&["devnet", "--validators", "99"]);
    assert!(crate::support::complaint(&output).contains("99 is not in 1..=16"));
    let output = run(&["query", "unit", "third"]);
    assert!(crate::support::complaint(&output).contains("run.step.kind.index"));
}

#[test]
fn a_home_that_is_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("thesis.txt");
    std::fs::write(&precious, "years of work").unwrap();
    let home = folder.path().to_str().unwrap();
    let output = run(&[
        "devnet",
        "--fresh",
        "--home",
        home,
        "--port",
        &free_ports().to_string(),
    ]);
    one_line(&output, &["is not empty and not a devnet", "left as it is"]);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "years of work");
    one_line(
        &run(&["validator", "--home", home]),
        &["config.toml is missing"],
    );
    one_line(
        &run(&["export", "--home", home, "--out", "/dev/null"]),
        &["holds neither"],
    );
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    let node = format!("http://127.0.0.1:{}", free_ports());
    one_line(
        &run(&["query", "--node", &node, "run"]),
        &["no node answers at", &node],
    );
}

#[test]
fn a_miner_without_a_node_says_how_to_give_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("miner");
    one_line(
        &run(&["miner", "--home", home.to_str().unwrap()]),
        &["no node to ask", "--node"],
    );
}

/// Damage to a stopped network: each is named, none loses the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_named_and_strangers_are_refused() {
    let mut devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "1"]);
    devnet
        .until("some blocks", |now| now.height >= Height::new(5))
        .await;
    hostile_transactions_are_refused(&devnet).await;
    a_running_home_is_in_use(&devnet);
    assert!(devnet.interrupt().await, "{}", devnet.log());

    let other = format!("{}", devnet.port);
    let home = devnet.home();
    let home = home.to_str().unwrap();
    let output = run(&["devnet", "--home", home, "--port", &other, "--seed", "77"]);
    one_line(
        &output,
        &["this devnet has seed 1; 77 was asked for", "--fresh"],
    );

    let genesis = devnet.home().join("validator-0/genesis.json");
    let original = std::fs::read_to_string(&genesis).unwrap();
    std::fs::write(&genesis, original.replacen("devnet-1", "devnet-2", 1)).unwrap();
    let validator = devnet.home().join("validator-0");
    let validator = validator.to_str().unwrap();
    one_line(&run(&["validator", "--home", validator]), &["chain"]);
    std::fs::write(&genesis, &original[..original.len() / 2]).unwrap();
    one_line(
        &run(&["validator", "--home", validator]),
        &["genesis.json is not a genesis"],
    );
    std::fs::write(&genesis, original).unwrap();

    // Nothing was lost: replay still holds.
    assert!(run(&["replay", "--home", validator]).status.success());
}

async fn hostile_transactions_are_refused(devnet: &Devnet) {
    let url = format!("http://127.0.0.1:{}/v1/transactions", devnet.port);
    // A connection for each: the node closes the one on which it refused to read a body, and a
    // pool that hands out that one again fails before the answer.
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let post = async |body: Vec<u8>| {
        let answer = http.post(&url).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, text) = post(vec![0xff; 300]).await;
    assert_eq!(status, 422, "{text}");
    assert!(
        text.contains("transaction cannot be decoded from 300 bytes"),
        "{text}"
    );
    // Too large: refused before it is read, so the connection may end before the answer is read.
    let large = http.post(&url).body(vec![0; 1 << 20]).send().await;
    assert!(large.is_err() || large.is_ok_and(|answer| answer.status() == 413));

    let key = SigningKey::from_seed([9; 32]);
    let status: node::rpc::server::StatusAnswer = devnet.ask("/v1/status").await;
    let body = protocol::transaction::Body::Resume;
    let nonce = protocol::Nonce::ZERO;
    let signed = protocol::transaction::Transaction::new(status.chain, key.address(), nonce, body)
        .sign(&key);
    let (status, text) = post(signed.encode()).await;
    assert_eq!(status, 422, "{text}");
    assert!(text.contains("\"code\":212"), "{text}");
    let mut forged = signed.encode();
    *forged.last_mut().unwrap() ^= 1;
    let (_, text) = post(forged).await;
    assert!(text.contains("signature does not match"), "{text}");
}

fn a_running_home_is_in_use(devnet: &Devnet) {
    let pid = devnet.pid_of("validator-0").expect("it runs");
    let home = devnet.home().join("validator-0");
    let output = run(&["validator", "--home", home.to_str().unwrap()]);
    one_line(&output, &["is in use by another process"]);
    // The running one is not disturbed.
    assert!(kill_process(pid, Signal::CONT).is_ok());
}
