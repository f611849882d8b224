//! Rollout units: all samples of a few prompts, with their rewards and proofs. Spec: 02-rollout.
//!
//! The pieces are public because an audit is made of the same ones (prompts, seeds, the rule of how
//! a response ends, proofs of hidden states), and so is a cheat, which changes one of them.

use crate::{ExecuteError, World, model, parallel, projection::project};
use engine::{
    Device, Generation, GenerationOptions, GenerationRequest, Parameters, Sampling, bf16_bits,
};
use environment::END_OF_SEQUENCE;
use protocol::{
    codec::{BoundedVec, Bytes},
    proof::toploc,
    recipe::Recipe,
    rollout::{
        Correction, Finish, Group, Opened, Opening, PROOF_CHUNK_TOKENS, PROOF_TOP_COUNT, Payload,
        Salts, Sample, Seal, Section, Sections, Shown, Totals, plant, plant_seal, sketch_seal,
    },
    task::RolloutTask,
    vrf,
};
use std::borrow::Cow;

/// Reward of an exactly right response, in millionths.
pub const EXACT_MICRO: u32 = environment::Reward::EXACT.millionths();

/// Everything a rollout unit follows from.
#[derive(Clone, Copy, Debug)]
pub struct RolloutInputs<'a> {
    /// Whose unit, and its seeds.
    pub task: &'a RolloutTask,
    /// The run's recipe.
    pub recipe: &'a Recipe,
    /// The checkpoint that the task names.
    pub model: &'a Parameters,
}

/// What a miner has when a unit is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Shown to everyone.
    pub payload: Payload,
    /// Sealed until the unit is opened.
    pub sections: Sections,
    /// What undoes the fault in the payload, if one had to be planted.
    pub plant: Option<Correction>,
}

impl Work {
    /// What the miner will open, the sketch included; nothing as for [`Payload::root`].
    #[must_use]
    pub fn opening(
        &self,
        prompts: &[Vec<u32>],
        salts: &Salts,
        proof: vrf::Proof,
    ) -> Option<Opening> {
        Some(Opening {
            unit: self.payload.unit,
            leaves_root: self.payload.tree(prompts)?.root(),
            plant: self.plant,
            plant_salt: salts.plant,
            proof,
            shown: Shown::Open {
                opened: opened(&self.sections, salts),
            },
        })
    }
}

/// What the sketch of sections is made of, and the salt that seals it and them.
fn opened(sections: &Sections, salts: &Salts) -> Opened {
    Opened {
        salt: salts.sketch,
        parts: sections.parts(),
    }
}

/// Generates, rewards, proves and seals all samples of the unit.
///
/// # Errors
/// When this software cannot execute the recipe, or the model has diverged.
pub fn execute(
    inputs: &RolloutInputs<'_>,
    salts: &Salts,
    device: &Device,
) -> Result<Work, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let draw = Draw::assigned(inputs, &world);
    let generations = draw.generate(&world, device)?;
    let mut answers = answers(inputs, &world, &draw.prompts, &generations);
    let sections = sections(inputs, &draw, &generations, device)?;
    let plant = plant(inputs, &world, &mut answers, salts);
    let payload = sealed(inputs.task, answers, &sections, salts, plant)?;
    Ok(Work {
        payload,
        sections,
        plant,
    })
}

/// The same with another engine, which belongs to a tolerant class: its sections stand in the
/// open, since no auditor can make them again, and no fault is planted.
///
/// # Errors
/// What the engine says, and as above.
pub fn execute_with<E: From<ExecuteError>>(
    inputs: &RolloutInputs<'_>,
    device: &Device,
    engine: impl FnOnce(&[GenerationRequest], &GenerationOptions) -> Result<Vec<Generation>, E>,
) -> Result<Work, E> {
    let world = World::of(inputs.recipe)?;
    let draw = Draw::assigned(inputs, &world);
    let (requests, options) = draw.requests(&world);
    let generations = engine(&requests, &options)?;
    let answers = answers(inputs, &world, &draw.prompts, &generations);
    let sections = sections(inputs, &draw, &generations, device)?;
    let sealed = sealed(inputs.task, answers, &sections, &Salts::OPEN, None)?;
    let payload = Payload {
        sections: Some(sections.clone()),
        ..sealed
    };
    Ok(Work {
        payload,
        sections,
        plant: None,
    })
}

