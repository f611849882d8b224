//! What the application is asked, in order, and what becomes of its answers.

use super::{Mail, Side, Stopped, World, messages::Envelope, mirror::SyncMail};
use crate::{
    Application,
    stock::{
        assembler::peer_id,
        context::{CairnContext, EngineAddress, EngineHeight},
        parts::Part,
    },
};
use arc_malachitebft_core_consensus::{Input, MisbehaviorEvidence};
use arc_malachitebft_core_types::{
    CommitCertificate, Round, Value as _, ValueOrigin, ValueResponse,
};
use arc_malachitebft_engine::host::SyncedValueOutcome;
use arc_malachitebft_sync::{InboundRequestId, OutboundRequestId};
use malachitebft_app_channel::app::{
    consensus::LocallyProposedValue as CoreProposed, streaming::StreamMessage, types::ProposedValue,
};
use protocol::{BlockId, PublicKey};
use std::ops::RangeInclusive;

/// One question.
pub(super) enum Task {
    Propose(EngineHeight, Round),
    Part {
        from: PublicKey,
        part: StreamMessage<Part>,
    },
    Restream(EngineHeight, BlockId),
    Decided(CommitCertificate<CairnContext>),
    Finalized(MisbehaviorEvidence<CairnContext>),
    Values(InboundRequestId, RangeInclusive<EngineHeight>),
    Synced {
        value: ValueResponse<CairnContext>,
        proposer: EngineAddress,
        request: Option<OutboundRequestId>,
    },
}

impl Task {
    const fn name(&self) -> &'static str {
        match self {
            Self::Propose(..) => "propose",
            Self::Part { .. } => "part",
            Self::Restream(..) => "restream",
            Self::Decided(_) => "commit",
            Self::Finalized(_) => "finalize",
            Self::Values(..) => "values",
            Self::Synced { .. } => "synced",
        }
    }
}

impl<A: Application> Side<A> {
    /// Does everything that was asked: whoever asks in between waits for it.
    pub(super) fn work_all(&mut self, world: &mut dyn World) -> Result<(), Stopped> {
        while !self.tasks.is_empty() {
            self.work_one(world)?;
        }
        Ok(())
    }

    /// Does the oldest thing that was asked.
    pub(super) fn work_one(&mut self, world: &mut dyn World) -> Result<(), Stopped> {
        let Some(task) = self.tasks.pop_front() else {
            return Ok(());
        };
        world.effect(task.name())?;
        self.driver.outlet.now_ms = world.now_ms();
        self.work(task)?;
        self.publish(world)
    }

    /// Sends what the driver published since.
    pub(super) fn publish(&mut self, world: &mut dyn World) -> Result<(), Stopped> {
        for part in std::mem::take(&mut self.driver.outlet.parts) {
            world.effect("publish part")?;
            world.send(super::Recipient::All, Envelope::Part(part).encode());
        }
        Ok(())
    }

    fn work(&mut self, task: Task) -> Result<(), Stopped> {
        match task {
            Task::Propose(height, round) => {
                if let Some(value) = self.driver.propose(height, round)? {
                    let proposed = CoreProposed::new(value.height, value.round, value.value);
                    self.mail.push_back(Mail::Input(Input::Propose(proposed)));
                }
            }
            Task::Part { from, part } => {
                let peer = peer_id(&from);
                let value = self.driver.received_part(peer, Some(peer), part)?;
                self.mail.extend(value.map(consensus_value));
            }
            Task::Restream(height, id) => self.driver.send_again(height.0, id),
            Task::Decided(certificate) => {
                self.driver.decided(&certificate)?;
                let decided = SyncMail::Decided(certificate.height);
                self.mail.push_back(Mail::Sync(decided));
            }
            Task::Finalized(evidence) => {
                self.driver.report(evidence);
                self.mail.push_back(Mail::Start(self.driver.place.height));
            }
            Task::Values(request, range) => {
                let values = self.driver.history(&range);
                let mail = SyncMail::Values(request, range, values);
                self.mail.push_back(Mail::Sync(mail));
            }
            Task::Synced {
                value,
                proposer,
                request,
            } => {
                let mail = self.judge_synced(value, proposer, request)?;
                self.mail.push_back(mail);
            }
        }
        Ok(())
    }

    fn judge_synced(
        &mut self,
        value: ValueResponse<CairnContext>,
        proposer: EngineAddress,
        request: Option<OutboundRequestId>,
    ) -> Result<Mail, Stopped> {
        let certificate = &value.certificate;
        let (height, round) = (certificate.height, certificate.round);
        let bytes = &value.value_bytes;
        let fault = || match request.clone() {
            Some(request) => Mail::Sync(SyncMail::Fault(value.peer, height, request)),
            None => Mail::Sync(SyncMail::Transient(height)),
        };
        Ok(match self.driver.synced(height, round, proposer, bytes)? {
            SyncedValueOutcome::Verdict(mut proposed) => {
                if proposed.value.id() == certificate.value_id {
                    proposed.round = round;
                    Mail::Input(Input::ProposedValue(proposed, ValueOrigin::Sync))
                } else {
                    fault()
                }
            }
            SyncedValueOutcome::PeerFault => fault(),
            SyncedValueOutcome::LocalTransientError => Mail::Sync(SyncMail::Transient(height)),
        })
    }
}

pub(super) fn consensus_value(value: ProposedValue<CairnContext>) -> Mail {
    Mail::Input(Input::ProposedValue(value, ValueOrigin::Consensus))
}
