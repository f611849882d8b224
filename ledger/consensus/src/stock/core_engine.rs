//! The engine without its actors, network and clock: one call a step, for simulations.
//!
//! The protocol core, the sync machine, the write-ahead log, the driver with its kept bodies and
//! the signing history are those of production; what is left out is the glue between them, which
//! is malachite's actors and libp2p. Here the glue is two queues:
//!
//! ```text
//!  messages, timers ──► consensus and sync ──► tasks ──► driver ──► application
//!         ▲                     ▲                          │
//!         └─────── World ◄──────┴─────────── mail ◄────────┘
//! ```
//!
//! Consensus does what it can at once; what it asks of the application is a *task*, in order, and
//! the caller says when its turn is ([`CoreEngine::turn`]): a slow application sees the messages
//! of the network between two answers, as in production. The engine has no randomness but its
//! seed's, reads no clock but [`World::now_ms`], and everything that could be lost or seen outside
//! is announced to [`World::effect`] first, which may end the process there.
//!
//! Nothing signed leaves before the log of it is flushed: the same order as malachite's actors
//! (`engine/src/consensus.rs`, `engine/src/sync.rs` of version 0.8.2, which this mirrors).

mod effects;
mod messages;
mod mirror;
mod tasks;
mod timers;
mod wal;

pub use messages::{Contradiction, Said, contradict, said};

use super::{
    EngineError,
    codec::WireCodec,
    context::{CairnContext, EngineAddress, EngineHeight},
    driver::{Driver, Place},
    outlet::Outlet,
    parts::Part,
    signing::{EngineSigner, EngineVerifier},
    undecided::UndecidedStore,
};
use crate::{
    Application, HistoryError, SigningHistory, ValidatorSet,
    signer::{LocalSigner, Signer},
};
use arc_malachitebft_core_consensus::{Error as CoreError, Input, Params, State, process};
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{
    LinearTimeouts, ThresholdParams, ValidatorSet as _, ValuePayload, ValueResponse,
    VoteExtensionPolicy,
};
use arc_malachitebft_sync::{HeightStartType, OutboundRequestId};
use malachitebft_app_channel::app::{metrics::Metrics, streaming::StreamMessage};
use messages::Envelope;
use mirror::{Mirror, SyncMail};
use protocol::{ChainId, Height, PublicKey, SigningKey};
use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};
use tasks::Task;
use timers::{TimerKey, Timers};
use wal::Wal;

/// Heights, and inputs a height, that wait until consensus gets there.
const QUEUE_HEIGHTS_MAX: usize = 10;
const QUEUE_INPUTS_MAX: usize = 500;
/// The core measures a height's pace by the clock of the machine, so it is told one that never
/// passes, and the wait is taken from the virtual clock.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// Everything outside of the engine.
pub trait World {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// The engine is about to do something that a crash could separate from what came before.
    ///
    /// # Errors
    /// When the process ends here.
    fn effect(&mut self, what: &'static str) -> Result<(), Crash>;

    /// Hands a message to the network.
    fn send(&mut self, to: Recipient, message: Vec<u8>);

    /// Wants [`CoreEngine::elapsed`] called with this number then.
    fn set_timer(&mut self, timer: u64, after_ms: u64);
}

/// The process ends, as by a cut of its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash;

/// Who is to receive a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every peer.
    All,
    /// The one with this key.
    One(PublicKey),
}

/// Whether signatures are remembered. Only tests of tests do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// As in production.
    Kept,
    /// Every start forgets what was signed: no signing history, no log, no bodies.
    Lost,
}

/// Of one node.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// The chain.
    pub chain: ChainId,
    /// The node's key.
    pub key: SigningKey,
    /// Its folder, of which the engine uses the same files as in production.
    pub home: PathBuf,
    /// The signing history of its key.
    pub history: PathBuf,
    /// Of everything that the sync machine draws.
    pub seed: u64,
    /// What it knows of its signatures.
    pub memory: Memory,
}

impl CoreConfig {
    fn wal(&self) -> PathBuf {
        self.home.join("wal").join("consensus.wal")
    }
    fn undecided(&self) -> PathBuf {
        self.home.join("undecided")
    }
}

