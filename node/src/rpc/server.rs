//! Serves the page and the JSON interface.

use super::{
    curves, fees, governance, metrics, overview::Overview, overview_build, preview, proofs, query,
    request, staking, sync, sync::Since, work,
};
use crate::{
    chain::{Chain, SubmitError, proofs::ProveError},
    local::Local,
    pieces::Pieces,
    snapshots::Snapshots,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use futures::{Stream, StreamExt as _, stream};
use ledger_evidence::{File, Subject};
use ledger_store::StoreError;
use network::FolderStore;
use proofs::FileError;
use protocol::{
    Address, BlobId, Height, ProposalId, RunId, Step, TransactionId,
    codec::decode,
    genesis::Genesis,
    task::UnitId,
    transaction::{Body, MOVE_TRANSACTION_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast::error::RecvError;

/// What the handlers share.
#[derive(Debug)]
pub struct Served {
    /// The chain.
    pub chain: Arc<Chain>,
    /// Its genesis.
    pub genesis: Genesis,
    /// This process's own counters and addresses.
    pub local: Arc<Local>,
    cached: Mutex<Option<(Height, Arc<Overview>)>>,
    /// Held while a preview is computed.
    previews: tokio::sync::Mutex<()>,
    /// States for those who join.
    pub(super) snapshots: Arc<Snapshots>,
    blobs: Arc<FolderStore>,
    /// Held while a file is cut into pieces.
    listings: tokio::sync::Mutex<()>,
    /// Held while a proof is made.
    pub(super) proofs: tokio::sync::Mutex<()>,
}

impl Served {
    /// Shares a chain.
    #[must_use]
    pub const fn new(
        chain: Arc<Chain>,
        genesis: Genesis,
        local: Arc<Local>,
        blobs: Arc<FolderStore>,
        snapshots: Arc<Snapshots>,
    ) -> Self {
        Self {
            chain,
            genesis,
            local,
            cached: Mutex::new(None),
            previews: tokio::sync::Mutex::const_new(()),
            snapshots,
            blobs,
            listings: tokio::sync::Mutex::const_new(()),
            proofs: tokio::sync::Mutex::const_new(()),
        }
    }
    /// The overview, built once a height.
    fn overview(&self) -> Arc<Overview> {
        let height = *self.chain.heights().borrow();
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, overview)) = &*cached
            && *at == height
        {
            return Arc::clone(overview);
        }
        let peers_count = self.local.peers_count();
        let overview = Arc::new(overview_build::overview(&self.chain, peers_count));
        *cached = Some((height, Arc::clone(&overview)));
        overview
    }
}

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The rejection's stable code, when a rule refused something.
    pub code: Option<u16>,
    /// The rejection's stable name.
    pub name: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    pub(super) fn response(self, status: StatusCode) -> Response {
        (status, Json(self)).into_response()
    }
}

pub(super) fn missing(what: &str, name: impl std::fmt::Display) -> Response {
    let message = format!("there is no {what} {name}");
    Problem {
        code: None,
        name: None,
        message,
    }
    .response(StatusCode::NOT_FOUND)
}

fn found<T: Serialize>(what: &str, name: impl std::fmt::Display, answer: Option<T>) -> Response {
    answer.map_or_else(
        || missing(what, name),
        |answer| Json(answer).into_response(),
    )
}

/// A transaction that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Its id.
    pub id: TransactionId,
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionPlace {
    /// The block that holds it.
    pub height: Option<Height>,
    /// Blocks below this one are not kept here, nor is where their transactions are.
    pub kept_from: Height,
}

/// From which position a list is told.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Page {
    #[serde(default)]
    from: usize,
}

/// Something that governance did, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governed {
    /// In this block.
    pub height: Height,
    /// What it did.
    #[serde(flatten)]
    pub what: ::governance::Event,
}

/// The tip in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The chain.
    pub chain: protocol::ChainId,
    /// Last committed height.
    pub height: Height,
    /// Its block: with the height what `--trust` takes, of whoever believes this node.
    pub block: protocol::BlockId,
    /// State after it.
    pub state_root: protocol::StateRoot,
    /// The lowest block that is kept here.
    pub kept_from: Height,
    /// Where this node's blob and gossip network listens.
    pub network_addresses: Vec<String>,
    /// Where validators are reached for consensus: this node, and those it knows.
    pub consensus_addresses: Vec<String>,
}

