//! The replicated chain inside a node: state in memory, blocks on disk, transactions waiting.
//!
//! [`Chain`] is shared by everything in the process; [`application::ChainApplication`] is the port
//! through which consensus drives it. Whoever wants to act on new blocks watches
//! [`Chain::heights`].

pub mod application;
pub mod curves;
pub mod mempool;
pub mod proofs;
mod reading;
pub mod watch;

use crate::rpc::{governance::CurvePoint, overview::EventRow};
use curves::Curves;
use governance::upgrade;
use ledger_state::{Rejection, State, Transition, fee::Terms, run, validator::Sets};
use ledger_store::{Commit, Store, StoreError};
use mempool::{Mempool, MempoolError};
use proofs::{Before, keep_sets};
use protocol::{
    Address, ChainId, Height, Nonce, ProposalId, TransactionId, block,
    codec::{DecodeError, encode},
    genesis::Genesis,
    rollout::Equivocation,
    task::UnitId,
    transaction::{Unverified, Verified, VerifyError},
    vote::DoubleSign,
};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};
use tokio::sync::{broadcast, watch as signal};
use watch::Watch;

/// Lines of history kept for the page.
const EVENTS_COUNT_MAX: usize = 40;
/// Block times kept for the mean interval.
const TIMES_COUNT_MAX: usize = 32;

/// Why a node cannot open its chain.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Genesis contradicts itself.
    #[error(transparent)]
    Genesis(#[from] ledger_state::genesis::GenesisError),
    /// The store failed or holds another chain.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored state is not what the last block says.
    #[error("stored state has root {found}; the tip at height {height} says {expected}")]
    Root {
        /// Of the stored entries.
        found: protocol::StateRoot,
        /// Of the tip.
        expected: protocol::StateRoot,
        /// The tip.
        height: Height,
    },
}

/// Why a transaction is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Not a transaction.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Wrong chain or signature.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The rules refuse it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No room, or a nonce too far ahead.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
}

impl SubmitError {
    /// Whether no honest peer would have sent it.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Decode(_) | Self::Verify(_))
    }
}

struct Shared {
    state: State,
    /// What proofs are about; nothing before the first block since the start.
    before: Option<Before>,
    mempool: Mempool,
    /// The last block that was checked, so that committing it need not apply it again.
    checked: Option<(block::Verified, Transition)>,
    events: VecDeque<EventRow>,
    curves: Curves,
    times_ms: VecDeque<u64>,
}

/// The replicated chain of this node.
pub struct Chain {
    id: ChainId,
    name: String,
    store: Arc<dyn Store>,
    shared: RwLock<Shared>,
    heights: signal::Sender<Height>,
    accepted: broadcast::Sender<Vec<u8>>,
    watch: Mutex<Watch>,
    governed: broadcast::Sender<(Height, governance::Event)>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({})", self.id)
    }
}

