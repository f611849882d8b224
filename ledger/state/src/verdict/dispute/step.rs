//! What the task says about the inner steps of a unit: their programs, and their batches.

use super::{part, rollouts::Learned};
use crate::{
    View, run,
    unit::{Challenge, Claim as Claimed, Commitment, Unit},
};
use engine_trace::{
    Kind, Model, Optimiser, Part, Program, RopeScaling, Step,
    dispute::{Claim, Number},
    schedule::{BETA1, NORM_EPSILON, correction, of_micro, of_nano, rate, warmup},
    tree::Name,
};
use environment::{Corpus, Environment, Row};
use protocol::{
    BlobId, Micro,
    gradient::{Segments, State},
    recipe::{ModelShape, Phase, Pretrain, Recipe},
    task::{Beacon, RowSource, UnitId, row_seed},
};

/// Sizes of a model, and the largest that are disputed: whatever is computed from them fits 64
/// bits, and no program is too long to be made in every block.
const fn model_sizes(model: &ModelShape) -> [(u32, u32); 8] {
    [
        (model.vocab_size, 1 << 20),
        (model.hidden_size, 1 << 20),
        (model.intermediate_size, 1 << 20),
        (model.layers_count, 1 << 8),
        (model.heads_count, 1 << 10),
        (model.key_value_heads_count, 1 << 10),
        (model.head_dim, 1 << 10),
        (model.positions_max, 1 << 20),
    ]
}

/// Those of a batch; a part of a reinforcement unit says its own ([`part::frame`]).
const fn batch_sizes(pretrain: &Pretrain) -> [(u32, u32); 3] {
    let rows = pretrain.corpus_rows_count;
    let rows = rows.saturating_add(pretrain.demonstration_rows_count);
    [
        (pretrain.inner_steps_count, 1 << 12),
        (pretrain.corpus_row_tokens, 1 << 16),
        (rows, 1 << 14),
    ]
}

/// The task of a unit whose steps can be disputed.
pub(super) struct Task {
    pub(super) id: UnitId,
    pub(super) recipe: Recipe,
    pub(super) commitment: Commitment,
    pub(super) challenge: Challenge,
    /// The weights of the step's checkpoint.
    pub(super) weights: BlobId,
    /// The file of what updates lost before; nothing where that is zeros.
    pub(super) feedback: Option<BlobId>,
    /// What a reinforcement unit learns from; nothing of pre-training.
    pub(super) learned: Option<Learned>,
    beacon: Beacon,
    pub(super) environment: &'static dyn Environment,
    corpus: &'static Corpus,
}

impl Task {
    /// The task; nothing where the chain does not know all that the steps follow from.
    pub(super) fn of(view: &View<'_>, id: UnitId, unit: &Unit) -> Option<Self> {
        let recipe = run::recipe(view, id.run)?;
        let phase = recipe.phase(id.step)?;
        let is_small = |(size, limit): &(u32, u32)| (1..=*limit).contains(size);
        let is_batch_small = match phase {
            Phase::Pretrain => batch_sizes(&recipe.pretrain).iter().all(is_small),
            Phase::Reinforce => true,
        };
        let heads = (recipe.model.heads_count, recipe.model.key_value_heads_count);
        let is_whole = is_batch_small
            && model_sizes(&recipe.model).iter().all(is_small)
            && heads.0.is_multiple_of(heads.1)
            && recipe.model.head_dim.is_multiple_of(2);
        if !is_whole {
            return None;
        }
        let learned = match phase {
            Phase::Pretrain => None,
            Phase::Reinforce => Some(Learned::of(view, id)?),
        };
        let task = Self {
            learned,
            id,
            commitment: unit.commitment.clone()?,
            challenge: unit.challenge?,
            weights: run::weights(view, id.run, id.step)?,
            feedback: unit.feedback,
            beacon: run::beacon(view, id.run, id.step)?,
            environment: environment::by_hash(recipe.environment.as_bytes())?,
            corpus: Corpus::by_hash(recipe.corpus.as_bytes())?,
            recipe,
        };
        // Of a unit whose update alone is judged no part is.
        let is_whole = task.learned.is_none() || task.challenge.is_update();
        let is_countable = is_whole || part::frame(&task).is_some();
        is_countable.then_some(task)
    }
    /// How much of what updates lost before counts, where updates are sparse; where they are
    /// dense, a block of the update follows from a piece of each weights.
    pub(super) fn feedback_decay(&self) -> Option<Micro> {
        self.recipe.pretrain.update.feedback_decay()
    }
    /// The file of what the update lost, as the miner bound it.
    pub(super) const fn bound_feedback(&self) -> Option<BlobId> {
        match self.commitment.claim {
            Claimed::Gradient { feedback, .. } => feedback,
            Claimed::Rollout { .. } => None,
        }
    }
    /// How the unit's steps are cut.
    pub(super) const fn segments(&self) -> Segments {
        self.recipe.segments(self.id.step)
    }
    /// The inner step at an index of the segment.
    pub(super) fn inner_step(&self, index: u32) -> u32 {
        let segment = self.segments().steps(self.challenge.segment);
        segment.start.saturating_add(index)
    }
    /// Where the segment starts; nothing of the first, which starts from the checkpoint.
    pub(super) const fn start(&self) -> Option<State> {
        self.challenge.start
    }
    /// Weights that the whole unit gives.
    pub(super) fn last_weights(&self) -> Option<BlobId> {
        let last = self.challenge.last.or(self.challenge.end);
        last.map(|state| state.weights)
    }

