//! Answers the engine's questions by calling the application.
//!
//! One thread owns the application and everything a decision needs; the engine's actors send it
//! messages and wait. Blocking here is therefore fine and nothing is locked. Each arm below is
//! small: ask the application, keep what a crash must not lose, answer.

mod bodies;

use super::{
    EngineError,
    assembler::{Assembler, Body},
    context::{CairnContext, EngineAddress, EngineHeight, engine_params},
    convert::{certificate_from_engine, certificate_to_engine, equivocations},
    mute::mute_after_refusal,
    outlet::Outlet,
    parts::Pass,
    undecided::UndecidedStore,
};
use crate::{Application, BLOCK_BYTES_MAX, HeightParams, Timeouts, signer::Signer};
use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{CommitCertificate, Round};
use arc_malachitebft_engine::host::Next;
use arc_malachitebft_sync::RawDecidedValue;
use malachitebft_app_channel::{
    AppMsg, Reply,
    app::{consensus::VoteExtensionError, types::ProposedValue},
};
use protocol::{ChainId, Height, PublicKey};
use std::{
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

/// Blocks and bytes in one answer to a peer that catches up.
const HISTORY_COUNT_MAX: u64 = 64;
const HISTORY_BYTES_MAX: usize = 2 * BLOCK_BYTES_MAX as usize;

/// How long a node waits for a proposal where it may not vote: for ever, in the life of a process.
const MUTE_WAIT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The application's side of the engine.
pub(super) struct Driver<A, O> {
    pub(super) application: A,
    pub(super) chain: ChainId,
    /// The validator.
    pub(super) own: PublicKey,
    pub(super) signer: Arc<dyn Signer>,
    /// That its network identity is its own, where that is another key.
    pub(super) pass: Option<Pass>,
    pub(super) outlet: O,
    /// Up to this height the validator says nothing; see `mute`.
    pub(super) mute_until: Height,
    pub(super) undecided: UndecidedStore,
    pub(super) undecided_folder: PathBuf,
    pub(super) refused_count: Arc<AtomicU64>,
    pub(super) place: Place,
}

/// Where consensus stands.
pub(super) struct Place {
    pub(super) height: Height,
    round: u32,
    pub(super) params: HeightParams,
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

impl<A: Application, O: Outlet> Driver<A, O> {
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

    #[expect(
        clippy::too_many_lines,
        reason = "one arm per question the engine can ask"
    )]
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
                let height = EngineHeight(self.place.height);
                answer(reply, Next::Start(height, self.engine_params()));
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
                answer(
                    reply,
                    extensions.into_iter().map(refuse_extension).collect(),
                );
            }
        }
        Ok(())
    }

    /// Waits a little for other validators: a first round that nobody hears is a lost round.
    fn start(&self, reply: Reply<(EngineHeight, core::HeightParams<CairnContext>)>) {
        let Place { height, params, .. } = &self.place;
        self.outlet.await_peers(&params.validators, self.own);
        info!(%height, validators = params.validators.count(), "consensus starts");
        answer(reply, (EngineHeight(*height), self.engine_params()));
    }

    /// This height's parameters for the engine.
    ///
    /// A node whose store is behind its signatures (it was lost, and is filled from peers) has
    /// nothing to say at the heights between: it only waits for what was decided there. The engine
    /// stops when it is refused a signature, so it must not come to want one.
    pub(super) fn engine_params(&self) -> core::HeightParams<CairnContext> {
        let mut params = self.place.params.clone();
        if self.is_mute() {
            params.timeouts = Timeouts {
                propose_ms: MUTE_WAIT_MS,
                wait_ms_max: MUTE_WAIT_MS,
                ..params.timeouts
            };
        }
        engine_params(&params)
    }

    /// Whether this validator says nothing at this height.
    pub(super) fn is_mute(&self) -> bool {
        self.place.height <= self.mute_until
    }

    /// Whether this validator may still propose a new block here.
    pub(super) fn may_propose(&self, height: Height, round: u32) -> bool {
        match self.signer.may_propose(height, round) {
            Ok(true) => true,
            Ok(false) => {
                warn!(%height, round, "no block proposed: this key signed here before, or later");
                false
            }
            Err(error) => {
                warn!(%height, round, "no block proposed: {error}");
                false
            }
        }
    }

    /// Tells the engine of bodies that an earlier process kept or that can be judged only now.
    pub(super) fn started_round(
        &mut self,
        height: Height,
        round: Round,
    ) -> Result<Vec<ProposedValue<CairnContext>>, EngineError> {
        self.place.round = round.as_u32().unwrap_or(0);
        let mut values: Vec<_> = self
            .undecided
            .take_untold(height)
            .into_iter()
            .map(bodies::proposed)
            .collect();
        for body in std::mem::take(&mut self.place.waiting) {
            values.extend(self.judge(body)?);
        }
        Ok(values)
    }

    pub(super) fn decided(
        &mut self,
        decision: &CommitCertificate<CairnContext>,
    ) -> Result<(), EngineError> {
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
        let Some(undecided) = self.undecided.get(height, block_id) else {
            // The log knows more than the folder of bodies: the next start must do without it.
            let home = self.undecided_folder.parent();
            let home = home.unwrap_or(&self.undecided_folder);
            mute_after_refusal(home, height)
                .map_err(|error| storage(&self.undecided_folder, &error))?;
            return Err(EngineError::BodyMissing { height, block_id });
        };
        self.application
            .commit(&undecided.body, &certificate)
            .map_err(|source| EngineError::Application { height, source })?;
        debug!(%height, round = certificate.round, block = %block_id.short(), "block committed");
        self.next_height();
        Ok(())
    }

    /// Moves to the height after the tip and forgets what it settles.
    fn next_height(&mut self) {
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
        self.undecided.forget_below(place.height);
    }

    pub(super) fn report(&mut self, evidence: MisbehaviorEvidence<CairnContext>) {
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
    pub(super) fn history(
        &self,
        range: &RangeInclusive<EngineHeight>,
    ) -> Vec<RawDecidedValue<CairnContext>> {
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
}

fn storage(folder: &std::path::Path, error: &std::io::Error) -> EngineError {
    EngineError::Storage {
        path: folder.to_owned(),
        reason: error.to_string(),
    }
}

/// Votes carry no extensions in this protocol.
fn refuse_extension(
    (signer, ()): (EngineAddress, ()),
) -> (EngineAddress, Result<(), VoteExtensionError>) {
    (signer, Err(VoteExtensionError::InvalidVoteExtension))
}

/// Answers a question; whoever asked may be gone.
fn answer<T>(reply: Reply<T>, value: T) {
    if reply.send(value).is_err() {
        debug!("the engine no longer waits for an answer");
    }
}
