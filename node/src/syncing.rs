//! Joining by state sync: a state of a recent height from peers, instead of every block.
//!
//! What a stranger sends is believed for its proof alone:
//!
//! 1. headers that lead from genesis to the snapshot's height and the next one, checked as a light
//!    client does; and, if the user names a header that they trust, that it is on the way;
//! 2. the outline of the state, which must have the root that the later header carries;
//! 3. every piece of it, which must be what the outline says;
//! 4. the snapshot's own block, by its hash.
//!
//! Whoever sends anything else is named and not asked again; the others are. Proven pieces are kept
//! in a folder, so that a node that ends on the way goes on where it was. The store is made in a
//! folder of its own and renamed when it is whole, and from there on consensus fetches blocks as it
//! does after any pause. Spec: 05-block §13.

pub mod kept;
pub mod past;
pub mod peers;

use crate::{
    chain::proofs::{ANCHOR, Links, decode_links},
    home::Home,
    snapshots::Snapshot,
};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kept::Kept;
use ledger_store::{Choice, Restored, State, Store, StoredBlock};
use ledger_tree::{Outline, PIECE_BYTES_MAX, Piece};
use light_client::{Certified, Client, Members};
use peers::Peers;
use protocol::{
    BlockId, Height, StateRoot,
    block::{Block, Header},
    codec::{decode, encode},
    genesis::Genesis,
};
use std::{fs, str::FromStr, sync::Arc, time::Instant};

/// Pieces that are fetched at the same time.
const PIECES_AT_ONCE: usize = 8;
/// Largest answer with headers, in bytes.
const LINKS_BYTES_MAX: usize = 1 << 26;
/// Snapshots that are tried: peers drop old ones while they are fetched.
const TRIES_COUNT: usize = 4;

/// A header that the user has from a source that they believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Its height.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
}

impl FromStr for Trust {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not HEIGHT:BLOCK");
        let (height, block) = text.split_once(':').ok_or_else(form)?;
        Ok(Self {
            height: Height::new(height.parse().map_err(|_| form())?),
            block: block.parse().map_err(|_| form())?,
        })
    }
}

/// Where to begin from.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Begin with the state of a recent height as this node has it, proven by what validators
    /// signed, instead of with every block; may be given several times. A store that has begun
    /// already just goes on.
    #[arg(long = "state-sync", value_name = "URL")]
    pub from: Vec<String>,
    /// A header to trust besides genesis, as HEIGHT:BLOCK, from a source that you believe.
    #[arg(long, value_name = "HEIGHT:BLOCK", requires = "from")]
    pub trust: Option<Trust>,
}

/// What was fetched.
#[derive(Clone, Copy, Debug)]
pub struct Synced {
    /// The height of the state.
    pub height: Height,
    /// Its root.
    pub state_root: StateRoot,
    /// Bytes of all pieces.
    pub bytes: u64,
    /// Of these, bytes that an earlier try had fetched.
    pub kept_bytes: u64,
}

/// Fills a home's store, unless it has begun.
///
/// # Errors
/// When no peer has what it takes, or the store cannot be written.
pub async fn begin(home: &Home, genesis: &Genesis, options: &Options) -> Result<()> {
    if options.from.is_empty() {
        return Ok(());
    }
    if Choice::found_in(&home.join("store")).is_some() {
        tracing::info!("the store has begun already: it goes on from where it is");
        return Ok(());
    }
    let peers = Arc::new(Peers::new(&options.from));
    let store = unfinished(home)?;
    let kept = kept(home);
    fetch(&peers, genesis, options.trust, (&kept, store.as_ref())).await?;
    place(home, store)?;
    kept.forget()
}

/// Where a home keeps the pieces of a state that is on its way.
#[must_use]
pub fn kept(home: &Home) -> Kept {
    Kept::in_folder(home.join("pieces"))
}

/// An empty store beside the one that is used.
///
/// # Errors
/// When it cannot be made.
pub fn unfinished(home: &Home) -> Result<Arc<dyn Store>> {
    let path = home.join("store.unfinished");
    if path.exists() {
        fs::remove_dir_all(&path).context("cannot remove what is left of an earlier try")?;
    }
    let name = home.config().map(|config| config.store).unwrap_or_default();
    let choice = match name.as_str() {
        "" => Choice::default(),
        name => name.parse()?,
    };
    Ok(choice.open(&path)?)
}

/// Makes a filled store the one that is used.
///
/// # Errors
/// When there is one already.
pub fn place(home: &Home, store: Arc<dyn Store>) -> Result<()> {
    drop(store);
    let (from, to) = (home.join("store.unfinished"), home.join("store"));
    fs::rename(&from, &to).with_context(|| format!("cannot place {}", to.display()))
}

