//! A state sync that ends on the way goes on with what it has proven.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{
    Written,
    peers::Peers,
    pieces,
    unfinished::{Plan, Unfinished},
};
use axum::{
    Router,
    extract::{Path as Asked, State as Extracted},
    routing::get,
};
use ledger_store::{Choice, Restored, State, Store, StoredBlock};
use ledger_tree::{Outline, Piece, Tree, part_of};
use protocol::{BlockId, ChainId, Height};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
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
    Asked((_, _, index)): Asked<(u64, u32, usize)>,
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

fn plan(state: &State) -> Plan {
    Plan {
        height: HEIGHT,
        depth: DEPTH,
        root: Tree::of(state).root(),
    }
}

/// Fetches until the peer falls silent and all that it gave is in the store, and then is no more.
async fn begin(state: &State, unfinished: &mut Unfinished) {
    let (peer, peers) = Peer::start(state, GIVEN).await;
    let (store, there) = unfinished.take_on(&plan(state)).unwrap();
    assert!(there.is_empty());
    let (outline, into) = (outline(state), Arc::clone(&store));
    let fetching = tokio::spawn(async move {
        let mut written = Written::default();
        let there = BTreeSet::new();
        pieces(&peers, &outline, (HEIGHT, &there), (&into, &mut written)).await
    });
    while peer.asked().len() < COUNT {
        peer.asked_more.notified().await;
    }
    while store.begun().unwrap().unwrap().parts.len() < GIVEN {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fetching.abort();
    assert!(fetching.await.is_err_and(|ended| ended.is_cancelled()));
    // The thread that writes ends too.
    while Arc::strong_count(&store) > 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Fetches what is not there; what was asked for, and the store.
async fn go_on(state: &State, unfinished: &mut Unfinished) -> (BTreeSet<usize>, Arc<dyn Store>) {
    let (peer, peers) = Peer::start(state, COUNT).await;
    let (store, there) = unfinished.take_on(&plan(state)).unwrap();
    let mut written = Written::default();
    let into = (&store, &mut written);
    let done = pieces(&peers, &outline(state), (HEIGHT, &there), into).await;
    done.unwrap();
    assert!(peers.blamed().is_empty());
    assert_eq!(written.bytes, bytes(&peer, peer.asked()));
    let written: BTreeSet<usize> = written.pieces.iter().map(|index| *index as usize).collect();
    assert_eq!(written, peer.asked());
    (written, store)
}

/// Makes the store whole and places it; its state.
fn placed(home: &Path, unfinished: Unfinished, store: Arc<dyn Store>) -> State {
    let block = StoredBlock {
        block_id: BlockId::from_bytes([1; 32]),
        block: Vec::new(),
        certificate: Vec::new(),
        state_root: unfinished.plan().unwrap().root,
    };
    let restored = Restored {
        chain: ChainId::from_bytes([2; 32]),
        genesis_root: block.state_root,
        height: HEIGHT,
        block: &block,
        transactions: &[],
        parts_count: u32::try_from(COUNT).unwrap(),
    };
    store.restore(&restored).unwrap();
    drop(store);
    unfinished.place().unwrap();
    assert!(!home.join("store.unfinished").exists());
    ledger_store::open(&home.join("store"))
        .unwrap()
        .state()
        .unwrap()
}

const CHOICES: [Choice; 2] = [Choice::Sled, Choice::Redb];

#[tokio::test]
async fn proven_pieces_are_not_fetched_again() {
    for choice in CHOICES {
        let home = tempfile::tempdir().unwrap();
        let state = state(0);
        let place = || Unfinished::in_folder(home.path().to_path_buf(), choice);
        let mut first = place();
        assert!(first.found().unwrap().is_none());
        begin(&state, &mut first).await;
        // Half a state is not placed.
        assert!(first.place().is_err());
        assert!(!home.path().join("store").exists());

        let mut second = place();
        assert!(second.found().unwrap().is_some());
        assert_eq!(second.plan(), Some(plan(&state)));
        let (fetched, store) = go_on(&state, &mut second).await;
        assert_eq!(fetched, (GIVEN..COUNT).collect());
        assert_eq!(placed(home.path(), second, store), state);
    }
}

#[tokio::test]
async fn pieces_of_another_state_and_damaged_ones_are_fetched_anew() {
    for choice in CHOICES {
        let home = tempfile::tempdir().unwrap();
        let place = || Unfinished::in_folder(home.path().to_path_buf(), choice);
        let all: BTreeSet<usize> = (0..COUNT).collect();
        let mut one = place();
        begin(&state(0), &mut one).await;
        drop(one);

        // Somebody has a later state only.
        let later = state(1);
        let mut two = place();
        two.found().unwrap();
        let (fetched, store) = go_on(&later, &mut two).await;
        assert_eq!(fetched, all);
        drop((two, store));

        // What is there is torn.
        let file = home.path().join("store.unfinished").join(choice.file());
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let mut three = place();
        three.found().unwrap();
        let (_, store) = go_on(&later, &mut three).await;
        assert_eq!(placed(home.path(), three, store), later);
    }
}