/// Why an engine is no more.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The world said so.
    #[error("the process crashed")]
    Crashed,
    /// The signing history refused, or cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// As in production.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file of the engine cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The protocol core stopped by itself.
    #[error("consensus stopped: {reason}")]
    Core {
        /// What it said.
        reason: String,
    },
}

impl From<Crash> for Stopped {
    fn from(Crash: Crash) -> Self {
        Self::Crashed
    }
}

/// What is to be done next by consensus or by sync.
enum Mail {
    Start(Height),
    Input(Input<CairnContext>),
    Synced(OutboundRequestId, ValueResponse<CairnContext>),
    Sync(SyncMail),
}

/// A running engine. After an error it must be dropped, and another one made.
pub struct CoreEngine<A> {
    core: Option<State<CairnContext>>,
    mirror: Mirror,
    side: Side<A>,
}

impl<A> std::fmt::Debug for CoreEngine<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CoreEngine({})", self.side.driver.own)
    }
}

/// Everything of the engine but the two machines.
struct Side<A> {
    driver: Driver<A, Collected>,
    signer: EngineSigner,
    verifier: EngineVerifier,
    wal: Wal,
    params: Params<CairnContext>,
    metrics: Metrics,
    timeouts: LinearTimeouts,
    interval_ms: u64,
    began_ms: u64,
    is_validator: bool,
    is_recovering: bool,
    timers: Timers,
    mail: VecDeque<Mail>,
    tasks: VecDeque<Task>,
    /// The request that brought the value that consensus looks at.
    request: Option<OutboundRequestId>,
}

/// What the driver sees of the world: the time of this step, and a place for what it publishes.
struct Collected {
    now_ms: u64,
    parts: Vec<StreamMessage<Part>>,
}

impl Outlet for Collected {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
    fn publish(&mut self, parts: Vec<StreamMessage<Part>>) {
        self.parts.extend(parts);
    }
    /// Whether peers are there is the world's affair.
    fn await_peers(&self, _: &ValidatorSet, _: PublicKey) {}
}

impl<A: Application> CoreEngine<A> {
    /// Starts from what the home and the application hold.
    ///
    /// # Errors
    /// When a file cannot be used or the process crashes on the way.
    pub fn start(
        config: CoreConfig,
        application: A,
        world: &mut dyn World,
    ) -> Result<Self, Stopped> {
        let mut engine = Self::open(config, application, world.now_ms())?;
        let height = engine.side.driver.place.height;
        engine.mirror.start(&mut engine.side, world);
        engine.side.mail.push_back(Mail::Start(height));
        engine.settle(world)?;
        Ok(engine)
    }

    fn open(config: CoreConfig, application: A, now_ms: u64) -> Result<Self, Stopped> {
        let address = config.key.address();
        if config.memory == Memory::Lost {
            // A test of a test: what production never does.
            std::fs::remove_dir_all(&config.home).ok();
        }
        let file = |path: PathBuf| move |source| Stopped::File { path, source };
        std::fs::create_dir_all(config.home.join("wal")).map_err(file(config.home.clone()))?;
        let history = SigningHistory::open(&config.history, config.chain, address)?;
        let next = application.tip().0.next();
        let mute_until = super::mute::begin(&config.home, &config.wal(), next, history.height());
        let mute_until = mute_until.map_err(file(config.home.clone()))?;
        let history = (config.memory == Memory::Kept).then_some(history);
        let (chain, key) = (config.chain, config.key.clone());
        let keys: Arc<dyn Signer> = Arc::new(LocalSigner::new(chain, key.clone(), key, history));
        let undecided_folder = config.undecided();
        let undecided = UndecidedStore::open(&undecided_folder, next)
            .map_err(file(undecided_folder.clone()))?;
        let wal = Wal::open(&config.wal()).map_err(file(config.wal()))?;
        let place = Place::after_tip(&application, config.chain);
        let driver = Driver {
            application,
            chain: config.chain,
            own: address,
            signer: Arc::clone(&keys),
            pass: None,
            outlet: Collected {
                now_ms,
                parts: Vec::new(),
            },
            mute_until,
            undecided,
            undecided_folder,
            refused_count: Arc::default(),
            place,
        };
        let params = Params {
            address: EngineAddress(address),
            threshold_params: ThresholdParams::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: true,
        };
        Ok(Self {
            core: None,
            mirror: Mirror::new(config.seed, now_ms),
            side: Side {
                driver,
                signer: EngineSigner {
                    home: config.home,
                    keys,
                },
                verifier: EngineVerifier {
                    chain: config.chain,
                },
                wal,
                params,
                metrics: Metrics::new(),
                timeouts: LinearTimeouts::default(),
                interval_ms: 0,
                began_ms: now_ms,
                is_validator: false,
                is_recovering: false,
                timers: Timers::default(),
                mail: VecDeque::new(),
                tasks: VecDeque::new(),
                request: None,
            },
        })
    }

