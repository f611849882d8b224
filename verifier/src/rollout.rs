//! The audit of a rollout unit: one teacher-forced pass, then the seeded draw of every token.
//!
//! A miner draws a response token by token; an auditor, who has the tokens, runs all positions at
//! once. Hidden states and logits have the same bits either way, so each token must be *the*
//! draw. The proofs of the hidden states are sealed: the auditor makes its own, and their sketch,
//! which it names before the miner does, shows that it ran the model. Once the seals are open,
//! each must hide *the* section.

mod cases;
mod tolerant;

use crate::{unavailable, undecodable, verdict};
use cases::{Case, cases, passes};
use engine::{Device, Replay, sampler};
use miner::{
    ExecuteError, RolloutInputs, World,
    model::number,
    rollout::{EXACT_MICRO, corrected, prompt_proof, section},
};
use protocol::{
    class::Class,
    rollout::{Correction, Digest, Opened, Payload, Root, Seal, Section, Sketch, Totals, part},
    verdict::{Check, Finding, Verdict},
    vrf::Output,
};
use std::ops::ControlFlow;

/// What the chain holds against the miner.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Every check that was made. Activations are checked only against opened seals.
    pub verdict: Verdict,
    /// The sketch of the auditor's own sections; nothing if it did not make all of them.
    pub sketch: Option<Sketch>,
    /// Digests of the sections that it made, group after group; nothing for one that could not be
    /// made.
    pub(crate) made: Vec<Vec<Option<Digest>>>,
}

impl Judgement {
    /// A verdict of an auditor that made no sections.
    #[must_use]
    pub const fn without_sketch(verdict: Verdict) -> Self {
        Self {
            verdict,
            sketch: None,
            made: Vec::new(),
        }
    }

