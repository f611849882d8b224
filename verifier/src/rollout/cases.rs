//! Samples beside what the task says about them, and their way through the model.
//!
//! An audit stops at the first group with a contradiction. Every pass takes twice as many groups as
//! the one before, so that little is wasted where the first is wrong, and little is lost where none
//! is.

use engine::{Continuation, Device, Replay};
use miner::{ExecuteError, RolloutInputs, World, parallel, rollout::ends_lawfully};
use protocol::rollout::{Payload, Sample};
use std::ops::ControlFlow;

/// Hidden values and logits that are held at a time: 64 MiB of them.
const VALUES_COUNT_MAX: usize = 1 << 24;

/// A sample beside what the task says about it.
pub(super) struct Case<'a> {
    pub(super) sample: &'a Sample,
    pub(super) group: u32,
    pub(super) slot: u32,
    pub(super) seed: [u8; 32],
    pub(super) prompt_tokens: usize,
    /// The prompt, then as much of the response as a model can be fed.
    pub(super) tokens: Vec<u32>,
    pub(super) finish: u64,
    pub(super) reward: u64,
}

impl Case<'_> {
    /// Response tokens that can be checked; those after them cannot be draws.
    pub(super) fn playable_tokens(&self) -> usize {
        self.tokens.len() - self.prompt_tokens
    }

    /// What goes into the model.
    fn continuation(&self) -> Continuation<'_> {
        let (prompt, response) = self.tokens.split_at(self.prompt_tokens);
        Continuation { prompt, response }
    }
}

/// All samples that the task has a seed for; others are counted as incomplete.
pub(super) fn cases<'a>(
    inputs: &RolloutInputs<'_>,
    world: &World,
    payload: &'a Payload,
) -> Vec<Case<'a>> {
    let reinforce = &inputs.recipe.reinforce;
    let mut cases = Vec::new();
    let groups = (0..reinforce.groups_per_unit_count).zip(payload.groups.as_slice());
    for (group, samples) in groups {
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

/// Runs samples through the model, looks at them, and hands over what it sees of each group until
/// it is told to stop. A group that is too large for one pass comes in pieces.
pub(super) fn passes<T: Send>(
    inputs: &RolloutInputs<'_>,
    cases: &[Case<'_>],
    device: &Device,
    look: impl Fn(&[(&Case<'_>, &Replay)]) -> T + Sync,
    mut take: impl FnMut(u32, Vec<T>) -> ControlFlow<()>,
) -> Result<(), ExecuteError> {
    let cases_max = batch_count(inputs, cases);
    let mut groups = cases.chunk_by(|a, b| a.group == b.group).peekable();
    let mut groups_max = 1;
    while let Some(first) = groups.next() {
        let (mut wave, mut cases_count) = (vec![first], first.len());
        while let Some(group) = groups
            .next_if(|group| wave.len() < groups_max && cases_count + group.len() <= cases_max)
        {
            cases_count += group.len();
            wave.push(group);
        }
        for (group, seen) in wave
            .iter()
            .zip(pass(inputs, &wave, cases_max, device, &look)?)
        {
            let index = group.first().map_or(0, |case| case.group);
            if take(index, seen).is_break() {
                return Ok(());
            }
        }
        groups_max *= 2;
    }
    Ok(())
}

/// What is seen of some groups that are computed together, or of one, piece by piece.
fn pass<T: Send>(
    inputs: &RolloutInputs<'_>,
    wave: &[&[Case<'_>]],
    cases_max: usize,
    device: &Device,
    look: &(impl Fn(&[(&Case<'_>, &Replay)]) -> T + Sync),
) -> Result<Vec<Vec<T>>, ExecuteError> {
    let together = |groups: &[&[Case<'_>]]| -> Result<Vec<T>, ExecuteError> {
        let cases = groups.iter().flat_map(|group| group.iter());
        let continuations: Vec<_> = cases.map(Case::continuation).collect();
        let replays = device.replay(inputs.model, &continuations)?;
        let mut replays = replays.iter();
        let pairs = groups
            .iter()
            .map(|group| group.iter().zip(replays.by_ref()).collect());
        let pairs: Vec<Vec<_>> = pairs.collect();
        Ok(parallel::map(&pairs, device.threads(), |pairs| look(pairs)))
    };
    match wave {
        [large] if large.len() > cases_max => {
            let pieces = large.chunks(cases_max).map(|piece| together(&[piece]));
            let seen: Vec<Vec<T>> = pieces.collect::<Result<_, _>>()?;
            Ok(vec![seen.into_iter().flatten().collect()])
        }
        _ => Ok(together(wave)?.into_iter().map(|one| vec![one]).collect()),
    }
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
