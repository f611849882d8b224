//! Nodes that are asked for what can be proven, and what becomes of those who send something else.

use crate::rpc::client::{Client, ClientError};
use anyhow::{Result, bail};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Before nodes that gave no answer are asked once more.
pub const PAUSE: Duration = Duration::from_millis(500);
/// How often every node is asked for one thing.
const ROUNDS_COUNT: usize = 6;

/// Nodes by address.
#[derive(Debug)]
pub struct Peers {
    clients: Vec<Client>,
    /// Those who sent what is not proven, with the first such thing.
    blamed: Mutex<BTreeMap<String, String>>,
}

impl Peers {
    /// Nodes such as `http://127.0.0.1:8420`.
    #[must_use]
    pub fn new(nodes: &[String]) -> Self {
        let client = |node: &String| Client::new(vec![node.trim_end_matches('/').to_owned()]);
        Self {
            clients: nodes.iter().map(client).collect(),
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
    fn honest(&self) -> impl Iterator<Item = (&Client, &str)> {
        let blamed = self.blamed();
        let named = self.clients.iter().filter_map(|client| {
            let node = client.nodes().first()?;
            Some((client, node.as_str()))
        });
        named.filter(move |(_, node)| !blamed.contains_key(*node))
    }
    /// What each node says that answers.
    ///
    /// # Errors
    /// When none does.
    pub async fn each<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let (mut answers, mut reasons) = (Vec::new(), Vec::new());
        for (client, _) in self.honest() {
            match client.get(path).await {
                Ok(answer) => answers.push(answer),
                Err(error) => reasons.push(error.to_string()),
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
                match client.bytes_at_most(path, bytes_max).await {
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
