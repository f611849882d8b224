//! Talks to a node's HTTP interface; tries several nodes in turn.

use super::{
    governance::Trial,
    server::{Problem, Submitted},
};
use protocol::{
    Address, TransactionId,
    codec::encode,
    transaction::{Body, Unverified},
};
use serde::de::DeserializeOwned;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a large answer may take, of which something comes within the time above, always.
const LARGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node could be reached.
    #[error("no node answers at {nodes}: {reason}")]
    Unreachable {
        /// Those tried.
        nodes: String,
        /// The last failure.
        reason: String,
    },
    /// The node said no.
    #[error("{}{}", .0.code.map(|code| format!("rejection {code}: ")).unwrap_or_default(), .0.message)]
    Refused(Problem),
}

/// A client of one or more nodes of the same chain.
#[derive(Debug)]
pub struct Client {
    nodes: Vec<String>,
    /// The node that answered last.
    current: AtomicUsize,
    http: reqwest::Client,
}

impl Client {
    /// A client for nodes such as `http://127.0.0.1:8420`.
    #[must_use]
    pub fn new(nodes: Vec<String>) -> Self {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .read_timeout(TIMEOUT)
            .no_proxy()
            .build();
        Self {
            nodes,
            current: AtomicUsize::new(0),
            http: http.unwrap_or_default(),
        }
    }
    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }
    /// Reads `path` as JSON from the first node that answers.
    ///
    /// # Errors
    /// When no node can be reached, or the one that answers says no.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(|node| self.http.get(format!("{node}{path}")))
            .await
    }
    /// Submits a transaction to the first node that answers.
    ///
    /// # Errors
    /// When no node can be reached, or the one that answers refuses it.
    pub async fn submit(&self, transaction: &Unverified) -> Result<TransactionId, ClientError> {
        let bytes = transaction.encode();
        let post = |node: &str| {
            self.http
                .post(format!("{node}/v1/transactions"))
                .body(bytes.clone())
        };
        self.request::<Submitted>(post)
            .await
            .map(|submitted| submitted.id)
    }
    /// Asks what a body would do if this account signed it.
    ///
    /// # Errors
    /// When no node can be reached, or the one that answers says no.
    pub async fn trial(&self, sender: Address, body: &Body) -> Result<Trial, ClientError> {
        let bytes = encode(&(sender, body));
        let post = |node: &str| {
            self.http
                .post(format!("{node}/v1/governance/trials"))
                .body(bytes.clone())
        };
        self.request(post).await
    }
    /// Reads the bytes at `path` from the first node that answers.
    ///
    /// # Errors
    /// When no node can be reached, or the one that answers says no.
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let answer = self.answer(|node| self.http.get(format!("{node}{path}")));
        read_bytes(answer.await?).await
    }
    /// The same, and no more than `bytes_max` of them, whoever sends them.
    ///
    /// # Errors
    /// When no node can be reached, the one that answers says no, or its answer is larger.
    pub async fn bytes_at_most(
        &self,
        path: &str,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let get = |node: &str| {
            let get = self.http.get(format!("{node}{path}"));
            get.timeout(LARGE_TIMEOUT)
        };
        let answer = self.answer(get);
        let mut answer = answer.await?;
        if !answer.status().is_success() {
            return read_bytes(answer).await;
        }
        let broken = |error: reqwest::Error| {
            let reason = root_cause(&error);
            ClientError::Refused(problem(format!("the answer broke off: {reason}")))
        };
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(broken)? {
            if bytes.len() + part.len() > bytes_max {
                let message = format!("the answer has more than {bytes_max} bytes");
                return Err(ClientError::Refused(problem(message)));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
    async fn request<T: DeserializeOwned>(
        &self,
        build: impl Fn(&str) -> reqwest::RequestBuilder,
    ) -> Result<T, ClientError> {
        let body = read_bytes(self.answer(build).await?).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Refused(problem(format!("unexpected answer: {error}"))))
    }
    /// The answer of the first node that gives one.
    async fn answer(
        &self,
        build: impl Fn(&str) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ClientError> {
        let mut reason = "none is configured".to_owned();
        let first = self.current.load(Ordering::Relaxed);
        for offset in 0..self.nodes.len() {
            let position = (first + offset) % self.nodes.len();
            let mut answer = build(&self.nodes[position]).send().await;
            // A connection that was kept from before may have been closed at the other end, which
            // shows only now; to ask twice does no harm.
            if answer.as_ref().is_err_and(was_cut) {
                answer = build(&self.nodes[position]).send().await;
            }
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    reason = root_cause(&error);
                    continue;
                }
            };
            self.current.store(position, Ordering::Relaxed);
            return Ok(answer);
        }
        Err(ClientError::Unreachable {
            nodes: self.nodes.join(", "),
            reason,
        })
    }
}

/// Whether a node was there, and the connection ended before its answer.
fn was_cut(error: &reqwest::Error) -> bool {
    !error.is_connect() && !error.is_timeout()
}

fn problem(message: String) -> Problem {
    Problem {
        code: None,
        name: None,
        message,
    }
}

/// The body of an answer that says yes.
async fn read_bytes(answer: reqwest::Response) -> Result<Vec<u8>, ClientError> {
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| {
        ClientError::Refused(problem(format!(
            "the answer broke off: {}",
            root_cause(&error)
        )))
    })?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let parsed = serde_json::from_slice(&body);
    let text = || problem(format!("{status}: {}", String::from_utf8_lossy(&body)));
    Err(ClientError::Refused(parsed.unwrap_or_else(|_| text())))
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