/// Fetches a state into an empty store: the one that was begun as long as somebody has it, else the
/// newest.
///
/// # Errors
/// When no peer has what it takes, or the store cannot be written.
pub async fn fetch(
    peers: &Arc<Peers>,
    genesis: &Genesis,
    trust: Option<Trust>,
    (kept, store): (&Kept, &dyn Store),
) -> Result<Synced> {
    let mut reason = anyhow!("no node has a snapshot");
    for _ in 0..TRIES_COUNT {
        let answers: Vec<Vec<Snapshot>> = peers.each("/v1/snapshots").await?;
        let mut offers = answers.concat();
        let begun = kept.begun().map(|begun| (begun.height, begun.depth));
        let place = |offer: &Snapshot| (offer.height, offer.depth);
        offers.sort_unstable_by_key(|offer| {
            std::cmp::Reverse((Some(place(offer)) == begun, place(offer)))
        });
        let Some(offer) = offers.first() else {
            tokio::time::sleep(peers::PAUSE).await;
            continue;
        };
        match fetch_at(peers, genesis, (*offer, trust), (kept, store)).await {
            Ok(synced) => return Ok(synced),
            Err(error) => {
                tracing::warn!("the snapshot of height {}: {error:#}", offer.height);
                reason = error;
            }
        }
    }
    Err(reason).context("state sync failed")
}

async fn fetch_at(
    peers: &Arc<Peers>,
    genesis: &Genesis,
    (offer, trust): (Snapshot, Option<Trust>),
    (kept, store): (&Kept, &dyn Store),
) -> Result<Synced> {
    let Snapshot { height, depth, .. } = offer;
    let begun = Instant::now();
    let (links, client, here) = route(peers, genesis, height).await?;
    let next = follow(peers, &client, height.next()).await?.1;
    ensure!(
        next.header.parent == here.id,
        "invariant: the next header follows this one"
    );
    if let Some(trust) = trust {
        check_trust(peers, trust, (&client, &here)).await?;
    }
    let root = next.header.state_root;
    let path = format!("/v1/snapshots/{height}/{depth}/outline");
    let outline = peers.ask(0, &path, PIECE_BYTES_MAX, |bytes| {
        let outline = Outline::decode(bytes)?;
        outline.verify(root)?;
        Ok(outline)
    });
    let outline = Arc::new(outline.await?);
    kept.begin(&offer)?;
    let proven = Instant::now();
    let Fetched {
        state,
        bytes,
        kept_bytes,
    } = pieces(peers, &outline, (height, depth), kept).await?;
    let pieces_s = proven.elapsed().as_secs_f64();
    let block = own_block(peers, (&here, &links, root)).await?;
    let ids = past::transactions_of(&block.block, genesis.chain_id())?;
    store.restore(&Restored {
        chain: genesis.chain_id(),
        genesis_root: ledger_state::genesis::state(genesis)?.root(),
        height,
        block: &block,
        transactions: &ids,
        state: &state,
    })?;
    store.put_local(ANCHOR, &encode(&links))?;
    let seconds = begun.elapsed().as_secs_f64();
    tracing::info!(
        %height, state_root = %root, bytes, kept_bytes, pieces = outline.count(),
        entries = state.len(), pieces_s, seconds, "state fetched and proven"
    );
    Ok(Synced {
        height,
        state_root: root,
        bytes,
        kept_bytes,
    })
}

/// Headers from genesis to a height.
async fn route(peers: &Peers, genesis: &Genesis, to: Height) -> Result<(Links, Client, Certified)> {
    let client = Client::of_genesis(genesis)?;
    let path = format!("/v1/links/{to}");
    let route = peers.ask(0, &path, LINKS_BYTES_MAX, |bytes| {
        let links = decode_links(bytes)?;
        let (client, certified) = walk(client.clone(), &links, to)?;
        Ok((links, client, certified))
    });
    route.await
}

/// Headers from what a client trusts to a later height.
async fn follow(peers: &Peers, from: &Client, to: Height) -> Result<(Client, Certified)> {
    let path = format!("/v1/links/{to}?from={}", from.height());
    let walked = peers.ask(0, &path, LINKS_BYTES_MAX, |bytes| {
        walk(from.clone(), &decode_links(bytes)?, to)
    });
    walked.await
}

