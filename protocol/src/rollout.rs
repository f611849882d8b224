//! Rollouts: what a unit's miner shows, what it hides, and the one hash that binds both.
//!
//! * [`Payload`] is the open blob: tokens, ends, rewards. Anyone may read it.
//! * [`Sections`] are the hidden part: proofs of the activations, one [`Section`] a sample. What
//!   they hash to is the unit's [`Sketch`]. Whoever computes the unit rightly gets the same sketch,
//!   so that an auditor who names it before the miner opens it has done the work.
//! * a [`Seal`] hides a section, the sketch, or a planted fault until its [`Salt`] is opened;
//! * [`Leaf`] binds everything about one sample, [`Tree`] all leaves, [`Root`] the unit.
//!
//! ```text
//! root ── leaves root ── leaf (unit, group, slot, prompt, tokens, end, reward, sealed section)
//!      ├─ plant seal ─── salt, what the miner altered on purpose, if anything
//!      └─ sketch seal ── salt, sketch
//! ```
//!
//! Spec: 02-rollout.

mod equivocation;
mod leaf;
mod opening;
pub mod plant;
mod seal;
mod sections;
mod tree;

pub use equivocation::{Equivocation, EquivocationError, Half};
pub use leaf::{Leaf, TOKENS_TAG, leaves, prompt_digest, tokens_digest};
pub use opening::{OPENINGS_BYTES_MAX, OPENINGS_COUNT_MAX, Opening, Shown};
pub use seal::{Correction, Opened, Root, Salt, Salts, Seal, plant_seal, root, sketch_seal};
pub use sections::{
    PROJECTED_TOKENS_COUNT_MAX, PROJECTIONS_COUNT, Parts, SECTIONS_BYTES_MAX, Section,
    SectionGroup, Sections, Sketch, part,
};
pub use tree::{Digest, INCLUSION_LEVELS_MAX, Inclusion, Tree};

use crate::{
    Address,
    codec::{BoundedVec, DecodeError, decode},
    task::UnitId,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Most prompts in a unit.
pub const GROUPS_COUNT_MAX: usize = 64;
/// Most samples of one prompt.
pub const SAMPLES_COUNT_MAX: usize = 64;
/// Most tokens in one sample's response.
pub const TOKENS_COUNT_MAX: usize = 4096;
/// Most TOPLOC proofs of one sample.
pub const PROOFS_COUNT_MAX: usize = 130;
/// Longest TOPLOC proof in bytes (k = 512).
pub const PROOF_BYTES_MAX: usize = 1026;
/// Largest rollout blob in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Positions of activations kept by each TOPLOC proof, the scheme's k.
pub const PROOF_TOP_COUNT: usize = 128;
/// Tokens covered by one TOPLOC proof after the first.
pub const PROOF_CHUNK_TOKENS: usize = 32;

/// Why a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Finish {
    /// The end-of-sequence token was drawn; it is the last token.
    EndOfSequence,
    /// The length limit was reached.
    Cap,
}

impl Finish {
    /// Whether a response may end so (Spec: 02-rollout §1): with the token that ends sequences,
    /// which is nowhere else in it, or without it at the largest number of tokens.
    #[must_use]
    pub fn is_lawful(self, tokens: &[u32], end: u32, tokens_max: usize) -> bool {
        let Some((last, before)) = tokens.split_last() else {
            return false;
        };
        let is_ended = *last == end;
        let lawful = if is_ended {
            Self::EndOfSequence
        } else {
            Self::Cap
        };
        let is_long_enough = is_ended || tokens.len() == tokens_max;
        self == lawful && is_long_enough && tokens.len() <= tokens_max && !before.contains(&end)
    }
}

/// One sample of a group.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sample {
    /// Response token ids, the end-of-sequence token included.
    pub tokens: BoundedVec<u32, TOKENS_COUNT_MAX>,
    /// Why it ended.
    pub finish: Finish,
    /// Reward in millionths, as the environment computed it.
    pub reward_micro: u32,
    /// Hides the sample's [`Section`] until the unit is opened.
    pub sealed: Seal,
}

/// All samples of one prompt.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Group {
    /// In slot order.
    pub samples: BoundedVec<Sample, SAMPLES_COUNT_MAX>,
}

