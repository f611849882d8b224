//! A state sync that ends on the way goes on with what it has proven.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Fetched, kept::Kept, peers::Peers, pieces};
use crate::snapshots::Snapshot;
use axum::{
    Router,
    extract::{Path, State as Extracted},
    routing::get,
};
use ledger_store::State;
use ledger_tree::{Outline, Piece, Tree, part_of};
use protocol::Height;
use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::Notify};

const DEPTH: u32 = 3;
const COUNT: usize = 1 << DEPTH;
/// Pieces that the peer gives before it falls silent.
const GIVEN: usize = 5;
const HEIGHT: Height = Height::new(7);

fn state(changed: u64) -> State {
    let entry = |number: u64| {
        let value = number + u64::from(number == 3) * changed;
        (number.to_be_bytes().to_vec(), value.to_le_bytes().to_vec())
    };
    (0..400).map(entry).collect()
}

/// A node with a snapshot.
struct Peer {
    pieces: Vec<Vec<u8>>,
    /// From this one on, it does not answer.
    silent_from: usize,
    asked: Mutex<BTreeSet<usize>>,
    asked_more: Notify,
}

impl Peer {
    /// Serves the pieces of a state below an index; its address.
    async fn start(state: &State, silent_from: usize) -> (Arc<Self>, Arc<Peers>) {
        let mut parts = vec![Vec::new(); COUNT];
        for (key, value) in state {
            parts[part_of(key, DEPTH)].push((key.clone(), value.clone()));
        }
        let encoded = parts
            .into_iter()
            .map(|part| Piece::new(part).unwrap().encode());
        let peer = Arc::new(Self {
            pieces: encoded.collect(),
            silent_from,
            asked: Mutex::default(),
            asked_more: Notify::new(),
        });
        let router = Router::new()
            .route("/v1/snapshots/{height}/{depth}/{index}", get(answer))
            .with_state(Arc::clone(&peer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let peers = Peers::new(&[format!("http://{address}")]);
        (peer, Arc::new(peers))
    }
    fn asked(&self) -> BTreeSet<usize> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    Extracted(peer): Extracted<Arc<Peer>>,
    Path((_, _, index)): Path<(u64, u32, usize)>,
) -> Vec<u8> {
    peer.asked.lock().unwrap().insert(index);
    peer.asked_more.notify_one();
    if index >= peer.silent_from {
        std::future::pending::<()>().await;
    }
    peer.pieces[index].clone()
}

fn outline(state: &State) -> Arc<Outline> {
    Arc::new(Tree::of(state).outline(DEPTH).unwrap())
}

fn bytes(peer: &Peer, indices: impl IntoIterator<Item = usize>) -> u64 {
    let sizes = indices.into_iter().map(|index| peer.pieces[index].len());
    sizes.sum::<usize>() as u64
}

/// Fetches until the peer falls silent, and then is no more.
async fn begin(state: &State, kept: &Kept, folder: &std::path::Path) {
    let (peer, peers) = Peer::start(state, GIVEN).await;
    let offer = Snapshot {
        height: HEIGHT,
        depth: DEPTH,
        bytes: 0,
    };
    kept.begin(&offer).unwrap();
    let (outline, into) = (outline(state), kept.clone());
    let fetching =
        tokio::spawn(async move { pieces(&peers, &outline, (HEIGHT, DEPTH), &into).await });
    while peer.asked().len() < COUNT {
        peer.asked_more.notified().await;
    }
    let is_whole = |index: usize| {
        let file = fs::metadata(folder.join(index.to_string()));
        file.is_ok_and(|file| file.len() == bytes(&peer, [index]))
    };
    while !(0..GIVEN).all(is_whole) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fetching.abort();
    assert!(fetching.await.is_err_and(|ended| ended.is_cancelled()));
    assert_eq!(kept.begun(), Some(offer));
}

#[tokio::test]
async fn proven_pieces_are_not_fetched_again_and_damaged_or_changed_ones_are() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("pieces");
    let kept = Kept::in_folder(folder.clone());
    begin(&state(0), &kept, &folder).await;
    // One of those that are there is torn, and one entry of the state has changed since.
    let changed = part_of(&3_u64.to_be_bytes(), DEPTH);
    let torn = (0..GIVEN).find(|index| *index != changed).unwrap();
    let path = folder.join(torn.to_string());
    let piece = fs::read(&path).unwrap();
    fs::write(&path, &piece[..piece.len() / 2]).unwrap();

    let state = state(1);
    let (peer, peers) = Peer::start(&state, COUNT).await;
    let done = pieces(&peers, &outline(&state), (HEIGHT, DEPTH), &kept).await;
    let Fetched {
        state: fetched,
        bytes: all,
        kept_bytes,
    } = done.unwrap();
    assert_eq!(fetched, state);
    let missing: BTreeSet<usize> = (GIVEN..COUNT).chain([torn, changed]).collect();
    assert_eq!(peer.asked(), missing);
    assert_eq!(all, bytes(&peer, 0..COUNT));
    let there = (0..COUNT).filter(|index| !missing.contains(index));
    assert_eq!(kept_bytes, bytes(&peer, there));
    assert!(peers.blamed().is_empty());

    kept.forget().unwrap();
    assert!(!folder.exists());
    assert_eq!(kept.begun(), None);
}

#[test]
fn pieces_of_another_depth_are_dropped() {
    let home = tempfile::tempdir().unwrap();
    let kept = Kept::in_folder(home.path().join("pieces"));
    let offer = |height, depth| Snapshot {
        height: Height::new(height),
        depth,
        bytes: 0,
    };
    kept.begin(&offer(7, 3)).unwrap();
    kept.keep(0, b"piece").unwrap();
    kept.begin(&offer(9, 3)).unwrap();
    assert!(home.path().join("pieces/0").exists());
    kept.begin(&offer(9, 4)).unwrap();
    assert!(!home.path().join("pieces/0").exists());
    assert_eq!(kept.begun(), Some(offer(9, 4)));
}
