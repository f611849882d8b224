//! Disputing: a miner that appealed shows what it computed, move by move, until an operation is
//! left that the chain computes itself.

use super::{Miner, making::Made};
use crate::{
    computation::{Bound, Sent, States, Traced},
    local::{Sort, Trust, Work as Spent},
    rpc::work::{DisputedUnit, StepContext, Work},
};
use anyhow::{Context as _, Result};
use ledger_state::{
    unit::Claim,
    verdict::dispute::{Move, Place, players},
};
use protocol::{recipe::Recipe, task::UnitId, transaction::Body};
use std::sync::Arc;

/// What a miner computed for a dispute, and about what.
#[derive(Debug)]
pub(super) enum Shown {
    /// Its first move, about the steps of the segment.
    Steps(UnitId, Move),
    /// Every number of the step at an index.
    Step((UnitId, u32), Traced),
    /// What its update follows from, and the file of what a sparse one lost.
    Sent(UnitId, Box<(Sent, Vec<u8>)>),
}

impl Shown {
    /// The unit that it is about.
    pub(super) const fn unit(&self) -> UnitId {
        match self {
            Self::Steps(unit, _) | Self::Step((unit, _), _) | Self::Sent(unit, _) => *unit,
        }
    }
}

impl Miner {
    /// Makes the move that is due, or computes what it takes.
    pub(super) async fn dispute(
        &mut self,
        context: &StepContext,
        disputed: &DisputedUnit,
        work: &Work,
    ) -> Result<()> {
        let unit = disputed.unit;
        let play = match (&disputed.dispute.place, &self.shown) {
            (Place::Steps, Some(Shown::Steps(about, play))) if *about == unit => Some(play.clone()),
            (place, Some(Shown::Step((about, step), traced)))
                if *about == unit && Traced::step(place) == Some(*step) =>
            {
                traced.answer(&disputed.dispute)
            }
            (
                place @ (Place::Chunk { .. } | Place::Feedback { .. } | Place::Norm(_)),
                Some(Shown::Sent(about, own)),
            ) if *about == unit => own.0.answer(place, &own.1),
            _ => None,
        };
        let Some(play) = play else {
            self.show(context, disputed).await;
            return Ok(());
        };
        let play = play.encode()?;
        self.submit(&Body::Dispute { unit, play }, work).await
    }
    async fn show(&mut self, context: &StepContext, disputed: &DisputedUnit) {
        let unit = disputed.unit;
        // The clock runs while another unit is computed, which may take longer.
        if !self.showing.wants(unit) {
            return;
        }
        let inputs = (&disputed.inputs[..], disputed.feedback);
        let Some(computation) = self.gathered(context, unit, inputs).await else {
            return;
        };
        let Ok(recipe) = self.recipe(context.run).await else {
            return;
        };
        let Ok(kept) = self.lost_by(disputed) else {
            return;
        };
        let (bench, disputed) = (Arc::clone(&self.bench), disputed.clone());
        self.showing.begin(unit, async move {
            let computation = computation.await?;
            let mut bound = bound(&disputed);
            computation.fetch_states(&bench, &mut bound).await?;
            let blob = bench.blobs.get(&disputed.blob)?;
            let blob = blob.context("the unit's blob is gone")?;
            let (kind, trust) = (unit.kind, Trust::Newcomer);
            let spent = Spent::Mining(Sort { kind, trust });
            let device = bench.device();
            let shown = bench.compute_now(spent, move || match disputed.dispute.place {
                Place::Step { .. }
                | Place::Plan
                | Place::Part { .. }
                | Place::Walk { .. }
                | Place::Group(_)
                | Place::Token { .. } => {
                    let index = Traced::step(&disputed.dispute.place).unwrap_or(0);
                    let traced = computation.trace(&bound, index, &device)?;
                    anyhow::Ok(Shown::Step((unit, index), traced))
                }
                Place::Chunk { .. } | Place::Feedback { .. } | Place::Norm(_) => {
                    let retaken = computation.retake(&bound, &blob, &device)?;
                    let own = retaken.sent.context("its update follows in one move")?;
                    let kept = match (&own, kept) {
                        (_, Some(kept)) => kept,
                        (Sent::Sparse(exchange), None) => exchange.left(),
                        (Sent::Clipped(_), None) => Vec::new(),
                    };
                    Ok(Shown::Sent(unit, Box::new((own, kept))))
                }
                Place::Steps | Place::Complaint | Place::Over { .. } => {
                    let retaken = computation.retake(&bound, &blob, &device)?;
                    let taken = retaken.taken.iter();
                    let mut states: Vec<_> = taken.map(|taken| taken.state).collect();
                    // The last is where the segment ends, which is shown.
                    states.pop();
                    let steps = steps(&recipe, &disputed);
                    Ok(Shown::Steps(unit, players::steps(states, steps, &blob)))
                }
            });
            Ok(Made::Shown(shown.await??))
        });
    }
}

impl Miner {
    /// The file that it bound of what a unit's update lost, if it has it.
    fn lost_by(&self, disputed: &DisputedUnit) -> Result<Option<Vec<u8>>> {
        match disputed.claim {
            Claim::Gradient {
                feedback: Some(name),
                ..
            } => self.feedbacks.read(name),
            Claim::Gradient { feedback: None, .. } | Claim::Rollout { .. } => Ok(None),
        }
    }
}

/// The inner steps that are disputed.
fn steps(recipe: &Recipe, disputed: &DisputedUnit) -> std::ops::Range<u32> {
    let segments = recipe.segments(disputed.unit.step);
    segments.steps(disputed.challenge.segment)
}

fn bound(disputed: &DisputedUnit) -> Bound {
    Bound {
        claim: disputed.claim,
        opened: None,
        plant: None,
        class: None,
        challenge: Some(disputed.challenge),
        feedback: disputed.feedback,
        states: States::default(),
    }
}