type Shared = State<Arc<Served>>;

/// All routes.
pub fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/", get(|| async { page() }))
        .route(
            "/v1/classes",
            get(|State(s): Shared| async move { Json(query::classes(&s.chain)) }),
        )
        .route(
            "/v1/overview",
            get(|State(s): Shared| async move { Json(s.overview().as_ref().clone()) }),
        )
        .route(
            "/v1/events",
            get(|State(s): Shared| async move { events(&s) }),
        )
        .route(
            "/v1/status",
            get(|State(s): Shared| async move { status(&s) }),
        )
        .route(
            "/v1/genesis",
            get(|State(s): Shared| async move { Json(s.genesis.clone()) }),
        )
        .route(
            "/v1/local",
            get(|State(s): Shared| async move { Json(s.local.report()) }),
        )
        .route(
            "/v1/fees",
            get(|State(s): Shared| async move { Json(fees::fees(&s.chain)) }),
        )
        .route("/v1/transactions", post(submit))
        .route("/v1/transactions/{id}", get(transaction))
        .route("/v1/blocks/{height}", get(block))
        .route("/v1/roots/{from}/{to}", get(roots))
        .route("/v1/accounts/{address}", get(account))
        .route("/v1/miners/{address}", get(miner))
        .route("/v1/validators", get(validators))
        .route("/v1/stakes/{owner}", get(stakes))
        .route("/v1/runs/{run}", get(run))
        .route("/v1/curves/{run}", get(curves))
        .route("/v1/steps/{run}/{step}", get(step))
        .route("/v1/updates/{run}/{step}", get(updates))
        .route("/v1/units/{unit}", get(unit))
        .route("/v1/pieces/{blob}", get(pieces))
        .route("/v1/proofs/{kind}/{id}", get(proof))
        .route("/v1/provenance/{checkpoint}", get(provenance))
        .route("/v1/proposals", get(proposals))
        .route("/v1/proposals/{id}", get(proposal))
        .route("/v1/proposals/{id}/preview", get(preview))
        .route("/v1/governance", get(governance_now))
        .route("/v1/governance/events", get(governance_events))
        .route("/v1/governance/trials", post(trial))
        .route("/v1/tasks/{address}", get(work_of))
        .merge(sync::routes())
        .merge(metrics::routes())
        .layer(DefaultBodyLimit::max(MOVE_TRANSACTION_BYTES_MAX))
        .layer(axum::middleware::from_fn(request::named))
        .with_state(served)
}

fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            explorer::CONTENT_SECURITY_POLICY,
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, explorer::PAGE).into_response()
}

