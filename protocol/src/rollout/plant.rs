//! Planted faults: errors that miners make on purpose, so that an auditor who never looks is found
//! out. Spec: 07-verdict §10.
//!
//! A miner's verifiable randomness decides in which units it must put one wrong token, where, and
//! which. Nobody else knows until the miner opens the unit; the right token, the [`Correction`],
//! is sealed in the unit's root. Sections and sketch are those of the right tokens.

use super::{Correction, Payload, Sample, Totals};
use crate::{
    Micro,
    codec::BoundedVec,
    identifiers::tagged_hash,
    task::{Beacon, UnitId},
    vrf::Output,
};

/// The end of a sequence: never planted, never replaced.
const END_OF_SEQUENCE: u32 = 0;

/// What a miner proves its randomness about: the unit, under the beacon of its step.
#[must_use]
pub fn alpha(beacon: &Beacon, unit: UnitId) -> [u8; 32] {
    tagged_hash("cairn/plant/v1", &(beacon, unit))
}

/// Whether the miner must plant a fault. In a unit whose samples have one token each there is no
/// place for one.
#[must_use]
pub fn is_due(output: &Output, rate: Micro, totals: &Totals, vocabulary: u32) -> bool {
    let has_room = totals.tokens_count > totals.samples_count && vocabulary > 2;
    has_room && output.is_below(rate.get().into(), Micro::ONE.get().into())
}

/// Where a fault goes: one token of one sample, but no sample's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the group.
    pub group: u32,
    /// Index in the group.
    pub slot: u32,
    /// Index in the response.
    pub position: u32,
}

/// Two uniform 64-bit numbers.
fn numbers(output: &Output) -> (u64, u64) {
    let bytes = tagged_hash("cairn/plant-place/v1", output.as_bytes());
    let number = |from: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[from..from + 8]);
        u64::from_le_bytes(word)
    };
    (number(0), number(8))
}

/// A uniform number below `count`.
fn below(random: u64, count: u64) -> u64 {
    let scaled = u128::from(random) * u128::from(count);
    u64::try_from(scaled >> 64).unwrap_or(u64::MAX)
}

/// The place that the miner's randomness gives, among responses of these lengths, by group and
/// slot; nothing if none has two tokens.
#[must_use]
pub fn place(output: &Output, lengths: &[Vec<usize>]) -> Option<Place> {
    let room = |length: usize| u64::try_from(length.saturating_sub(1)).unwrap_or(0);
    let all = lengths.iter().flatten().map(|length| room(*length)).sum();
    let mut left = below(numbers(output).0, all);
    for (group, slots) in (0..).zip(lengths) {
        for (slot, length) in (0..).zip(slots) {
            match left.checked_sub(room(*length)) {
                Some(rest) => left = rest,
                None => {
                    let position = u32::try_from(left).ok()?;
                    return Some(Place {
                        group,
                        slot,
                        position,
                    });
                }
            }
        }
    }
    None
}

/// The wrong token: any but the right one and the end of a sequence.
#[must_use]
pub fn substitute(output: &Output, right: u32, vocabulary: u32) -> u32 {
    let others = u64::from(vocabulary.saturating_sub(2));
    let drawn = below(numbers(output).1, others);
    let token = u32::try_from(drawn)
        .unwrap_or(0)
        .saturating_add(END_OF_SEQUENCE + 1);
    if token >= right {
        token.saturating_add(1)
    } else {
        token
    }
}

/// Puts another token into one place; nothing if there is no such place. Gives the token that was
/// there.
#[must_use]
pub fn replaced(payload: &Payload, place: Place, token: u32) -> Option<(Payload, u32)> {
    let mut groups = payload.groups.as_slice().to_vec();
    let group = groups.get_mut(place.group as usize)?;
    let mut samples = group.samples.as_slice().to_vec();
    let sample: &mut Sample = samples.get_mut(place.slot as usize)?;
    let mut tokens = sample.tokens.as_slice().to_vec();
    let there = tokens.get_mut(place.position as usize)?;
    let before = std::mem::replace(there, token);
    sample.tokens = BoundedVec::new(tokens).ok()?;
    group.samples = BoundedVec::new(samples).ok()?;
    let groups = BoundedVec::new(groups).ok()?;
    Some((
        Payload {
            groups,
            ..payload.clone()
        },
        before,
    ))
}

impl Correction {
    /// Where the fault is.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            group: self.group,
            slot: self.slot,
            position: self.position,
        }
    }
    /// The payload with the right token, and the wrong one that was there. Rewards stay as claimed
    /// for the wrong one: they are recomputed by whoever uses them.
    #[must_use]
    pub fn apply(&self, payload: &Payload) -> Option<(Payload, u32)> {
        replaced(payload, self.place(), self.token)
    }
    /// Whether the fault is what the miner's randomness says, given the payload as it was bound.
    #[must_use]
    pub fn is_due(&self, output: &Output, payload: &Payload, vocabulary: u32) -> bool {
        let wrong = self.apply(payload).map(|(_, wrong)| wrong);
        place(output, &payload.lengths()) == Some(self.place())
            && wrong == Some(substitute(output, self.token, vocabulary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_but_the_last_of_a_response_is_drawn_and_no_other() {
        let lengths = vec![vec![1, 3], vec![2, 1]];
        let mut seen = std::collections::BTreeSet::new();
        for byte in 0..=255 {
            let Some(place) = place(&Output::from_bytes([byte; 32]), &lengths) else {
                panic!("there is room");
            };
            seen.insert((place.group, place.slot, place.position));
        }
        let all = [(0, 1, 0), (0, 1, 1), (1, 0, 0)];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
        let none = place(&Output::from_bytes([1; 32]), &[vec![1, 1], vec![]]);
        assert_eq!(none, None);
    }

    #[test]
    fn the_wrong_token_is_any_but_the_right_one_and_the_end() {
        for right in 1..5 {
            let mut seen = std::collections::BTreeSet::new();
            for byte in 0..=255 {
                seen.insert(substitute(&Output::from_bytes([byte; 32]), right, 5));
            }
            let expected: Vec<u32> = (1..5).filter(|token| *token != right).collect();
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
