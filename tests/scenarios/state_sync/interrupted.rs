//! Somebody who fetches a state is killed in the middle, and goes on with what it has.
//!
//! A devnet's state is fetched in no time, so the middle is made: a peer that stands between the
//! node and a validator hands out some pieces of one snapshot, and does not answer for the others
//! until it is told to.

use super::{Joined, first_snapshot};
use crate::support::{Devnet, PATIENCE};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use node::snapshots::Snapshot;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// Pieces that it gives at first.
const GIVEN: u32 = 2;

/// A node with one snapshot, which passes everything else on to another.
struct Peer {
    http: reqwest::Client,
    node: String,
    offer: Snapshot,
    files: BTreeMap<String, Vec<u8>>,
    silent_from: AtomicU32,
    asked: Mutex<BTreeSet<u32>>,
}

impl Peer {
    /// Takes the newest snapshot of a node; and where it answers itself.
    async fn start(node: &str) -> (Arc<Self>, String) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let get = |path: String| {
            let got = http.get(format!("{node}{path}")).send();
            async move { got.await.unwrap().error_for_status().unwrap() }
        };
        let offers: Vec<Snapshot> = get("/v1/snapshots".to_owned()).await.json().await.unwrap();
        let offer = offers[0];
        let folder = format!("/v1/snapshots/{}/{}", offer.height, offer.depth);
        let mut files = BTreeMap::new();
        let pieces = (0..1_u32 << offer.depth).map(|index| index.to_string());
        for name in pieces.chain(["outline".to_owned()]) {
            let path = format!("{folder}/{name}");
            let bytes = get(path.clone()).await.bytes().await.unwrap();
            files.insert(path, bytes.to_vec());
        }
        let peer = Arc::new(Self {
            http,
            node: node.to_owned(),
            offer,
            files,
            silent_from: AtomicU32::new(GIVEN),
            asked: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&peer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (peer, address)
    }
    /// Pieces that it was asked for since this was called last.
    fn take_asked(&self) -> BTreeSet<u32> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn answer(State(peer): State<Arc<Peer>>, uri: Uri) -> Response {
    if uri.path() == "/v1/snapshots" {
        return Json(vec![peer.offer]).into_response();
    }
    if let Some(file) = peer.files.get(uri.path()) {
        let name = uri.path().rsplit('/').next();
        if let Some(index) = name.and_then(|name| name.parse().ok()) {
            peer.asked.lock().unwrap().insert(index);
            if index >= peer.silent_from.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        }
        return file.clone().into_response();
    }
    let Ok(passed) = peer.http.get(format!("{}{uri}", peer.node)).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = passed.status();
    (status, passed.bytes().await.unwrap_or_default()).into_response()
}

/// Waits until its log has so many lines with these words.
async fn until_said(joined: &Joined, words: &str, count: usize) {
    let started = Instant::now();
    while joined.log().matches(words).count() < count {
        assert!(
            started.elapsed() < PATIENCE,
            "never said {count} times: {words}\n{}",
            joined.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_sync_that_is_killed_goes_on_with_what_it_had() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    first_snapshot(&devnet).await;
    let mut joined = Joined::prepare(devnet);
    let (peer, address) = Peer::start(&joined.node(0)).await;
    let all = 1 << peer.offer.depth;

    joined.start(&["--state-sync", &address]);
    until_said(&joined, "piece in the store", GIVEN as usize).await;
    joined.stop();
    assert!(!joined.home.join("store").exists(), "half a state is used");
    assert!(joined.home.join("store.unfinished").exists());
    peer.take_asked();

    peer.silent_from.store(all, Ordering::SeqCst);
    joined.start(&["--state-sync", &address]);
    until_said(&joined, "state fetched and proven", 1).await;
    let log = joined.log();
    assert!(log.contains(&format!(" kept_pieces={GIVEN} ")), "{log}");
    assert_eq!(peer.take_asked(), (GIVEN..all).collect());
    let began = peer.offer.height;
    let follows = joined.until("blocks", |status| status.height > began);
    assert_eq!(follows.await.kept_from, began);
    assert!(!joined.home.join("store.unfinished").exists());
    joined.assert_agrees().await;
}
