//! Answers the engine's questions by calling the application.
//!
//! One thread owns the application and everything a decision needs; the engine's actors send it
//! messages and wait. Blocking here is therefore fine and nothing is locked. Each arm below is
//! small: ask the application, keep what a crash must not lose, answer.

use super::{
    EngineError,
    assembler::{Assembler, Body},
    context::{CairnContext, EngineAddress, EngineHeight, EngineValue, engine_params},
    convert::{certificate_from_engine, certificate_to_engine, equivocations},
    parts::{SignedHead, split},
    peers::PeerGate,
    undecided::{Undecided, UndecidedStore},
};
use crate::{Application, BLOCK_BYTES_MAX, Check, HeightParams};
use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types::{CommitCertificate, Round, Validity};
use arc_malachitebft_engine::host::{Next, SyncedValueOutcome};
use arc_malachitebft_sync::RawDecidedValue;
use bytes::Bytes;
use malachitebft_app_channel::{
    AppMsg, NetworkMsg, Reply,
    app::{
        consensus::VoteExtensionError,
        streaming::{StreamContent, StreamId, StreamMessage},
        types::{LocallyProposedValue, PeerId, ProposedValue},
    },
};
use protocol::{BlockId, ChainId, Height, SigningKey};
use std::{
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

/// Bodies one proposer may have judged in one round: its own and one contradiction.
const BODY_COUNT_PER_ROUND_MAX: usize = 2;
/// Rounds above the current one from which bodies are accepted.
const ROUND_LOOKAHEAD: u32 = 10;
/// Bodies that cannot be judged yet.
const WAITING_COUNT_MAX: usize = 16;
/// Blocks and bytes in one answer to a peer that catches up.
const HISTORY_COUNT_MAX: u64 = 64;
const HISTORY_BYTES_MAX: usize = 2 * BLOCK_BYTES_MAX as usize;

/// The application's side of the engine.
pub(super) struct Driver<A> {
    pub(super) application: A,
    pub(super) chain: ChainId,
    pub(super) key: SigningKey,
    pub(super) network: mpsc::Sender<NetworkMsg<CairnContext>>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) gate: PeerGate,
    pub(super) undecided: UndecidedStore,
    pub(super) undecided_folder: PathBuf,
    pub(super) refused_count: Arc<AtomicU64>,
    pub(super) place: Place,
}

/// Where consensus stands.
pub(super) struct Place {
    height: Height,
    round: u32,
    params: HeightParams,
    assembler: Assembler,
    /// Whole bodies for later heights, or that the application cannot judge yet.
    waiting: Vec<Body>,
    streams_sent: u64,
}

impl Place {
    /// The height after the application's tip.
    pub(super) fn after_tip(application: &impl Application, chain: ChainId) -> Self {
        let height = application.tip().0.next();
        let params = application.params(height);
        let mut assembler = Assembler::new(chain);
        assembler.begin(height, &params.validators);
        Self {
            height,
            round: 0,
            params,
            assembler,
            waiting: Vec::new(),
            streams_sent: 0,
        }
    }
}

impl<A: Application> Driver<A> {
    /// Answers until the engine is gone.
    pub(super) fn run(
        mut self,
        mut messages: mpsc::Receiver<AppMsg<CairnContext>>,
        ready: oneshot::Sender<()>,
    ) -> Result<(), EngineError> {
        let mut ready = Some(ready);
        while let Some(message) = messages.blocking_recv() {
            if let (AppMsg::ConsensusReady { .. }, Some(ready)) = (&message, ready.take()) {
                answer(ready, ());
            }
            self.handle(message)?;
        }
        Ok(())
    }

