//! Units of another engine beside the exact one: what calibration adds up and controls repeat.

use super::{Margins, Response, calibrate::CLIP_MICRO, distances};
use engine::{Device, Generation, GenerationOptions, GenerationRequest, Parameters, bf16_bits};
use miner::{
    ExecuteError, RolloutInputs, World, model::number, projection::project, rollout::Draw,
};
use protocol::{
    Address, ChainId, CheckpointId, RunId, Step,
    proof::toploc::{self, Activations, Agreement, Layout, Rule, Thresholds},
    recipe::Recipe,
    rollout::{PROOF_CHUNK_TOKENS, PROOF_TOP_COUNT},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use std::ops::Range;

/// Everything agrees well enough to be told how far.
const ANY: Rule = Rule::Tolerant(Thresholds {
    exponent_mismatches_max: u32::MAX,
    mantissa_mean_thousandths_max: u32::MAX,
    mantissa_median_max: u32::MAX,
});

/// How far a unit differs from the exact engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distance {
    /// All of its tokens.
    pub margins: Margins,
    /// Those of each response.
    pub responses: Vec<Margins>,
    /// Its activations, chunk by chunk; a chunk that agrees in nothing is missing.
    pub proofs: Vec<Agreement>,
    /// Chunks that agree in nothing.
    pub strangers_count: u64,
    /// Of the projections of every fed token.
    pub projections: Vec<u64>,
}

/// Measures generations of a unit, by group and slot as `draw` has them.
///
/// # Errors
/// Tokens that the model cannot take.
pub fn distance(
    inputs: &RolloutInputs<'_>,
    draw: &Draw<'_>,
    generations: &[Generation],
    device: &Device,
) -> Result<Distance, ExecuteError> {
    let groups = draw.prompts.iter().zip(&draw.seeds);
    let places = groups.flat_map(|(prompt, seeds)| seeds.iter().map(move |seed| (prompt, seed)));
    let responses: Vec<_> = places
        .zip(generations)
        .map(|((prompt, seed), generation)| Response {
            prompt,
            tokens: &generation.tokens,
            seed: *seed,
        })
        .collect();
    let temperature = number(inputs.recipe.reinforce.temperature);
    let continuations: Vec<_> = responses.iter().map(Response::continuation).collect();
    let passes = device.replay(inputs.model, &continuations)?;
    let mut distance = Distance {
        responses: Margins::of_passes(&responses, &passes, temperature, CLIP_MICRO),
        ..Distance::default()
    };
    for one in &distance.responses {
        distance.margins.merge(one);
    }
    let width = inputs.model.config().hidden_size;
    for (response, (generation, pass)) in responses.iter().zip(generations.iter().zip(&passes)) {
        let split = response.prompt.len();
        let projected = |hidden: &[f32]| project(hidden, &response.seed, width);
        let apart = distances(&projected(&generation.hidden), &projected(&pass.hidden));
        distance.projections.extend(apart);
        match agreements((width, split), &generation.hidden, &pass.hidden)? {
            Some(agreements) => distance.proofs.extend(agreements),
            None => distance.strangers_count += 1,
        }
    }
    Ok(distance)
}

/// How far proofs of `theirs` agree with `ours`, both `[tokens, width]` with a prompt of `split`
/// tokens; nothing if a chunk agrees in nothing.
fn agreements(
    (width, split): (usize, usize),
    theirs: &[f32],
    ours: &[f32],
) -> Result<Option<Vec<Agreement>>, ExecuteError> {
    let layout = Layout {
        hidden: width,
        prefill_tokens: split,
        chunk_tokens: PROOF_CHUNK_TOKENS,
        top_count: PROOF_TOP_COUNT,
    };
    let bits = |values: &[f32]| -> Vec<u16> { values.iter().map(|v| bf16_bits(*v)).collect() };
    let (theirs, ours) = (bits(theirs), bits(ours));
    let proofs = toploc::build(&Activations::new(&theirs, layout)?)?;
    Ok(toploc::verify(&proofs, &Activations::new(&ours, layout)?, ANY).ok())
}

/// Units as a run would assign them, for another engine to draw.
#[derive(Clone, Copy, Debug)]
pub struct Tasks<'a> {
    /// The run's.
    pub recipe: &'a Recipe,
    /// The weights that every engine runs.
    pub model: &'a Parameters,
    /// Names the weights.
    pub checkpoint: CheckpointId,
    /// Gives other tasks for other numbers.
    pub seed: u32,
}

impl Tasks<'_> {
    /// Has units drawn by `other`, all in one batch, and measures each.
    ///
    /// # Errors
    /// What `other` says, or a recipe that cannot be executed.
    pub fn measure<E: From<ExecuteError>>(
        &self,
        indexes: Range<u32>,
        device: &Device,
        other: impl FnOnce(&[GenerationRequest], &GenerationOptions) -> Result<Vec<Generation>, E>,
    ) -> Result<Vec<Distance>, E> {
        let world = World::of(self.recipe)?;
        let tasks: Vec<RolloutTask> = indexes.map(|index| self.task(index)).collect();
        let inputs: Vec<RolloutInputs<'_>> = tasks.iter().map(|task| self.inputs(task)).collect();
        let draws = inputs.iter().map(|inputs| Draw::assigned(inputs, &world));
        let draws: Vec<Draw<'_>> = draws.collect();
        let mut requests = Vec::new();
        let mut counts = Vec::new();
        let mut options = None;
        for draw in &draws {
            let (own, same) = draw.requests(&world);
            counts.push(own.len());
            requests.extend(own);
            options = Some(same);
        }
        let Some(options) = options else {
            return Ok(Vec::new());
        };
        let generations = other(&requests, &options)?;
        let mut rest = generations.as_slice();
        let mut distances = Vec::with_capacity(draws.len());
        for ((inputs, draw), count) in inputs.iter().zip(&draws).zip(counts) {
            let (own, others) = rest.split_at(count.min(rest.len()));
            rest = others;
            distances.push(distance(inputs, draw, own, device)?);
        }
        Ok(distances)
    }

    fn inputs<'b>(&'b self, task: &'b RolloutTask) -> RolloutInputs<'b> {
        RolloutInputs {
            task,
            recipe: self.recipe,
            model: self.model,
        }
    }

    /// The task of a unit, with a beacon of its own.
    #[must_use]
    pub fn task(&self, index: u32) -> RolloutTask {
        let mut beacon = [0xca; 32];
        beacon[..4].copy_from_slice(&index.to_le_bytes());
        beacon[4..8].copy_from_slice(&self.seed.to_le_bytes());
        RolloutTask {
            chain: ChainId::from_bytes([0xca; 32]),
            checkpoint: self.checkpoint,
            environment: self.recipe.environment,
            beacon: Beacon::from_bytes(beacon),
            unit: UnitId {
                run: RunId::ZERO,
                step: Step::ZERO,
                kind: UnitKind::Rollout,
                index,
            },
            miner: Address::from_bytes([0xca; 32]),
        }
    }
}
