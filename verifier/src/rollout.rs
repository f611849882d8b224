//! The audit of a rollout unit: one teacher-forced pass, then the seeded draw of every token.
//!
//! A miner draws a response token by token; an auditor, who has the tokens, runs all positions at
//! once. Hidden states and logits have the same bits either way, so each token must be *the*
//! draw. The proofs of the hidden states are sealed: the auditor makes its own, and their sketch,
//! which it names before the miner does, shows that it ran the model. Once the seals are open,
//! each must hide *the* section.

mod tolerant;

use crate::{unavailable, undecodable, verdict};
use engine::{Continuation, Device, Replay, sampler};
use miner::{
    ExecuteError, RolloutInputs, World,
    model::number,
    parallel,
    rollout::{EXACT_MICRO, corrected, ends_lawfully, prompt_proof, section},
};
use protocol::{
    class::Class,
    codec::BoundedVec,
    rollout::{Correction, Opened, Payload, Root, Sample, Seal, Section, Sections, Sketch, Totals},
    verdict::{Check, Finding, Verdict},
    vrf::Output,
};

/// Hidden values and logits that are held at a time: 64 MiB of them.
const VALUES_COUNT_MAX: usize = 1 << 24;

/// What the chain holds against the miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed<'a> {
    /// Binds the unit.
    pub root: Root,
    /// Sums over the samples.
    pub totals: Totals,
    /// What opens the sections, once the miner has shown it.
    pub opened: Option<Opened>,
    /// The planted fault, once the miner has shown it, and the randomness that it follows from.
    pub plant: Option<(Correction, Output)>,
    /// How far the unit may differ; nothing where every difference is proof.
    pub class: Option<&'a Class>,
}

/// What an auditor finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Every check. Activations are checked only against opened seals.
    pub verdict: Verdict,
    /// The sketch of the auditor's own sections; nothing if it could not make all of them.
    pub sketch: Option<Sketch>,
}

/// Repeats the unit and reports every check, in the order of [`Check`].
#[must_use]
pub fn judge(
    inputs: &RolloutInputs<'_>,
    claimed: &Claimed<'_>,
    blob: &[u8],
    device: &Device,
) -> Judgement {
    judge_part(inputs, claimed, blob, None, device)
}

/// Repeats one group of the unit's samples, or all of them. What needs no model is checked for the
/// whole unit anyhow.
#[must_use]
pub fn judge_part(
    inputs: &RolloutInputs<'_>,
    claimed: &Claimed<'_>,
    blob: &[u8],
    group: Option<u32>,
    device: &Device,
) -> Judgement {
    let without_sketch = |verdict| Judgement {
        verdict,
        sketch: None,
    };
    let Ok(payload) = Payload::decode(blob) else {
        return without_sketch(undecodable());
    };
    if let Some(class) = claimed.class {
        let verdict = tolerant::judge(inputs, claimed, (&payload, class), device);
        return without_sketch(verdict.unwrap_or_else(|_| unavailable()));
    }
    let judged = examine(inputs, claimed, &payload, group, device);
    judged.unwrap_or_else(|_| without_sketch(unavailable()))
}

fn examine(
    inputs: &RolloutInputs<'_>,
    claimed: &Claimed<'_>,
    payload: &Payload,
    group: Option<u32>,
    device: &Device,
) -> Result<Judgement, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let (bound, misplanted) = (payload, misplanted(inputs, claimed, payload));
    let corrected = claimed
        .plant
        .and_then(|(correction, _)| corrected(inputs.task, &world, payload, &correction));
    let payload = corrected.as_ref().unwrap_or(payload);
    let identity = [
        payload.unit != inputs.task.unit,
        payload.miner != inputs.task.miner,
        payload.sections.is_some(),
    ];
    let (faults, made) = replay(inputs, &world, payload, group, device)?;
    let sketch = match group {
        None => sections(payload, &made).map(|sections| sections.sketch()),
        Some(_) => None,
    };
    let mut findings = vec![
        Finding::exact(Check::Encoding, count(&identity)),
        Finding::exact(Check::Completeness, incomplete(inputs, payload)),
        Finding::exact(
            Check::Commitment,
            uncommitted(inputs, &world, claimed, (bound, payload)),
        ),
        faults.finish.finding(Check::Finish),
        faults.sampling.finding(Check::Sampling),
    ];
    if let Some(opened) = &claimed.opened {
        let mut unsound = unsound(payload, &made, opened);
        if group.is_none() && sketch != Some(opened.sketch) {
            unsound.add(Fault::new(1, 0));
        }
        findings.push(unsound.finding(Check::Activations));
    }
    findings.push(faults.reward.finding(Check::Reward));
    findings.extend(misplanted.map(|count| Finding::exact(Check::Plant, count)));
    let verdict = verdict(findings);
    Ok(Judgement { verdict, sketch })
}

