//! The audit of a rollout unit: one teacher-forced pass, then the seeded draw of every token.
//!
//! A miner draws a response token by token; an auditor, who has the tokens, runs all positions at
//! once. Hidden states and logits have the same bits either way, so each token must be *the*
//! draw, each proof must be *the* proof.

use crate::{differences, unavailable, undecodable, verdict};
use engine::{Continuation, Device, Replay, sampler};
use miner::{
    ExecuteError, RolloutInputs, World,
    model::number,
    parallel,
    rollout::{ends_lawfully, prompt_proof, response_proofs},
};
use protocol::{
    rollout::{Payload, Sample, Totals},
    verdict::{Check, Finding, Verdict},
};

/// Reward of an exactly right response, in millionths.
const EXACT_MICRO: u32 = environment::Reward::EXACT.millionths();
/// Hidden values and logits that are held at a time: 64 MiB of them.
const VALUES_COUNT_MAX: usize = 1 << 24;

/// Repeats the unit and reports every check, in the order of [`Check`].
#[must_use]
pub fn judge(inputs: &RolloutInputs<'_>, totals: &Totals, blob: &[u8], device: &Device) -> Verdict {
    judge_part(inputs, totals, blob, None, device)
}

/// Repeats one group of the unit's samples, or all of them. What needs no model is checked for the
/// whole unit anyhow.
#[must_use]
pub fn judge_part(
    inputs: &RolloutInputs<'_>,
    totals: &Totals,
    blob: &[u8],
    group: Option<u32>,
    device: &Device,
) -> Verdict {
    let Ok(payload) = Payload::decode(blob) else {
        return undecodable();
    };
    match examine(inputs, totals, &payload, group, device) {
        Ok(findings) => verdict(findings),
        Err(_) => unavailable(),
    }
}

fn examine(
    inputs: &RolloutInputs<'_>,
    totals: &Totals,
    payload: &Payload,
    group: Option<u32>,
    device: &Device,
) -> Result<Vec<Finding>, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let identity = [
        payload.unit != inputs.task.unit,
        payload.miner != inputs.task.miner,
    ];
    let replayed = replay(inputs, &world, payload, group, device)?;
    Ok(vec![
        Finding::exact(Check::Encoding, count(&identity)),
        Finding::exact(Check::Completeness, incomplete(inputs, payload)),
        Finding::exact(
            Check::Commitment,
            uncommitted(totals, &payload.totals(EXACT_MICRO)),
        ),
        replayed.finish.finding(Check::Finish),
        replayed.sampling.finding(Check::Sampling),
        replayed.activations.finding(Check::Activations),
        replayed.reward.finding(Check::Reward),
    ])
}

fn count(faults: &[bool]) -> u64 {
    faults.iter().filter(|fault| **fault).count() as u64
}

/// Groups missing or too many, and samples missing or too many in the groups that are there.
fn incomplete(inputs: &RolloutInputs<'_>, payload: &Payload) -> u64 {
    let reinforce = &inputs.recipe.reinforce;
    let groups = payload.groups.as_slice();
    let expected = reinforce.samples_per_group_count as usize;
    let samples = groups
        .iter()
        .map(|group| group.samples.as_slice().len().abs_diff(expected));
    let groups = groups
        .len()
        .abs_diff(reinforce.groups_per_unit_count as usize);
    (groups + samples.sum::<usize>()) as u64
}

/// Fields of the commitment that differ from the payload's sums.
fn uncommitted(committed: &Totals, found: &Totals) -> u64 {
    let Totals {
        samples_count,
        tokens_count,
        reward_micro,
        exact_count,
    } = committed;
    count(&[
        *samples_count != found.samples_count,
        *tokens_count != found.tokens_count,
        *reward_micro != found.reward_micro,
        *exact_count != found.exact_count,
    ])
}

/// How often a check failed, and the first group in which it did.
#[derive(Clone, Copy, Debug, Default)]
struct Fault {
    count: u64,
    group: Option<u32>,
}

impl Fault {
    fn new(count: u64, group: u32) -> Self {
        let group = (count > 0).then_some(group);
        Self { count, group }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        // Groups are checked in their order.
        self.group = self.group.or(other.group);
    }

    fn finding(self, check: Check) -> Finding {
        Finding::exact(check, self.count).in_group(self.group.unwrap_or(0))
    }
}

/// Faults found by replaying samples, one counter a check.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    finish: Fault,
    sampling: Fault,
    activations: Fault,
    reward: Fault,
}

impl Faults {
    fn add(&mut self, other: Self) {
        let Self {
            finish,
            sampling,
            activations,
            reward,
        } = other;
        self.finish.add(finish);
        self.sampling.add(sampling);
        self.activations.add(activations);
        self.reward.add(reward);
    }
}

/// A sample beside what the task says about it.
struct Case<'a> {
    sample: &'a Sample,
    group: u32,
    seed: [u8; 32],
    prompt_tokens: usize,
    /// The prompt, then as much of the response as a model can be fed.
    tokens: Vec<u32>,
    finish: u64,
    reward: u64,
}

impl Case<'_> {
    /// Response tokens that can be checked; those after them cannot be draws.
    fn playable_tokens(&self) -> usize {
        self.tokens.len() - self.prompt_tokens
    }

    fn prompt(&self) -> &[u32] {
        &self.tokens[..self.prompt_tokens]
    }

    /// What goes into the model.
    fn continuation(&self) -> Continuation<'_> {
        let (prompt, response) = self.tokens.split_at(self.prompt_tokens);
        Continuation { prompt, response }
    }
}

