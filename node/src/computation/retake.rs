//! What a dispute about a unit takes: its segment again, every number of a step or part, and what
//! its update follows from.

use super::{Bound, Computation, Work, restored};
use anyhow::{Context as _, Result, bail};
use engine::{
    Device,
    trace::{Trace, dispute},
    trainer::{InnerState, file},
};
use ledger_state::{
    unit::{Challenge, Claim},
    verdict::dispute::{
        Dispute, Move, Place, Taken,
        players::{self, Clipped, Exchange, Part, Rollout},
    },
};
use miner::{
    World,
    gradient::{Generation, GradientInputs, Start, pretrain, reinforce},
};
use protocol::gradient::Payload;

/// What either side of a dispute finds of a segment.
#[derive(Clone, Debug)]
pub struct Retaken {
    /// Where each step leads; nothing where no step is disputed.
    pub taken: Vec<Taken>,
    /// What is wrong about the update in the blob, or what it is said to lose; nothing if both are
    /// right.
    pub wrong: Option<Move>,
    /// What the update follows from, where that takes more than one move.
    pub sent: Option<Sent>,
}

/// What an update follows from that is disputed in several moves.
#[derive(Clone, Debug)]
pub enum Sent {
    /// A sparse one.
    Sparse(Exchange),
    /// Of a reinforcement unit.
    Clipped(Clipped),
}

impl Sent {
    /// What its miner answers, which bound `kept` as what a sparse one lost.
    #[must_use]
    pub fn answer(&self, place: &Place, kept: &[u8]) -> Option<Move> {
        match self {
            Self::Sparse(exchange) => exchange.answer(place, kept),
            Self::Clipped(clipped) => clipped.answer(place),
        }
    }
    /// What the challenger shows; nothing if all is right.
    #[must_use]
    pub fn question(&self, place: &Place) -> Option<Move> {
        match self {
            Self::Sparse(exchange) => exchange.question(place),
            Self::Clipped(clipped) => clipped.question(place),
        }
    }
}

impl Computation {
    /// Takes the judged segment of a gradient unit again, from where its miner says that it starts,
    /// and says where each step led, and what is wrong about the update in the blob.
    ///
    /// # Errors
    /// When the unit is of another kind, or its files are not of the model.
    pub fn retake(&self, bound: &Bound, blob: &[u8], device: &Device) -> Result<Retaken> {
        let (inputs, challenge, start) = self.segment(bound)?;
        if let Some(generation) = &inputs.generation {
            let judged = (bound, challenge, gradient(start.as_ref())?);
            return self.retake_part(&inputs, generation, judged, blob, device);
        }
        let world = World::of(&self.recipe)?;
        let segment = (challenge.segment, training(start.as_ref())?);
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
        let update_byte = Payload::update_byte(losses_count, segments.count());
        let form = self.recipe.update(self.unit.step);
        let Some(decay) = form.feedback_decay() else {
            return Ok(Retaken {
                taken,
                wrong: players::update(blob, update_byte, (&before, &last)),
                sent: None,
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
            sent: Some(Sent::Sparse(exchange)),
        })
    }
    /// Every number of an inner step of the judged segment, by its index in it; of a reinforcement
    /// unit, of the part that the segment is.
    ///
    /// # Errors
    /// As [`Self::retake`].
    pub fn trace(&self, bound: &Bound, index: u32, device: &Device) -> Result<Traced> {
        let (inputs, challenge, start) = self.segment(bound)?;
        let world = World::of(&self.recipe)?;
        if let Some(generation) = &inputs.generation {
            let part = (challenge.segment, gradient(start.as_ref())?);
            return self.part(&inputs, generation, part, device);
        }
        let segment = (challenge.segment, training(start.as_ref())?);
        let trace = pretrain::trace(&inputs, segment, index, &world, device)?;
        Ok(Traced::Step(Box::new(trace)))
    }
    fn part(
        &self,
        inputs: &GradientInputs<'_>,
        generation: &Generation<'_>,
        (index, start): (u32, Option<&[f32]>),
        device: &Device,
    ) -> Result<Traced> {
        let world = World::of(&self.recipe)?;
        let groups = reinforce::groups(&self.recipe, &world, generation);
        let part = (index, start);
        let trace = reinforce::trace(inputs, generation, part, &groups, device)?;
        let plan = reinforce::plan(&self.recipe, &world, generation)?;
        let Work::Gradient {
            learned: Some(learned),
            ..
        } = &self.work
        else {
            bail!("unit {} learns from no rollouts", self.unit);
        };
        let groups_count = self.recipe.reinforce.groups_per_unit_count;
        let rollouts = learned.rollouts.iter().zip(&learned.bound);
        let rollouts = rollouts.map(|((task, _), payload)| Rollout {
            payload: payload.clone(),
            prompts: world.prompts(task, groups_count),
        });
        Ok(Traced::Part(Box::new(Part {
            trace,
            plan,
            index,
            parts_count: miner::gradient::segments(inputs).count(),
            rollouts: rollouts.collect(),
        })))
    }
    /// The judged segment of a gradient unit, and the state that it starts from; nothing of the
    /// first.
    fn segment<'a>(
        &'a self,
        bound: &Bound,
    ) -> Result<(GradientInputs<'a>, Challenge, Option<Start>)> {
        let Work::Gradient { beacon, learned } = &self.work else {
            bail!("unit {} is no gradient", self.unit);
        };
        let challenge = bound.challenge.context("the unit has no drawn segment")?;
        let inputs = self.gradient_inputs(beacon, learned.as_ref());
        let start = match &bound.states.start {
            Some(files) => {
                let start = restored(&inputs, challenge, files);
                Some(start.context("a state is of another model")?)
            }
            None => None,
        };
        Ok((inputs, challenge, start))
    }
    /// The part that is judged of a reinforcement unit, computed again, and what its update follows
    /// from: the sum that its miner has shown, or that of the last part.
    fn retake_part(
        &self,
        inputs: &GradientInputs<'_>,
        generation: &Generation<'_>,
        (bound, challenge, start): (&Bound, Challenge, Option<&[f32]>),
        blob: &[u8],
        device: &Device,
    ) -> Result<Retaken> {
        let shown = bound.states.last.clone();
        let (taken, sum) = match shown {
            // No part is disputed.
            Some(last) if challenge.is_update() => (Vec::new(), last),
            shown => {
                let world = World::of(&self.recipe)?;
                let groups = reinforce::groups(&self.recipe, &world, generation);
                let part = (challenge.segment, start);
                let added = reinforce::retake(inputs, generation, part, &groups, device)?;
                let taken = Taken {
                    state: added.state,
                    loss_micro: added.loss_micro,
                };
                let own = || file::write(&added.sum);
                (vec![taken], shown.unwrap_or_else(own))
            }
        };
        let segments = miner::gradient::segments(inputs);
        let clipped = Clipped {
            sum,
            blob: blob.to_vec(),
            update_byte: Payload::update_byte(segments.all().end, segments.count()),
        };
        Ok(Retaken {
            taken,
            wrong: clipped.complaint(),
            sent: Some(Sent::Clipped(clipped)),
        })
    }
}

