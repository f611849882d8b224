//! Nodes that are asked for what can be proven, and what becomes of those who send something else.

use crate::rpc::client::{Client, ClientError};
use anyhow::{Result, bail};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Before nodes that gave no answer are asked once more.
pub const PAUSE: Duration = Duration::from_millis(500);
/// How often every node is asked for one thing.
const ROUNDS_COUNT: usize = 6;

/// Most bytes of an answer in JSON.
const JSON_BYTES_MAX: usize = 1 << 20;

/// The bytes at a path, or why there are none.
pub type Answered<'a> = BoxFuture<'a, Result<Vec<u8>, ClientError>>;

/// A node that is asked: over HTTP, or in the same process by a simulation.
pub trait Ask: fmt::Debug + Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;
    /// The bytes at a path, no more than so many.
    fn bytes<'a>(&'a self, path: &'a str, bytes_max: usize) -> Answered<'a>;
}

impl Ask for Client {
    fn name(&self) -> &str {
        self.nodes().first().map_or("", String::as_str)
    }
    fn bytes<'a>(&'a self, path: &'a str, bytes_max: usize) -> Answered<'a> {
        Box::pin(self.bytes_at_most(path, bytes_max))
    }
}

/// Nodes by address.
#[derive(Debug)]
pub struct Peers {
    nodes: Vec<Arc<dyn Ask>>,
    /// Those who sent what is not proven, with the first such thing.
    blamed: Mutex<BTreeMap<String, String>>,
}

impl Peers {
    /// Nodes such as `http://127.0.0.1:8420`.
    #[must_use]
    pub fn new(nodes: &[String]) -> Self {
        let client = |node: &String| {
            let client = Client::new(vec![node.trim_end_matches('/').to_owned()]);
            Arc::new(client) as Arc<dyn Ask>
        };
        Self::of(nodes.iter().map(client).collect())
    }
    /// These nodes.
    #[must_use]
    pub fn of(nodes: Vec<Arc<dyn Ask>>) -> Self {
        Self {
            nodes,
            blamed: Mutex::default(),
        }
    }
    /// Those who sent what is not proven, and what it was.
    #[must_use]
    pub fn blamed(&self) -> BTreeMap<String, String> {
        let blamed = self.blamed.lock();
        blamed.unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Asks a node no more.
    pub fn blame(&self, node: &str, reason: &str) {
        tracing::warn!(%node, "this node sent what is not so, and is not asked again: {reason}");
        let blamed = self.blamed.lock();
        let mut blamed = blamed.unwrap_or_else(PoisonError::into_inner);
        blamed
            .entry(node.to_owned())
            .or_insert_with(|| reason.to_owned());
    }
    fn honest(&self) -> impl Iterator<Item = (&dyn Ask, &str)> {
        let blamed = self.blamed();
        let named = self.nodes.iter().map(|node| (node.as_ref(), node.name()));
        named.filter(move |(_, node)| !blamed.contains_key(*node))
    }
    /// What each node says that answers.
    ///
    /// # Errors
    /// When none does.
    pub async fn each<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let (mut answers, mut reasons) = (Vec::new(), Vec::new());
        for (node, name) in self.honest() {
            let answer = match node.bytes(path, JSON_BYTES_MAX).await {
                Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match answer {
                Ok(answer) => answers.push(answer),
                Err(reason) => reasons.push(format!("{name}: {reason}")),
            }
        }
        if answers.is_empty() {
            bail!("nobody answers {path}: {}", self.why(&reasons));
        }
        Ok(answers)
    }
    /// Asks one node after another, beginning with the `turn`-th, until an answer is judged to be
    /// good.
    ///
    /// # Errors
    /// When nobody gives one.
    pub async fn ask<T>(
        &self,
        turn: usize,
        path: &str,
        bytes_max: usize,
        judge: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let (answer, _) = self.ask_whom(turn, path, bytes_max, judge).await?;
        Ok(answer)
    }
    /// The same, and who gave the answer.
    ///
    /// # Errors
    /// When nobody gives one.
    pub async fn ask_whom<T>(
        &self,
        turn: usize,
        path: &str,
        bytes_max: usize,
        judge: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<(T, String)> {
        let mut reasons = Vec::new();
        for round in 0..ROUNDS_COUNT {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let honest: Vec<_> = self.honest().collect();
            reasons.clear();
            for offset in 0..honest.len() {
                let (client, node) = honest[(turn + offset) % honest.len()];
                match client.bytes(path, bytes_max).await {
                    Ok(bytes) => match judge(&bytes) {
                        Ok(answer) => return Ok((answer, node.to_owned())),
                        Err(error) => self.blame(node, &format!("{path}: {error:#}")),
                    },
                    Err(error @ (ClientError::Refused(_) | ClientError::Unreachable { .. })) => {
                        reasons.push(format!("{node}: {error}"));
                    }
                }
            }
            if honest.is_empty() {
                break;
            }
        }
        bail!("nobody has {path}: {}", self.why(&reasons))
    }
    fn why(&self, reasons: &[String]) -> String {
        let blamed = self.blamed().into_iter();
        let lies = blamed.map(|(node, reason)| format!("{node} sent what is not so: {reason}"));
        let all: Vec<String> = reasons.iter().cloned().chain(lies).collect();
        all.join("; ")
    }
}