/// Replays all samples that the task has a seed for; others are counted as incomplete.
fn replay(
    inputs: &RolloutInputs<'_>,
    world: &World,
    payload: &Payload,
    wanted: Option<u32>,
    device: &Device,
) -> Result<Faults, ExecuteError> {
    let reinforce = &inputs.recipe.reinforce;
    let mut cases = Vec::new();
    let groups = (0..reinforce.groups_per_unit_count).zip(payload.groups.as_slice());
    for (group, samples) in groups.filter(|(group, _)| wanted.is_none_or(|only| only == *group)) {
        let prompt = world.prompt(inputs.task, group);
        let samples = samples.samples.as_slice();
        for (slot, sample) in (0..reinforce.samples_per_group_count).zip(samples) {
            let seed = inputs.task.sample_seed(group, slot);
            cases.push(case(inputs, world, (group, &prompt), seed, sample));
        }
    }
    let mut faults = Faults::default();
    for batch in cases.chunks(batch_count(inputs, &cases)) {
        let continuations: Vec<_> = batch.iter().map(Case::continuation).collect();
        let passes = device.replay(inputs.model, &continuations)?;
        let pairs: Vec<_> = batch.iter().zip(&passes).collect();
        // Neighbours with equal prompts have one computation of it, and one proof.
        let groups: Vec<_> = pairs
            .chunk_by(|(a, _), (b, _)| a.prompt() == b.prompt())
            .collect();
        let found = parallel::map(&groups, device.threads(), |group| {
            check_group(inputs, group)
        });
        found.into_iter().for_each(|more| faults.add(more));
    }
    Ok(faults)
}

/// How many samples are replayed together.
fn batch_count(inputs: &RolloutInputs<'_>, cases: &[Case<'_>]) -> usize {
    let config = inputs.model.config();
    let longest = cases.iter().map(|case| case.tokens.len()).max();
    let values = longest
        .unwrap_or(1)
        .saturating_mul(config.vocab_size + config.hidden_size);
    (VALUES_COUNT_MAX / values.max(1)).max(1)
}

fn case<'a>(
    inputs: &RolloutInputs<'_>,
    world: &World,
    (group, prompt): (u32, &[u32]),
    seed: [u8; 32],
    sample: &'a Sample,
) -> Case<'a> {
    let response = sample.tokens.as_slice();
    let tokens_max = world.environment.response_tokens_max();
    let vocabulary = inputs.recipe.model.vocab_size;
    let playable = response.iter().take(tokens_max);
    let playable = playable.take_while(|token| **token < vocabulary);
    let reward = world.reward_micro(prompt, response);
    Case {
        sample,
        group,
        seed,
        prompt_tokens: prompt.len(),
        tokens: prompt.iter().chain(playable).copied().collect(),
        finish: u64::from(!ends_lawfully(response, sample.finish, tokens_max)),
        reward: u64::from(reward != sample.reward_micro),
    }
}

/// The faults of samples with one prompt.
fn check_group(inputs: &RolloutInputs<'_>, group: &[(&Case<'_>, &Replay)]) -> Faults {
    let width = inputs.model.config().hidden_size;
    let prompt = group.first().map(|(case, pass)| {
        let states = &pass.hidden[..case.prompt_tokens * width];
        prompt_proof(states, width).ok()
    });
    let prompt = prompt.flatten();
    let mut faults = Faults::default();
    for (case, pass) in group {
        let unproven = unproven(case, prompt.as_deref(), &pass.hidden, width);
        faults.add(Faults {
            finish: Fault::new(case.finish, case.group),
            sampling: Fault::new(undrawn(inputs, case, &pass.logits), case.group),
            activations: Fault::new(unproven, case.group),
            reward: Fault::new(case.reward, case.group),
        });
    }
    faults
}

/// Response tokens that are not the seeded draw.
fn undrawn(inputs: &RolloutInputs<'_>, case: &Case<'_>, logits: &[f32]) -> u64 {
    let temperature = number(inputs.recipe.reinforce.temperature);
    let rows = logits.chunks_exact(inputs.model.config().vocab_size);
    let drawn = case.tokens.iter().enumerate().skip(case.prompt_tokens);
    let wrong = rows.zip(drawn).filter(|(row, (position, token))| {
        sampler::sample(row, &case.seed, *position as u64, temperature) != **token
    });
    let beyond = case.sample.tokens.as_slice().len() - case.playable_tokens();
    (wrong.count() + beyond) as u64
}

/// Proofs that differ from those of the replayed hidden states. States that no proof can hold have
/// none, so that every proof given is one too many, and giving none is a fault as well.
fn unproven(case: &Case<'_>, prompt: Option<&[u8]>, hidden: &[f32], width: usize) -> u64 {
    let found = case.sample.proofs.as_slice().iter();
    let found: Vec<&[u8]> = found.map(|proof| proof.as_slice()).collect();
    let response = response_proofs(&hidden[case.prompt_tokens * width..], width);
    let (Some(prompt), Ok(response)) = (prompt, response) else {
        return found.len().max(1) as u64;
    };
    let expected = std::iter::once(prompt).chain(response.iter().map(Vec::as_slice));
    differences(&found, &expected.collect::<Vec<_>>())
}
