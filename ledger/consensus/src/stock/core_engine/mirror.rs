//! Value sync: malachite's machine with the glue of its actor.

use super::{
    Mail, Recipient, Side, Stopped, World, messages::Envelope, tasks::Task, timers::TimerKey,
};
use crate::{
    Application,
    stock::{
        assembler::peer_id,
        context::{CairnContext, EngineHeight},
    },
};
use arc_malachitebft_core_consensus::util::bounded_queue::BoundedQueue;
use arc_malachitebft_core_types::ValueResponse as CoreResponse;
use arc_malachitebft_sync as sync;
use arc_malachitebft_sync::{
    Effect, HeightStartType, InboundRequestId, Input, OutboundRequestId, RawDecidedValue, Request,
    Response, Resumable as _, Resume, State, Status, ValueResponse,
    scoring::{PeerScorer, ema::ExponentialMovingAverage},
};
use malachitebft_app_channel::app::types::PeerId;
use protocol::PublicKey;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{cmp::Ordering, collections::BTreeMap, ops::RangeInclusive, time::Duration};

/// As the settings of production say.
const STATUS_INTERVAL_MS: u64 = 1_000;
const REQUEST_WAIT_MS: u64 = 5_000;
const BATCH_COUNT: usize = 20;
/// As malachite's actor waits before it asks again for what could not be used here.
const AGAIN_MS: u64 = 100;
const AGAIN_MS_MAX: u64 = 1_000;
/// The machine measures answers and their rate by the clock of this machine; neither may matter.
const UNMEASURED: Duration = Duration::from_secs(1 << 30);
const RATE_MAX: u32 = 1 << 20;

/// What a timer of sync is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SyncTimer {
    Status,
    Pass,
    Request(OutboundRequestId),
    Inbound(InboundRequestId),
    Again(EngineHeight),
}

/// What sync is told.
pub(super) enum SyncMail {
    Status {
        from: PublicKey,
        tip: EngineHeight,
        min: EngineHeight,
    },
    Request {
        from: PublicKey,
        id: u64,
        request: Request<CairnContext>,
    },
    Response {
        from: PublicKey,
        id: u64,
        response: Response<CairnContext>,
    },
    Started(EngineHeight, HeightStartType),
    Decided(EngineHeight),
    Values(
        InboundRequestId,
        RangeInclusive<EngineHeight>,
        Vec<RawDecidedValue<CairnContext>>,
    ),
    Fault(PeerId, EngineHeight, OutboundRequestId),
    Transient(EngineHeight),
    Elapsed(SyncTimer),
}

type Buffered = (OutboundRequestId, CoreResponse<CairnContext>);

pub(super) struct Mirror {
    state: State<CairnContext>,
    metrics: sync::Metrics,
    rest: Rest,
    offset_ms: u64,
}

/// Everything that the machine's effects touch.
struct Rest {
    queue: BoundedQueue<EngineHeight, Buffered>,
    inflight: BTreeMap<OutboundRequestId, (PeerId, Request<CairnContext>)>,
    inbound: BTreeMap<InboundRequestId, (PublicKey, u64)>,
    attempts: BTreeMap<EngineHeight, u32>,
    history_min: EngineHeight,
    requests_count: u64,
}

impl Mirror {
    pub(super) fn new(seed: u64, now_ms: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let offset_ms = random.gen_range(0..STATUS_INTERVAL_MS);
        let config = sync::Config {
            batch_size: BATCH_COUNT,
            request_timeout: Duration::from_millis(REQUEST_WAIT_MS),
            max_inbound_requests_per_window: RATE_MAX,
            ..sync::Config::new(true)
        };
        let capacity = config.read_ahead_window().saturating_mul(2);
        let mut state = State::new(Box::new(random), config);
        let scoring = ExponentialMovingAverage::new(0.2, 0.1, 0.15, UNMEASURED);
        state.peer_scorer = PeerScorer::new(scoring);
        Self {
            state,
            metrics: sync::Metrics::new(Duration::from_millis(STATUS_INTERVAL_MS)),
            rest: Rest {
                queue: BoundedQueue::new(capacity, 1),
                inflight: BTreeMap::new(),
                inbound: BTreeMap::new(),
                attempts: BTreeMap::new(),
                history_min: EngineHeight::default(),
                // Of another process of this node no answer may be taken for one of this one's.
                requests_count: now_ms << 16,
            },
            offset_ms,
        }
    }

