//! Disputing: an auditor that convicted a miner shows where the miner went wrong, move by move.
//!
//! It takes the segment again, so that it knows where each step leads, and computes every number
//! of the first step that is wrong. From then on each move takes a comparison. An auditor that
//! finds nothing wrong has nothing to say, and pays for its verdict.

use super::{Duties, Job, Outcome, audit::about};
use crate::{
    chain::Chain,
    computation::{Bound, Computation, Traced},
    local::{Sort, Trust, Work},
    workbench::Workbench,
};
use anyhow::{Context as _, Result};
use engine_trace::dispute::Question;
use ledger_state::{
    unit::Unit,
    verdict::dispute::{Dispute, Move, Place, players},
};
use protocol::{Height, task::UnitId, transaction::Body};
use std::sync::Arc;

/// What is computed for a dispute.
#[derive(Clone, Copy)]
enum Wanted {
    Segment,
    Step(u32),
}

impl Duties {
    /// Its moves in the disputes in which it owes one.
    pub(super) fn dispute_bodies(
        &mut self,
        disputes: &[(UnitId, Unit, Dispute)],
        height: Height,
    ) -> Vec<Body> {
        let moves = disputes.iter().filter_map(|(id, unit, dispute)| {
            let play = self.dispute_move((*id, unit), dispute, height)?;
            let play = play.encode().ok()?;
            Some(Body::Dispute { unit: *id, play })
        });
        moves.collect()
    }
    /// Drops every number of a step about which nobody plays any more.
    pub(super) fn forget_disputes(&mut self) {
        let is_over = |id: &UnitId| self.chain.view(|view| view.get::<Dispute>(id).is_none());
        if self.trace.as_ref().is_some_and(|((id, _), _)| is_over(id)) {
            self.trace = None;
        }
        let over: Vec<_> = self.retaken.keys().copied().filter(is_over).collect();
        for id in over {
            self.retaken.remove(&id);
        }
    }
    fn dispute_move(
        &mut self,
        (id, unit): (UnitId, &Unit),
        dispute: &Dispute,
        height: Height,
    ) -> Option<Move> {
        let Some(index) = Traced::step(&dispute.place) else {
            let Some(retaken) = self.retaken.get(&id) else {
                self.compute_dispute((id, unit), Wanted::Segment, height);
                return None;
            };
            if !matches!(dispute.place, Place::Complaint) {
                return retaken.sent.as_ref()?.question(&dispute.place);
            }
            let found = players::complaint(dispute, &retaken.taken);
            let found = found.or_else(|| retaken.wrong.clone());
            // Whoever accused on purpose has to go on.
            return found.or_else(|| self.lies_about_audits().then_some(Move::Wrong(0)));
        };
        match &self.trace {
            Some((about, traced)) if *about == (id, index) => {
                // Of what both know, the miner has to show how it comes to its loss.
                let bluff = || Move::Question(Question::Result(0));
                let asked = traced.question(dispute);
                asked.or_else(|| self.lies_about_audits().then(bluff))
            }
            Some(_) | None => {
                self.compute_dispute((id, unit), Wanted::Step(index), height);
                None
            }
        }
    }
    fn compute_dispute(&mut self, (id, unit): (UnitId, &Unit), wanted: Wanted, height: Height) {
        let job = match wanted {
            Wanted::Segment => Job::Retake(id),
            Wanted::Step(index) => Job::Trace(id, index),
        };
        let Some(commitment) = unit.commitment.clone() else {
            return;
        };
        if !self.start(job, height) {
            return;
        }
        let bound = self
            .chain
            .view(|view| Bound::of(view, id, unit, commitment.claim));
        let (bench, chain, miner) = (Arc::clone(&self.bench), Arc::clone(&self.chain), unit.miner);
        self.spawn(job, async move {
            let owner = (id, miner);
            let (computation, bound) = gathered(&bench, &chain, owner, bound).await?;
            let blob = bench.blob(commitment.blob, commitment.blob_bytes).await?;
            let work = Work::Audit(Sort {
                kind: id.kind,
                trust: Trust::Newcomer,
            });
            let device = bench.device();
            let computed = bench.compute_now(work, move || match wanted {
                Wanted::Segment => {
                    let retaken = computation.retake(&bound, &blob, &device)?;
                    anyhow::Ok(Outcome::Retaken(Box::new(retaken)))
                }
                Wanted::Step(index) => {
                    let traced = computation.trace(&bound, index, &device)?;
                    Ok(Outcome::Traced(traced))
                }
            });
            computed.await?
        });
    }
}

async fn gathered(
    bench: &Workbench,
    chain: &Chain,
    owner: (UnitId, protocol::Address),
    mut bound: Bound,
) -> Result<(Computation, Bound)> {
    let id = owner.0;
    let (recipe, context, inputs) = chain
        .view(|view| about(view, id))
        .with_context(|| format!("unit {id} is not of the current step"))?;
    let recipe = (chain.id(), recipe);
    let inputs = (&inputs[..], bound.feedback);
    let computation = Computation::gather(bench, recipe, &context, owner, inputs).await?;
    computation.fetch_states(bench, &mut bound).await?;
    Ok((computation, bound))
}