    /// A message from the peer with this key; one that is no message is dropped.
    ///
    /// # Errors
    /// When the engine stopped.
    pub fn receive(
        &mut self,
        from: PublicKey,
        message: &[u8],
        world: &mut dyn World,
    ) -> Result<(), Stopped> {
        use arc_malachitebft_core_consensus::{LivenessMsg, SignedConsensusMsg};
        let Some(envelope) = Envelope::decode(message) else {
            return Ok(());
        };
        let mail = match envelope {
            Envelope::Consensus(SignedConsensusMsg::Vote(vote))
            | Envelope::Liveness(LivenessMsg::Vote(vote)) => Mail::Input(Input::Vote(vote)),
            Envelope::Consensus(SignedConsensusMsg::Proposal(proposal)) => {
                Mail::Input(Input::Proposal(proposal))
            }
            Envelope::Liveness(LivenessMsg::PolkaCertificate(certificate)) => {
                Mail::Input(Input::PolkaCertificate(certificate))
            }
            Envelope::Liveness(LivenessMsg::SkipRoundCertificate(certificate)) => {
                Mail::Input(Input::RoundCertificate(certificate))
            }
            Envelope::Part(part) => {
                self.side.tasks.push_back(Task::Part { from, part });
                return Ok(());
            }
            Envelope::Status(tip, min) => Mail::Sync(SyncMail::Status { from, tip, min }),
            Envelope::Request(id, request) => Mail::Sync(SyncMail::Request { from, id, request }),
            Envelope::Response(id, response) => {
                Mail::Sync(SyncMail::Response { from, id, response })
            }
        };
        self.side.mail.push_back(mail);
        self.settle(world)
    }

    /// A timer's time has come.
    ///
    /// # Errors
    /// When the engine stopped.
    pub fn elapsed(&mut self, timer: u64, world: &mut dyn World) -> Result<(), Stopped> {
        let Some(key) = self.side.timers.take(timer) else {
            return Ok(());
        };
        let mail = match key {
            TimerKey::Step(timeout) => Mail::Input(Input::TimeoutElapsed(timeout)),
            TimerKey::Sync(what) => Mail::Sync(SyncMail::Elapsed(what)),
        };
        self.side.mail.push_back(mail);
        self.settle(world)
    }