    pub(super) fn start<A>(&mut self, side: &mut Side<A>, world: &mut dyn World) {
        let timer = |timer| TimerKey::Sync(timer);
        world.set_timer(side.timers.start(timer(SyncTimer::Status)), self.offset_ms);
        let pass = side.timers.start(timer(SyncTimer::Pass));
        world.set_timer(pass, REQUEST_WAIT_MS);
    }

    pub(super) fn read<A: Application>(
        &mut self,
        mail: SyncMail,
        side: &mut Side<A>,
        world: &mut dyn World,
    ) -> Result<(), Stopped> {
        let Some(input) = self.input(mail, side, world) else {
            return Ok(());
        };
        let started = match &input {
            Input::StartedHeight(height, _) => Some(*height),
            _ => None,
        };
        let done = self.process(input, side, world);
        done.map_err(|error| Stopped::Core {
            reason: error.to_string(),
        })?;
        self.state.history_min_height = self.rest.history_min;
        if let Some(height) = started {
            let ready = self.rest.queue.shift_and_take(&height);
            let ready = ready.map(|(request, value)| Mail::Synced(request, value));
            side.mail.extend(ready);
        }
        Ok(())
    }

    /// What the machine is to hear of it.
    fn input<A>(
        &mut self,
        mail: SyncMail,
        side: &mut Side<A>,
        world: &mut dyn World,
    ) -> Option<Input<CairnContext>> {
        let rest = &mut self.rest;
        Some(match mail {
            SyncMail::Status { from, tip, min } => Input::Status(Status {
                peer_id: peer_id(&from),
                tip_height: tip,
                history_min_height: min,
            }),
            SyncMail::Request { from, id, request } => {
                let Request::ValueRequest(request) = request;
                let name = InboundRequestId::new(format!("{from}-{id}"));
                rest.inbound.insert(name.clone(), (from, id));
                let timer = TimerKey::Sync(SyncTimer::Inbound(name.clone()));
                world.set_timer(side.timers.start(timer), REQUEST_WAIT_MS);
                Input::ValueRequest(name, peer_id(&from), request)
            }
            SyncMail::Response { from, id, response } => {
                let Response::ValueResponse(response) = response;
                let name = OutboundRequestId::new(id);
                rest.inflight.remove(&name)?;
                let timer = TimerKey::Sync(SyncTimer::Request(name.clone()));
                side.timers.cancel(&timer);
                // An empty answer is no answer, as malachite's actor has it too.
                Input::ValueResponse(name, peer_id(&from), Some(response))
            }
            SyncMail::Started(height, kind) => Input::StartedHeight(height, kind),
            SyncMail::Decided(height) => {
                for done in rest.attempts.keys().filter(|at| **at <= height) {
                    side.timers.cancel(&TimerKey::Sync(SyncTimer::Again(*done)));
                }
                rest.attempts.retain(|at, _| *at > height);
                Input::Decided(height)
            }
            SyncMail::Values(request, range, values) => {
                if rest.inbound.contains_key(&request) {
                    Input::GotDecidedValues(request, range, values)
                } else {
                    Input::InboundRequestEvicted(request)
                }
            }
            SyncMail::Fault(peer, height, request) => {
                rest.queue.retain(|_, (from, _)| *from != request);
                Input::PeerFault(peer, height, request)
            }
            SyncMail::Transient(height) => {
                let attempts = rest.attempts.entry(height).or_default();
                let after_ms = AGAIN_MS << (*attempts).min(16);
                *attempts = attempts.saturating_add(1);
                let timer = TimerKey::Sync(SyncTimer::Again(height));
                world.set_timer(side.timers.start(timer), after_ms.min(AGAIN_MS_MAX));
                return None;
            }
            SyncMail::Elapsed(timer) => return self.elapsed(timer, side, world),
        })
    }

