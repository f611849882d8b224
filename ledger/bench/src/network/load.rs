//! Transfers of many accounts, each of which sends its next when the last is final.

use super::{homes::Homes, nodes::Nodes, quantile};
use crate::world::signed;
use anyhow::{Context as _, Result};
use futures::future::join_all;
use protocol::{Address, Amount, ChainId, Nonce, SigningKey, TransactionId, transaction::Body};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Requests under way at once.
const REQUESTS_COUNT: usize = 16;
/// Distance of looks at the chain, and at who may send.
const LOOK: Duration = Duration::from_millis(2);
/// After the end, how long transfers that are under way may still become final.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who sends, and where to.
pub(super) struct Load<'a> {
    nodes: &'a Nodes,
    chain: ChainId,
    senders: Vec<SigningKey>,
    nonces: Vec<Nonce>,
}

/// What a load came to.
pub(super) struct Measured {
    /// Transfers that became final while it lasted.
    pub(super) count: u64,
    /// The same a second.
    pub(super) per_s: f64,
    blocks_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: u64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            per_s,
            blocks_per_s,
            p50_ms,
            p99_ms,
            refused,
            ..
        } = self;
        write!(
            f,
            "{per_s:.0} | {blocks_per_s:.1} | {p50_ms:.0} | {p99_ms:.0} | {refused}"
        )
    }
}

/// One run of it.
struct Run {
    started: Instant,
    duration: Duration,
    /// Transfers a second that may be sent; nothing for as many as go.
    rate: Option<f64>,
    /// Accounts, by number, with nothing under way.
    ready: VecDeque<usize>,
    /// What is under way, whose, since when.
    waiting: BTreeMap<TransactionId, (usize, Instant)>,
    sent: u64,
    refused: u64,
    /// Of transfers that became final in time, in milliseconds.
    took_ms: Vec<f64>,
    blocks: u64,
}

impl Run {
    fn is_on(&self) -> bool {
        self.started.elapsed() < self.duration
    }
    /// The next account that sends, if the rate allows one.
    fn next(&mut self) -> Option<usize> {
        let due = self
            .rate
            .is_none_or(|rate| (self.sent as f64) < rate * self.started.elapsed().as_secs_f64());
        let next = due.then(|| self.ready.pop_front()).flatten();
        self.sent += u64::from(next.is_some());
        next
    }
}

impl<'a> Load<'a> {
    pub(super) fn new(homes: &Homes, nodes: &'a Nodes) -> Self {
        Self {
            nodes,
            chain: homes.chain,
            senders: homes.senders.clone(),
            nonces: vec![Nonce::ZERO; homes.senders.len()],
        }
    }
    /// Sends for so long, at a rate or as fast as transfers become final, and waits for the last.
    pub(super) async fn run(&mut self, rate: Option<f64>, duration: Duration) -> Result<Measured> {
        let run = RefCell::new(Run {
            started: Instant::now(),
            duration,
            rate,
            ready: (0..self.senders.len()).collect(),
            waiting: BTreeMap::new(),
            sent: 0,
            refused: 0,
            took_ms: Vec::new(),
            blocks: 0,
        });
        let nonces = RefCell::new(std::mem::take(&mut self.nonces));
        let sending = (0..REQUESTS_COUNT).map(|_| self.send(&run, &nonces));
        let (sent, watched) = tokio::join!(join_all(sending), self.watch(&run, &nonces));
        self.nonces = nonces.into_inner();
        sent.into_iter().collect::<Result<Vec<()>>>()?;
        watched?;
        let mut run = run.into_inner();
        let seconds = duration.as_secs_f64();
        let count = run.took_ms.len() as u64;
        Ok(Measured {
            count,
            per_s: count as f64 / seconds,
            blocks_per_s: run.blocks as f64 / seconds,
            p50_ms: quantile(&mut run.took_ms, 0.5),
            p99_ms: quantile(&mut run.took_ms, 0.99),
            refused: run.refused,
        })
    }
    /// One request after the other.
    async fn send(&self, run: &RefCell<Run>, nonces: &RefCell<Vec<Nonce>>) -> Result<()> {
        while run.borrow().is_on() {
            let next = run.borrow_mut().next();
            let Some(index) = next else {
                sleep(LOOK).await;
                continue;
            };
            let nonce = nonces.borrow()[index];
            let to = Address::from_bytes(*protocol::BlobId::of(&index.to_le_bytes()).as_bytes());
            let amount = Amount::new(1);
            let body = Body::Transfer { to, amount };
            let transfer = signed(self.chain, &self.senders[index], nonce, body, 0);
            let at = Instant::now();
            run.borrow_mut().waiting.insert(transfer.id(), (index, at));
            let node = &self.nodes.all[index % self.nodes.all.len()];
            let post = self
                .nodes
                .http
                .post(format!("{}/v1/transactions", node.url));
            let answer = post.body(transfer.encode()).send().await;
            let answer = answer.context("a node does not answer")?;
            if !answer.status().is_success() {
                let mut run = run.borrow_mut();
                run.refused += 1;
                run.waiting.remove(&transfer.id());
                run.ready.push_back(index);
            }
        }
        Ok(())
    }
    /// Looks at every block of the first node.
    async fn watch(&self, run: &RefCell<Run>, nonces: &RefCell<Vec<Nonce>>) -> Result<()> {
        let mut height = self.nodes.height().await?;
        let is_over = |run: &Run| {
            let late = run.started.elapsed() > run.duration + PATIENCE;
            late || (!run.is_on() && run.waiting.is_empty())
        };
        while !is_over(&run.borrow()) {
            for block in self.nodes.blocks_above(height).await? {
                height = block.header.height.get();
                let mut run = run.borrow_mut();
                run.blocks += u64::from(run.is_on());
                for transaction in block.transactions.as_slice() {
                    let Some((index, sent)) = run.waiting.remove(&transaction.id()) else {
                        continue;
                    };
                    if run.is_on() {
                        run.took_ms.push(sent.elapsed().as_secs_f64() * 1e3);
                    }
                    let mut nonces = nonces.borrow_mut();
                    nonces[index] = nonces[index].next();
                    run.ready.push_back(index);
                }
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}
