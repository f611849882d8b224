//! A miner signs two commitments to one unit and shows them to different nodes: the nodes find out
//! by themselves.

use crate::support::{Devnet, complaint};
use node::rpc::{
    client::Client,
    overview::MinerRow,
    work::{Standing, Work},
};
use protocol::{
    BlobId, SigningKey,
    class::ClassId,
    rollout::{Root, Totals},
    task::{UnitId, UnitKind},
    transaction::{Body, Transaction, Unverified},
    verdict::Check,
};
use std::time::Duration;

/// An account that acts as a miner, by hand.
struct Hand<'a> {
    devnet: &'a Devnet,
    key: SigningKey,
}

impl Hand<'_> {
    fn node(&self, index: u16) -> Client {
        Client::new(vec![format!(
            "http://127.0.0.1:{}",
            self.devnet.port + index
        )])
    }
    async fn work(&self) -> Work {
        let path = format!("/v1/tasks/{}", self.key.address());
        self.devnet.client.get(&path).await.unwrap()
    }
    fn sign(&self, work: &Work, body: Body) -> Unverified {
        Transaction::new(work.chain, self.key.address(), work.nonce, body).sign(&self.key)
    }
    /// Stays registered and awake until it has a rollout unit to do.
    async fn assigned(&self) -> (Work, UnitId) {
        loop {
            let work = self.work().await;
            let units = work.steps.iter().flat_map(|step| &step.units);
            let mut rollouts = units.filter(|unit| unit.unit.kind == UnitKind::Rollout);
            if let Some(unit) = rollouts.next().map(|unit| unit.unit) {
                return (work, unit);
            }
            let body = match work.standing {
                Standing::Unregistered => Some(Body::RegisterMiner {
                    bond: work.bond_min,
                    vrf: self.key.vrf().public(),
                    class: ClassId::EXACT,
                }),
                Standing::Idle => Some(Body::Resume),
                Standing::Active | Standing::Slashed => None,
            };
            if let Some(body) = body {
                // Sent again until it is in a block.
                drop(self.devnet.client.submit(&self.sign(&work, body)).await);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn commitment(unit: UnitId, byte: u8) -> Body {
    Body::CommitRollouts {
        unit,
        root: Root::from_bytes([byte; 32]),
        blob: BlobId::of(&[byte]),
        blob_bytes: 1_000,
        totals: Totals {
            samples_count: 8,
            tokens_count: 64,
            reward_micro: 0,
            exact_count: 0,
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_that_signs_two_roots_is_reported_by_the_nodes_that_see_both() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    devnet
        .until("a step", |now| {
            now.run.as_ref().is_some_and(|run| run.step.get() >= 3)
        })
        .await;
    let key = SigningKey::from_seed([83; 32]);
    let address = key.address();
    let faucet = devnet.home().join("faucet");
    let sent = devnet.command(&[
        "transfer",
        "--home",
        faucet.to_str().unwrap(),
        "--to",
        &address.to_string(),
        "--amount",
        "50000",
        "--node",
        &format!("http://127.0.0.1:{}", devnet.port),
    ]);
    assert!(sent.status.success(), "{}", complaint(&sent));
    let hand = Hand {
        devnet: &devnet,
        key,
    };
    let (work, unit) = hand.assigned().await;
    let one = hand.sign(&work, commitment(unit, 1));
    let other = hand.sign(&work, commitment(unit, 2));
    // Each node is shown one of them, and takes it; what they tell each other gives it away.
    hand.node(0).submit(&one).await.unwrap();
    hand.node(3).submit(&other).await.unwrap();
    let slashed = |now: &node::rpc::overview::Overview| {
        let mut miners = now.miners.iter();
        miners.any(|miner: &MinerRow| miner.address == address && miner.slash.is_some())
    };
    let now = devnet.until("the slash", slashed).await;
    let row = now.miners.iter().find(|miner| miner.address == address);
    let slash = row.unwrap().slash.clone().unwrap();
    assert_eq!((slash.check, slash.unit), (Check::Equivocation, unit));
    assert!(slash.bounty.get() > 0, "the reporter is paid: {slash:?}");
    let others = now.miners.iter().filter(|miner| miner.address != address);
    assert!(others.into_iter().all(|miner| miner.slash.is_none()));
}