    fn handle(&mut self, message: AppMsg<CairnContext>) -> Result<(), EngineError> {
        match message {
            AppMsg::ConsensusReady { reply } => self.start(reply),
            AppMsg::StartedRound {
                height,
                round,
                reply_value,
                ..
            } => {
                let values = self.started_round(height.0, round)?;
                answer(reply_value, values);
            }
            AppMsg::GetValue {
                height,
                round,
                reply,
                ..
            } => {
                if let Some(value) = self.propose(height, round)? {
                    answer(reply, value);
                }
            }
            AppMsg::ReceivedProposalPart {
                from,
                published_by,
                part,
                reply,
            } => {
                let value = self.received_part(from, published_by, part)?;
                answer(reply, value);
            }
            AppMsg::RestreamProposal {
                height, value_id, ..
            } => {
                self.send_again(height.0, value_id);
            }
            AppMsg::Decided {
                certificate, reply, ..
            } => {
                self.decided(&certificate)?;
                answer(reply, ());
            }
            AppMsg::Finalized {
                evidence, reply, ..
            } => {
                self.report(evidence);
                let (height, params) = (EngineHeight(self.place.height), &self.place.params);
                answer(reply, Next::Start(height, engine_params(params)));
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                answer(reply, EngineHeight(self.application.history_min()));
            }
            AppMsg::GetDecidedValues { range, reply } => answer(reply, self.history(&range)),
            AppMsg::ProcessSyncedValue {
                height,
                round,
                proposer,
                value_bytes,
                reply,
            } => {
                let outcome = self.synced(height, round, proposer, &value_bytes)?;
                answer(reply, outcome);
            }
            AppMsg::ExtendVote { reply, .. } => answer(reply, None),
            AppMsg::VerifyVoteExtensions {
                extensions, reply, ..
            } => {
                let refuse = |(signer, ())| (signer, Err(VoteExtensionError::InvalidVoteExtension));
                answer(reply, extensions.into_iter().map(refuse).collect());
            }
        }
        Ok(())
    }

    /// Waits a little for other validators: a first round that nobody hears is a lost round.
    fn start(
        &self,
        reply: Reply<(
            EngineHeight,
            arc_malachitebft_core_types::HeightParams<CairnContext>,
        )>,
    ) {
        let Place { height, params, .. } = &self.place;
        self.runtime
            .block_on(self.gate.wait(&params.validators, self.key.address()));
        info!(%height, validators = params.validators.count(), "consensus starts");
        answer(reply, (EngineHeight(*height), engine_params(params)));
    }

    /// Tells the engine of bodies that an earlier process kept or that can be judged only now.
    fn started_round(
        &mut self,
        height: Height,
        round: Round,
    ) -> Result<Vec<ProposedValue<CairnContext>>, EngineError> {
        self.place.round = round.as_u32().unwrap_or(0);
        let mut values: Vec<_> = self
            .undecided
            .take_untold(height)
            .into_iter()
            .map(proposed)
            .collect();
        for body in std::mem::take(&mut self.place.waiting) {
            values.extend(self.judge(body)?);
        }
        Ok(values)
    }

    /// Builds a block, or finds the one this validator proposed here before a crash.
    fn propose(
        &mut self,
        height: EngineHeight,
        round: Round,
    ) -> Result<Option<LocallyProposedValue<CairnContext>>, EngineError> {
        let Some(round_number) = round.as_u32() else {
            return Ok(None);
        };
        if height.0 != self.place.height {
            return Ok(None);
        }
        let own = self.key.address();
        if let Some(earlier) = self.undecided.proposed_by(&own, height.0, round_number) {
            let block_id = earlier.block_id;
            self.send_again(height.0, block_id);
            return Ok(Some(LocallyProposedValue::new(
                height,
                round,
                EngineValue(block_id),
            )));
        }
        let Some((block_id, body)) = self.build(height.0) else {
            return Ok(None);
        };
        let head = SignedHead::new(
            self.chain,
            (height.0, round_number),
            block_id,
            &body,
            &self.key,
        );
        self.keep(Undecided {
            height: height.0,
            round: round_number,
            proposer: own,
            block_id,
            head: Some(head),
            body: body.clone(),
        })?;
        self.send(head, &body);
        Ok(Some(LocallyProposedValue::new(
            height,
            round,
            EngineValue(block_id),
        )))
    }

    fn build(&mut self, height: Height) -> Option<(BlockId, Vec<u8>)> {
        let bytes_max = self.place.params.block_bytes_max.min(BLOCK_BYTES_MAX);
        let body = match self.application.propose(height, bytes_max, now_ms()) {
            Ok(body) => body,
            Err(error) => {
                warn!(%height, %error, "no block proposed");
                return None;
            }
        };
        if body.is_empty() || body.len() > bytes_max as usize {
            error!(%height, bytes = body.len(), bytes_max, "own block has a size nobody accepts");
            return None;
        }
        match self.application.check(height, &body) {
            Check::Valid(block_id) => Some((block_id, body)),
            refused => {
                error!(%height, ?refused, "own block is refused");
                None
            }
        }
    }

