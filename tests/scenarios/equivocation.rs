//! A miner signs two commitments to one unit and shows them to different nodes: the nodes find out
//! by themselves.

use crate::support::{Devnet, complaint};
use node::rpc::{
    client::{Client, ClientError},
    overview::{MinerRow, Overview},
    query::UnitAnswer,
    work::{Standing, Work},
};
use protocol::{
    Address, Amount, BlobId, SigningKey,
    class::ClassId,
    rollout::{Root, Totals},
    task::{UnitId, UnitKind},
    transaction::{Body, Fee, Lane, Transaction, Unverified},
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
        let fee = match body.lane() {
            Lane::Duty => Fee::NONE,
            Lane::Paid => Fee {
                max: Amount::new(100),
                tip: Amount::ZERO,
            },
        };
        let content = Transaction::new(work.chain, self.key.address(), work.nonce, body);
        content.with_fee(fee).sign(&self.key)
    }
    /// Shows a node a transaction, again and again until the node knows the unit.
    async fn show(&self, index: u16, signed: &Unverified) -> Result<(), ClientError> {
        loop {
            let shown = self.node(index).submit(signed).await.map(drop);
            let is_behind = matches!(&shown, Err(ClientError::Refused(problem))
                if problem.name.as_deref() == Some("UnitUnknown"));
            if !is_behind {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
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
                Standing::Active | Standing::Leaving | Standing::Slashed => None,
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

/// A new account with tokens.
fn funded(devnet: &Devnet, seed: u8) -> Hand<'_> {
    let key = SigningKey::from_seed([seed; 32]);
    let faucet = devnet.home().join("faucet");
    let sent = devnet.command(&[
        "transfer",
        "--home",
        faucet.to_str().unwrap(),
        "--to",
        &key.address().to_string(),
        "--amount",
        "50000",
        "--node",
        &format!("http://127.0.0.1:{}", devnet.port),
    ]);
    assert!(sent.status.success(), "{}", complaint(&sent));
    Hand { devnet, key }
}

/// Waits until an account is slashed for two commitments to this unit, and nobody else is.
async fn slashed(devnet: &Devnet, address: Address, unit: UnitId) {
    let is_slashed = |now: &Overview| {
        let mut miners = now.miners.iter();
        miners.any(|miner: &MinerRow| miner.address == address && miner.slash.is_some())
    };
    let now = devnet.until("the slash", is_slashed).await;
    let row = now.miners.iter().find(|miner| miner.address == address);
    let slash = row.unwrap().slash.clone().unwrap();
    assert_eq!((slash.check, slash.unit), (Check::Equivocation, unit));
    assert!(slash.bounty.get() > 0, "the reporter is paid: {slash:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_that_signs_two_roots_is_reported_by_the_nodes_that_see_both() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    devnet
        .until("a step", |now| {
            now.run.as_ref().is_some_and(|run| run.step.get() >= 3)
        })
        .await;
    let hand = funded(&devnet, 83);
    let (work, unit) = hand.assigned().await;
    let one = hand.sign(&work, commitment(unit, 1));
    let other = hand.sign(&work, commitment(unit, 2));
    // Each node is shown one of them, and takes it; what they tell each other gives it away.
    hand.show(0, &one).await.unwrap();
    hand.show(3, &other).await.unwrap();
    slashed(&devnet, hand.key.address(), unit).await;

    // The only node that is shown the second root was killed after it had seen the first.
    let hand = funded(&devnet, 84);
    let (work, unit) = hand.assigned().await;
    let one = hand.sign(&work, commitment(unit, 1));
    let other = hand.sign(&work, commitment(unit, 2));
    hand.show(3, &one).await.unwrap();
    let path = format!("/v1/units/{unit}");
    loop {
        let found = hand.node(3).get::<UnitAnswer>(&path).await;
        if found.is_ok_and(|unit| unit.commitment.is_some()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    devnet.kill("validator-3").await;
    while hand.node(3).get::<UnitAnswer>(&path).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It is refused, since the unit is bound, and so it is not passed on.
    hand.show(3, &other).await.unwrap_err();
    slashed(&devnet, hand.key.address(), unit).await;
    let now = devnet.until("the end", |_| true).await;
    let count = now.miners.iter().filter(|miner| miner.slash.is_some());
    assert_eq!(count.count(), 2, "nobody else is slashed");
}
