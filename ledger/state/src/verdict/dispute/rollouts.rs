//! What a part of a reinforcement unit reads of rollouts: responses and tokens, shown against the
//! roots that their miners bound.
//!
//! Nothing that a rollout's miner says of a response is believed but its tokens. They are corrected
//! where a fault was planted, and the environment gives the reward.

use super::{Refused, step::Task};
use crate::{View, run, task, unit::Claim, unit::Unit};
use borsh::{BorshDeserialize, BorshSerialize};
use engine_trace::{
    plan::{Group, Sample},
    tokens::TokenList,
    tree::{Hashing, Opening},
};
use environment::{END_OF_SEQUENCE, Split};
use protocol::{
    BlobId,
    rollout::{
        Correction, Digest, Finish, Inclusion, Leaf, Root, Seal, TOKENS_TAG, prompt_digest, root,
        tokens_digest,
    },
    task::{Beacon, UnitId, prompt_seed},
};

/// What a leaf binds of a response, and what shows that it is in its unit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Leafed {
    /// Hash of the response.
    pub tokens: Digest,
    /// Response tokens.
    pub tokens_count: u32,
    /// Why it ended.
    pub finish: Finish,
    /// The reward that its miner claims.
    pub reward_micro: u32,
    /// The sealed section.
    pub sealed: Seal,
    /// That the leaf is in the tree.
    pub inclusion: Inclusion,
    /// Of the unit.
    pub plant_seal: Seal,
    /// Of the unit.
    pub sketch_seal: Seal,
}

/// A response, as it is in the blob of its unit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Response {
    /// Its leaf.
    pub leaf: Leafed,
    /// Its tokens.
    pub tokens: Vec<u32>,
}

/// A token of a sequence of the part.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Token {
    /// The piece of the plan with the entry of its row.
    pub entry: Opening,
    /// Its response's leaf and the piece of the response that it is in; nothing of a prompt, which
    /// everybody knows, and of a planted fault, which its miner opened.
    pub response: Option<(Leafed, Opening)>,
}

/// What a reinforcement unit learns from.
pub(super) struct Learned {
    /// The weights that drew the responses.
    pub(super) behaviour: BlobId,
    /// The beacon of the step of the rollouts.
    beacon: Beacon,
    /// In the order in which they are learned from.
    pub(super) rollouts: Vec<Rollout>,
}

/// A rollout unit.
pub(super) struct Rollout {
    unit: UnitId,
    root: Root,
    correction: Option<Correction>,
}

/// A sample's place: its rollout unit, and where it is there.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    rollout: &'a Rollout,
    group: u32,
    slot: u32,
}

impl Learned {
    /// Nothing where the chain does not know all of it.
    pub(super) fn of(view: &View<'_>, id: UnitId) -> Option<Self> {
        let before = protocol::Step::new(id.step.get().checked_sub(1)?);
        let rollout = |unit: UnitId| {
            let state: Unit = view.get(&unit)?;
            let correction = state.opening.correction();
            match state.commitment?.claim {
                Claim::Rollout { root, .. } => Some(Rollout {
                    unit,
                    root,
                    correction,
                }),
                Claim::Gradient { .. } => None,
            }
        };
        let rollouts = task::gradient_inputs(view, id).into_iter().map(rollout);
        Some(Self {
            behaviour: run::weights(view, id.run, before)?,
            beacon: run::beacon(view, id.run, before)?,
            rollouts: rollouts.collect::<Option<_>>()?,
        })
    }
    /// The sample that an entry of the plan is about.
    pub(super) fn spot(&self, task: &Task, place: u64) -> Option<Spot<'_>> {
        let reinforce = &task.recipe.reinforce;
        let samples = u64::from(reinforce.samples_per_group_count);
        let groups = u64::from(reinforce.groups_per_unit_count);
        let group = place.checked_div(samples)?;
        let rollout = usize::try_from(group.checked_div(groups)?).ok()?;
        Some(Spot {
            rollout: self.rollouts.get(rollout)?,
            group: u32::try_from(group.checked_rem(groups)?).ok()?,
            slot: u32::try_from(place.checked_rem(samples)?).ok()?,
        })
    }
    /// The prompt of a sample.
    pub(super) fn prompt(&self, task: &Task, spot: Spot<'_>) -> Vec<u32> {
        let environment = task.recipe.environment;
        let seed = prompt_seed(&self.beacon, spot.rollout.unit, environment, spot.group);
        task.environment.prompt(&seed, Split::Train)
    }
}

