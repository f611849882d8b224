//! One entry of a plan, and how it follows from the one before it.

use super::{Group, Sample};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Bytes of an entry: as many as a name has, so that none lies in two pieces of the hash's tree.
pub const ENTRY_BYTES: u64 = 32;
/// Tokens that a prompt has fewer than.
const PROMPT_LIMIT: u32 = 1 << 24;
/// The largest reward.
const REWARD_MICRO_MAX: u32 = 1_000_000;

/// Whether a group is learned from.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A sample is missing or breaks a rule: the whole group does not count.
    #[default]
    LeftOut,
    /// All rewards are equal: its tokens count, and it has no gradient.
    Level,
    /// It is learned from.
    Taught,
}

impl Standing {
    /// The standing of a group; nothing is one that is left out.
    #[must_use]
    pub fn of(group: Option<&Group>) -> Self {
        let Some(group) = group else {
            return Self::LeftOut;
        };
        let mut pairs = group.samples.windows(2);
        if pairs.all(|pair| pair[0].reward_micro == pair[1].reward_micro) {
            Self::Level
        } else {
            Self::Taught
        }
    }
}

/// Sums over the samples before one.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Sums {
    /// Rows of taught groups: tokens of prompts and responses.
    pub rows: u32,
    /// Squares of the lengths of their sequences.
    pub cells: u64,
    /// Response tokens of groups that count.
    pub tokens: u32,
    /// Taught groups before the sample's.
    pub groups: u32,
}

/// What a plan says about a sample.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Entry {
    /// Tokens of the response.
    pub response_count: u32,
    /// In millionths.
    pub reward_micro: u32,
    /// Over the samples before.
    pub before: Sums,
    /// Tokens of the prompt.
    pub prompt_count: u32,
    /// Of the sample's group.
    pub standing: Standing,
}

/// Why bytes or counts are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A byte that is no standing.
    #[error("standing {byte} is above 2")]
    Standing {
        /// Which.
        byte: u8,
    },
    /// A prompt without tokens, or with more than an entry can say.
    #[error("a prompt of {tokens} tokens; one has from 1 to 16777215")]
    Prompt {
        /// Tokens.
        tokens: u32,
    },
    /// A reward above 1.
    #[error("a reward of {micro} millionths is above 1000000")]
    Reward {
        /// In millionths.
        micro: u32,
    },
    /// Something about a sample that is left out.
    #[error("a sample that is left out has tokens or a reward")]
    LeftOut,
    /// A slot that the group lacks.
    #[error("the group has no sample in slot {slot}")]
    Slot {
        /// Which.
        slot: u32,
    },
    /// Sums that an entry cannot hold.
    #[error("the sums over the samples are too large")]
    Sums,
}

impl Entry {
    /// The entry of a sample by the one before it, if there is one, and by its group; nothing for a
    /// group that is left out, and for the entry after all samples (slot 0).
    ///
    /// # Errors
    /// A sample that the group lacks, or counts that no entry can have.
    pub fn following(
        before: Option<&Self>,
        slot: u32,
        group: Option<&Group>,
    ) -> Result<Self, EntryError> {
        let sums = match before {
            None => Some(Sums::default()),
            Some(entry) => entry.after(slot == 0),
        };
        let before = sums.ok_or(EntryError::Sums)?;
        let Some(own) = group else {
            return Ok(Self {
                before,
                ..Self::default()
            });
        };
        let sample = own.samples.get(slot as usize);
        let Sample {
            response_count,
            reward_micro,
        } = *sample.ok_or(EntryError::Slot { slot })?;
        let entry = Self {
            response_count,
            reward_micro,
            before,
            prompt_count: own.prompt_count,
            standing: Standing::of(group),
        };
        entry.check()?;
        Ok(entry)
    }
    /// Whether it is the entry of this slot of a group, after the entry before it.
    #[must_use]
    pub fn follows(&self, before: Option<&Self>, slot: u32, group: Option<&Group>) -> bool {
        Self::following(before, slot, group) == Ok(*self)
    }
    /// Tokens of prompt and response.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.prompt_count as u64 + self.response_count as u64
    }
    /// The sums over the samples up to this one; nothing if they are too large.
    fn after(&self, is_last_of_group: bool) -> Option<Sums> {
        let Sums {
            rows,
            cells,
            tokens,
            groups,
        } = self.before;
        let is_taught = self.standing == Standing::Taught;
        let length = if is_taught { self.length() } else { 0 };
        Some(Sums {
            rows: rows.checked_add(u32::try_from(length).ok()?)?,
            cells: cells.checked_add(length.checked_mul(length)?)?,
            tokens: tokens.checked_add(self.response_count)?,
            groups: groups.checked_add(u32::from(is_taught && is_last_of_group))?,
        })
    }
    fn check(&self) -> Result<(), EntryError> {
        let Self {
            response_count,
            reward_micro,
            before: _,
            prompt_count,
            standing,
        } = *self;
        if standing == Standing::LeftOut {
            let is_empty = response_count == 0 && reward_micro == 0 && prompt_count == 0;
            return if is_empty {
                Ok(())
            } else {
                Err(EntryError::LeftOut)
            };
        }
        if prompt_count == 0 || prompt_count >= PROMPT_LIMIT {
            return Err(EntryError::Prompt {
                tokens: prompt_count,
            });
        }
        if reward_micro > REWARD_MICRO_MAX {
            return Err(EntryError::Reward {
                micro: reward_micro,
            });
        }
        Ok(())
    }
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let Self {
            response_count,
            reward_micro,
            before,
            prompt_count,
            standing,
        } = *self;
        let Sums {
            rows,
            cells,
            tokens,
            groups,
        } = before;
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&response_count.to_le_bytes());
        bytes[4..8].copy_from_slice(&reward_micro.to_le_bytes());
        bytes[8..12].copy_from_slice(&rows.to_le_bytes());
        bytes[12..20].copy_from_slice(&cells.to_le_bytes());
        bytes[20..24].copy_from_slice(&tokens.to_le_bytes());
        bytes[24..28].copy_from_slice(&groups.to_le_bytes());
        bytes[28..].copy_from_slice(&prompt_count.to_le_bytes());
        bytes[31] = match standing {
            Standing::LeftOut => 0,
            Standing::Level => 1,
            Standing::Taught => 2,
        };
        bytes
    }
    /// Reads an entry.
    ///
    /// # Errors
    /// Bytes that no entry has.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EntryError> {
        let word = |at: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| bytes[at + i]);
            u32::from_le_bytes([a, b, c, d])
        };
        let standing = match bytes[31] {
            0 => Standing::LeftOut,
            1 => Standing::Level,
            2 => Standing::Taught,
            byte => return Err(EntryError::Standing { byte }),
        };
        let entry = Self {
            response_count: word(0),
            reward_micro: word(4),
            before: Sums {
                rows: word(8),
                cells: u64::from(word(16)) << 32 | u64::from(word(12)),
                tokens: word(20),
                groups: word(24),
            },
            prompt_count: word(28) % PROMPT_LIMIT,
            standing,
        };
        entry.check()?;
        Ok(entry)
    }
}