impl Chain {
    /// Opens the chain of `genesis` from a store, or starts it there.
    ///
    /// # Errors
    /// When genesis is invalid, or the store is damaged or holds another chain.
    pub fn open(genesis: &Genesis, store: Arc<dyn Store>) -> Result<Arc<Self>, OpenError> {
        initialize(genesis, store.as_ref())?;
        let state = State::from_entries(store.state()?);
        Self::of(genesis, store, state)
    }
    /// The same, and reads all that the store has on the way: what is damaged is found now.
    ///
    /// # Errors
    /// When genesis is invalid, or anything in the store is damaged or of another chain.
    pub fn open_checked(genesis: &Genesis, store: Arc<dyn Store>) -> Result<Arc<Self>, OpenError> {
        if store.tip()?.is_none() {
            return Self::open(genesis, store);
        }
        // A store of another chain is said to be so before all of it is read.
        initialize(genesis, store.as_ref())?;
        let begun = Instant::now();
        let (checked, state) = reading::checked(store.as_ref())?;
        let (entries, blocks) = (checked.state_count, checked.blocks_count);
        let seconds = begun.elapsed().as_secs_f64();
        tracing::info!(height = %checked.tip, entries, blocks, seconds, "all that is kept is read");
        Self::of(genesis, store, state)
    }
    /// The chain of a store with the state that was read from it, if that is the tip's.
    fn of(genesis: &Genesis, store: Arc<dyn Store>, state: State) -> Result<Arc<Self>, OpenError> {
        let id = genesis.chain_id();
        if let Some(tip) = store.tip()? {
            let found = state.root();
            if found != tip.state_root {
                let (expected, height) = (tip.state_root, tip.height);
                return Err(OpenError::Root {
                    found,
                    expected,
                    height,
                });
            }
        }
        let height = run::tip(&state.view()).height;
        let watch = Watch::recovered(store.as_ref(), id, &state.view())?;
        keep_sets(store.as_ref(), &state, None)?;
        let shared = Shared {
            state,
            before: None,
            mempool: Mempool::default(),
            checked: None,
            events: VecDeque::new(),
            curves: Curves::recovered(store.as_ref())?,
            times_ms: VecDeque::new(),
        };
        Ok(Arc::new(Self {
            id,
            name: genesis.name.as_str().to_owned(),
            store,
            shared: RwLock::new(shared),
            heights: signal::Sender::new(height),
            accepted: broadcast::Sender::new(1024),
            watch: Mutex::new(watch),
            governed: broadcast::Sender::new(1024),
        }))
    }
    /// The chain's identity.
    #[must_use]
    pub const fn id(&self) -> ChainId {
        self.id
    }
    /// The chain's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Blocks on disk.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }
    /// Tells every new height.
    #[must_use]
    pub fn heights(&self) -> signal::Receiver<Height> {
        self.heights.subscribe()
    }
    /// Tells every transaction taken here first, to be gossiped.
    #[must_use]
    pub fn accepted(&self) -> broadcast::Receiver<Vec<u8>> {
        self.accepted.subscribe()
    }
    // A panic while the lock is held leaves no half-made change: every change is one assignment
    // of a finished value.
    fn read(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> RwLockWriteGuard<'_, Shared> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }
    /// Looks at the state.
    pub fn view<T>(&self, look: impl FnOnce(&ledger_state::View<'_>) -> T) -> T {
        look(&self.read().state.view())
    }
    /// The nonce that `sender` should use next, transactions waiting included.
    #[must_use]
    pub fn next_nonce(&self, sender: Address) -> Nonce {
        let shared = self.read();
        let nonce = ledger_state::account::account(&shared.state.view(), sender).nonce;
        shared.mempool.next_nonce(sender, nonce)
    }
    /// Transactions waiting.
    #[must_use]
    pub fn mempool_count(&self) -> usize {
        self.read().mempool.count()
    }
    /// Units to which others than `own` bind a verdict in transactions that wait here.
    #[must_use]
    pub fn audits_waiting(&self, own: Address) -> BTreeSet<UnitId> {
        self.read().mempool.audits(own)
    }
    /// The tip for a million gas that gets a transaction into the next block.
    #[must_use]
    pub fn tip_to_be_next(&self, terms: &Terms) -> u64 {
        self.read().mempool.tip_to_be_next(terms.paid_gas_max())
    }
    /// What happened lately, newest first.
    #[must_use]
    pub fn events(&self) -> Vec<EventRow> {
        self.read().events.iter().rev().cloned().collect()
    }
    /// Tells what governance does.
    #[must_use]
    pub fn governed(&self) -> broadcast::Receiver<(Height, governance::Event)> {
        self.governed.subscribe()
    }
    /// How the count of a proposal went, since this node has followed the chain.
    #[must_use]
    pub fn curve(&self, id: ProposalId) -> Vec<CurvePoint> {
        self.read().curves.of(id)
    }
    /// Mean distance of recent blocks in milliseconds; zero before the second.
    #[must_use]
    pub fn block_interval_ms(&self) -> u64 {
        let shared = self.read();
        let (Some(first), Some(last)) = (shared.times_ms.front(), shared.times_ms.back()) else {
            return 0;
        };
        let count = shared.times_ms.len() as u64;
        last.saturating_sub(*first)
            .checked_div(count.saturating_sub(1))
            .unwrap_or(0)
    }
    /// Takes a transaction from a peer or a client.
    ///
    /// # Errors
    /// When it is malformed, breaks a rule now, or there is no room.
    pub fn submit(&self, bytes: &[u8]) -> Result<TransactionId, SubmitError> {
        self.submit_verified(Unverified::decode(bytes)?.verify(self.id)?)
    }
    /// Takes a transaction from gossip, which carries it on by itself.
    ///
    /// # Errors
    /// When it is malformed, breaks a rule now, or there is no room.
    pub fn submit_gossiped(&self, bytes: &[u8]) -> Result<TransactionId, SubmitError> {
        self.take(Unverified::decode(bytes)?.verify(self.id)?)
    }
    /// Takes a transaction made here.
    ///
    /// # Errors
    /// When it breaks a rule now, or there is no room.
    pub fn submit_verified(&self, transaction: Verified) -> Result<TransactionId, SubmitError> {
        let bytes = transaction.as_unverified().encode();
        let id = self.take(transaction)?;
        // Nobody listens while the node is starting or stopping; then it is not gossiped.
        drop(self.accepted.send(bytes));
        Ok(id)
    }
    fn take(&self, transaction: Verified) -> Result<TransactionId, SubmitError> {
        let id = transaction.id();
        let mut shared = self.write();
        let Shared { state, mempool, .. } = &mut *shared;
        let store = self.store.as_ref();
        self.watch().note(&state.view(), &transaction, store);
        mempool.insert(state, transaction)?;
        Ok(id)
    }
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Why a program that speaks versions up to this one must stop, if it must: the next block is
    /// to be read by rules that it does not know.
    #[must_use]
    pub fn outdated(&self, speaks: u32) -> Option<String> {
        let shared = self.read();
        let view = shared.state.view();
        let next = run::tip(&view).height.next();
        let version = upgrade::version_at(&view, next);
        (version > speaks).then(|| {
            format!(
                "from height {next} on this chain has version {version}; this program speaks \
                 versions up to {speaks}: install one that speaks {version}, and start it in the \
                 same home"
            )
        })
    }
    /// Miners that signed two commitments to one unit, and are not slashed for it yet.
    #[must_use]
    pub fn equivocations(&self) -> Vec<Equivocation> {
        let shared = self.read();
        self.watch().unreported(&shared.state.view())
    }
    /// Keeps what consensus saw a validator sign twice.
    pub fn note_double_sign(&self, evidence: DoubleSign) {
        self.watch()
            .note_double_sign(self.id, evidence, self.store.as_ref());
    }
    /// Validators that contradicted themselves, and are not frozen for it yet.
    #[must_use]
    pub fn double_signs(&self) -> Vec<DoubleSign> {
        let shared = self.read();
        self.watch()
            .unreported_double_signs(&shared.state.view(), self.store.as_ref())
    }
    fn record(
        &self,
        shared: &mut Shared,
        height: Height,
        time_ms: u64,
        events: &[ledger_state::Event],
    ) {
        for event in events {
            tracing::debug!(%height, "{event}");
            if let ledger_state::Event::Governed { what } = event {
                // Nobody listens while no wallet does.
                drop(self.governed.send((height, what.clone())));
                if let governance::Event::Voted { id, .. } = what
                    && let Ok(proposal) = governance::proposal::find(&shared.state.view(), *id)
                {
                    let point = CurvePoint {
                        height,
                        support: proposal.tally.support_micro(),
                        approval: proposal.tally.approval_micro(),
                    };
                    shared.curves.note(*id, point, self.store.as_ref());
                }
            }
            if let Some(row) = crate::rpc::overview_build::event_row(height, event) {
                shared.events.push_back(row);
            }
        }
        while shared.events.len() > EVENTS_COUNT_MAX {
            shared.events.pop_front();
        }
        shared.times_ms.push_back(time_ms);
        while shared.times_ms.len() > TIMES_COUNT_MAX {
            shared.times_ms.pop_front();
        }
    }
    /// Makes a decided block durable and moves the state.
    ///
    /// # Errors
    /// When the store fails; the state is then unchanged.
    fn commit(
        &self,
        block: &block::Verified,
        transition: Transition,
        bytes: &[u8],
        certificate: &[u8],
    ) -> Result<(), StoreError> {
        let mut guard = self.write();
        let shared = &mut *guard;
        let header = block.header();
        let ids: Vec<TransactionId> = block.transactions().iter().map(Verified::id).collect();
        self.store.commit(&Commit {
            height: header.height,
            block_id: block.id(),
            block: bytes,
            certificate,
            state_root: transition.root,
            writes: &transition.writes,
            transactions: &ids,
        })?;
        for transaction in block.transactions() {
            let store = self.store.as_ref();
            self.watch().note(&shared.state.view(), transaction, store);
        }
        let Transition {
            writes,
            root: _,
            tree,
            events,
        } = transition;
        let sets = Sets::of(&shared.state.view());
        let before = Before::advance(&mut shared.state, header.height, writes, tree);
        shared.before = Some(before);
        keep_sets(self.store.as_ref(), &shared.state, Some(&sets))?;
        shared.checked = None;
        shared.mempool.retain_valid(&shared.state, header.height);
        self.record(shared, header.height, header.time_ms, &events);
        drop(guard);
        self.heights.send_replace(header.height);
        Ok(())
    }
}

/// Writes genesis into an empty store; another has to be of the same.
fn initialize(genesis: &Genesis, store: &dyn Store) -> Result<(), OpenError> {
    let first = ledger_state::genesis::state(genesis)?;
    store.initialize(genesis.chain_id(), first.entries(), first.root())?;
    Ok(())
}

/// The canonical bytes of a certificate.
pub(crate) fn certificate_bytes(certificate: &ledger_consensus::Certificate) -> Vec<u8> {
    encode(certificate)
}