impl Spot<'_> {
    /// The token that was drawn at a position of the response, where the unit's miner planted
    /// another.
    pub(super) fn planted(&self, position: u32) -> Option<u32> {
        let correction = self.rollout.correction.as_ref()?;
        let own = (self.group, self.slot, position);
        let place = (correction.group, correction.slot, correction.position);
        (own == place).then_some(correction.token)
    }
    /// Whether a leaf with this prompt is in the unit at this place.
    fn has(&self, prompt: &[u32], leafed: &Leafed) -> bool {
        let leaf = Leaf {
            unit: self.rollout.unit,
            group: self.group,
            slot: self.slot,
            prompt: prompt_digest(prompt),
            tokens: leafed.tokens,
            tokens_count: leafed.tokens_count,
            finish: leafed.finish,
            reward_micro: leafed.reward_micro,
            sealed: leafed.sealed,
        };
        let leaves = leafed.inclusion.root_with(leaf.digest());
        let bound = leaves.map(|leaves| root(leaves, leafed.plant_seal, leafed.sketch_seal));
        bound == Some(self.rollout.root)
    }
    /// The token at a position of the response, by the piece that it is in.
    ///
    /// # Errors
    /// A leaf that is not of the unit, or a piece that is not of the response.
    pub(super) fn token(
        &self,
        prompt: &[u32],
        position: u32,
        (leafed, piece): &(Leafed, Opening),
    ) -> Result<u32, Refused> {
        if !self.has(prompt, leafed) {
            return Err(Refused::Response);
        }
        let list = TokenList {
            hashing: Hashing::tagged(TOKENS_TAG),
            name: *leafed.tokens.as_bytes(),
            count: leafed.tokens_count,
        };
        list.token(position, piece).ok_or(Refused::Response)
    }
    /// What the plan has of a response; nothing if it breaks a rule.
    ///
    /// # Errors
    /// A response that is not of the unit.
    pub(super) fn sample(
        &self,
        task: &Task,
        prompt: &[u32],
        response: &Response,
    ) -> Result<Option<Sample>, Refused> {
        let Response { leaf, tokens } = response;
        let response_count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let is_it = leaf.tokens == tokens_digest(tokens) && leaf.tokens_count == response_count;
        if !is_it || !self.has(prompt, leaf) {
            return Err(Refused::Response);
        }
        let corrected = (0_u32..).zip(tokens);
        let corrected = corrected.map(|(at, token)| self.planted(at).unwrap_or(*token));
        let tokens: Vec<u32> = corrected.collect();
        let vocab = task.recipe.model.vocab_size;
        let tokens_max = task.environment.response_tokens_max();
        let is_known = tokens.iter().all(|token| *token < vocab);
        let is_lawful = is_known && leaf.finish.is_lawful(&tokens, END_OF_SEQUENCE, tokens_max);
        let reward = || task.environment.reward(prompt, &tokens).millionths();
        Ok(is_lawful.then(|| Sample {
            response_count,
            reward_micro: reward(),
        }))
    }
}

/// The group of these samples; nothing if one breaks a rule.
pub(super) fn group(prompt: &[u32], samples: &[Option<Sample>]) -> Option<Group> {
    Some(Group {
        prompt_count: u32::try_from(prompt.len()).ok()?,
        samples: samples.iter().copied().collect::<Option<_>>()?,
    })
}
