//! What a dispute about a unit takes: its segment again, every number of a step, and what its
//! update follows from.

use super::{Bound, Computation, Work, restored};
use anyhow::{Context as _, Result, bail};
use engine::{
    Device,
    trace::Trace,
    trainer::{InnerState, file},
};
use ledger_state::{
    unit::{Challenge, Claim},
    verdict::dispute::{
        Move, Taken,
        players::{self, Exchange},
    },
};
use miner::{
    World,
    gradient::{GradientInputs, Start, pretrain},
};
use protocol::gradient;

/// What either side of a dispute finds of a segment.
#[derive(Clone, Debug)]
pub struct Retaken {
    /// Where each step leads; nothing where no step is disputed.
    pub taken: Vec<Taken>,
    /// What is wrong about the update in the blob, or what it is said to lose; nothing if both are
    /// right.
    pub wrong: Option<Move>,
    /// What a sparse update follows from.
    pub exchange: Option<Exchange>,
}

impl Computation {
    /// Takes the judged segment of a pre-training unit again, from where its miner says that it
    /// starts, and says where each step led; and what is wrong about the update in the blob.
    ///
    /// # Errors
    /// When the unit is of another kind, or its files are not of the model.
    pub fn retake(&self, bound: &Bound, blob: &[u8], device: &Device) -> Result<Retaken> {
        let (inputs, challenge, start) = self.segment(bound)?;
        let world = World::of(&self.recipe)?;
        let segment = (challenge.segment, start.as_ref());
        let shown = bound.states.last.clone();
        let (taken, last) = match shown {
            // No step is disputed.
            Some(last) if challenge.is_update() => (Vec::new(), last),
            shown => {
                let (taken, end) = pretrain::retake(&inputs, segment, &world, device)?;
                (taken, shown.unwrap_or_else(|| file::write(&end)))
            }
        };
        let taken = taken.into_iter();
        let taken = taken.map(|(state, loss_micro)| Taken { state, loss_micro });
        let taken = taken.collect();
        let before = file::write(inputs.model.as_slice());
        let segments = miner::gradient::segments(&inputs);
        let losses_count = self.recipe.pretrain.inner_steps_count;
        let update_byte = gradient::Payload::update_byte(losses_count, segments.count());
        let form = self.recipe.update(self.unit.step);
        let Some(decay) = form.feedback_decay() else {
            return Ok(Retaken {
                taken,
                wrong: players::update(blob, update_byte, (&before, &last)),
                exchange: None,
            });
        };
        let exchange = Exchange {
            decay: miner::model::number(decay),
            before,
            after: last,
            lost: self.feedback.as_deref().map(file::write),
            blob: blob.to_vec(),
            update_byte,
        };
        let named = match bound.claim {
            Claim::Gradient { feedback, .. } => feedback,
            Claim::Rollout { .. } => None,
        };
        Ok(Retaken {
            taken,
            wrong: exchange.complaint(named),
            exchange: Some(exchange),
        })
    }
    /// Every number of an inner step of the judged segment, by its index in it.
    ///
    /// # Errors
    /// As [`Self::retake`].
    pub fn trace(&self, bound: &Bound, index: u32, device: &Device) -> Result<Trace> {
        let (inputs, challenge, start) = self.segment(bound)?;
        let world = World::of(&self.recipe)?;
        let segment = (challenge.segment, start.as_ref());
        Ok(pretrain::trace(&inputs, segment, index, &world, device)?)
    }
    /// The judged segment of a pre-training unit, and the state that it starts from; nothing of
    /// the first.
    fn segment<'a>(
        &'a self,
        bound: &Bound,
    ) -> Result<(GradientInputs<'a>, Challenge, Option<InnerState>)> {
        let Work::Gradient {
            beacon,
            learned: None,
        } = &self.work
        else {
            bail!("unit {} is not one of pre-training", self.unit);
        };
        let challenge = bound.challenge.context("the unit has no drawn segment")?;
        let inputs = self.gradient_inputs(beacon, None);
        let start = match &bound.states.start {
            Some(files) => match restored(&inputs, challenge, files) {
                Some(Start::Training(state)) => Some(*state),
                Some(Start::Gradient(_)) | None => bail!("a state is of another model"),
            },
            None => None,
        };
        Ok((inputs, challenge, start))
    }
}
