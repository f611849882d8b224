//! A validator's key in two places: the copy sees on the chain that its key signs without it, and
//! does not start to sign.

use crate::support::{Devnet, PATIENCE, cairn, free_ports};
use node::{
    home::{key_file, read_config, write_atomically},
    rpc::staking::ValidatorAnswer,
};
use protocol::Height;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Blocks of a devnet's epoch.
const EPOCH_BLOCKS: u64 = 40;

/// What an operator would carry to another machine, and ports of its own.
fn copied(devnet: &Devnet) -> PathBuf {
    let (from, to) = (
        devnet.home().join("validator-2"),
        devnet.folder.path().join("copy"),
    );
    fs::create_dir_all(to.join("consensus")).unwrap();
    for file in ["genesis.json", "operator.key", "consensus/signing-history"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let mut config = read_config(&from).unwrap();
    let port = free_ports();
    config.http = format!("127.0.0.1:{port}");
    config.consensus_peers.push(config.consensus);
    config.consensus = format!("/ip4/127.0.0.1/tcp/{}", port + 1);
    config.network = format!("/ip4/127.0.0.1/tcp/{}", port + 2);
    let text = toml::to_string_pretty(&config).unwrap();
    write_atomically(&to.join("config.toml"), text.as_bytes()).unwrap();
    to
}

/// What a validator says before it ends by itself, without success.
async fn refusal(home: &Path) -> String {
    let log = home.join("log");
    let mut child = Command::new(cairn())
        .args(["validator", "--home", home.to_str().unwrap()])
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    loop {
        let said = fs::read_to_string(&log).unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            assert!(!status.success(), "{said}");
            return said;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the copy goes on: {said}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_validator_that_runs_does_not_sign() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "1"]);
    devnet
        .until("some blocks", |now| now.height >= Height::new(8))
        .await;
    let copy = copied(&devnet);
    let copied_at = devnet.until("a height", |_| true).await.height;
    devnet
        .until("blocks signed since", |now| {
            now.height >= copied_at.saturating_add(4)
        })
        .await;
    let said = refusal(&copy).await;
    assert!(
        said.contains("another process signs with this key"),
        "{said}"
    );
    // The validator itself watches too when it starts again, and then makes blocks as before.
    let killed_at = devnet.until("a height", |_| true).await.height;
    devnet.kill("validator-2").await;
    let key = key_file(&copy.join("operator.key")).unwrap().address();
    let started = Instant::now();
    loop {
        let now = devnet.until("a later epoch", |now| {
            now.height > killed_at.saturating_add(EPOCH_BLOCKS)
        });
        now.await;
        let all: Vec<ValidatorAnswer> = devnet.ask("/v1/validators").await;
        let own = all.iter().find(|row| row.operator == key).unwrap();
        if own.turns_made > 0 {
            assert_eq!(own.standing, "bonded", "{own:?}");
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{own:?}\n{}", devnet.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
