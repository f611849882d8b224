//! Somebody joins a running network to audit, without a part in consensus.

use crate::support::{Devnet, cairn, complaint};
use node::rpc::query::AccountAnswer;
use protocol::{Address, SigningKey};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

/// What it locks: half of all that auditors have.
const BOND: u64 = 4_000_000;

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_follows_locks_a_bond_audits_and_is_paid() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let home = devnet.folder.path().join("verifier");
    let address = prepare(&devnet, &home);
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let faucet = devnet.home().join("faucet");
    let funds = (BOND + 1_000).to_string();
    let sent = devnet.command(&[
        "transfer",
        "--home",
        faucet.to_str().unwrap(),
        "--to",
        &address.to_string(),
        "--amount",
        &funds,
        "--node",
        &node,
    ]);
    assert!(sent.status.success(), "{}", complaint(&sent));
    let log = std::fs::File::create(devnet.folder.path().join("verifier.log")).unwrap();
    let _verifier = Ended(
        Command::new(cairn())
            .args(["verifier", "--bond", &BOND.to_string(), "--home"])
            .arg(&home)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let started = Instant::now();
    loop {
        let path = format!("/v1/accounts/{address}");
        let account: AccountAnswer = devnet.client.get(&path).await.unwrap();
        let is_bonded = account.verifier_bond.get() == BOND;
        if is_bonded && account.balance.get() > 1_000 {
            return;
        }
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "it is never paid: {account:?}\n{}",
            std::fs::read_to_string(devnet.folder.path().join("verifier.log")).unwrap()
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// A home with a key of its own, the network's genesis, and all validators as peers.
fn prepare(devnet: &Devnet, home: &Path) -> Address {
    std::fs::create_dir_all(home).unwrap();
    let genesis = devnet.home().join("genesis.json");
    std::fs::copy(genesis, home.join("genesis.json")).unwrap();
    let key = SigningKey::from_seed([77; 32]);
    node::home::write_key(&home.join("operator.key"), &key).unwrap();
    let first = config(devnet, "validator-0");
    let mut own = config(devnet, "validator-1");
    own.consensus_peers.push(own.consensus.clone());
    own.network_peers.push(own.network.clone());
    own.consensus_peers.extend(first.consensus_peers);
    own.network_peers.extend(first.network_peers);
    own.consensus_peers.sort();
    own.consensus_peers.dedup();
    own.network_peers.sort();
    own.network_peers.dedup();
    let port = devnet.port + 30;
    own.http = format!("127.0.0.1:{port}");
    own.consensus = format!("/ip4/127.0.0.1/tcp/{}", port + 1);
    own.network = format!("/ip4/127.0.0.1/tcp/{}", port + 2);
    let text = toml::to_string_pretty(&own).unwrap();
    std::fs::write(home.join("config.toml"), text).unwrap();
    key.address()
}

fn config(devnet: &Devnet, name: &str) -> node::home::Config {
    let path = devnet.home().join(name).join("config.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
