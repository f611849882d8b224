//! Joining by state sync inside a simulation: production's fetching and checking, over production's
//! interface, of which only the wire is missing.
//!
//! A node that lost its store asks the routers of others, called as services instead of through
//! sockets, for what can be proven, and is lied to by one of them: each of its pieces has a flipped
//! bit. What it takes is in a store of the database that it uses from then on.

use ledger_store::Choice;
use network::FolderStore;
use node::{
    chain::Chain,
    local::Local,
    rpc::{
        client::ClientError,
        server::{Problem, Served, router},
    },
    snapshots::Snapshots,
    syncing::{
        fetch,
        peers::{Answered, Ask, Peers},
        unfinished::Unfinished,
    },
};
use protocol::{Height, StateRoot, genesis::Genesis};
use std::{path::Path, sync::Arc};
use tower_service::Service as _;

/// What the liar among those who are asked is called.
const LIAR: &str = "liar";

/// Whom a joining node may ask.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) chain: Arc<Chain>,
    pub(crate) snapshots: Arc<Snapshots>,
}

impl Source {
    /// Whether it has a state whose next header is decided, so that it can be proven.
    pub(crate) fn offers(&self) -> bool {
        let tip = self.chain.view(ledger_state::run::tip).height;
        let mut offers = self.snapshots.list().into_iter();
        offers.any(|offer| offer.height < tip)
    }
}

/// One of them, to be asked.
#[derive(Debug)]
struct Within {
    name: String,
    router: axum::Router,
    lies: bool,
}

impl Ask for Within {
    fn name(&self) -> &str {
        &self.name
    }
    fn bytes<'a>(&'a self, path: &'a str, bytes_max: usize) -> Answered<'a> {
        Box::pin(async move {
            let mut router = self.router.clone();
            let request = axum::extract::Request::get(path).body(axum::body::Body::empty());
            let answered = router.call(request.unwrap()).await.unwrap();
            let is_ok = answered.status().is_success();
            let bytes = axum::body::to_bytes(answered.into_body(), bytes_max).await;
            let mut bytes = bytes.unwrap().to_vec();
            if !is_ok {
                let problem: Problem = serde_json::from_slice(&bytes).unwrap();
                return Err(ClientError::Refused(problem));
            }
            let name = path.rsplit('/').next().unwrap_or_default();
            let is_piece = path.starts_with("/v1/snapshots/") && name.parse::<u32>().is_ok();
            if let Some(last) = bytes.last_mut().filter(|_| self.lies && is_piece) {
                *last ^= 1;
            }
            Ok(bytes)
        })
    }
}

fn within(source: &Source, genesis: &Genesis, home: &Path, lies: bool) -> Arc<dyn Ask> {
    let blobs = Arc::new(FolderStore::open(home.join("blobs")).unwrap());
    let chain = Arc::clone(&source.chain);
    let snapshots = Arc::clone(&source.snapshots);
    let served = Served::new(
        chain,
        genesis.clone(),
        Arc::new(Local::default()),
        blobs,
        snapshots,
    );
    let name = if lies {
        LIAR.to_owned()
    } else {
        source.name.clone()
    };
    let router = router(Arc::new(served));
    Arc::new(Within { name, router, lies })
}

/// Fills an empty home's store from what others offer; the height of the state, and its root.
pub(crate) fn join(
    home: &Path,
    choice: Choice,
    genesis: &Genesis,
    sources: &[Source],
) -> Result<(Height, StateRoot), String> {
    let first = sources.first().into_iter();
    let liar = first.map(|source| within(source, genesis, home, true));
    let honest = sources
        .iter()
        .map(|source| within(source, genesis, home, false));
    let peers = Arc::new(Peers::of(liar.chain(honest).collect()));
    // Pauses between questions pass at once.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let mut unfinished = Unfinished::in_folder(home.to_path_buf(), choice);
    let synced = runtime
        .unwrap()
        .block_on(fetch(&peers, genesis, None, &mut unfinished))
        .map_err(|error| format!("{error:#}"))?;
    let blamed: Vec<String> = peers.blamed().into_keys().collect();
    if blamed != [LIAR] {
        return Err(format!("one lied, and {blamed:?} are blamed"));
    }
    let (height, root) = (synced.height, synced.state_root);
    drop(synced);
    unfinished.place().map_err(|error| format!("{error:#}"))?;
    Ok((height, root))
}