fn events(served: &Arc<Served>) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let served = Arc::clone(served);
    let mut heights = served.chain.heights();
    heights.mark_changed();
    let overviews = stream::unfold((served, heights), |(served, mut heights)| async move {
        heights.changed().await.ok()?;
        heights.borrow_and_update();
        let overview = served.overview();
        Some((overview, (served, heights)))
    });
    let events = overviews.map(|overview| {
        let event = Event::default()
            .event("overview")
            .json_data(overview.as_ref());
        Ok(event.unwrap_or_else(|error| Event::default().comment(error.to_string())))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn status(served: &Served) -> Json<StatusAnswer> {
    let (tip, state_root) = served
        .chain
        .view(|view| (ledger_state::run::tip(view), view.root()));
    let height = tip.height;
    Json(StatusAnswer {
        chain: served.chain.id(),
        height,
        block: tip.block,
        state_root,
        kept_from: served.chain.store().first().unwrap_or(height),
        network_addresses: served.local.network_addresses(),
        consensus_addresses: served.local.consensus_addresses(),
    })
}

async fn submit(State(served): Shared, bytes: Bytes) -> Response {
    match served.chain.submit(&bytes) {
        Ok(id) => Json(Submitted { id }).into_response(),
        Err(error) => refusal(&error).response(StatusCode::UNPROCESSABLE_ENTITY),
    }
}

fn refusal(error: &SubmitError) -> Problem {
    use crate::chain::mempool::MempoolError;
    match error {
        SubmitError::Rejected(rejection)
        | SubmitError::Mempool(MempoolError::Rejected(rejection)) => problem(rejection),
        SubmitError::Decode(_) | SubmitError::Verify(_) | SubmitError::Mempool(_) => Problem {
            code: None,
            name: None,
            message: error.to_string(),
        },
    }
}

/// A rule's refusal as clients see it.
pub(super) fn problem(rejection: &ledger_state::Rejection) -> Problem {
    Problem {
        code: Some(rejection.code()),
        name: Some(rejection.name().to_owned()),
        message: rejection.to_string(),
    }
}

async fn transaction(State(served): Shared, Path(id): Path<TransactionId>) -> Response {
    match served.chain.store().transaction_height(id) {
        Ok(height) => match served.chain.store().first() {
            Ok(kept_from) => Json(TransactionPlace { height, kept_from }).into_response(),
            Err(error) => failure(&error),
        },
        Err(error) => failure(&error),
    }
}

/// What the store said; a node that does not keep a block says so, and it is no fault of its own.
pub(super) fn failure(error: &StoreError) -> Response {
    let status = match error {
        StoreError::BlockNotKept { .. } => StatusCode::GONE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(error).response(status)
}

async fn block(State(served): Shared, Path(height): Path<Height>) -> Response {
    match query::block(&served.chain, height) {
        Ok(answer) => found("block at height", height, answer),
        Err(error) => failure(&error),
    }
}

/// Most state roots in an answer.
const ROOTS_COUNT_MAX: usize = 1_000;

/// The states after a range of heights, as far as they exist.
async fn roots(State(served): Shared, Path((from, to)): Path<(u64, u64)>) -> Response {
    let mut roots = Vec::new();
    for height in (from..=to).take(ROOTS_COUNT_MAX) {
        match served.chain.store().block(Height::new(height)) {
            Ok(Some(stored)) => roots.push(stored.state_root),
            Ok(None) => break,
            Err(error) => return failure(&error),
        }
    }
    Json(roots).into_response()
}

async fn account(State(served): Shared, Path(address): Path<Address>) -> Response {
    Json(query::account(&served.chain, address)).into_response()
}

async fn validators(State(served): Shared) -> Response {
    Json(staking::validators(&served.chain)).into_response()
}

async fn stakes(State(served): Shared, Path(owner): Path<Address>) -> Response {
    Json(staking::stakes(&served.chain, owner)).into_response()
}

async fn miner(State(served): Shared, Path(address): Path<Address>) -> Response {
    found("miner", address, query::miner(&served.chain, address))
}

async fn run(State(served): Shared, Path(id): Path<RunId>) -> Response {
    found("run", id, query::run(&served.chain, id))
}

async fn curves(State(served): Shared, Path(run): Path<RunId>) -> Response {
    found(
        "run",
        run,
        served.chain.view(|view| curves::curves(view, run)),
    )
}

async fn step(State(served): Shared, Path((run, step)): Path<(RunId, Step)>) -> Response {
    let name = format!("{run}.{step}");
    found("step", name, query::step(&served.chain, run, step))
}

/// Reads a whole file, so one at a time, and not on the threads that serve others.
async fn updates(State(served): Shared, Path((run, step)): Path<(RunId, Step)>) -> Response {
    let updates = |view: &ledger_state::View<'_>| work::updates(view, run, step);
    Json(served.chain.view(updates)).into_response()
}

async fn pieces(State(served): Shared, Path(id): Path<BlobId>) -> Response {
    let _turn = served.listings.lock().await;
    let blobs = Arc::clone(&served.blobs);
    let listed = tokio::task::spawn_blocking(move || {
        blobs
            .get(&id)
            .map(|file| file.map(|file| Pieces::of(&file)))
    });
    let message = match listed.await {
        Ok(Ok(pieces)) => return found("blob", id, pieces),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let problem = Problem {
        code: None,
        name: None,
        message,
    };
    problem.response(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A file that proves what the state has under a name.
async fn proof(
    State(served): Shared,
    Path((kind, id)): Path<(String, String)>,
    Query(from): Query<Since>,
) -> Response {
    match Subject::parse(&kind, &id) {
        Ok(subject) => {
            file(served, move |s| {
                proofs::entry(&s.chain, from.start(&s.genesis), subject)
            })
            .await
        }
        Err(error) => refuse(error).response(StatusCode::UNPROCESSABLE_ENTITY),
    }
}

/// A file that proves which signed contributions made a checkpoint.
async fn provenance(
    State(served): Shared,
    Path(name): Path<String>,
    Query(from): Query<Since>,
) -> Response {
    file(served, move |s| {
        proofs::provenance(&s.chain, from.start(&s.genesis), &name)
    })
    .await
}

pub(super) fn refuse(error: impl std::fmt::Display) -> Problem {
    Problem {
        code: None,
        name: None,
        message: error.to_string(),
    }
}

/// Goes through many blocks, so one at a time, and not on the threads that serve others.
async fn file(
    served: Arc<Served>,
    make: impl FnOnce(&Served) -> Result<File, FileError> + Send + 'static,
) -> Response {
    let _turn = served.proofs.lock().await;
    let shared = Arc::clone(&served);
    match tokio::task::spawn_blocking(move || make(&shared).map(|file| file.encode())).await {
        Ok(Ok(bytes)) => {
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (kind, bytes).into_response()
        }
        Ok(Err(error)) => {
            let status = match error {
                FileError::CheckpointUnknown { .. } => StatusCode::NOT_FOUND,
                FileError::TooEarly { .. }
                | FileError::Prove(ProveError::TooEarly | ProveError::Later { .. }) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                FileError::TooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                FileError::Prove(ProveError::Store(StoreError::BlockNotKept { .. })) => {
                    StatusCode::GONE
                }
                FileError::Prove(_) | FileError::CommitmentMissing { .. } => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            };
            refuse(error).response(status)
        }
        Err(error) => refuse(error).response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn unit(State(served): Shared, Path(id): Path<UnitId>) -> Response {
    found("unit", id, query::unit(&served.chain, id))
}

/// All proposals from a position on, newest first.
async fn proposals(State(served): Shared, Query(page): Query<Page>) -> Response {
    Json(governance::proposals(&served.chain, page.from)).into_response()
}

async fn proposal(State(served): Shared, Path(id): Path<ProposalId>) -> Response {
    found("proposal", id, governance::proposal(&served.chain, id))
}

async fn governance_now(State(served): Shared) -> Response {
    Json(governance::governance(&served.chain)).into_response()
}

/// What a body, encoded after its sender's address, would do.
async fn trial(State(served): Shared, bytes: Bytes) -> Response {
    match decode::<(Address, Body)>("trial", &bytes, MOVE_TRANSACTION_BYTES_MAX) {
        Ok((sender, body)) => Json(governance::trial(&served.chain, sender, &body)).into_response(),
        Err(error) => Problem {
            code: None,
            name: None,
            message: error.to_string(),
        }
        .response(StatusCode::UNPROCESSABLE_ENTITY),
    }
}

/// Replays every block, so one at a time, and not on the threads that serve others.
async fn preview(State(served): Shared, Path(id): Path<ProposalId>) -> Response {
    let _turn = served.previews.lock().await;
    let shared = Arc::clone(&served);
    let computed =
        tokio::task::spawn_blocking(move || preview::preview(&shared.chain, &shared.genesis, id));
    let refuse = |message| Problem {
        code: None,
        name: None,
        message,
    };
    match computed.await {
        Ok(Ok(Some(preview))) => Json(preview).into_response(),
        Ok(Ok(None)) => missing("proposal", id),
        Ok(Err(error)) => refuse(format!("{error:#}")).response(StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => refuse(error.to_string()).response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// What governance does from now on, typed, as it happens.
async fn governance_events(
    State(served): Shared,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let governed = served.chain.governed();
    let events = stream::unfold(governed, |mut governed| async move {
        loop {
            match governed.recv().await {
                Ok((height, what)) => return Some(((height, what), governed)),
                // A listener that is too slow goes on with what is still there.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let events = events.map(|(height, what)| {
        let told = Event::default()
            .event("governance")
            .json_data(Governed { height, what });
        Ok(told.unwrap_or_else(|error| Event::default().comment(error.to_string())))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn work_of(State(served): Shared, Path(address): Path<Address>) -> Response {
    Json(served.chain.view(|view| work::work(view, address))).into_response()
}