/// Where a segment of pre-training starts.
fn training(start: Option<&Start>) -> Result<Option<&InnerState>> {
    match start {
        None => Ok(None),
        Some(Start::Training(state)) => Ok(Some(state)),
        Some(Start::Gradient(_)) => bail!("a state is of another phase"),
    }
}

/// What a part of a reinforcement unit starts from.
fn gradient(start: Option<&Start>) -> Result<Option<&[f32]>> {
    match start {
        None => Ok(None),
        Some(Start::Gradient(sum)) => Ok(Some(sum)),
        Some(Start::Training(_)) => bail!("a state is of another phase"),
    }
}

/// Every number of what is played about.
#[derive(Clone, Debug)]
pub enum Traced {
    /// Of an inner step.
    Step(Box<Trace>),
    /// Of a part of a reinforcement unit, with its plan.
    Part(Box<Part>),
}

impl Traced {
    /// The index in the segment of the step that a dispute has come to; nothing while it is about
    /// something else. A part of a reinforcement unit is one step.
    #[must_use]
    pub const fn step(place: &Place) -> Option<u32> {
        match place {
            Place::Step { index, .. } => Some(*index),
            Place::Plan
            | Place::Part { .. }
            | Place::Walk { .. }
            | Place::Group(_)
            | Place::Token { .. } => Some(0),
            Place::Steps
            | Place::Complaint
            | Place::Chunk { .. }
            | Place::Feedback { .. }
            | Place::Norm(_)
            | Place::Over { .. } => None,
        }
    }
    /// What the miner that computed this answers.
    #[must_use]
    pub fn answer(&self, dispute: &Dispute) -> Option<Move> {
        match (self, &dispute.place) {
            (Self::Step(trace), Place::Step { game, .. }) => {
                dispute::answer(game, trace).map(Move::Answer)
            }
            (Self::Step(_), _) => None,
            (Self::Part(part), _) => part.answer(dispute),
        }
    }
    /// What the challenger that computed this asks; nothing if all is right.
    #[must_use]
    pub fn question(&self, dispute: &Dispute) -> Option<Move> {
        match (self, &dispute.place) {
            (Self::Step(trace), Place::Step { game, .. }) => {
                dispute::question(game, trace).map(Move::Question)
            }
            (Self::Step(_), _) => None,
            (Self::Part(part), _) => part.question(dispute),
        }
    }
}