    /// Whether the application has something to do.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        !self.side.tasks.is_empty()
    }

    /// Lets the application do the oldest thing that it was asked.
    ///
    /// # Errors
    /// When the engine stopped.
    pub fn turn(&mut self, world: &mut dyn World) -> Result<(), Stopped> {
        self.side.work_one(world)?;
        self.settle(world)
    }

    /// Height and round that are being decided.
    #[must_use]
    pub fn place(&self) -> (Height, Option<u32>) {
        let round = self.core.as_ref().and_then(|core| core.round().as_u32());
        (self.side.driver.place.height, round)
    }

    /// Bytes of the log that are surely on the disk; what is after them may be lost with the power.
    #[must_use]
    pub fn log_bytes_synced(&self) -> u64 {
        self.side.wal.synced()
    }

    /// The application, to look at.
    pub fn application(&self) -> &A {
        &self.side.driver.application
    }

    /// Reads all mail, and what that brings.
    fn settle(&mut self, world: &mut dyn World) -> Result<(), Stopped> {
        while let Some(mail) = self.side.mail.pop_front() {
            match mail {
                Mail::Start(height) => self.start_height(EngineHeight(height), world)?,
                Mail::Input(input) => self.process(input, world)?,
                Mail::Synced(request, value) => {
                    self.side.request = Some(request);
                    let done = self.process(Input::SyncValueResponse(value), world);
                    self.side.request = None;
                    done?;
                }
                Mail::Sync(mail) => self.mirror.read(mail, &mut self.side, world)?,
            }
        }
        Ok(())
    }

    fn start_height(&mut self, height: EngineHeight, world: &mut dyn World) -> Result<(), Stopped> {
        let side = &mut self.side;
        let params = side.driver.engine_params();
        let set = params.validator_set;
        side.is_validator = set.get_by_address(&side.params.address).is_some();
        side.timeouts = params.timeouts;
        side.interval_ms = side.driver.place.params.block_interval_ms;
        side.began_ms = world.now_ms();
        let entries = side.wal.begin(height, side.is_validator)?;
        let target = (side.interval_ms > 0).then_some(NEVER);
        if self.core.is_none() {
            let params = side.params.clone();
            self.core = Some(State::new(
                CairnContext,
                height,
                set.clone(),
                params,
                QUEUE_HEIGHTS_MAX,
                QUEUE_INPUTS_MAX,
            ));
        }
        let policy = VoteExtensionPolicy::default();
        self.process(
            Input::StartHeight(height, set, false, target, policy),
            world,
        )?;
        self.replay(entries, world)?;
        let started = SyncMail::Started(height, HeightStartType::Start);
        self.side.mail.push_back(Mail::Sync(started));
        Ok(())
    }

    /// Feeds consensus what it had noted of this height before the process ended.
    fn replay(
        &mut self,
        entries: Vec<Input<CairnContext>>,
        world: &mut dyn World,
    ) -> Result<(), Stopped> {
        let Some(core) = self.core.as_mut().filter(|_| !entries.is_empty()) else {
            return Ok(());
        };
        core.record_recovered_own_precommit_extensions(&entries);
        core.index_wal_entries(&entries);
        self.side.is_recovering = true;
        for entry in entries {
            self.process(entry, world)?;
        }
        self.side.is_recovering = false;
        if let Some(core) = self.core.as_mut() {
            core.reset_entries_index();
        }
        Ok(())
    }

    fn process(
        &mut self,
        input: Input<CairnContext>,
        world: &mut dyn World,
    ) -> Result<(), Stopped> {
        let Self { core, side, .. } = self;
        let Some(core) = core.as_mut() else {
            return Ok(());
        };
        side.driver.outlet.now_ms = world.now_ms();
        let metrics = side.metrics.clone();
        let done: Result<(), CoreError<CairnContext>> = process!(
            input: input,
            state: core,
            metrics: &metrics,
            with: effect => match side.effect(effect, world) {
                Ok(resume) => Ok::<_, String>(resume),
                Err(stopped) => return Err(stopped),
            }
        );
        done.map_err(|error| Stopped::Core {
            reason: error.to_string(),
        })
    }
}

/// Where the folder of a home keeps the write-ahead log, to damage it in tests.
#[must_use]
pub fn wal_in(home: &std::path::Path) -> PathBuf {
    home.join("wal").join("consensus.wal")
}

/// Encodes for the wire and the log.
fn encode<T>(message: &T) -> Vec<u8>
where
    WireCodec: malachitebft_app_channel::app::types::codec::Codec<T>,
{
    use malachitebft_app_channel::app::types::codec::Codec as _;
    let encoded = WireCodec.encode(message).map(|bytes| bytes.to_vec());
    encoded.unwrap_or_else(|_| unreachable!("invariant: what the engine says has an encoding"))
}

fn engine_timeout_ms(timeout: core::Timeout, timeouts: &LinearTimeouts) -> u64 {
    let wait = core::Timeouts::<CairnContext>::duration_for(timeouts, timeout);
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