/// Whether an opened fault is not the one that the miner's randomness says; nothing if none is.
fn misplanted(inputs: &RolloutInputs<'_>, claimed: &Claimed<'_>, bound: &Payload) -> Option<u64> {
    let (correction, output) = claimed.plant?;
    let vocabulary = inputs.recipe.model.vocab_size;
    Some(u64::from(!correction.is_due(&output, bound, vocabulary)))
}

/// Samples whose seal, once open, does not hide the section that the model gives.
fn unsound(payload: &Payload, made: &[Made], opened: &Opened) -> Fault {
    let mut unsound = Fault::default();
    for made in made {
        let group = payload.groups.as_slice().get(made.group as usize);
        let sample = group.and_then(|group| group.samples.as_slice().get(made.slot as usize));
        let place = (made.group, made.slot);
        let section = made.section.as_ref();
        let expected = section.map(|section| Seal::section(opened.salt, place, section));
        let is_wrong = expected.is_none() || expected != sample.map(|sample| sample.sealed);
        unsound.add(Fault::new(is_wrong.into(), made.group));
    }
    unsound
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

/// Fields of the commitment that differ: the root from the payload as it was bound, the sums from
/// the payload as it is meant.
fn uncommitted(
    inputs: &RolloutInputs<'_>,
    world: &World,
    claimed: &Claimed<'_>,
    (bound, payload): (&Payload, &Payload),
) -> u64 {
    let Totals {
        samples_count,
        tokens_count,
        reward_micro,
        exact_count,
    } = claimed.totals;
    let found = payload.totals(EXACT_MICRO);
    let groups_count = inputs.recipe.reinforce.groups_per_unit_count;
    let prompts = world.prompts(inputs.task, groups_count);
    count(&[
        bound.root(&prompts) != Some(claimed.root),
        samples_count != found.samples_count,
        tokens_count != found.tokens_count,
        reward_micro != found.reward_micro,
        exact_count != found.exact_count,
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
    reward: Fault,
}

impl Faults {
    fn add(&mut self, other: Self) {
        let Self {
            finish,
            sampling,
            reward,
        } = other;
        self.finish.add(finish);
        self.sampling.add(sampling);
        self.reward.add(reward);
    }
}

/// What replaying a sample made.
struct Made {
    group: u32,
    slot: u32,
    /// Nothing where a hidden state is no number that a proof can hold.
    section: Option<Section>,
}

/// A sample beside what the task says about it.
struct Case<'a> {
    sample: &'a Sample,
    group: u32,
    slot: u32,
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
) -> Result<(Faults, Vec<Made>), ExecuteError> {
    let cases = cases(inputs, world, payload, wanted);
    let (mut faults, mut made) = (Faults::default(), Vec::with_capacity(cases.len()));
    let found = passes(inputs, &cases, device, |group| check_group(inputs, group))?;
    for (more, sections) in found {
        faults.add(more);
        made.extend(sections);
    }
    Ok((faults, made))
}

/// All samples that the task has a seed for, or those of one group.
fn cases<'a>(
    inputs: &RolloutInputs<'_>,
    world: &World,
    payload: &'a Payload,
    wanted: Option<u32>,
) -> Vec<Case<'a>> {
    let reinforce = &inputs.recipe.reinforce;
    let mut cases = Vec::new();
    let groups = (0..reinforce.groups_per_unit_count).zip(payload.groups.as_slice());
    for (group, samples) in groups.filter(|(group, _)| wanted.is_none_or(|only| only == *group)) {
        let prompt = world.prompt(inputs.task, group);
        let samples = samples.samples.as_slice();
        for (slot, sample) in (0..reinforce.samples_per_group_count).zip(samples) {
            let seed = inputs.task.sample_seed(group, slot);
            let place = (group, slot);
            cases.push(case(inputs, world, (place, &prompt), seed, sample));
        }
    }
    cases
}

