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
//! Whoever sends anything else is named and not asked again; the others are. Several pieces are
//! fetched and proven at the same time, while those that are proven already are written into a
//! store of their own ([`unfinished`]): so the link is what joining waits for, a node needs memory
//! for some pieces and not for the state, and one that ends on the way goes on where it was. The
//! store becomes the node's when it is whole, and from there on consensus fetches blocks as it does
//! after any pause. Spec: 05-block §13.

pub mod past;
pub mod peers;
pub mod unfinished;

use crate::{
    chain::proofs::{ANCHOR, Links, decode_links},
    home::Home,
    snapshots::Snapshot,
};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ledger_store::{Choice, Restored, Store, StoreError, StoredBlock};
use ledger_tree::{Outline, PIECE_BYTES_MAX, Piece};
use light_client::{Certified, Client, Members};
use peers::Peers;
use protocol::{
    BlockId, Height, StateRoot,
    block::{Block, Header},
    codec::{decode, encode},
    genesis::Genesis,
};
use std::{collections::BTreeSet, str::FromStr, sync::Arc, time::Instant};
use tokio::sync::mpsc;
use unfinished::{Plan, Unfinished};

/// Pieces that are fetched at the same time.
const PIECES_AT_ONCE: usize = 8;
/// Proven pieces that wait to be written.
const PIECES_WAITING: usize = 8;
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
#[derive(Clone, Debug)]
pub struct Synced {
    /// The height of the state.
    pub height: Height,
    /// Its root.
    pub state_root: StateRoot,
    /// The store that has it.
    pub store: Arc<dyn Store>,
}

/// Fills a home's store, unless it has begun.
///
/// # Errors
/// When no peer has what it takes, or the store cannot be written.
pub async fn begin(home: &Home, genesis: &Genesis, options: &Options) -> Result<()> {
    if options.from.is_empty() {
        unfinished::warn(home);
        return Ok(());
    }
    if Choice::found_in(&home.join("store")).is_some() {
        tracing::info!("the store has begun already: it goes on from where it is");
        return Ok(());
    }
    let peers = Arc::new(Peers::new(&options.from));
    let mut unfinished = Unfinished::of(home)?;
    drop(fetch(&peers, genesis, options.trust, &mut unfinished).await?);
    unfinished.place()
}

/// Fetches a state: what is there of one already is of use as long as somebody has the rest, else
/// it is the newest.
///
/// # Errors
/// When no peer has what it takes, or the store cannot be written.
pub async fn fetch(
    peers: &Arc<Peers>,
    genesis: &Genesis,
    trust: Option<Trust>,
    unfinished: &mut Unfinished,
) -> Result<Synced> {
    if let Some(store) = unfinished.found()?
        && let Some(synced) = whole(peers, genesis, trust, store).await?
    {
        return Ok(synced);
    }
    let mut reason = anyhow!("no node has a snapshot");
    let mut failed = BTreeSet::new();
    for _ in 0..TRIES_COUNT {
        let answers: Vec<Vec<Snapshot>> = peers.each("/v1/snapshots").await?;
        let mut offers = answers.concat();
        let begun = unfinished.plan().map(|plan| (plan.height, plan.depth));
        let place = |offer: &Snapshot| (offer.height, offer.depth);
        // One that could not be proven or had, because the header after it is not decided yet or it
        // is dropped meanwhile, comes after the others.
        offers.sort_unstable_by_key(|offer| {
            let place = place(offer);
            std::cmp::Reverse((!failed.contains(&place), Some(place) == begun, place))
        });
        let Some(offer) = offers.first() else {
            tokio::time::sleep(peers::PAUSE).await;
            continue;
        };
        match fetch_at(peers, genesis, (*offer, trust), unfinished).await {
            Ok(synced) => return Ok(synced),
            Err(error) => {
                tracing::warn!("the snapshot of height {}: {error:#}", offer.height);
                failed.insert(place(offer));
                reason = error;
            }
        }
    }
    Err(reason).context("state sync failed")
}

/// A state that an earlier try fetched to its end, before the store could be placed.
async fn whole(
    peers: &Peers,
    genesis: &Genesis,
    trust: Option<Trust>,
    store: Arc<dyn Store>,
) -> Result<Option<Synced>> {
    let Some(tip) = store.tip()? else {
        return Ok(None);
    };
    let (found, expected) = (store.chain()?, genesis.chain_id());
    ensure!(
        found == Some(expected),
        "store.unfinished is of another chain than {expected}; remove it"
    );
    if let Some(trust) = trust {
        let noted = store.get_local(ANCHOR)?.context("the links are missing")?;
        let client = Client::of_genesis(genesis)?;
        let (client, here) = walk(client, &decode_links(&noted)?, tip.height)?;
        check_trust(peers, trust, (&client, &here)).await?;
    }
    tracing::info!(height = %tip.height, "the state is there from an earlier try");
    Ok(Some(Synced {
        height: tip.height,
        state_root: tip.state_root,
        store,
    }))
}

