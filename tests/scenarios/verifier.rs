//! Somebody joins a running network to audit, without a part in consensus.

use crate::support::{Devnet, cairn, complaint, text};
use node::rpc::query::AccountAnswer;
use protocol::Address;
use std::{
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
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let port = (devnet.port + 30).to_string();
    let path = home.to_str().unwrap();
    let join = ["verifier", "--home", path, "--node", &node, "--port", &port];
    let made = devnet.command(&[&join[..], &["--listen", "127.0.0.1", "--init"]].concat());
    assert!(made.status.success(), "{}", complaint(&made));
    let said = text(&made);
    let address: Address = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
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
            .args(join)
            .args(["--bond", &BOND.to_string()])
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
