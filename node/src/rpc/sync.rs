//! What a node hands to those who join: snapshots, headers, blocks of the past. All of it is
//! bytes that prove themselves. Spec: 05-block §13.

use super::server::{Served, failure, missing, refuse};
use crate::{
    chain::proofs::{ProveError, Start},
    syncing::past::{HISTORY_COUNT_MAX, encode_blocks},
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use ledger_store::StoreError;
use protocol::{Height, ValidatorsHash, codec::encode, genesis::Genesis};
use serde::Deserialize;
use std::sync::Arc;

type Shared = State<Arc<Served>>;

/// Where somebody stands already.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Since {
    from: Option<Height>,
}

impl Since {
    /// What the asker trusts.
    pub(super) fn start(self, genesis: &Genesis) -> Start<'_> {
        match self.from {
            Some(from) if from > Height::ZERO => Start::Header(from),
            Some(_) | None => Start::Genesis(genesis),
        }
    }
}

/// The routes.
pub(super) fn routes() -> Router<Arc<Served>> {
    Router::new()
        .route("/v1/snapshots", get(snapshots))
        .route("/v1/snapshots/{height}/{depth}/outline", get(outline))
        .route("/v1/snapshots/{height}/{depth}/{index}", get(piece))
        .route("/v1/links/{to}", get(links))
        .route("/v1/headers/{height}", get(headers))
        .route("/v1/validators/{hash}", get(validators))
        .route("/v1/history/{from}/{count}", get(history))
}

fn bytes(bytes: Vec<u8>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    (kind, bytes).into_response()
}

async fn snapshots(State(served): Shared) -> Response {
    Json(served.snapshots.list()).into_response()
}

async fn outline(State(served): Shared, Path((height, depth)): Path<(Height, u32)>) -> Response {
    read(move || served.snapshots.outline(height, depth), height).await
}

async fn piece(
    State(served): Shared,
    Path((height, depth, index)): Path<(Height, u32, u32)>,
) -> Response {
    read(move || served.snapshots.piece(height, depth, index), height).await
}

/// Reads a file away from the threads that serve others.
async fn read(file: impl FnOnce() -> Option<Vec<u8>> + Send + 'static, height: Height) -> Response {
    match tokio::task::spawn_blocking(file).await {
        Ok(Some(found)) => bytes(found),
        Ok(None) => missing("snapshot of height", height),
        Err(error) => refuse(error).response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Headers from genesis, or from one that the asker trusts, to a height.
async fn links(
    State(served): Shared,
    Path(to): Path<Height>,
    Query(from): Query<Since>,
) -> Response {
    if to > *served.chain.heights().borrow() {
        return missing("header at height", to);
    }
    let proving = served.proofs.lock().await;
    let shared = Arc::clone(&served);
    let made = tokio::task::spawn_blocking(move || match from.start(&shared.genesis) {
        Start::Header(from) => shared.chain.links_from(from, to),
        Start::Genesis(genesis) => shared.chain.links(genesis, to),
    });
    let made = made.await;
    drop(proving);
    match made {
        Ok(links) => answer(links.map(|links| encode(&links))),
        Err(error) => refuse(error).response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn headers(State(served): Shared, Path(height): Path<Height>) -> Response {
    if height > *served.chain.heights().borrow() {
        return missing("header at height", height);
    }
    answer(served.chain.header(height).map(|header| encode(&header)))
}

async fn validators(State(served): Shared, Path(hash): Path<ValidatorsHash>) -> Response {
    match served.chain.validators(hash) {
        Err(ProveError::ValidatorsUnknown { .. }) => missing("list of validators", hash),
        members => answer(members.map(|members| encode(&members))),
    }
}

fn answer(made: Result<Vec<u8>, ProveError>) -> Response {
    match made {
        Ok(made) => bytes(made),
        Err(ProveError::Store(error)) => failure(&error),
        Err(error) => refuse(error).response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Blocks from a height down.
async fn history(State(served): Shared, Path((from, count)): Path<(Height, usize)>) -> Response {
    let count = count.clamp(1, HISTORY_COUNT_MAX);
    let read = move || encode_blocks(served.chain.store(), from, count);
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(blocks)) => bytes(blocks),
        Ok(Err(error)) => match error.downcast::<StoreError>() {
            Ok(error) => failure(&error),
            Err(error) => refuse(error).response(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Err(error) => refuse(error).response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