    /// The same with another verdict.
    #[must_use]
    pub fn saying(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    /// What an auditor of a blind round says once the miner has opened its seals: the verdict that
    /// it bound, and whether what was sealed is what it had made itself.
    #[must_use]
    pub fn seen(&self, payload: &Payload, opened: &Opened) -> Verdict {
        if self.made.is_empty() {
            return self.verdict.clone();
        }
        let groups = (0..).zip(&self.made);
        let mut faults = groups.map(|(group, made)| unsound(payload, group, made, opened));
        let first = faults.find(|fault| fault.count > 0);
        let found = first.unwrap_or_default().finding(Check::Activations);
        self.verdict.with(found)
    }
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
///
/// A unit is wrong at its first contradiction, and nobody repeats the rest of it: where a check
/// that needs no model fails, the model does not run, and the first group with a wrong token or a
/// wrong seal is the last. What is measured is measured in that group, so that everyone who
/// repeats the unit, or that group of it, finds the same.
#[must_use]
pub fn judge_part(
    inputs: &RolloutInputs<'_>,
    claimed: &Claimed<'_>,
    blob: &[u8],
    group: Option<u32>,
    device: &Device,
) -> Judgement {
    let Ok(payload) = Payload::decode(blob) else {
        return Judgement::without_sketch(undecodable());
    };
    if let Some(class) = claimed.class {
        let verdict = tolerant::judge(inputs, claimed, (&payload, class), device);
        return Judgement::without_sketch(verdict.unwrap_or_else(|_| unavailable()));
    }
    let judged = examine(inputs, claimed, &payload, group, device);
    judged.unwrap_or_else(|_| Judgement::without_sketch(unavailable()))
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
    let cases = cases(inputs, &world, payload);
    let mut findings = shape(inputs, &world, claimed, (bound, payload));
    let (finish, reward) = ends(&cases);
    findings.extend([finish.finding(Check::Finish), reward.finding(Check::Reward)]);
    findings.extend(misplanted.map(|count| Finding::exact(Check::Plant, count)));
    let verdict = verdict(findings);
    if !verdict.accepts() {
        return Ok(Judgement::without_sketch(verdict));
    }
    let wanted = |case: &Case<'_>| group.is_none_or(|only| only == case.group);
    let cases: Vec<Case<'_>> = cases.into_iter().filter(wanted).collect();
    let Replayed {
        sampling,
        unsound,
        made,
    } = replay(inputs, payload, &cases, claimed.opened.as_ref(), device)?;
    let mut verdict = verdict.with(sampling.finding(Check::Sampling));
    if claimed.opened.is_some() {
        verdict = verdict.with(unsound.finding(Check::Activations));
    }
    let sketch = group.is_none().then(|| sketch(payload, &made)).flatten();
    Ok(Judgement {
        verdict,
        sketch,
        made,
    })
}

/// Whether the payload is the unit's, whole, and what was bound.
fn shape(
    inputs: &RolloutInputs<'_>,
    world: &World,
    claimed: &Claimed<'_>,
    (bound, payload): (&Payload, &Payload),
) -> Vec<Finding> {
    let identity = [
        payload.unit != inputs.task.unit,
        payload.miner != inputs.task.miner,
        payload.sections.is_some() != claimed.class.is_some(),
    ];
    let uncommitted = uncommitted(inputs, world, claimed, (bound, payload));
    vec![
        Finding::exact(Check::Encoding, count(&identity)),
        Finding::exact(Check::Completeness, incomplete(inputs, payload)),
        Finding::exact(Check::Commitment, uncommitted),
    ]
}

/// Samples that end unlawfully, and those with a wrong reward.
fn ends(cases: &[Case<'_>]) -> (Fault, Fault) {
    let (mut finish, mut reward) = (Fault::default(), Fault::default());
    for case in cases {
        finish.add(Fault::new(case.finish, case.group));
        reward.add(Fault::new(case.reward, case.group));
    }
    (finish, reward)
}

/// Whether an opened fault is not the one that the miner's randomness says; nothing if none is.
fn misplanted(inputs: &RolloutInputs<'_>, claimed: &Claimed<'_>, bound: &Payload) -> Option<u64> {
    let (correction, output) = claimed.plant?;
    let vocabulary = inputs.recipe.model.vocab_size;
    Some(u64::from(!correction.is_due(&output, bound, vocabulary)))
}

/// In one group, samples whose seal, once open, does not hide the section that the model gives, and
/// one more if the group's part of the sketch is another.
fn unsound(payload: &Payload, group: u32, made: &[Option<Digest>], opened: &Opened) -> Fault {
    let samples = payload.groups.as_slice().get(group as usize);
    let samples = samples.map_or(&[][..], |group| group.samples.as_slice());
    let seals = (0..)
        .zip(samples)
        .zip(made)
        .filter(|((slot, sample), made)| {
            let seal = made.map(|digest| Seal::section(opened.salt, (group, *slot), digest));
            seal != Some(sample.sealed)
        });
    let own: Option<Vec<Digest>> = made.iter().copied().collect();
    let shown = opened.parts.as_slice().get(group as usize);
    let is_part = own.is_some_and(|own| shown == Some(&part(&own)));
    Fault::new(seals.count() as u64 + u64::from(!is_part), group)
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

/// What running the model says about the groups up to the first with a contradiction.
#[derive(Default)]
struct Replayed {
    sampling: Fault,
    unsound: Fault,
    made: Vec<Vec<Option<Digest>>>,
}

/// Replays samples, group after group, until one is wrong.
fn replay(
    inputs: &RolloutInputs<'_>,
    payload: &Payload,
    cases: &[Case<'_>],
    opened: Option<&Opened>,
    device: &Device,
) -> Result<Replayed, ExecuteError> {
    let mut replayed = Replayed::default();
    let look = |group: &[(&Case<'_>, &Replay)]| check_group(inputs, group);
    passes(inputs, cases, device, look, |group, checked| {
        let mut sampling = Fault::default();
        let mut made = Vec::new();
        for (undrawn, digests) in checked {
            sampling.add(Fault::new(undrawn, group));
            made.extend(digests);
        }
        let unsound = opened.map_or_else(Fault::default, |opened| {
            unsound(payload, group, &made, opened)
        });
        replayed.sampling.add(sampling);
        replayed.unsound.add(unsound);
        replayed.made.push(made);
        if sampling.count + unsound.count > 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(replayed)
}

/// The unit's sketch, if each section could be made.
fn sketch(payload: &Payload, made: &[Vec<Option<Digest>>]) -> Option<Sketch> {
    let groups = payload.groups.as_slice().iter();
    let expected = groups.map(|group| group.samples.as_slice().len());
    if !made.iter().map(Vec::len).eq(expected) {
        return None;
    }
    let part_of = |made: &Vec<Option<Digest>>| {
        let digests: Option<Vec<Digest>> = made.iter().copied().collect();
        Some(part(&digests?))
    };
    let parts: Option<Vec<Digest>> = made.iter().map(part_of).collect();
    Some(Sketch::of(&parts?))
}

/// Wrong tokens of samples with one prompt, and the digests of the sections that they should have.
fn check_group(
    inputs: &RolloutInputs<'_>,
    group: &[(&Case<'_>, &Replay)],
) -> (u64, Vec<Option<Digest>>) {
    let width = inputs.model.config().hidden_size;
    // Its computation is the same for all of them, and so is its proof.
    let prompt = group.first().map(|(case, pass)| {
        let states = &pass.hidden[..case.prompt_tokens * width];
        prompt_proof(states, width).ok()
    });
    let prompt = prompt.flatten();
    let (mut undrawn_count, mut made) = (0, Vec::with_capacity(group.len()));
    for (case, pass) in group {
        undrawn_count += undrawn(inputs, case, &pass.logits);
        let split = case.prompt_tokens * width;
        let section = prompt
            .as_deref()
            .and_then(|prompt| section(prompt, &pass.hidden, split, &case.seed, width).ok());
        made.push(section.as_ref().map(Section::digest));
    }
    (undrawn_count, made)
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
