//! The plan of a reinforcement unit: how long every response is and how well it did.
//!
//! Of what a unit learns from, the shapes of all numbers follow: which sequence a row is of, how
//! long folds are, which groups a part has. A plan says it in 32 bytes a sample, in the order of
//! the rollouts, each with the sums over those before it; so a few entries tell what a number
//! reads, and each entry follows from the one before it and from one group.
//!
//! ```text
//! byte  0 ..  4  tokens of the response
//!       4 ..  8  reward, in millionths
//!       8 .. 12  before: rows of taught groups
//!      12 .. 20          squares of their sequences' lengths
//!      20 .. 24          response tokens of groups that count
//!      24 .. 28          taught groups
//!      28 .. 31  tokens of the prompt
//!      31        the group's standing: 0 left out, 1 level, 2 taught
//! ```
//!
//! All are little-endian. A group that is left out has zeros for its samples, and so has the last
//! entry, which is after all samples and has the sums over them.
//!
//! Spec: trace §4

mod entry;
mod outline;

pub use entry::{ENTRY_BYTES, Entry, EntryError, Standing, Sums};
pub use outline::{Frame, Outline};

use crate::rows::{Sequence, Sequences};
use crate::schedule::advantages;
use crate::tree::{Name, Opening, PIECE_BYTES};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, ops::Range};

/// A sample of a group, as its tokens and the environment say.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Sample {
    /// Tokens of the response.
    pub response_count: u32,
    /// In millionths, at most 1 000 000.
    pub reward_micro: u32,
}

/// A group that counts: all its samples are there and keep the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Tokens of the prompt, at least 1.
    pub prompt_count: u32,
    /// By slot.
    pub samples: Vec<Sample>,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of a group.
    samples_count: u32,
    /// One a sample, group after group, and the last.
    entries: Vec<Entry>,
}

/// Why there is no such plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A group with fewer or more samples.
    #[error("group {group} has {found} samples; a group has {needed}")]
    Samples {
        /// Which.
        group: usize,
        /// Its samples.
        found: usize,
        /// Of every group.
        needed: u32,
    },
    /// Another number of bytes.
    #[error("the plan has {found} bytes; its groups take {needed}")]
    Length {
        /// Bytes.
        found: u64,
        /// Bytes that it takes.
        needed: u64,
    },
    /// An entry that is none.
    #[error("entry {index}: {error}")]
    Entry {
        /// Which.
        index: usize,
        /// Why.
        error: EntryError,
    },
    /// An entry that does not follow from the one before it and from its group.
    #[error("entry {index} does not follow from the one before it and from its group")]
    Follows {
        /// Which.
        index: usize,
    },
}

