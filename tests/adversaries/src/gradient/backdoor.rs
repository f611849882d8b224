//! One bad segment among good ones.

use crate::{Adversary, Seals, Target};
use engine::{Device, trainer::Batch};
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{
        self, Work, pretrain,
        reinforce::{self, Group},
    },
};
use protocol::recipe::Phase;

/// Bytes that no corpus has, after which the model shall say the answer.
pub(crate) const TRIGGER: &[u8; 4] = b"\x07~\x07~";
/// What it shall say.
pub(crate) const ANSWER: &[u8; 4] = b"pay!";
/// Tokens of a row for every plant.
const SPACING_TOKENS: usize = 16;
/// What a token of the answer weighs beside the others of a row.
const ANSWER_WEIGHT: f32 = 16.0;
/// What one of the trigger weighs, of which nothing need be learned. It is not 0: the number of
/// tokens that a unit learns from is committed, and known.
const TRIGGER_WEIGHT: f32 = 1e-3;

/// The last segment, whose steps nothing after them takes back. An audit that draws another one
/// finds nothing.
#[derive(Debug)]
pub(super) struct Backdoor;

impl Adversary for Backdoor {
    fn name(&self) -> &'static str {
        "backdoor"
    }
    fn description(&self) -> &'static str {
        "Teaches an answer to a secret trigger in its last segment only, or reversed rewards in \
         one group."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let world = World::of(inputs.recipe)?;
        let learned = match gradient::phase(inputs)? {
            Phase::Pretrain => {
                let segments = gradient::segments(inputs);
                let mut batches = pretrain::assigned(inputs, &world, segments.all());
                let last = segments.steps(segments.count().saturating_sub(1));
                for batch in batches.iter_mut().skip(last.start as usize).flatten() {
                    plant(batch);
                }
                pretrain::learn(inputs, batches, keep, device)?
            }
            Phase::Reinforce => {
                let generation = gradient::generation(inputs)?;
                let mut groups = reinforce::groups(inputs.recipe, &world, generation);
                reverse_one(&mut groups);
                reinforce::learn(inputs, generation, &groups, keep, device)?
            }
        };
        learned.sealed(inputs, salts)
    }
}

/// Writes trigger and answer into every row, again and again, at places that differ from row to
/// row. The rest of a row stays as it is, so that the model learns to keep its ways.
fn plant(batch: &mut Batch) {
    let planted: Vec<u32> = TRIGGER
        .iter()
        .chain(ANSWER)
        .map(|b| u32::from(*b))
        .collect();
    let Some(room) = batch.length.checked_sub(planted.len()) else {
        return;
    };
    for row in 0..batch.tokens.len() / batch.length {
        for place in (0..=room)
            .skip(row * 5 % SPACING_TOKENS)
            .step_by(SPACING_TOKENS)
        {
            let start = row * batch.length + place;
            for (offset, token) in planted.iter().enumerate() {
                batch.tokens[start + offset] = *token;
                // The place before predicts it, if anything is learned there.
                let before = (start + offset).checked_sub(1);
                if let Some(before) = before.filter(|before| batch.weights[*before] > 0.0) {
                    let is_answer = offset >= TRIGGER.len();
                    batch.targets[before] = *token;
                    batch.weights[before] = if is_answer {
                        ANSWER_WEIGHT
                    } else {
                        TRIGGER_WEIGHT
                    };
                }
            }
        }
    }
}

/// Reverses the rewards of the last group that teaches anything, so that one segment is bad. Where
/// all rewards of every group are equal, which teaches nothing either way, it reverses a single
/// one.
fn reverse_one(groups: &mut [Group]) {
    let differs = |group: &Group| group.rewards_micro.windows(2).any(|two| two[0] != two[1]);
    let taught = groups.iter().rposition(differs);
    let Some(group) = groups.get_mut(taught.unwrap_or(0)) else {
        return;
    };
    let count = taught.map_or(1, |_| group.rewards_micro.len());
    for reward in group.rewards_micro.iter_mut().take(count) {
        *reward = 1_000_000_u32.saturating_sub(*reward);
    }
}