fn walk(mut client: Client, links: &Links, to: Height) -> Result<(Client, Certified)> {
    let mut last = None;
    for link in links.as_slice() {
        last = Some(client.advance(link)?);
    }
    let last = last.context("there is no header")?;
    ensure!(
        last.header.height == to,
        "the headers lead to height {}; {to} was asked for",
        last.header.height
    );
    Ok((client, last))
}

/// The header that the user trusts must be on the same chain as the one that is about to be.
async fn check_trust(
    peers: &Peers,
    trust: Trust,
    (client, here): (&Client, &Certified),
) -> Result<()> {
    let Trust { height, block } = trust;
    let at = here.header.height;
    let differs = |found: BlockId| {
        anyhow!(
            "these nodes are on another chain than the one you trust: at height {height} they \
             have block {found}, not {block}"
        )
    };
    if height > at {
        let found = follow(peers, client, height).await?.1.id;
        return if found == block {
            Ok(())
        } else {
            Err(differs(found))
        };
    }
    if height == at {
        return if here.id == block {
            Ok(())
        } else {
            Err(differs(here.id))
        };
    }
    let path = format!("/v1/headers/{height}");
    let trusted = peers.ask(0, &path, LINKS_BYTES_MAX, |bytes| {
        let (header, next): (Header, Members) = decode("header", bytes, LINKS_BYTES_MAX)?;
        ensure!(
            header.id() == block,
            "its block is {}, not {block}",
            header.id()
        );
        Ok(Client::of_header(&header, &next)?)
    });
    let found = follow(peers, &trusted.await?, at).await?.1.id;
    ensure!(
        found == here.id,
        "the header you trust does not lead to block {}",
        here.id
    );
    Ok(())
}

/// A state, and bytes of its pieces: of all, and of those that were there already.
struct Fetched {
    state: State,
    bytes: u64,
    kept_bytes: u64,
}

/// All entries, piece by piece, each fetched and proven by a task of its own.
async fn pieces(
    peers: &Arc<Peers>,
    outline: &Arc<Outline>,
    place: (Height, u32),
    kept: &Kept,
) -> Result<Fetched> {
    let fetch = |index: usize| {
        let (peers, outline, kept) = (Arc::clone(peers), Arc::clone(outline), kept.clone());
        tokio::spawn(async move { piece(&peers, &outline, (place, index), &kept).await })
    };
    let all = stream::iter(0..outline.count()).map(fetch);
    let mut all = all.buffer_unordered(PIECES_AT_ONCE);
    let mut fetched = Fetched {
        state: State::new(),
        bytes: 0,
        kept_bytes: 0,
    };
    while let Some(one) = all.try_next().await? {
        let (piece, bytes, source) = one?;
        fetched.bytes += bytes;
        if source == Source::Kept {
            fetched.kept_bytes += bytes;
        }
        fetched.state.extend(piece.into_entries());
    }
    Ok(fetched)
}

/// Where a piece came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Kept,
    Peer,
}

async fn piece(
    peers: &Peers,
    outline: &Outline,
    ((height, depth), index): ((Height, u32), usize),
    kept: &Kept,
) -> Result<(Piece, u64, Source)> {
    if let Some((piece, bytes)) = kept.piece(outline, index) {
        return Ok((piece, bytes, Source::Kept));
    }
    let path = format!("/v1/snapshots/{height}/{depth}/{index}");
    let judge = |bytes: &[u8]| {
        let piece = Piece::decode(bytes)?;
        outline.check(index, &piece)?;
        Ok((piece, bytes.to_vec()))
    };
    let (piece, bytes) = peers.ask(index, &path, PIECE_BYTES_MAX, judge).await?;
    kept.keep(index, &bytes)?;
    Ok((piece, bytes.len() as u64, Source::Peer))
}

/// The block that led to the state, with the certificate that proved its header.
async fn own_block(
    peers: &Peers,
    (here, links, root): (&Certified, &Links, StateRoot),
) -> Result<StoredBlock> {
    let Some(last) = links.as_slice().last() else {
        bail!("invariant: the headers lead to this one");
    };
    let path = format!("/v1/history/{}/1", here.header.height);
    let block = peers.ask(0, &path, past::HISTORY_BYTES_MAX, |bytes| {
        let blocks = past::decode_blocks(bytes)?;
        let (block, _) = blocks.first().context("there is no block")?;
        let found = Block::decode(block)?.verify(here.header.chain)?.id();
        ensure!(found == here.id, "it is block {found}, not {}", here.id);
        Ok(block.clone())
    });
    Ok(StoredBlock {
        block_id: here.id,
        block: block.await?,
        certificate: encode(&last.certificate),
        state_root: root,
    })
}

#[cfg(test)]
mod tests;