/// How the samples of a unit are drawn. An honest miner has exactly one.
#[derive(Clone, Debug)]
pub struct Draw<'a> {
    /// The weights, borrowed from the task's checkpoint.
    pub model: Cow<'a, Parameters>,
    /// By group.
    pub prompts: Vec<Vec<u32>>,
    /// By group and slot.
    pub seeds: Vec<Vec<[u8; 32]>>,
    /// How a token follows from logits.
    pub sampling: Sampling,
}

impl<'a> Draw<'a> {
    /// The one that the task assigns.
    #[must_use]
    pub fn assigned(inputs: &RolloutInputs<'a>, world: &World) -> Self {
        let reinforce = &inputs.recipe.reinforce;
        let groups = 0..reinforce.groups_per_unit_count;
        let seeds = |group| {
            (0..reinforce.samples_per_group_count)
                .map(|slot| inputs.task.sample_seed(group, slot))
                .collect()
        };
        Self {
            model: Cow::Borrowed(inputs.model),
            prompts: world.prompts(inputs.task, reinforce.groups_per_unit_count),
            seeds: groups.map(seeds).collect(),
            sampling: Sampling::Gumbel {
                temperature: model::number(reinforce.temperature),
            },
        }
    }

    /// What an engine is asked for: all samples, group after group, and how long they may be.
    #[must_use]
    pub fn requests(&self, world: &World) -> (Vec<GenerationRequest>, GenerationOptions) {
        let groups = self.prompts.iter().zip(&self.seeds);
        let requests = groups.flat_map(|(prompt, seeds)| {
            seeds.iter().map(|seed| GenerationRequest {
                prompt: prompt.clone(),
                seed: *seed,
            })
        });
        let options = GenerationOptions {
            sampling: self.sampling,
            tokens_max: world.environment.response_tokens_max(),
            eos: END_OF_SEQUENCE,
        };
        (requests.collect(), options)
    }

    /// All samples, group after group.
    ///
    /// # Errors
    /// A prompt that the model cannot take.
    pub fn generate(
        &self,
        world: &World,
        device: &Device,
    ) -> Result<Vec<Generation>, ExecuteError> {
        let (requests, options) = self.requests(world);
        Ok(device.generate(&self.model, &requests, &options)?)
    }
}

/// A sample as it is shown, without its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Response token ids.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Reward in millionths.
    pub reward_micro: u32,
}

/// Ends and rewards all samples: by group and slot.
#[must_use]
pub fn answers(
    inputs: &RolloutInputs<'_>,
    world: &World,
    prompts: &[Vec<u32>],
    generations: &[Generation],
) -> Vec<Vec<Answer>> {
    let groups = prompts.iter().zip(generations.chunks(per_group(inputs)));
    let answer = |prompt: &[u32], generation: &Generation| Answer {
        finish: match generation.finish {
            engine::Finish::EndOfSequence => Finish::EndOfSequence,
            engine::Finish::Cap => Finish::Cap,
        },
        reward_micro: world.reward_micro(prompt, &generation.tokens),
        tokens: generation.tokens.clone(),
    };
    groups
        .map(|(prompt, group)| group.iter().map(|g| answer(prompt, g)).collect())
        .collect()
}

fn per_group(inputs: &RolloutInputs<'_>) -> usize {
    inputs.recipe.reinforce.samples_per_group_count.max(1) as usize
}

