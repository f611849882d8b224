//! Bodies: building, sending, judging and keeping them.

use super::{Driver, Place, storage};
use crate::{
    Application, BLOCK_BYTES_MAX, Check,
    signer::Request,
    stock::{
        EngineError,
        assembler::Body,
        context::{CairnContext, EngineAddress, EngineHeight, EngineValue},
        outlet::Outlet,
        parts::{Head, Part, SignedHead, split},
        undecided::Undecided,
    },
};
use arc_malachitebft_core_types::{Round, Validity};
use arc_malachitebft_engine::host::SyncedValueOutcome;
use bytes::Bytes;
use malachitebft_app_channel::app::{
    streaming::{StreamContent, StreamId, StreamMessage},
    types::{LocallyProposedValue, PeerId, ProposedValue},
};
use protocol::{BlockId, Height};
use std::sync::atomic::Ordering;
use tracing::{debug, error, warn};

/// Bodies one proposer may have judged in one round: its own and one contradiction.
const BODY_COUNT_PER_ROUND_MAX: usize = 2;
/// Rounds above the current one from which bodies are accepted.
const ROUND_LOOKAHEAD: u32 = 10;
/// Bodies that cannot be judged yet.
const WAITING_COUNT_MAX: usize = 16;

impl<A: Application, O: Outlet> Driver<A, O> {
    /// Builds a block, or finds the one this validator proposed here before a crash.
    pub(in crate::stock) fn propose(
        &mut self,
        height: EngineHeight,
        round: Round,
    ) -> Result<Option<LocallyProposedValue<CairnContext>>, EngineError> {
        let Some(round_number) = round.as_u32() else {
            return Ok(None);
        };
        if height.0 != self.place.height || self.is_mute() {
            return Ok(None);
        }
        let own = self.own;
        if let Some(earlier) = self.undecided.proposed_by(&own, height.0, round_number) {
            let block_id = earlier.block_id;
            self.send_again(height.0, block_id);
            return Ok(Some(LocallyProposedValue::new(
                height,
                round,
                EngineValue(block_id),
            )));
        }
        if !self.may_propose(height.0, round_number) {
            return Ok(None);
        }
        let Some((block_id, body)) = self.build(height.0, round_number) else {
            return Ok(None);
        };
        let head = Head::of((height.0, round_number), block_id, &body);
        let signature = match self.signer.sign(&Request::Head(head)) {
            Ok(signature) => signature,
            Err(error) => {
                warn!(%height, %round, "no block proposed: {error}");
                return Ok(None);
            }
        };
        let head = SignedHead {
            head,
            proposer: own,
            signature,
        };
        // Others receive and judge it while it reaches the disk here: the proposal is signed after
        // that, and a head without a proposal binds nobody.
        self.send(head, &body);
        self.keep(Undecided {
            height: height.0,
            round: round_number,
            proposer: own,
            block_id,
            head: Some(head),
            body,
        })?;
        Ok(Some(LocallyProposedValue::new(
            height,
            round,
            EngineValue(block_id),
        )))
    }

    fn build(&mut self, height: Height, round: u32) -> Option<(BlockId, Vec<u8>)> {
        let bytes_max = self.place.params.block_bytes_max.min(BLOCK_BYTES_MAX);
        let now_ms = self.outlet.now_ms();
        let body = match self.application.propose(height, round, bytes_max, now_ms) {
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
        match self.application.check(height, round, &body) {
            Check::Valid(block_id) => Some((block_id, body)),
            refused => {
                error!(%height, ?refused, "own block is refused");
                None
            }
        }
    }

    pub(in crate::stock) fn received_part(
        &mut self,
        from: PeerId,
        publisher: Option<PeerId>,
        part: StreamMessage<Part>,
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
    pub(super) fn judge(
        &mut self,
        body: Body,
    ) -> Result<Option<ProposedValue<CairnContext>>, EngineError> {
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
        if head.height <= self.mute_until {
            // Whole, it would be voted for.
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
        match self.application.check(head.height, head.round, bytes) {
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

    /// Judges a block that a peer says is decided; the engine has checked its certificate.
    pub(in crate::stock) fn synced(
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
        match self.application.check(height.0, round, body) {
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
    pub(in crate::stock) fn send_again(&mut self, height: Height, block_id: BlockId) {
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
        let name = protocol::codec::encode(&(self.outlet.now_ms(), self.place.streams_sent));
        let stream = StreamId::new(Bytes::from(name));
        let parts = (0..)
            .zip(split(head, self.pass, body))
            .map(|(sequence, part)| {
                let content = StreamContent::Data(part);
                StreamMessage::new(stream.clone(), sequence, content)
            });
        self.outlet.publish(parts.collect());
    }

    fn refuse(&self, reason: &str, sender: &str) {
        self.refused_count.fetch_add(1, Ordering::Relaxed);
        debug!(
            reason,
            sender, "a proposed body or a part of one is refused"
        );
    }
}

pub(super) fn proposed(undecided: &Undecided) -> ProposedValue<CairnContext> {
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
