//! A validator of a running network changes the key that signs its votes and proposals, keeps its
//! stake, and goes on proposing; light clients follow.

use crate::support::{Devnet, PATIENCE, complaint, text};
use node::{home::key_file, rpc::staking::ValidatorAnswer};
use protocol::{Address, Height};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

async fn until(
    devnet: &Devnet,
    operator: Address,
    what: &str,
    mut holds: impl FnMut(&ValidatorAnswer) -> bool,
) -> ValidatorAnswer {
    let started = Instant::now();
    loop {
        let all: Vec<ValidatorAnswer> = devnet.ask("/v1/validators").await;
        let row = all
            .into_iter()
            .find(|row| row.operator == operator)
            .unwrap();
        if holds(&row) {
            return row;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{what} never happened: {row:?}\n{}",
            devnet.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn say(devnet: &Devnet, arguments: &[&str]) -> String {
    let output = devnet.command(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        complaint(&output)
    );
    text(&output)
}

fn histories(home: &Path) -> usize {
    let files = fs::read_dir(home.join("consensus")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("signing-history"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_validator_rotates_its_key_and_goes_on_proposing() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "1"]);
    devnet
        .until("some blocks", |now| now.height >= Height::new(4))
        .await;
    let home = devnet.home().join("validator-2");
    let folder = home.to_str().unwrap();
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let operator = key_file(&home.join("operator.key")).unwrap().address();
    let before = until(&devnet, operator, "an answer", |_| true).await;
    assert_eq!(before.key, operator);

    // While it runs: a new key, its word, and the holder's transaction.
    let file = devnet.folder.path().join("succession.json");
    let file = file.to_str().unwrap();
    say(
        &devnet,
        &["validator", "rotate", "--home", folder, "--out", file],
    );
    let rotate = [
        "stake",
        "rotate",
        "--home",
        folder,
        "--succession",
        file,
        "--node",
        &node,
    ];
    let said = say(&devnet, &rotate);
    assert!(said.contains("from the next epoch on"), "{said}");
    let again = devnet.command(&rotate);
    assert!(!again.status.success());
    assert!(
        complaint(&again).contains("with the next epoch already"),
        "{}",
        complaint(&again)
    );
    let new = key_file(&home.join("next.key")).unwrap().address();
    let row = until(&devnet, operator, "the new key", |row| row.key == new).await;
    assert_eq!((row.stake, row.next_key), (before.stake, None));

    // The same validator under its new key: it makes blocks in an epoch that is the new key's.
    fs::rename(home.join("next.key"), home.join("consensus.key")).unwrap();
    devnet.kill("validator-2").await;
    let restarted = devnet.until("a height", |_| true).await.height;
    devnet
        .until("a later epoch", |now| {
            now.height > restarted.saturating_add(40)
        })
        .await;
    let row = until(&devnet, operator, "a block", |row| row.turns_made > 0).await;
    assert_eq!((row.key, row.standing.as_str()), (new, "bonded"), "{row:?}");
    assert_eq!(histories(&home), 2, "each key has a history of its own");

    // A light client goes from genesis through the sets of both keys.
    let proof = devnet.folder.path().join("proof.bin");
    let proof = proof.to_str().unwrap();
    let subject = operator.to_string();
    say(
        &devnet,
        &[
            "prove",
            "validator",
            &subject,
            "--out",
            proof,
            "--node",
            &node,
        ],
    );
    let genesis = home.join("genesis.json");
    let genesis = genesis.to_str().unwrap();
    let said = say(&devnet, &["verify", proof, "--genesis", genesis]);
    assert!(said.contains("is final by"), "{said}");
}
