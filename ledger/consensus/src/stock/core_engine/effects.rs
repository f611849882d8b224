//! What consensus wants done, in the order in which malachite's actor does it.

use super::{
    CairnContext, Mail, NEVER, Recipient, Side, Stopped, World, engine_timeout_ms,
    messages::Envelope,
    mirror::SyncMail,
    tasks::{Task, consensus_value},
    timers::TimerKey,
};
use crate::Application;
use crate::stock::context::EngineHeight;
use arc_malachitebft_core_consensus::{
    ConsensusMsg, Effect, Error, Input, LivenessMsg, Resumable as _, Resume, VoteExtensionError,
};
use arc_malachitebft_core_types::{Round, Timeout, TimeoutKind};
use arc_malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Our signer and verifier wait for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("invariant: signing and verifying wait for nothing"),
    }
}

type Resumed = Result<Resume<CairnContext>, Stopped>;

impl<A: Application> Side<A> {
    #[expect(clippy::too_many_lines, reason = "one arm per effect of the core")]
    pub(super) fn effect(
        &mut self,
        effect: Effect<CairnContext>,
        world: &mut dyn World,
    ) -> Resumed {
        Ok(match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.cancel_steps();
                r.resume_with(())
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.cancel(&TimerKey::Step(timeout));
                r.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.schedule(timeout, world);
                r.resume_with(())
            }
            Effect::StartRound(height, round, _, _, r) => {
                self.start_round(height, round, world)?;
                r.resume_with(())
            }
            Effect::SignProposal(proposal, r) => {
                world.effect("sign proposal")?;
                let signed = ready(self.signer.sign_proposal(proposal));
                r.resume_with(signed.map_err(|error| refused(&error))?)
            }
            Effect::SignVote(vote, r) => {
                world.effect("sign vote")?;
                let signed = ready(self.signer.sign_vote(vote));
                r.resume_with(signed.map_err(|error| refused(&error))?)
            }
            Effect::VerifySignature(message, key, r) => {
                let (verifier, signature) = (&self.verifier, &message.signature);
                let result = match &message.message {
                    ConsensusMsg::Vote(vote) => {
                        ready(verifier.verify_signed_vote(vote, signature, &key))
                    }
                    ConsensusMsg::Proposal(proposal) => {
                        ready(verifier.verify_signed_proposal(proposal, signature, &key))
                    }
                };
                r.resume_with(result.is_ok_and(|result| result.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => {
                let check = self.verifier.verify_commit_certificate(
                    &CairnContext,
                    &certificate,
                    &set,
                    thresholds,
                );
                r.resume_with(ready(check))
            }
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, policy, r) => {
                let check = self.verifier.verify_extended_commit_certificate(
                    &CairnContext,
                    &certificate,
                    &set,
                    thresholds,
                    policy,
                );
                r.resume_with(ready(check))
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => {
                let check = self.verifier.verify_polka_certificate(
                    &CairnContext,
                    &certificate,
                    &set,
                    thresholds,
                );
                r.resume_with(ready(check))
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => {
                let check = self.verifier.verify_round_certificate(
                    &CairnContext,
                    &certificate,
                    &set,
                    thresholds,
                );
                r.resume_with(ready(check))
            }
            Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
            Effect::VerifyVoteExtension(_, _, _, _, _, _, r) => {
                r.resume_with(Err(VoteExtensionError::InvalidVoteExtension))
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.flush(world)?;
                broadcast(world, &Envelope::Consensus(message))?;
                r.resume_with(())
            }
            Effect::PublishLivenessMsg(message, r) => {
                broadcast(world, &Envelope::Liveness(message))?;
                r.resume_with(())
            }
            Effect::RepublishVote(vote, r) => {
                broadcast(world, &Envelope::Liveness(LivenessMsg::Vote(vote)))?;
                r.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                let message = LivenessMsg::SkipRoundCertificate(certificate);
                broadcast(world, &Envelope::Liveness(message))?;
                r.resume_with(())
            }
            Effect::GetValue(height, round, _, r) => {
                self.tasks.push_back(Task::Propose(height, round));
                r.resume_with(())
            }
            Effect::RestreamProposal(height, _, _, _, id, r) => {
                self.tasks.push_back(Task::Restream(height, id));
                r.resume_with(())
            }
            Effect::Decide(certificate, _, r) => {
                self.flush(world)?;
                self.tasks.push_back(Task::Decided(certificate));
                r.resume_with(())
            }
            Effect::Finalize(_, _, evidence, r) => {
                self.tasks.push_back(Task::Finalized(evidence));
                r.resume_with(())
            }
            Effect::CertRejectedSyncValue(peer, height, error, r) => {
                let mail = match (error, self.request.clone()) {
                    (Error::InvalidCommitCertificate(certificate, _), Some(request)) => {
                        SyncMail::Fault(peer, certificate.height, request)
                    }
                    _ => SyncMail::Transient(height),
                };
                self.mail.push_back(Mail::Sync(mail));
                r.resume_with(())
            }
            Effect::CertVerifiedSyncValue(value, proposer, r) => {
                let request = self.request.clone();
                self.tasks.push_back(Task::Synced {
                    value,
                    proposer,
                    request,
                });
                r.resume_with(())
            }
            Effect::WalAppend(height, entry, r) => {
                self.note(height, &entry, world)?;
                r.resume_with(())
            }
        })
    }

    fn schedule(&mut self, timeout: Timeout, world: &mut dyn World) {
        let after_ms = match timeout.kind {
            TimeoutKind::FinalizeHeight(remaining) => {
                debug_assert!(
                    remaining <= NEVER,
                    "the core was told a target that never passes"
                );
                let until_ms = self.began_ms.saturating_add(self.interval_ms);
                until_ms.saturating_sub(world.now_ms())
            }
            TimeoutKind::Propose
            | TimeoutKind::Prevote
            | TimeoutKind::Precommit
            | TimeoutKind::Rebroadcast => engine_timeout_ms(timeout, &self.timeouts),
        };
        let timer = self.timers.start(TimerKey::Step(timeout));
        world.set_timer(timer, after_ms);
    }

    fn start_round(
        &mut self,
        height: EngineHeight,
        round: Round,
        world: &mut dyn World,
    ) -> Result<(), Stopped> {
        self.flush(world)?;
        // The question is one of many that wait in line, and this one is waited for.
        self.work_all(world)?;
        self.driver.outlet.now_ms = world.now_ms();
        let values = self.driver.started_round(height.0, round)?;
        self.mail.extend(values.into_iter().map(consensus_value));
        self.publish(world)
    }

    fn note(
        &mut self,
        height: EngineHeight,
        entry: &Input<CairnContext>,
        world: &mut dyn World,
    ) -> Result<(), Stopped> {
        if self.is_recovering || !self.is_validator {
            return Ok(());
        }
        world.effect("append to log")?;
        self.wal.append(height, entry)
    }

    fn flush(&mut self, world: &mut dyn World) -> Result<(), Stopped> {
        if self.is_recovering || !self.is_validator {
            return Ok(());
        }
        world.effect("flush log")?;
        self.wal.flush()
    }
}

fn broadcast(world: &mut dyn World, message: &Envelope) -> Result<(), Stopped> {
    world.effect("publish")?;
    world.send(Recipient::All, message.encode());
    Ok(())
}

/// In production the core stops when it gets no signature.
fn refused(error: &arc_malachitebft_signing::Error) -> Stopped {
    Stopped::Core {
        reason: format!("not signed: {error}"),
    }
}