async fn fetch_at(
    peers: &Arc<Peers>,
    genesis: &Genesis,
    (offer, trust): (Snapshot, Option<Trust>),
    unfinished: &mut Unfinished,
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
        let found = outline.depth();
        ensure!(found == depth, "the outline is of depth {found}");
        Ok(outline)
    });
    let outline = Arc::new(outline.await?);
    let plan = Plan {
        height,
        depth,
        root,
    };
    let (store, there) = unfinished.take_on(&plan)?;
    let proven = Instant::now();
    let mut written = Written::default();
    let done = pieces(peers, &outline, (height, &there), (&store, &mut written)).await;
    unfinished.note(written.pieces);
    done?;
    let pieces_s = proven.elapsed().as_secs_f64();
    let block = own_block(peers, (&here, &links, root)).await?;
    let ids = past::transactions_of(&block.block, genesis.chain_id())?;
    // The state is the last to count: a store that has it has all of this.
    store.put_local(ANCHOR, &encode(&links))?;
    store.restore(&Restored {
        chain: genesis.chain_id(),
        genesis_root: ledger_state::genesis::state(genesis)?.root(),
        height,
        block: &block,
        transactions: &ids,
        parts_count: u32::try_from(outline.count())?,
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    tracing::info!(
        %height, state_root = %root, pieces = outline.count(), kept_pieces = there.len(),
        bytes = written.bytes, pieces_s, seconds, "state fetched and proven"
    );
    Ok(Synced {
        height,
        state_root: root,
        store,
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

/// What was fetched and is in the store.
#[derive(Debug, Default)]
struct Written {
    pieces: BTreeSet<u32>,
    bytes: u64,
}

/// A piece that is what the outline says.
struct Proven {
    index: u32,
    piece: Piece,
    bytes: u64,
}

/// All pieces that are not there yet, each fetched and proven by a task of its own and then written
/// by one thread, which others do not wait for unless it is behind by [`PIECES_WAITING`].
async fn pieces(
    peers: &Arc<Peers>,
    outline: &Arc<Outline>,
    (height, there): (Height, &BTreeSet<u32>),
    (store, written): (&Arc<dyn Store>, &mut Written),
) -> Result<()> {
    let fetch = |index: u32| {
        let (peers, outline) = (Arc::clone(peers), Arc::clone(outline));
        tokio::spawn(async move { piece(&peers, &outline, (height, index)).await })
    };
    let missing = (0..u32::try_from(outline.count())?).filter(|index| !there.contains(index));
    let mut all = stream::iter(missing)
        .map(fetch)
        .buffer_unordered(PIECES_AT_ONCE);
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let store = Arc::clone(store);
    let writer = tokio::task::spawn_blocking(move || write(store.as_ref(), receiver));
    let fetched = async {
        while let Some(one) = all.try_next().await? {
            // The writer says itself why it takes no more.
            if sender.send(one?).await.is_err() {
                break;
            }
        }
        anyhow::Ok(())
    };
    let fetched = fetched.await;
    drop(sender);
    let failure;
    (*written, failure) = writer.await?;
    fetched?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Writes pieces until there are no more, or one cannot be written.
fn write(store: &dyn Store, mut proven: mpsc::Receiver<Proven>) -> (Written, Option<StoreError>) {
    let mut written = Written::default();
    while let Some(Proven {
        index,
        piece,
        bytes,
    }) = proven.blocking_recv()
    {
        if let Err(error) = store.put_part(index, &mut piece.entries()) {
            return (written, Some(error));
        }
        written.pieces.insert(index);
        written.bytes += bytes;
        tracing::debug!(index, bytes, "piece in the store");
    }
    (written, None)
}

async fn piece(peers: &Peers, outline: &Outline, (height, index): (Height, u32)) -> Result<Proven> {
    let (depth, part) = (outline.depth(), usize::try_from(index)?);
    let path = format!("/v1/snapshots/{height}/{depth}/{index}");
    let judge = |bytes: &[u8]| {
        let piece = Piece::decode(bytes)?;
        outline.check(part, &piece)?;
        Ok(Proven {
            index,
            piece,
            bytes: bytes.len() as u64,
        })
    };
    peers.ask(part, &path, PIECE_BYTES_MAX, judge).await
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