    fn received_part(
        &mut self,
        from: PeerId,
        publisher: Option<PeerId>,
        part: StreamMessage<super::parts::Part>,
    ) -> Result<Option<ProposedValue<CairnContext>>, EngineError> {
        match self.place.assembler.receive(publisher, part) {
            Ok(Some(body)) => self.judge(body),
            Ok(None) => Ok(None),
            Err(refusal) => {
                self.refuse(&refusal.to_string(), &from.to_string());
                Ok(None)
            }
        }
    }

    /// Asks the application about a whole body, and keeps it before the engine may vote for it.
    ///
    /// An invalid body is not reported to the engine: it names a block by identifier only, and
    /// whoever sends rubbish under a good block's name must not spoil that block.
    fn judge(&mut self, body: Body) -> Result<Option<ProposedValue<CairnContext>>, EngineError> {
        let Body {
            head: SignedHead { head, proposer, .. },
            ref bytes,
        } = body;
        let Place {
            height,
            round,
            params,
            ..
        } = &self.place;
        if head.height < *height || self.undecided.get(head.height, head.block_id).is_some() {
            return Ok(None);
        }
        if head.height > *height {
            self.wait(body);
            return Ok(None);
        }
        let expected = params.validators.proposer(head.height, head.round).key;
        let crowded = self.undecided.count(head.height, head.round) >= BODY_COUNT_PER_ROUND_MAX;
        let distant = head.round > round.saturating_add(ROUND_LOOKAHEAD);
        let large = head.body_bytes > params.block_bytes_max;
        if expected != proposer || crowded || distant || large {
            self.refuse(
                "body is out of turn, one too many or too large",
                &proposer.short(),
            );
            return Ok(None);
        }
        match self.application.check(head.height, bytes) {
            Check::Valid(block_id) if block_id == head.block_id => {
                let undecided = Undecided {
                    height: head.height,
                    round: head.round,
                    proposer,
                    block_id,
                    head: Some(body.head),
                    body: body.bytes,
                };
                let value = proposed(&undecided);
                self.keep(undecided)?;
                Ok(Some(value))
            }
            Check::Valid(_) => {
                self.refuse(
                    "body is of another block than its head says",
                    &proposer.short(),
                );
                Ok(None)
            }
            Check::Invalid { reason } => {
                self.refuse(&reason, &proposer.short());
                Ok(None)
            }
            Check::Later => {
                self.wait(body);
                Ok(None)
            }
        }
    }

    fn wait(&mut self, body: Body) {
        if self.place.waiting.len() < WAITING_COUNT_MAX {
            self.place.waiting.push(body);
        } else {
            self.refuse(
                "too many bodies wait to be judged",
                &body.head.proposer.short(),
            );
        }
    }

    fn decided(&mut self, decision: &CommitCertificate<CairnContext>) -> Result<(), EngineError> {
        let height = decision.height.0;
        if height < self.place.height {
            return Ok(());
        }
        let block_id = decision.value_id;
        let unusable = |reason: String| EngineError::Certificate { height, reason };
        let certificate = certificate_from_engine(decision)
            .ok_or_else(|| unusable("it names no round or too many signers".to_owned()))?;
        certificate
            .verify(self.chain, &self.place.params.validators)
            .map_err(|error| unusable(error.to_string()))?;
        let undecided = self
            .undecided
            .get(height, block_id)
            .ok_or(EngineError::BodyMissing { height, block_id })?;
        self.application
            .commit(&undecided.body, &certificate)
            .map_err(|source| EngineError::Application { height, source })?;
        debug!(%height, round = certificate.round, block = %block_id.short(), "block committed");
        self.next_height()
    }

    /// Moves to the height after the tip and forgets what it settles.
    fn next_height(&mut self) -> Result<(), EngineError> {
        let place = &mut self.place;
        place.height = self.application.tip().0.next();
        place.round = 0;
        place.params = self.application.params(place.height);
        place
            .assembler
            .begin(place.height, &place.params.validators);
        place
            .waiting
            .retain(|body| body.head.head.height >= place.height);
        self.undecided
            .forget_below(place.height)
            .map_err(|error| storage(&self.undecided_folder, &error))
    }

    fn report(&mut self, evidence: MisbehaviorEvidence<CairnContext>) {
        for equivocation in equivocations(evidence) {
            match equivocation.verify(self.chain) {
                Ok(()) => {
                    warn!(signer = %equivocation.signer(), "a validator contradicted itself");
                    self.application.evidence(equivocation);
                }
                Err(error) => error!(%error, "the engine reported evidence that proves nothing"),
            }
        }
    }

