//! Stake at the command line: a validator joins a running network, others stake with it, and one
//! that is shown to have signed twice is frozen.

use crate::support::{Devnet, Ended, cairn, complaint, text};
use node::{
    home::key_file,
    rpc::staking::{StakesAnswer, ValidatorAnswer},
};
use protocol::{
    Address, BlockId,
    transaction::Body,
    vote::{DoubleSign, SignedVote, Vote, VoteKind},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What each newcomer stakes; a validator of the devnet has twice as much.
const STAKE: &str = "500000";

struct World {
    devnet: Devnet,
    node: String,
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.devnet.folder.path().join(name)
    }
    fn faucet(&self) -> String {
        let faucet = self.devnet.home().join("faucet");
        faucet.to_str().unwrap().to_owned()
    }
    /// Runs a command that must succeed.
    fn say(&self, arguments: &[&str]) -> String {
        let output = self.devnet.command(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            complaint(&output)
        );
        text(&output)
    }
    fn stake(&self, arguments: &[&str]) -> String {
        let faucet = self.faucet();
        let (command, rest) = arguments.split_first().unwrap();
        let signer = ["--home", &faucet, "--node", &self.node];
        self.say(&[&["stake", command][..], rest, &signer].concat())
    }
    fn owner(&self) -> Address {
        let key = key_file(&Path::new(&self.faucet()).join("operator.key"));
        key.unwrap().address()
    }
    /// Makes the home of a validator and registers it.
    fn join(&self, name: &str, port: u16) -> Address {
        let home = self.path(name);
        let home = home.to_str().unwrap();
        let port = (self.devnet.port + port).to_string();
        let init = [
            "validator",
            "init",
            "--home",
            home,
            "--node",
            &self.node,
            "--port",
            &port,
        ];
        let said = self.say(&[&init[..], &["--listen", "127.0.0.1"]].concat());
        let operator: Address = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let (owner, out) = (self.owner().to_string(), format!("{home}/consent.json"));
        self.say(&[
            "validator",
            "consent",
            "--home",
            home,
            "--holder",
            &owner,
            "--out",
            &out,
        ]);
        let said = self.stake(&["register", "--consent", &out, "--amount", STAKE]);
        assert!(said.contains("registered by"), "{said}");
        operator
    }
    fn run(&self, name: &str) -> Ended {
        let log = fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let child = Command::new(cairn())
            .args(["validator", "--home", self.path(name).to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        Ended(child.unwrap())
    }
    /// Signs two precommits of one round with a validator's key, and shows them to the chain.
    async fn report_double_sign(&self, name: &str) {
        let signer = key_file(&self.path(name).join("operator.key")).unwrap();
        let owner = key_file(&Path::new(&self.faucet()).join("operator.key")).unwrap();
        let now = self.devnet.until("a height", |_| true).await;
        let vote = |block_id| Vote {
            kind: VoteKind::Precommit,
            height: now.height,
            round: 7,
            block_id,
        };
        let sign = |block_id| SignedVote::new(now.chain, vote(block_id), &signer);
        let evidence = Box::new(DoubleSign::Vote {
            first: sign(None),
            second: sign(Some(BlockId::from_bytes([7; 32]))),
        });
        let body = Body::ReportDoubleSign { evidence };
        let sent = node::wallet::send(&self.devnet.client, &owner, body).await;
        sent.unwrap();
    }
    async fn validator(&self, operator: Address) -> ValidatorAnswer {
        let all: Vec<ValidatorAnswer> = self.devnet.client.get("/v1/validators").await.unwrap();
        all.into_iter()
            .find(|row| row.operator == operator)
            .unwrap()
    }
    async fn until(&self, operator: Address, what: &str, holds: impl Fn(&ValidatorAnswer) -> bool) {
        let started = Instant::now();
        loop {
            let row = self.validator(operator).await;
            if holds(&row) {
                return;
            }
            assert!(
                started.elapsed() < crate::support::PATIENCE,
                "{what} never happened: {row:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_joins_others_stake_with_it_and_one_that_signs_twice_is_frozen() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "1"]);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let world = World { devnet, node };

    let late = world.join("late", 28);
    let _late = world.run("late");
    let power = |row: &ValidatorAnswer| row.power == 500_000;
    world.until(late, "the late validator's power", power).await;
    world
        .until(late, "its first block", |row| row.turns_made > 0)
        .await;

    let (operator, owner) = (late.to_string(), world.owner());
    world.stake(&["add", "--validator", &operator, "--amount", "20000"]);
    let refused = world.devnet.command(&[
        "stake",
        "take",
        "--validator",
        &operator,
        "--amount",
        "900000",
        "--home",
        &world.faucet(),
        "--node",
        &world.node,
    ]);
    let complaint = complaint(&refused);
    assert!(
        complaint.contains("; 900000 cannot be taken out"),
        "{complaint}"
    );
    let said = world.stake(&["take", "--validator", &operator, "--amount", "5000"]);
    assert!(said.contains("takes 5000"), "{said}");
    let path = format!("/v1/stakes/{owner}");
    let stakes: StakesAnswer = world.devnet.client.get(&path).await.unwrap();
    // A little less than 515 000 if it was silent when it was its turn, as newcomers may be.
    let left = stakes.stakes[0].amount.get();
    assert!((510_000..=515_000).contains(&left), "{left}");
    assert_eq!(stakes.unbonding[0].amount.get(), 5_000);

    let twice = world.join("twice", 31);
    let _twice = world.run("twice");
    world.until(twice, "the other's power", power).await;
    world.report_double_sign("twice").await;
    let frozen = |row: &ValidatorAnswer| row.standing.starts_with("frozen");
    world.until(twice, "its freeze", frozen).await;
    assert_eq!(world.validator(twice).await.power, 0);
    assert_eq!(world.validator(late).await.standing, "bonded");
    world.stake(&["claim", "--validator", &operator]);
    let height = world.devnet.until("a height", |_| true).await.height;
    world
        .devnet
        .until("more blocks", |now| now.height.get() > height.get() + 8)
        .await;
}
