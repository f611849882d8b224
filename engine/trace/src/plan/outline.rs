//! What of a plan a part needs: its ends, and the entries that were shown.
//!
//! Whoever computes the whole part has the plan. A referee has its name, and pieces of its bytes
//! that a side shows: three entries say how long all tensors are, and the one of a number's row
//! what the number reads.

use super::{ENTRY_BYTES, Entry, Standing, Sums};
use crate::rows::{Sequence, Sequences};
use crate::schedule::advantages;
use crate::tree::{Name, Opening, PIECE_BYTES};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Range};

/// Most cells of a part, far above what any model takes: so that numbers of tensors are countable.
const CELLS_MAX: u64 = 1 << 48;

/// The taught groups of part `index` of `parts_count`, of so many (02-gradient §2).
pub(super) fn part(taught: u32, index: u32, parts_count: u32) -> Range<u64> {
    let parts_count = u64::from(parts_count.max(1));
    let bound = |index: u64| u64::from(taught) * index / parts_count;
    let index = u64::from(index);
    bound(index)..bound(index + 1)
}

/// What everybody knows of a plan before any of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Groups that there should be, in all rollouts of the unit.
    pub groups_count: u32,
    /// Samples of a group.
    pub samples_count: u32,
    /// The part that is computed.
    pub part: u32,
    /// Parts of the unit.
    pub parts_count: u32,
    /// Of advantages, in millionths.
    pub floor_micro: u64,
}

/// How long all tensors of a part are: the sums over the samples before it, over those up to its
/// end, and over all.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Outline {
    start: Sums,
    end: Sums,
    all: Sums,
}

impl Outline {
    /// Response tokens of all groups that count, by which the loss is divided.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "token counts are below 2^24")]
    pub fn normaliser(&self) -> f32 {
        self.all.tokens.max(1) as f32
    }
    /// Rows and cells of the part; nothing if its end is before its beginning, or it has more than
    /// can be counted.
    fn extent(&self) -> Option<(u64, u64)> {
        let rows = self.end.rows.checked_sub(self.start.rows)?;
        let cells = self.end.cells.checked_sub(self.start.cells)?;
        (cells <= CELLS_MAX).then_some((rows.into(), cells))
    }
    /// The part's sequences without any that is known.
    #[must_use]
    pub fn blank(&self) -> Sequences {
        Sequences::some(self.extent().unwrap_or_default(), Vec::new())
    }
    /// Where in the part an entry's sequence begins, by rows and cells; nothing if it is not of
    /// the part.
    fn begins(&self, entry: &Entry) -> Option<(u64, u64)> {
        let (rows, cells) = self.extent()?;
        let first = u64::from(entry.before.rows.checked_sub(self.start.rows)?);
        let before = entry.before.cells.checked_sub(self.start.cells)?;
        let length = entry.length();
        let end = before.checked_add(length.checked_mul(length)?)?;
        let is_inside = first.checked_add(length)? <= rows && end <= cells;
        (is_inside && entry.standing == Standing::Taught).then_some((first, before))
    }
}

impl Frame {
    /// Samples that there should be: as many entries come before the last.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.groups_count as u64 * self.samples_count as u64
    }
    /// Bytes of the plan.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        (self.last() + 1) * ENTRY_BYTES
    }
    /// Entries in pieces of the plan of this name, by their places; nothing if one is not of it.
    /// What is no entry is left out.
    #[must_use]
    pub fn entries(&self, name: &Name, pieces: &[Opening]) -> Option<BTreeMap<u64, Entry>> {
        let mut entries = BTreeMap::new();
        for piece in pieces {
            if !piece.opens(name, self.bytes()) {
                return None;
            }
            let first = piece.piece.checked_mul(PIECE_BYTES / ENTRY_BYTES)?;
            let (bytes, _) = piece.bytes.as_chunks::<32>();
            let read = (first..).zip(bytes);
            entries
                .extend(read.filter_map(|(at, bytes)| Some((at, Entry::from_bytes(bytes).ok()?))));
        }
        Some(entries)
    }
    /// The outline of the part, of a plan of this name of which pieces are shown: with the last
    /// entry, and those at the part's ends, which are at these places.
    #[must_use]
    pub fn outline(&self, name: &Name, ends: [u32; 2], pieces: &[Opening]) -> Option<Outline> {
        let entries = self.entries(name, pieces)?;
        let all = entries.get(&self.last())?.before;
        let bounds = part(all.groups, self.part, self.parts_count);
        let sums = |place: u32, groups: u64| {
            let before = entries.get(&place.into())?.before;
            let is_first = place.checked_rem(self.samples_count) == Some(0);
            (is_first && u64::from(before.groups) == groups).then_some(before)
        };
        let outline = Outline {
            start: sums(ends[0], bounds.start)?,
            end: sums(ends[1], bounds.end)?,
            all,
        };
        outline.extent().map(|_| outline)
    }
    /// The sequences of the part that pieces of the plan of this name show; nothing if one is not
    /// of it. Advantages are known where all samples of a group are.
    #[must_use]
    pub fn sequences(
        &self,
        outline: &Outline,
        name: &Name,
        pieces: &[Opening],
    ) -> Option<Sequences> {
        let entries = self.entries(name, pieces)?;
        let mut groups: BTreeMap<u64, Vec<f32>> = BTreeMap::new();
        let mut known = BTreeMap::new();
        for (place, entry) in &entries {
            let Some((first, cells)) = outline.begins(entry) else {
                continue;
            };
            let group = place.checked_div(self.samples_count.into())?;
            let group = group * u64::from(self.samples_count);
            let own = groups
                .entry(group)
                .or_insert_with(|| self.advantages(group, &entries));
            let slot = usize::try_from(place - group).ok()?;
            let sequence = Sequence {
                prompt_count: entry.prompt_count.into(),
                response_count: entry.response_count.into(),
                advantage: own.get(slot).copied(),
            };
            known.insert((first, cells), sequence);
        }
        let known = known.into_iter().collect();
        Some(Sequences::some(outline.extent()?, known))
    }
    /// The sample that a row of the part is of, and the row's position in its sequence, by a piece
    /// of the plan of this name; nothing if it does not say.
    #[must_use]
    pub fn sample_of_row(
        &self,
        outline: &Outline,
        name: &Name,
        (piece, row): (&Opening, u64),
    ) -> Option<(u64, Entry, u64)> {
        let entries = self.entries(name, std::slice::from_ref(piece))?.into_iter();
        let mut found = entries.filter_map(|(place, entry)| {
            let (first, _) = outline.begins(&entry)?;
            let position = row.checked_sub(first)?;
            (position < entry.length()).then_some((place, entry, position))
        });
        found.next()
    }
    /// The advantages of a group by its first place; none where not all its samples are shown.
    fn advantages(&self, group: u64, entries: &BTreeMap<u64, Entry>) -> Vec<f32> {
        let places = group..group.saturating_add(self.samples_count.into());
        let rewards: Option<Vec<u32>> = places
            .map(|place| entries.get(&place).map(|entry| entry.reward_micro))
            .collect();
        rewards.map_or(Vec::new(), |rewards| advantages(&rewards, self.floor_micro))
    }
}