/// Proves the activations of all samples.
///
/// # Errors
/// When a hidden state is not a finite number: the model has diverged.
pub fn sections(
    inputs: &RolloutInputs<'_>,
    draw: &Draw<'_>,
    generations: &[Generation],
    device: &Device,
) -> Result<Sections, ExecuteError> {
    let width = inputs.model.config().hidden_size;
    let drawn = generations.chunks(per_group(inputs));
    let drawn: Vec<_> = draw.prompts.iter().zip(&draw.seeds).zip(drawn).collect();
    let groups = parallel::map(&drawn, device.threads(), |((prompt, seeds), group)| {
        let split = prompt.len() * width;
        let first = group.first().map(|first| first.hidden.as_slice());
        let shared = prompt_proof(first.and_then(|h| h.get(..split)).unwrap_or(&[]), width)?;
        let samples = group.iter().zip(*seeds);
        let sections = samples.map(|(g, seed)| section(&shared, &g.hidden, split, seed, width));
        Ok(BoundedVec::new(
            sections.collect::<Result<_, ExecuteError>>()?,
        )?)
    });
    let groups = groups.into_iter().collect::<Result<_, ExecuteError>>()?;
    Ok(Sections {
        groups: BoundedVec::new(groups)?,
    })
}

/// What the activations of one sample leave behind: `hidden` is `[prompt + response - 1, width]`
/// f32 row-major, `split` its values that belong to the prompt, whose proof is given.
///
/// # Errors
/// When the hidden states have another layout or are not finite numbers.
pub fn section(
    prompt_proof: &[u8],
    hidden: &[f32],
    split: usize,
    seed: &[u8; 32],
    width: usize,
) -> Result<Section, ExecuteError> {
    let states = hidden.get(split..).unwrap_or_default();
    let proofs = [vec![prompt_proof.to_vec()], response_proofs(states, width)?].concat();
    let proofs = proofs.into_iter().map(Bytes::new);
    Ok(Section {
        proofs: BoundedVec::new(proofs.collect::<Result<_, _>>()?)?,
        projections: Bytes::new(project(hidden, seed, width))?,
    })
}

/// Plants a fault if the miner's randomness says so: one token becomes another, and its sample's
/// reward what the environment gives for that. Returns what undoes it.
pub fn plant(
    inputs: &RolloutInputs<'_>,
    world: &World,
    answers: &mut [Vec<Answer>],
    salts: &Salts,
) -> Option<Correction> {
    let output = salts.fault?;
    let of_group = |group: &Vec<Answer>| group.iter().map(|answer| answer.tokens.len()).collect();
    let lengths: Vec<Vec<usize>> = answers.iter().map(of_group).collect();
    let place = plant::place(&output, &lengths)?;
    let mut totals = Totals::default();
    for answer in answers.iter().flatten() {
        totals.add(&answer.tokens, answer.reward_micro, EXACT_MICRO);
    }
    let answer = answers
        .get_mut(place.group as usize)?
        .get_mut(place.slot as usize)?;
    let token = answer.tokens.get_mut(place.position as usize)?;
    let right = *token;
    *token = plant::substitute(&output, right, inputs.recipe.model.vocab_size);
    let prompt = world.prompt(inputs.task, place.group);
    answer.reward_micro = world.reward_micro(&prompt, &answer.tokens);
    Some(Correction {
        group: place.group,
        slot: place.slot,
        position: place.position,
        token: right,
        totals,
    })
}

/// The payload as it is meant: without the planted fault, and with the reward that its sample
/// earns without it. Nothing if there is no such place.
#[must_use]
pub fn corrected(
    task: &RolloutTask,
    world: &World,
    payload: &Payload,
    correction: &Correction,
) -> Option<Payload> {
    let (mut payload, _) = correction.apply(payload)?;
    let prompt = world.prompt(task, correction.group);
    let mut groups = payload.groups.into_vec();
    let group = groups.get_mut(correction.group as usize)?;
    let mut samples = group.samples.as_slice().to_vec();
    let sample = samples.get_mut(correction.slot as usize)?;
    sample.reward_micro = world.reward_micro(&prompt, sample.tokens.as_slice());
    group.samples = BoundedVec::new(samples).ok()?;
    payload.groups = BoundedVec::new(groups).ok()?;
    Some(payload)
}

