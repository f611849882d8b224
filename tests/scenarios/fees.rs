//! Spam that pays fills its part of every block, and nothing else: it becomes dear, while the
//! network trains on; when it ends, so does its price.

use crate::support::{Devnet, PATIENCE};
use node::rpc::{
    client::Client,
    fees::{FeesAnswer, Limits},
    overview::Overview,
    query::AccountAnswer,
    server::StatusAnswer,
};
use protocol::{
    Amount, SigningKey,
    transaction::{Body, Transaction},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Blocks of the least size, so that a test can fill them.
const ARGUMENTS: &[&str] = &[
    "--fresh",
    "--cheats",
    "none",
    "--miners",
    "2",
    "--parameter",
    "block-gas=20000",
];

/// Sends to itself until it is told to stop, as many as nodes take.
async fn spam(node: String, key: SigningKey, is_over: Arc<AtomicBool>) {
    let client = Client::new(vec![node]);
    let Ok(status) = client.get::<StatusAnswer>("/v1/status").await else {
        return;
    };
    let path = format!("/v1/accounts/{}", key.address());
    while !is_over.load(Ordering::Relaxed) {
        let Ok(account) = client.get::<AccountAnswer>(&path).await else {
            continue;
        };
        let mut nonce = account.next_nonce;
        for _ in 0..64 {
            let (to, amount) = (key.address(), Amount::new(1));
            let body = Body::Transfer { to, amount };
            let content = Transaction::new(status.chain, key.address(), nonce, body);
            let fee = protocol::transaction::Fee {
                max: Amount::new(400),
                tip: Amount::new(3),
            };
            let signed = content.with_fee(fee).sign(&key);
            if client.submit(&signed).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                break;
            }
            nonce = nonce.next();
        }
    }
}

async fn until(devnet: &Devnet, what: &str, holds: impl Fn(&FeesAnswer) -> bool) -> FeesAnswer {
    let started = Instant::now();
    loop {
        let fees: FeesAnswer = devnet.ask("/v1/fees").await;
        if holds(&fees) {
            return fees;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "never came: {what}; {fees:?}\n{}",
            devnet.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paid_spam_raises_its_price_while_duties_land_and_training_goes_on() {
    let devnet = Devnet::start(ARGUMENTS);
    let before = devnet
        .until("a unit that was accepted", |now| now.units.accepted > 0)
        .await;
    let fees: FeesAnswer = devnet.ask("/v1/fees").await;
    assert_eq!(fees.price, fees.price_min, "an idle chain is cheap");
    let is_over = Arc::new(AtomicBool::new(false));
    let mut spammers = JoinSet::new();
    let faucet = devnet.home().join("faucet/operator.key");
    let holders = (0..4).map(|n| devnet.home().join(format!("validator-{n}/holder.key")));
    for (number, path) in holders.chain([faucet]).enumerate() {
        let key = node::home::key_file(&path).unwrap();
        let node = devnet.client.nodes()[number % 4].clone();
        spammers.spawn(spam(node, key, Arc::clone(&is_over)));
    }
    until(&devnet, "a higher price", |fees| {
        fees.price > fees.price_min / 4 * 5
    })
    .await;
    let full = until(&devnet, "more than fits", |fees| fees.suggested_tip > 0).await;
    // Whoever wants to be in the next block is told to give more than the spammers.
    let key = SigningKey::from_seed([7; 32]);
    let status: StatusAnswer = devnet.ask("/v1/status").await;
    let (to, amount) = (key.address(), Amount::new(1));
    let body = Body::Transfer { to, amount };
    let content = Transaction::new(status.chain, key.address(), protocol::Nonce::ZERO, body);
    assert!(full.offer(&content, Limits::default()).tip.get() > 3);

    let step = |overview: &Overview| overview.run.as_ref().map(|run| run.step);
    devnet
        .until("another step under spam", |now| {
            step(now) > step(&before) && now.units.accepted > before.units.accepted
        })
        .await;
    is_over.store(true, Ordering::Relaxed);
    while spammers.join_next().await.is_some() {}
    until(&devnet, "the least price", |fees| {
        fees.price == fees.price_min
    })
    .await;
}