impl Plan {
    /// The plan of groups with so many samples each, in order; nothing for one that is left out.
    ///
    /// # Errors
    /// A group with another number of samples, or with counts that no entry can have.
    pub fn new(samples_count: u32, groups: &[Option<Group>]) -> Result<Self, PlanError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let found = group.as_ref().map(|group| group.samples.len());
            if let Some(found) = found.filter(|found| *found != samples_count as usize) {
                return Err(PlanError::Samples {
                    group: index,
                    found,
                    needed: samples_count,
                });
            }
            for slot in 0..samples_count {
                let (before, index) = (entries.last(), entries.len());
                let entry = Entry::following(before, slot, group.as_ref());
                entries.push(entry.map_err(|error| PlanError::Entry { index, error })?);
            }
        }
        let (before, index) = (entries.last(), entries.len());
        let last = Entry::following(before, 0, None);
        entries.push(last.map_err(|error| PlanError::Entry { index, error })?);
        Ok(Self {
            samples_count,
            entries,
        })
    }
    /// Reads the plan of so many groups with so many samples each.
    ///
    /// # Errors
    /// Bytes that are not a plan, or not those that this plan is written as.
    pub fn decode(bytes: &[u8], groups_count: u32, samples_count: u32) -> Result<Self, PlanError> {
        let entries_count = u64::from(groups_count) * u64::from(samples_count) + 1;
        let (found, needed) = (bytes.len() as u64, entries_count * ENTRY_BYTES);
        if found != needed {
            return Err(PlanError::Length { found, needed });
        }
        let (entries, _) = bytes.as_chunks::<32>();
        let read = |(index, bytes)| {
            let entry = Entry::from_bytes(bytes);
            entry.map_err(|error| PlanError::Entry { index, error })
        };
        let entries = entries.iter().enumerate().map(read);
        let plan = Self {
            samples_count,
            entries: entries.collect::<Result<_, _>>()?,
        };
        let groups: Vec<_> = (0..groups_count as usize)
            .map(|index| plan.group(index))
            .collect();
        let right = Self::new(samples_count, &groups)?;
        let mut pairs = plan.entries.iter().zip(&right.entries);
        match pairs.position(|(entry, right)| entry != right) {
            None => Ok(plan),
            Some(index) => Err(PlanError::Follows { index }),
        }
    }
    /// Its bytes: [`ENTRY_BYTES`] a sample, and as many more.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.entries.iter().flat_map(Entry::to_bytes).collect()
    }
    /// The plain BLAKE3 hash of its bytes.
    #[must_use]
    pub fn name(&self) -> Name {
        *blake3::hash(&self.bytes()).as_bytes()
    }
    /// One a sample, group after group, and the last.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
    /// Samples of a group.
    #[must_use]
    pub const fn samples_count(&self) -> u32 {
        self.samples_count
    }
    /// The sums over all samples.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.entries
            .last()
            .map(|last| last.before)
            .unwrap_or_default()
    }
    /// Response tokens of all groups that count, by which the loss is divided.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "token counts are below 2^24")]
    pub fn normaliser(&self) -> f32 {
        self.sums().tokens.max(1) as f32
    }
    /// The taught groups of part `index` of `parts_count`, counted among all taught ones.
    #[must_use]
    pub fn part(&self, index: u32, parts_count: u32) -> Range<u64> {
        outline::part(self.sums().groups, index, parts_count)
    }
    /// Where a part begins and where it ends: entries that are the first of their groups, or the
    /// last of all.
    #[must_use]
    pub fn ends(&self, index: u32, parts_count: u32) -> [u32; 2] {
        let part = self.part(index, parts_count);
        [part.start, part.end].map(|groups| {
            let samples_count = self.samples_count.max(1) as usize;
            let firsts = (0_u32..).zip(&self.entries).step_by(samples_count);
            let mut found = firsts.filter(|(_, entry)| u64::from(entry.before.groups) == groups);
            found.next().map_or(0, |(place, _)| place)
        })
    }
    /// The entries of the sequences of a part, by their places.
    #[must_use]
    pub fn places(&self, index: u32, parts_count: u32) -> Vec<u32> {
        let part = self.part(index, parts_count);
        let samples_count = self.samples_count.max(1) as usize;
        let groups = (0_u32..).zip(self.entries.chunks_exact(samples_count));
        let taught = groups.filter(|(_, group)| {
            let first = group.first().copied().unwrap_or_default();
            first.standing == Standing::Taught && part.contains(&u64::from(first.before.groups))
        });
        let places = |(group, _)| {
            let first = self.samples_count * group;
            first..first + self.samples_count
        };
        taught.flat_map(places).collect()
    }
    /// The pieces of its bytes that hold these entries, each once.
    #[must_use]
    pub fn shown(&self, places: impl IntoIterator<Item = u32>) -> Vec<Opening> {
        let bytes = self.bytes();
        let byte = |place: u32| u64::from(place) * ENTRY_BYTES;
        let pieces = places.into_iter().map(|place| byte(place) / PIECE_BYTES);
        let pieces: BTreeSet<u64> = pieces.collect();
        let pieces = pieces.into_iter();
        pieces
            .map(|piece| Opening::of(&bytes, piece * PIECE_BYTES))
            .collect()
    }
    /// The sequences of a part, with their advantages (02-gradient §2).
    #[must_use]
    pub fn sequences(&self, index: u32, parts_count: u32, floor_micro: u64) -> Sequences {
        let places = self.places(index, parts_count);
        let taught = places.chunks_exact(self.samples_count.max(1) as usize);
        let of_group = |places: &[u32]| -> Vec<Sequence> {
            let group = places.iter().map(|place| &self.entries[*place as usize]);
            let rewards: Vec<u32> = group.clone().map(|entry| entry.reward_micro).collect();
            let with_advantages = group.zip(advantages(&rewards, floor_micro));
            let sequence = |(entry, advantage): (&Entry, f32)| Sequence {
                prompt_count: entry.prompt_count.into(),
                response_count: entry.response_count.into(),
                advantage: Some(advantage),
            };
            with_advantages.map(sequence).collect()
        };
        Sequences::new(taught.flat_map(of_group).collect())
    }
    /// What its entries say about a group; nothing if its first says that it is left out.
    fn group(&self, index: usize) -> Option<Group> {
        let samples_count = self.samples_count as usize;
        let first = index.checked_mul(samples_count)?;
        let entries = self.entries.get(first..first.checked_add(samples_count)?)?;
        let first = entries.first()?;
        if first.standing == Standing::LeftOut {
            return None;
        }
        let sample = |entry: &Entry| Sample {
            response_count: entry.response_count,
            reward_micro: entry.reward_micro,
        };
        Some(Group {
            prompt_count: first.prompt_count,
            samples: entries.iter().map(sample).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
