//! Somebody joins by the state of a recent height; a peer lies about it; a disk is damaged and put
//! right; old blocks are dropped.

mod interrupted;

use crate::support::{Devnet, PATIENCE, cairn, complaint, text};
use node::rpc::{
    client::{Client, ClientError},
    query::AccountAnswer,
    server::StatusAnswer,
};
use node::{snapshots::Snapshot, syncing::peers::Peers};
use protocol::{Address, StateRoot};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What it locks: half of all that auditors have.
const BOND: u64 = 4_000_000;
/// Blocks that it keeps at last.
const KEEP_BLOCKS: u64 = 100;

/// A joined node, and how to ask it.
struct Joined {
    devnet: Devnet,
    home: PathBuf,
    client: Client,
    process: Option<Child>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Joined {
    /// A home made from what a node says; nothing runs yet.
    fn prepare(devnet: Devnet) -> Self {
        let home = devnet.folder.path().join("joined");
        let port = devnet.port + 30;
        let made = devnet.command(&[
            "verifier",
            "--home",
            home.to_str().unwrap(),
            "--node",
            &format!("http://127.0.0.1:{}", devnet.port),
            "--port",
            &port.to_string(),
            "--listen",
            "127.0.0.1",
            "--init",
        ]);
        assert!(made.status.success(), "{}", complaint(&made));
        Self {
            client: Client::new(vec![format!("http://127.0.0.1:{port}")]),
            devnet,
            home,
            process: None,
        }
    }
    fn path(&self) -> &str {
        self.home.to_str().unwrap()
    }
    fn node(&self, index: u16) -> String {
        format!("http://127.0.0.1:{}", self.devnet.port + index)
    }
    fn start(&mut self, arguments: &[&str]) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.join("log"))
            .unwrap();
        let process = Command::new(cairn())
            .args(["verifier", "--home", self.path()])
            .args(["--bond", &BOND.to_string()])
            .args(arguments)
            .env("RUST_LOG", "warn,node=info,node::syncing=debug")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
    }
    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
    fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }
    /// Waits until its status satisfies a condition.
    async fn until(&self, what: &str, holds: impl Fn(&StatusAnswer) -> bool) -> StatusAnswer {
        let started = Instant::now();
        loop {
            if let Ok(status) = self.client.get::<StatusAnswer>("/v1/status").await
                && holds(&status)
            {
                return status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "never came: {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    /// Its states are those of the validators.
    async fn assert_agrees(&self) {
        let status = self.until("a status", |_| true).await;
        let (from, to) = (status.kept_from.get(), status.height.get());
        let path = format!("/v1/roots/{}/{to}", from.max(to.saturating_sub(50)));
        // The node that is asked may be a block behind it.
        self.devnet.reached(status.height).await;
        let ours: Vec<StateRoot> = self.client.get(&path).await.unwrap();
        let theirs: Vec<StateRoot> = self.devnet.ask(&path).await;
        assert_eq!(ours, theirs);
        assert!(!ours.is_empty());
    }
    /// Waits until it has its bond and earns.
    async fn until_paid(&self, address: Address) {
        let started = Instant::now();
        loop {
            let path = format!("/v1/accounts/{address}");
            let account: AccountAnswer = self.client.get(&path).await.unwrap();
            if account.verifier_bond.get() == BOND && account.balance.get() > 1_000 {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "it is never paid: {account:?}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    /// It does not have the first block and says so; what it proves convinces who has genesis only.
    async fn assert_answers_without_its_past(&self, address: Address) {
        let refused = self.client.get::<serde_json::Value>("/v1/blocks/1").await;
        let Err(ClientError::Refused(problem)) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            problem.message.contains("ask an archive node"),
            "{}",
            problem.message
        );
        let file = self.home.join("proof");
        let proven = self.devnet.command(&[
            "prove",
            "account",
            &address.to_string(),
            "--node",
            &self.client.nodes()[0],
            "--out",
            file.to_str().unwrap(),
        ]);
        assert!(proven.status.success(), "{}", complaint(&proven));
        let genesis = self.home.join("genesis.json");
        let verified = self.devnet.command(&[
            "verify",
            file.to_str().unwrap(),
            "--genesis",
            genesis.to_str().unwrap(),
        ]);
        assert!(verified.status.success(), "{}", complaint(&verified));
    }
}

/// Bytes from one flipped bit to the next: every page of a database has one.
const PAGE_BYTES: usize = 4096;

/// Flips bits all over every file of a folder, or of its folders.
fn damage(path: &Path) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else if let Ok(mut bytes) = fs::read(&path)
            && !bytes.is_empty()
        {
            let first = (bytes.len() / 2).min(PAGE_BYTES / 2);
            for at in (first..bytes.len()).step_by(PAGE_BYTES) {
                bytes[at] ^= 4;
            }
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// A peer whose snapshots are damaged is named, whatever else happens.
fn assert_a_liar_is_named(joined: &Joined) {
    let liar = joined.node(1);
    for _ in 0..20 {
        damage(&joined.devnet.home().join("validator-1/snapshots"));
        let run = Command::new(cairn())
            .args(["store", "repair", "--home", joined.path(), "--from", &liar])
            .output()
            .unwrap();
        let said = complaint(&run);
        if !run.status.success() && said.contains("sent what is not so") {
            assert!(said.contains(&liar), "{said}");
            return;
        }
        // It had made another one meanwhile.
        drop(fs::remove_dir_all(joined.home.join("store")));
    }
    panic!("no lie was found");
}

/// Gives a joined node what it locks; its address.
fn fund(joined: &Joined) -> Address {
    let key = node::home::key_file(&joined.home.join("operator.key")).unwrap();
    let address = key.address();
    let faucet = joined.devnet.home().join("faucet");
    let sent = joined.devnet.command(&[
        "transfer",
        "--home",
        faucet.to_str().unwrap(),
        "--to",
        &address.to_string(),
        "--amount",
        &(BOND + 1_000).to_string(),
        "--node",
        &joined.node(0),
    ]);
    assert!(sent.status.success(), "{}", complaint(&sent));
    address
}

/// Waits until each validator that is asked for one has a snapshot.
async fn first_snapshot(devnet: &Devnet) {
    let started = Instant::now();
    let peers = Peers::new(devnet.client.nodes());
    let lack = |answers: Vec<Vec<Snapshot>>| answers.len() < 4 || answers.iter().any(Vec::is_empty);
    while peers.each("/v1/snapshots").await.map_or(true, lack) {
        assert!(
            started.elapsed() < PATIENCE,
            "no snapshot\n{}",
            devnet.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_by_state_and_outlives_a_liar_a_damaged_disk_and_its_own_past() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    first_snapshot(&devnet).await;
    let mut joined = Joined::prepare(devnet);
    let address = fund(&joined);
    assert_a_liar_is_named(&joined);

    // It begins at a snapshot, follows, and is paid for audits.
    let (first, second) = (joined.node(0), joined.node(2));
    joined.start(&["--state-sync", &first, "--state-sync", &second]);
    let status = joined
        .until("blocks", |status| status.height.get() > 60)
        .await;
    assert!(status.kept_from.get() > 1, "it replayed every block");
    joined.assert_agrees().await;
    joined.assert_answers_without_its_past(address).await;
    joined.until_paid(address).await;

    // Its disk is damaged: it says so, and one command puts it right, with all blocks.
    joined.stop();
    damage(&joined.home.join("store"));
    let refused = joined
        .devnet
        .command(&["verifier", "--home", joined.path()]);
    let said = complaint(&refused);
    assert!(
        !refused.status.success() && said.contains("damaged"),
        "{said}"
    );
    assert!(said.contains("cairn store repair --home"), "{said}");
    let repair = ["store", "repair", "--home", joined.path(), "--from", &first];
    let repaired = joined.devnet.command(&repair);
    assert!(repaired.status.success(), "{}", complaint(&repaired));
    let checked = joined
        .devnet
        .command(&["store", "check", "--home", joined.path()]);
    assert!(
        text(&checked).contains("blocks from 1 to"),
        "{}{}",
        text(&checked),
        complaint(&checked)
    );

    // It is told to keep less.
    let config = joined.home.join("config.toml");
    let lines = fs::read_to_string(&config).unwrap();
    let lines = lines.replace("keep_blocks = 0", &format!("keep_blocks = {KEEP_BLOCKS}"));
    fs::write(&config, lines).unwrap();
    joined.start(&[]);
    joined
        .until("dropped blocks", |status| {
            status.kept_from.get() > 1 && status.height.get() > 2 * KEEP_BLOCKS
        })
        .await;
    joined.assert_agrees().await;
    joined.assert_answers_without_its_past(address).await;
}