/// Runs samples through the model, and looks at those with one prompt together.
fn passes<T: Send>(
    inputs: &RolloutInputs<'_>,
    cases: &[Case<'_>],
    device: &Device,
    look: impl Fn(&[(&Case<'_>, &Replay)]) -> T + Sync,
) -> Result<Vec<T>, ExecuteError> {
    let mut found = Vec::new();
    for batch in cases.chunks(batch_count(inputs, cases)) {
        let continuations: Vec<_> = batch.iter().map(Case::continuation).collect();
        let passes = device.replay(inputs.model, &continuations)?;
        let pairs: Vec<_> = batch.iter().zip(&passes).collect();
        // Neighbours with equal prompts have one computation of it, and one proof.
        let groups: Vec<_> = pairs
            .chunk_by(|(a, _), (b, _)| a.prompt() == b.prompt())
            .collect();
        found.extend(parallel::map(&groups, device.threads(), |group| {
            look(group)
        }));
    }
    Ok(found)
}

/// The unit's sections, if each could be made.
fn sections(payload: &Payload, made: &[Made]) -> Option<Sections> {
    let mut made = made.iter();
    let groups = payload.groups.as_slice().iter().map(|group| {
        let sections = made.by_ref().take(group.samples.as_slice().len());
        let sections = sections.map(|made| made.section.clone());
        BoundedVec::new(sections.collect::<Option<Vec<_>>>()?).ok()
    });
    let groups = BoundedVec::new(groups.collect::<Option<Vec<_>>>()?).ok()?;
    Some(Sections { groups })
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
    ((group, slot), prompt): ((u32, u32), &[u32]),
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
        slot,
        seed,
        prompt_tokens: prompt.len(),
        tokens: prompt.iter().chain(playable).copied().collect(),
        finish: u64::from(!ends_lawfully(response, sample.finish, tokens_max)),
        reward: u64::from(reward != sample.reward_micro),
    }
}

/// The faults and sections of samples with one prompt.
fn check_group(inputs: &RolloutInputs<'_>, group: &[(&Case<'_>, &Replay)]) -> (Faults, Vec<Made>) {
    let width = inputs.model.config().hidden_size;
    let prompt = group.first().map(|(case, pass)| {
        let states = &pass.hidden[..case.prompt_tokens * width];
        prompt_proof(states, width).ok()
    });
    let prompt = prompt.flatten();
    let (mut faults, mut made) = (Faults::default(), Vec::with_capacity(group.len()));
    for (case, pass) in group {
        faults.add(Faults {
            finish: Fault::new(case.finish, case.group),
            sampling: Fault::new(undrawn(inputs, case, &pass.logits), case.group),
            reward: Fault::new(case.reward, case.group),
        });
        let split = case.prompt_tokens * width;
        let section = prompt
            .as_deref()
            .and_then(|prompt| section(prompt, &pass.hidden, split, &case.seed, width).ok());
        made.push(Made {
            group: case.group,
            slot: case.slot,
            section,
        });
    }
    (faults, made)
}

/// Response tokens that are not the seeded draw.
fn undrawn(inputs: &RolloutInputs<'_>, case: &Case<'_>, logits: &[f32]) -> u64 {
    let temperature = number(inputs.recipe.reinforce.temperature);
    let vocabulary = inputs.model.config().vocab_size;
    let (prompt, response) = case.tokens.split_at(case.prompt_tokens);
    let first = prompt.len() as u64;
    let drawn = sampler::draws(logits, vocabulary, &case.seed, first, temperature);
    let wrong = drawn
        .iter()
        .zip(response)
        .filter(|(drawn, token)| drawn != token);
    let beyond = case.sample.tokens.as_slice().len() - case.playable_tokens();
    (wrong.count() + beyond) as u64
}