    /// Numbers of the model's weights.
    pub(super) fn parameters_count(&self) -> u64 {
        model(&self.recipe.model).parameters_count()
    }
    /// The program of an inner step.
    pub(super) fn program(&self, inner_step: u32) -> Program {
        let pretrain = &self.recipe.pretrain;
        Program::new(Step {
            model: model(&self.recipe.model),
            parts: self.parts().map(|(_, part)| part).collect(),
            optimiser: optimiser(pretrain, inner_step),
        })
    }
    /// The parts of every batch, without empty ones.
    fn parts(&self) -> impl Iterator<Item = (RowSource, Part)> {
        let pretrain = &self.recipe.pretrain;
        let demonstration = Row::demonstration_length(self.environment) as u64;
        let part = |source, rows_count: u32, length| {
            let sequences_count = rows_count.into();
            let part = Part {
                sequences_count,
                length,
            };
            (source, part)
        };
        let text = u64::from(pretrain.corpus_row_tokens).saturating_sub(1);
        let parts = [
            part(RowSource::Corpus, pretrain.corpus_rows_count, text),
            part(
                RowSource::Demonstration,
                pretrain.demonstration_rows_count,
                demonstration,
            ),
        ];
        parts.into_iter().filter(|(_, part)| part.rows_count() > 0)
    }
    /// A number of a step's batch, which follows from the beacon: its bits.
    pub(super) fn number(&self, inner_step: u32, program: &Program, number: Number) -> Option<u64> {
        let tensor = program.tensors().get(number.place as usize)?;
        let (source, part) = self.parts().nth(tensor.part)?;
        let row = u32::try_from(number.index.checked_div(part.length)?).ok()?;
        let position = usize::try_from(number.index.checked_rem(part.length)?).ok()?;
        let seed = row_seed(&self.beacon, self.id, inner_step, source, row);
        let row = match source {
            RowSource::Corpus => {
                let tokens = self.recipe.pretrain.corpus_row_tokens as usize;
                Row::text(self.corpus, &seed, tokens)
            }
            RowSource::Demonstration => Row::demonstration(self.environment, &seed),
        };
        let counts = |counts: &bool| u64::from(if *counts { 1.0_f32.to_bits() } else { 0 });
        if tensor.kind == Kind::RowWeights {
            return row.counts.get(position).map(counts);
        }
        let tokens = if tensor.kind == Kind::Tokens {
            row.tokens
        } else {
            row.targets
        };
        tokens.get(position).copied().map(u64::from)
    }
}

/// The names of a step's start and end, as the miner claims them.
pub(super) fn claim(
    (weights, start): (BlobId, Option<State>),
    loss_micro: i64,
    end: &State,
) -> Claim {
    let name = |file: BlobId| *file.as_bytes();
    let moments = |state: &State| {
        let moments = state.moments;
        moments.map(|moments| [name(moments.first), name(moments.second)])
    };
    let ends: [Option<Name>; 2] = match moments(end) {
        Some([first, second]) => [Some(first), Some(second)],
        None => [None, None],
    };
    let weights = start.map_or(name(weights), |state| name(state.weights));
    let before = start.as_ref().and_then(moments);
    Claim {
        given: [
            Some(weights),
            before.map(|[first, _]| first),
            before.map(|[_, second]| second),
        ],
        results: [
            Some(engine_trace::dispute::loss_name(loss_micro)),
            ends[0],
            ends[1],
            Some(name(end.weights)),
        ],
    }
}

pub(super) fn model(shape: &ModelShape) -> Model {
    let &ModelShape {
        vocab_size,
        hidden_size,
        intermediate_size,
        layers_count,
        heads_count,
        key_value_heads_count,
        head_dim,
        rope_theta,
        positions_max: _,
    } = shape;
    #[expect(
        clippy::cast_precision_loss,
        reason = "rounds to nearest, as the engine does"
    )]
    let rope_theta = rope_theta as f32;
    Model {
        vocab_size: vocab_size.into(),
        hidden_size: hidden_size.into(),
        intermediate_size: intermediate_size.into(),
        layers_count,
        heads_count: heads_count.into(),
        key_heads_count: key_value_heads_count.into(),
        head_dim: head_dim.into(),
        eps: NORM_EPSILON,
        rope_theta,
        rope_scaling: RopeScaling::Default,
        has_biases: false,
        has_head_norms: false,
        is_tied: true,
    }
}

fn optimiser(pretrain: &Pretrain, inner_step: u32) -> Optimiser {
    let (before, step) = (
        u64::from(inner_step),
        u64::from(inner_step).saturating_add(1),
    );
    let beta2 = of_micro(pretrain.beta2.get());
    let factor = warmup(before, pretrain.warmup_steps_count.into());
    Optimiser {
        lr: rate(pretrain.learning_rate.get(), factor),
        beta1: BETA1,
        beta2,
        eps: of_nano(pretrain.epsilon_nano),
        decay: of_micro(pretrain.weight_decay.get()),
        correction1: correction(BETA1, step),
        correction2: correction(beta2, step),
        norm_max: of_micro(pretrain.gradient_norm_max.get()),
    }
}