    /// Blocks for a peer that catches up; the range is the peer's word and may be nonsense.
    fn history(&self, range: &RangeInclusive<EngineHeight>) -> Vec<RawDecidedValue<CairnContext>> {
        let first = range.start().0.max(self.application.history_min()).get();
        let last = range.end().0.min(self.application.tip().0).get();
        let mut bytes = 0;
        (first..=last)
            .take(usize::try_from(HISTORY_COUNT_MAX).unwrap_or(usize::MAX))
            .map_while(|height| self.application.block(Height::new(height)))
            .take_while(|(block, _)| {
                let fits = bytes == 0 || bytes + block.len() <= HISTORY_BYTES_MAX;
                bytes += block.len();
                fits
            })
            .map(|(block, certificate)| RawDecidedValue {
                value_bytes: block.into(),
                certificate: certificate_to_engine(&certificate),
            })
            .collect()
    }

    /// Judges a block that a peer says is decided; the engine has checked its certificate.
    fn synced(
        &mut self,
        height: EngineHeight,
        round: Round,
        proposer: EngineAddress,
        body: &[u8],
    ) -> Result<SyncedValueOutcome<CairnContext>, EngineError> {
        if body.is_empty() || body.len() > BLOCK_BYTES_MAX as usize {
            return Ok(SyncedValueOutcome::PeerFault);
        }
        let (Some(round), true) = (round.as_u32(), height.0 == self.place.height) else {
            return Ok(SyncedValueOutcome::LocalTransientError);
        };
        match self.application.check(height.0, body) {
            Check::Valid(block_id) => {
                let undecided = Undecided {
                    height: height.0,
                    round,
                    proposer: proposer.0,
                    block_id,
                    head: None,
                    body: body.to_vec(),
                };
                let value = proposed(&undecided);
                self.keep(undecided)?;
                Ok(SyncedValueOutcome::Verdict(value))
            }
            Check::Invalid { reason } => {
                warn!(%height, %reason, "a peer sent a decided block that is refused here");
                Ok(SyncedValueOutcome::PeerFault)
            }
            Check::Later => Ok(SyncedValueOutcome::LocalTransientError),
        }
    }

    fn keep(&mut self, undecided: Undecided) -> Result<(), EngineError> {
        self.undecided
            .keep(undecided)
            .map_err(|error| storage(&self.undecided_folder, &error))
    }

    /// Sends a kept body once more, under the announcement of its proposer.
    fn send_again(&mut self, height: Height, block_id: BlockId) {
        let kept = self.undecided.get(height, block_id);
        match kept.and_then(|kept| Some((kept.head?, kept.body.clone()))) {
            Some((head, body)) => self.send(head, &body),
            None => debug!(%height, block = %block_id.short(), "no body to send again"),
        }
    }

    /// Publishes a body's parts in order, without waiting for the network.
    ///
    /// The stream's name is new every time, even across restarts: peers drop a message they have
    /// seen before.
    fn send(&mut self, head: SignedHead, body: &[u8]) {
        self.place.streams_sent += 1;
        let name = protocol::codec::encode(&(now_ms(), self.place.streams_sent));
        let stream = StreamId::new(Bytes::from(name));
        let network = self.network.clone();
        let parts = split(head, body);
        self.runtime.spawn(async move {
            for (sequence, part) in (0..).zip(parts) {
                let content = StreamContent::Data(part);
                let message = StreamMessage::new(stream.clone(), sequence, content);
                if network
                    .send(NetworkMsg::PublishProposalPart(message))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
    }

    fn refuse(&self, reason: &str, sender: &str) {
        self.refused_count.fetch_add(1, Ordering::Relaxed);
        debug!(
            reason,
            sender, "a proposed body or a part of one is refused"
        );
    }
}

fn proposed(undecided: &Undecided) -> ProposedValue<CairnContext> {
    let Undecided {
        height,
        round,
        proposer,
        block_id,
        ..
    } = *undecided;
    ProposedValue {
        height: EngineHeight(height),
        round: Round::new(round),
        valid_round: Round::Nil,
        proposer: EngineAddress(proposer),
        value: EngineValue(block_id),
        validity: Validity::Valid,
    }
}

fn storage(folder: &std::path::Path, error: &std::io::Error) -> EngineError {
    EngineError::Storage {
        path: folder.to_owned(),
        reason: error.to_string(),
    }
}

/// Answers a question; whoever asked may be gone.
fn answer<T>(reply: Reply<T>, value: T) {
    if reply.send(value).is_err() {
        debug!("the engine no longer waits for an answer");
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