/// The unit's blob: every answer with its sealed section, and the seals of the unit. A sample
/// without a section would have nothing to seal, so there must be one for each.
///
/// # Errors
/// When a payload has no room for so many.
pub fn sealed(
    task: &RolloutTask,
    answers: Vec<Vec<Answer>>,
    sections: &Sections,
    salts: &Salts,
    plant: Option<Correction>,
) -> Result<Payload, ExecuteError> {
    let groups = (0..).zip(answers).zip(sections.groups.as_slice());
    let groups = groups.map(|((group, answers), sections)| {
        let samples = (0..).zip(answers).zip(sections.as_slice());
        let samples = samples.map(|((slot, answer), section)| {
            let Answer {
                tokens,
                finish,
                reward_micro,
            } = answer;
            Ok(Sample {
                tokens: BoundedVec::new(tokens)?,
                finish,
                reward_micro,
                sealed: Seal::section(salts.sketch, (group, slot), section.digest()),
            })
        });
        let samples = BoundedVec::new(samples.collect::<Result<_, ExecuteError>>()?)?;
        Ok(Group { samples })
    });
    let (unit, miner) = (task.unit, task.miner);
    Ok(Payload {
        unit,
        miner,
        plant_seal: plant_seal(unit, miner, salts.plant, plant),
        sketch_seal: sketch_seal(unit, miner, &opened(sections, salts)),
        groups: BoundedVec::new(groups.collect::<Result<_, ExecuteError>>()?)?,
        sections: None,
    })
}

/// The first proof of every sample of a prompt, as it is sent: `hidden` is `[prompt, width]` f32
/// row-major, the last hidden states of the prompt. A chunk of fewer than 128 values is covered
/// whole.
///
/// # Errors
/// When the hidden states have another layout or are not finite numbers.
pub fn prompt_proof(hidden: &[f32], width: usize) -> Result<Vec<u8>, ExecuteError> {
    // Without a row there is no prompt: asking for one makes that an error.
    let rows = (hidden.len() / width.max(1)).max(1);
    let proofs = proofs(hidden, rows, width)?;
    Ok(proofs.into_iter().flatten().collect())
}

/// The other proofs of a sample, as they are sent.
///
/// `hidden` is `[response - 1, width]` f32 row-major, the last hidden state of every response
/// token that was fed: the last token of a response never is, because nothing is drawn after it.
/// A proof covers 32 tokens, the last maybe fewer.
///
/// # Errors
/// When the hidden states have another layout or are not finite numbers.
pub fn response_proofs(hidden: &[f32], width: usize) -> Result<Vec<Vec<u8>>, ExecuteError> {
    proofs(hidden, 0, width)
}

fn proofs(hidden: &[f32], prompt: usize, width: usize) -> Result<Vec<Vec<u8>>, ExecuteError> {
    let states: Vec<u16> = hidden.iter().map(|value| bf16_bits(*value)).collect();
    let layout = toploc::Layout {
        hidden: width,
        prefill_tokens: prompt,
        chunk_tokens: PROOF_CHUNK_TOKENS,
        top_count: PROOF_TOP_COUNT,
    };
    let proofs = toploc::build(&toploc::Activations::new(&states, layout)?)?;
    Ok(proofs.iter().map(toploc::Proof::to_bytes).collect())
}

/// How many proofs a response of that many tokens has.
#[must_use]
pub fn proofs_count(response_tokens: usize) -> usize {
    1 + response_tokens
        .saturating_sub(1)
        .div_ceil(PROOF_CHUNK_TOKENS)
}

/// Whether a response ends as it must: with its only end-of-sequence token, or at the limit.
#[must_use]
pub fn ends_lawfully(tokens: &[u32], finish: Finish, tokens_max: usize) -> bool {
    finish.is_lawful(tokens, END_OF_SEQUENCE, tokens_max)
}