    fn elapsed<A>(
        &mut self,
        timer: SyncTimer,
        side: &mut Side<A>,
        world: &mut dyn World,
    ) -> Option<Input<CairnContext>> {
        let mut again = |timer, after_ms| {
            world.set_timer(side.timers.start(TimerKey::Sync(timer)), after_ms);
        };
        Some(match timer {
            SyncTimer::Status => {
                again(SyncTimer::Status, STATUS_INTERVAL_MS);
                Input::SendStatusUpdate
            }
            SyncTimer::Pass => {
                again(SyncTimer::Pass, REQUEST_WAIT_MS);
                Input::TryRequestValues
            }
            SyncTimer::Request(name) => {
                let (peer, request) = self.rest.inflight.remove(&name)?;
                Input::SyncRequestTimedOut(name, peer, request)
            }
            SyncTimer::Inbound(name) => {
                self.rest.inbound.remove(&name)?;
                Input::InboundRequestEvicted(name)
            }
            SyncTimer::Again(height) => Input::LocalTransientError(height),
        })
    }

    fn process<A: Application>(
        &mut self,
        input: Input<CairnContext>,
        side: &mut Side<A>,
        world: &mut dyn World,
    ) -> Result<(), sync::Error<CairnContext>> {
        let Self {
            state,
            metrics,
            rest,
            ..
        } = self;
        let height = state.consensus_height;
        sync::process!(
            input: input,
            state: state,
            metrics: metrics,
            with: effect => Ok::<_, String>(rest.effect(effect, height, side, world))
        )
    }
}

impl Rest {
    fn effect<A: Application>(
        &mut self,
        effect: Effect<CairnContext>,
        height: EngineHeight,
        side: &mut Side<A>,
        world: &mut dyn World,
    ) -> Resume<CairnContext> {
        match effect {
            Effect::BroadcastStatus(tip, r) => {
                let min = EngineHeight(side.driver.application.history_min());
                self.history_min = self.history_min.max(min);
                let status = Envelope::Status(tip, self.history_min);
                world.send(Recipient::All, status.encode());
                r.resume_with(())
            }
            Effect::SendValueRequest(peer, request, r) => {
                self.requests_count += 1;
                let id = self.requests_count;
                let name = OutboundRequestId::new(id);
                let request = Request::ValueRequest(request);
                let Some(to) = key_of(&peer) else {
                    return r.resume_with(None);
                };
                self.inflight.insert(name.clone(), (peer, request.clone()));
                let timer = TimerKey::Sync(SyncTimer::Request(name.clone()));
                world.set_timer(side.timers.start(timer), REQUEST_WAIT_MS);
                world.send(Recipient::One(to), Envelope::Request(id, request).encode());
                r.resume_with(Some(name))
            }
            Effect::SendValueResponse(name, response, r) => {
                let timer = TimerKey::Sync(SyncTimer::Inbound(name.clone()));
                side.timers.cancel(&timer);
                if let Some((to, id)) = self.inbound.remove(&name) {
                    let response = Response::ValueResponse(response);
                    let message = Envelope::Response(id, response).encode();
                    world.send(Recipient::One(to), message);
                }
                r.resume_with(())
            }
            Effect::GetDecidedValues(name, range, r) => {
                side.tasks.push_back(Task::Values(name, range));
                r.resume_with(())
            }
            Effect::ProcessValueResponse(peer, name, response, r) => {
                self.take(peer, &name, response, height, side);
                r.resume_with(())
            }
            Effect::CancelValueRequest(name, r) => {
                let timer = TimerKey::Sync(SyncTimer::Request(name.clone()));
                side.timers.cancel(&timer);
                self.inflight.remove(&name);
                r.resume_with(())
            }
        }
    }

    /// Hands on what consensus can use now, and keeps what it can use soon.
    fn take<A>(
        &mut self,
        peer: PeerId,
        name: &OutboundRequestId,
        response: ValueResponse<CairnContext>,
        height: EngineHeight,
        side: &mut Side<A>,
    ) {
        for raw in response.values {
            let at = raw.height();
            let value = raw.to_core(peer);
            match at.cmp(&height) {
                Ordering::Less => {}
                Ordering::Equal => side.mail.push_back(Mail::Synced(name.clone(), value)),
                Ordering::Greater => {
                    self.queue.push(at, (name.clone(), value));
                }
            }
        }
    }
}

/// The key in a peer id, which embeds it whole.
fn key_of(peer: &PeerId) -> Option<PublicKey> {
    let bytes = peer.to_bytes();
    let key: [u8; 32] = bytes.get(6..)?.try_into().ok()?;
    Some(PublicKey::from_bytes(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_its_key() {
        let key = PublicKey::from_bytes([7; 32]);
        assert_eq!(key_of(&peer_id(&key)), Some(key));
    }
}
