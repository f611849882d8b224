//! What is judged of a drawn gradient unit, and what its miner has shown for it.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::gradient::State;
use serde::{Deserialize, Serialize};

/// The segment of a drawn gradient unit that is judged, and the states that its miner has shown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Challenge {
    /// Index of the segment; their number where only the update is checked, after the last.
    pub segment: u32,
    /// Segments of the unit.
    pub segments_count: u32,
    /// Where the segment starts, once that is shown; the first starts where everybody knows.
    pub start: Option<State>,
    /// Where the segment ends, once that is shown.
    pub end: Option<State>,
    /// Where the unit ends, once that is shown; where the segment ends there, that is its end.
    pub last: Option<State>,
}

impl Challenge {
    /// Of a segment of which nothing is shown.
    #[must_use]
    pub const fn new(segment: u32, segments_count: u32) -> Self {
        Self {
            segment,
            segments_count,
            start: None,
            end: None,
            last: None,
        }
    }
    /// Of the update alone.
    #[must_use]
    pub const fn update(segments_count: u32) -> Self {
        Self::new(segments_count, segments_count)
    }
    /// Whether only the update is checked, and no step repeated.
    #[must_use]
    pub const fn is_update(&self) -> bool {
        self.segment == self.segments_count
    }
    /// The boundaries whose states auditors need before they begin, ascending.
    #[must_use]
    pub fn needed(&self) -> Vec<u32> {
        let is_inner = |boundary: &u32| *boundary > 0 && *boundary != self.ends_at();
        let needed = [self.segment, self.segments_count].into_iter();
        let mut needed: Vec<u32> = needed.filter(is_inner).collect();
        needed.dedup();
        needed
    }
    /// The boundary at which the segment ends.
    #[must_use]
    pub const fn ends_at(&self) -> u32 {
        self.segment.saturating_add(1)
    }
    /// Whether auditors have what they need.
    #[must_use]
    pub fn is_served(&self) -> bool {
        let shown = [self.start, self.last].into_iter().flatten();
        shown.count() == self.needed().len()
    }
    /// Notes the state at a boundary.
    pub const fn show(&mut self, boundary: u32, state: State) {
        if boundary == self.ends_at() {
            self.end = Some(state);
        } else if boundary == self.segments_count {
            self.last = Some(state);
        } else {
            self.start = Some(state);
        }
    }
}
