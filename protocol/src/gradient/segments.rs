//! Segments: how a unit's inner steps are cut, so that an audit need repeat only a few of them.
//!
//! Boundary b lies before segment b and after segment b - 1; boundary 0 is the step's checkpoint
//! with fresh moments, or a sum of zeros in reinforcement learning, which everybody has.

use crate::{
    identifiers::tagged_hash,
    task::{Beacon, UnitId},
};
use std::ops::Range;

/// Most inner steps of a segment. Over so few, no honest difference can grow to what a skipped
/// step makes, in a class that has any.
pub const SEGMENT_STEPS_COUNT_MAX: u32 = 4;

/// Inner steps, cut. Every segment has the same number of them, the last maybe fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    steps_count: u32,
    segment_steps_count: u32,
}

impl Segments {
    /// Cuts steps into segments of so many, of 1 where it says 0, and of 4 where it says more.
    #[must_use]
    pub const fn new(steps_count: u32, segment_steps_count: u32) -> Self {
        let segment_steps_count = match segment_steps_count {
            0 => 1,
            1..=SEGMENT_STEPS_COUNT_MAX => segment_steps_count,
            _ => SEGMENT_STEPS_COUNT_MAX,
        };
        Self {
            steps_count,
            segment_steps_count,
        }
    }
    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.steps_count.div_ceil(self.segment_steps_count)
    }
    /// Inner steps taken at a boundary.
    #[must_use]
    pub fn steps_at(&self, boundary: u32) -> u32 {
        let steps = boundary.saturating_mul(self.segment_steps_count);
        steps.min(self.steps_count)
    }
    /// The inner steps of a segment.
    #[must_use]
    pub fn steps(&self, segment: u32) -> Range<u32> {
        self.steps_at(segment)..self.steps_at(segment.saturating_add(1))
    }
    /// All inner steps.
    #[must_use]
    pub const fn all(&self) -> Range<u32> {
        0..self.steps_count
    }
    /// Whether a boundary lies after this many steps.
    #[must_use]
    pub const fn is_boundary(&self, steps: u32) -> bool {
        steps == self.steps_count || steps.is_multiple_of(self.segment_steps_count)
    }
    /// The segment that an audit of the unit repeats: each is as likely.
    #[must_use]
    pub fn drawn(&self, beacon: &Beacon, unit: UnitId) -> u32 {
        let hash = tagged_hash("cairn/sample-segment/v1", &(beacon, unit));
        let mut low = [0; 8];
        low.copy_from_slice(&hash[..8]);
        let scaled = u128::from(u64::from_le_bytes(low)) * u128::from(self.count());
        u32::try_from(scaled >> 64).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunId, Step, task::UnitKind};

    #[test]
    fn segments_cover_every_step_once_in_order() {
        for steps in 0..40 {
            for each in 0..6 {
                let segments = Segments::new(steps, each);
                let covered = (0..segments.count()).flat_map(|segment| segments.steps(segment));
                assert!(covered.eq(0..steps), "{steps} steps in segments of {each}");
                let lengths = (0..segments.count()).map(|segment| segments.steps(segment).len());
                assert!(lengths.clone().all(|length| (1..=4).contains(&length)));
                for boundary in 0..=segments.count() {
                    assert!(segments.is_boundary(segments.steps_at(boundary)));
                }
                let boundaries = (1..=steps).filter(|step| segments.is_boundary(*step));
                assert_eq!(boundaries.count(), lengths.count());
            }
        }
    }

    #[test]
    fn every_segment_is_drawn_about_as_often() {
        let segments = Segments::new(30, 4);
        let mut drawn = [0_u32; 8];
        for index in 0..8_000 {
            let unit = UnitId {
                run: RunId::new(0),
                step: Step::new(0),
                kind: UnitKind::Gradient,
                index,
            };
            drawn[segments.drawn(&Beacon::from_bytes([7; 32]), unit) as usize] += 1;
        }
        // Six standard deviations of a binomial with n = 8000 and p = 1/8.
        let expected = 1_000_u32.saturating_sub(178)..1_178;
        assert!(
            drawn.iter().all(|count| expected.contains(count)),
            "{drawn:?}"
        );
    }
}