/// A rollout unit's blob.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Payload {
    /// The unit.
    pub unit: UnitId,
    /// Who computed it.
    pub miner: Address,
    /// Hides what the miner altered on purpose, if anything.
    pub plant_seal: Seal,
    /// Hides the unit's sketch.
    pub sketch_seal: Seal,
    /// In group order.
    pub groups: BoundedVec<Group, GROUPS_COUNT_MAX>,
    /// What the seals hide, in the open: only of miners of a tolerant class, whose sections no
    /// auditor can make again, so that they have to be compared.
    pub sections: Option<Sections>,
}

impl Payload {
    /// Reads a blob.
    ///
    /// # Errors
    /// When the bytes are not one canonical payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("rollout payload", bytes, PAYLOAD_BYTES_MAX)
    }
    /// Tokens of every response, by group and slot.
    #[must_use]
    pub fn lengths(&self) -> Vec<Vec<usize>> {
        let of_group = |group: &Group| {
            let samples = group.samples.as_slice().iter();
            samples
                .map(|sample| sample.tokens.as_slice().len())
                .collect()
        };
        self.groups.as_slice().iter().map(of_group).collect()
    }
    /// All samples, in order.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.groups
            .as_slice()
            .iter()
            .flat_map(|group| group.samples.as_slice())
    }
    /// The tree over all samples; nothing if there is no sample, or not one prompt a group.
    #[must_use]
    pub fn tree(&self, prompts: &[Vec<u32>]) -> Option<Tree> {
        Tree::of(leaves(self, prompts)?.iter().map(Leaf::digest).collect())
    }
    /// What the commitment binds; nothing as for [`Self::tree`].
    #[must_use]
    pub fn root(&self, prompts: &[Vec<u32>]) -> Option<Root> {
        let tree = self.tree(prompts)?;
        Some(root(tree.root(), self.plant_seal, self.sketch_seal))
    }
    /// Seals that are not those of the sections beside them; nothing if there are none.
    #[must_use]
    pub fn misplaced_sections(&self) -> Option<u64> {
        let sections = self.sections.as_ref()?;
        let mut misplaced = 0_u64;
        for (group, samples) in (0..).zip(self.groups.as_slice()) {
            for (slot, sample) in (0..).zip(samples.samples.as_slice()) {
                let section = sections.get(group as usize, slot as usize);
                let place = (group, slot);
                let seal = section.map(|one| Seal::section(Salt::OPEN, place, one.digest()));
                misplaced += u64::from(seal != Some(sample.sealed));
            }
        }
        let opened = Opened {
            salt: Salt::OPEN,
            parts: sections.parts(),
        };
        let sealed = sketch_seal(self.unit, self.miner, &opened) == self.sketch_seal;
        let counted = |(groups, sections): (&Group, &SectionGroup)| {
            groups.samples.as_slice().len() == sections.as_slice().len()
        };
        let groups = self.groups.as_slice();
        let alike = groups.len() == sections.groups.as_slice().len()
            && groups.iter().zip(sections.groups.as_slice()).all(counted);
        Some(misplaced + u64::from(!sealed) + u64::from(!alike))
    }
    /// The totals that the commitment repeats on chain.
    #[must_use]
    pub fn totals(&self, exact_micro: u32) -> Totals {
        let mut totals = Totals::default();
        for sample in self.samples() {
            totals.add(sample.tokens.as_slice(), sample.reward_micro, exact_micro);
        }
        totals
    }
}

impl Totals {
    /// Counts one more sample.
    pub fn add(&mut self, tokens: &[u32], reward_micro: u32, exact_micro: u32) {
        self.samples_count += 1;
        self.tokens_count += u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        self.reward_micro += u64::from(reward_micro);
        self.exact_count += u32::from(reward_micro == exact_micro);
    }
}

/// Sums over a unit's samples, repeated on chain and checked by audits.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Totals {
    /// Samples.
    pub samples_count: u32,
    /// Response tokens.
    pub tokens_count: u32,
    /// Sum of rewards in millionths.
    pub reward_micro: u64,
    /// Samples with full reward.
    pub exact_count: u32,
}
