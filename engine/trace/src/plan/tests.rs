//! Plans of groups of all standings, and what is none.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::rows::Rows;
use proptest::prelude::*;

const SAMPLES: u32 = 3;

fn group(prompt_count: u32, samples: [(u32, u32); 3]) -> Option<Group> {
    let sample = |(response_count, reward_micro)| Sample {
        response_count,
        reward_micro,
    };
    Some(Group {
        prompt_count,
        samples: samples.map(sample).to_vec(),
    })
}

/// Taught, left out, level, taught.
fn groups() -> Vec<Option<Group>> {
    vec![
        group(4, [(3, 0), (1, 1_000_000), (5, 0)]),
        None,
        group(2, [(6, 250_000), (2, 250_000), (2, 250_000)]),
        group(7, [(0, 500_000), (2, 0), (1, 0)]),
    ]
}

#[test]
fn entries_have_the_sums_over_the_samples_before_them() {
    let plan = Plan::new(SAMPLES, &groups()).unwrap();
    let sums = |rows, cells, tokens, groups| Sums {
        rows,
        cells,
        tokens,
        groups,
    };
    let found: Vec<Sums> = plan.entries().iter().map(|entry| entry.before).collect();
    let expected = [
        sums(0, 0, 0, 0),
        sums(7, 49, 3, 0),
        sums(12, 74, 4, 0),
        // A group that is left out adds nothing.
        sums(21, 155, 9, 1),
        sums(21, 155, 9, 1),
        sums(21, 155, 9, 1),
        // One of equal rewards adds its tokens.
        sums(21, 155, 9, 1),
        sums(21, 155, 15, 1),
        sums(21, 155, 17, 1),
        sums(21, 155, 19, 1),
        sums(28, 204, 19, 1),
        sums(37, 285, 21, 1),
        sums(45, 349, 22, 2),
    ];
    assert_eq!(found, expected);
    assert_eq!(plan.sums(), expected[12]);
    assert_eq!(plan.normaliser().to_bits(), 22.0_f32.to_bits());
}

#[test]
fn an_entry_has_the_bytes_that_the_text_says() {
    let entry = Entry {
        response_count: 0x0403_0201,
        reward_micro: 0x0000_0605,
        before: Sums {
            rows: 0x0c0b_0a09,
            cells: 0x1413_1211_100f_0e0d,
            tokens: 0x1817_1615,
            groups: 0x1c1b_1a19,
        },
        prompt_count: 0x001f_1e1d,
        standing: Standing::Taught,
    };
    let mut bytes: [u8; 32] = std::array::from_fn(|index| u8::try_from(index + 1).unwrap());
    (bytes[4], bytes[5], bytes[6], bytes[7], bytes[31]) = (5, 6, 0, 0, 2);
    assert_eq!(entry.to_bytes(), bytes);
    assert_eq!(Entry::from_bytes(&bytes), Ok(entry));
}

#[test]
fn parts_have_the_taught_groups_in_order_each_once() {
    let groups: Vec<_> = (0..5).flat_map(|_| groups()).collect();
    let plan = Plan::new(SAMPLES, &groups).unwrap();
    assert_eq!(plan.sums().groups, 10);
    for parts_count in 1..=12 {
        let mut taught = Vec::new();
        for index in 0..parts_count {
            let part = plan.part(index, parts_count);
            let sequences = plan.sequences(index, parts_count, 1_000);
            let groups_count = usize::try_from(part.end - part.start).unwrap();
            assert_eq!(sequences.as_slice().len(), 3 * groups_count);
            taught.extend(sequences.as_slice().to_vec());
        }
        assert_eq!(taught, plan.sequences(0, 1, 1_000).as_slice());
    }
    let all = plan.sequences(0, 1, 1_000);
    let first = &all.as_slice()[..3];
    let shapes: Vec<_> = first
        .iter()
        .map(|sequence| (sequence.prompt_count, sequence.response_count))
        .collect();
    assert_eq!(shapes, [(4, 3), (4, 1), (4, 5)]);
    let found = first.iter().filter_map(|sequence| sequence.advantage);
    let found: Vec<f32> = found.collect();
    assert_eq!(found, advantages(&[0, 1_000_000, 0], 1_000));
}

/// Forty groups, so that the plan has several pieces.
fn long() -> Plan {
    let groups: Vec<_> = (0..10).flat_map(|_| groups()).collect();
    Plan::new(SAMPLES, &groups).unwrap()
}

fn frame(part: u32, parts_count: u32) -> Frame {
    Frame {
        groups_count: 40,
        samples_count: SAMPLES,
        part,
        parts_count,
        floor_micro: 1_000,
    }
}

#[test]
fn three_entries_say_how_long_a_part_is_and_no_others_do() {
    let plan = long();
    let name = plan.name();
    for parts_count in [1, 3, 7, 20, 30] {
        for index in 0..parts_count {
            let frame = frame(index, parts_count);
            let ends = plan.ends(index, parts_count);
            let last = u32::try_from(frame.last()).unwrap();
            let pieces = plan.shown([ends[0], ends[1], last]);
            let outline = frame.outline(&name, ends, &pieces).unwrap();
            let all = plan.sequences(index, parts_count, 1_000);
            let (all, blank) = (Rows::Ragged(&all), outline.blank());
            let blank = Rows::Ragged(&blank);
            assert_eq!(
                (blank.count(), blank.square(2)),
                (all.count(), all.square(2))
            );
            assert_eq!(outline.normaliser().to_bits(), plan.normaliser().to_bits());

            // A piece that is missing, of another plan, or forged; a place inside a group.
            let first = &pieces[..1];
            assert!(pieces.len() == 1 || frame.outline(&name, ends, first).is_none());
            assert_eq!(frame.outline(&[7; 32], ends, &pieces), None);
            let mut forged = pieces.clone();
            forged[0].bytes[40] ^= 1;
            assert_eq!(frame.outline(&name, ends, &forged), None);
            for moved in [[ends[0] + 1, ends[1]], [ends[0], ends[1] + 1]] {
                assert_eq!(frame.outline(&name, moved, &pieces), None);
            }
            if ends[0] != ends[1] {
                assert_eq!(frame.outline(&name, [ends[1], ends[1]], &pieces), None);
                assert_eq!(frame.outline(&name, [ends[1], ends[0]], &pieces), None);
            }
        }
    }
}

#[test]
fn shown_entries_say_of_their_rows_what_the_whole_plan_says() {
    let plan = long();
    let (frame, name) = (frame(1, 3), plan.name());
    let ends = plan.ends(1, 3);
    let last = u32::try_from(frame.last()).unwrap();
    let pieces = plan.shown([ends[0], ends[1], last]);
    let outline = frame.outline(&name, ends, &pieces).unwrap();
    let (all, places) = (plan.sequences(1, 3, 1_000), plan.places(1, 3));
    let rows = Rows::Ragged(&all);
    for (index, sequence) in all.as_slice().iter().enumerate() {
        let place = places[index];
        let first = place / SAMPLES * SAMPLES;
        let pieces = plan.shown(first..first + SAMPLES);
        let shown = frame.sequences(&outline, &name, &pieces).unwrap();
        let own = (0..rows.count()).filter(|row| all.index_of_row(*row) == Some(index));
        for row in own {
            assert_eq!(shown.of_row(row), all.of_row(row));
            assert_eq!(Rows::Ragged(&shown).run_of_row(row), rows.run_of_row(row));
        }
        // Of a group of which not all entries are in the piece, advantages are not known.
        let one = plan.shown([place]);
        let entries = frame.entries(&name, &one).unwrap();
        let is_whole = (first..first + SAMPLES).all(|place| entries.contains_key(&place.into()));
        let shown = frame.sequences(&outline, &name, &one).unwrap();
        let row = (0..rows.count()).find(|row| all.index_of_row(*row) == Some(index));
        let (found, _) = shown.of_row(row.unwrap()).flatten().unwrap();
        let advantage = sequence.advantage.filter(|_| is_whole);
        assert_eq!(
            found,
            Sequence {
                advantage,
                ..*sequence
            }
        );
        assert_eq!(frame.sequences(&outline, &[7; 32], &one), None);
    }
    // Nothing is known of rows whose entries are not shown.
    assert_eq!(outline.blank().of_row(0), None);
}

#[test]
fn groups_that_no_plan_can_say_have_none() {
    let of = |prompt_count, samples| Plan::new(SAMPLES, &[group(prompt_count, samples)]);
    let at = |index, error| Err(PlanError::Entry { index, error });
    let fine = [(1, 0), (1, 1), (1, 2)];
    assert!(of(1, fine).is_ok());
    assert_eq!(of(0, fine), at(0, EntryError::Prompt { tokens: 0 }));
    let tokens = 1 << 24;
    assert!(of(tokens - 1, fine).is_ok());
    assert_eq!(of(tokens, fine), at(0, EntryError::Prompt { tokens }));
    let micro = 1_000_001;
    let found = of(1, [(1, 0), (1, micro), (1, 0)]);
    assert_eq!(found, at(1, EntryError::Reward { micro }));
    let found = of(1, [(1, 0), (u32::MAX, 1), (1, 2)]);
    assert_eq!(found, at(2, EntryError::Sums));
    let found = Plan::new(2, &[group(1, fine)]);
    let (group, found_count, needed) = (0, 3, 2);
    let error = PlanError::Samples {
        group,
        found: found_count,
        needed,
    };
    assert_eq!(found, Err(error));
}

#[test]
fn bytes_that_are_no_plan_are_refused() {
    let plan = Plan::new(SAMPLES, &groups()).unwrap();
    let bytes = plan.bytes();
    assert_eq!(bytes.len() as u64, 13 * ENTRY_BYTES);
    assert_eq!(Plan::decode(&bytes, 4, SAMPLES), Ok(plan));
    let needed = 13 * ENTRY_BYTES;
    for found in [0, 31, 32 * 12, 32 * 14] {
        let mut other = bytes.clone();
        other.resize(found, 0);
        let found = found as u64;
        let error = Err(PlanError::Length { found, needed });
        assert_eq!(Plan::decode(&other, 4, SAMPLES), error);
    }
    let changed = |byte: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[byte] = to;
        Plan::decode(&bytes, 4, SAMPLES).unwrap_err()
    };
    let at = |index, error| PlanError::Entry { index, error };
    assert_eq!(changed(31, 3), at(0, EntryError::Standing { byte: 3 }));
    assert_eq!(changed(28, 0), at(0, EntryError::Prompt { tokens: 0 }));
    let micro = 255 << 24;
    assert_eq!(changed(7, 255), at(0, EntryError::Reward { micro }));
    for field in [0, 4, 28] {
        assert_eq!(changed(3 * 32 + field, 1), at(3, EntryError::LeftOut));
    }
    // A group that has rewards enough to be taught, and says it is level; and the other way round.
    assert_eq!(changed(31, 1), PlanError::Follows { index: 0 });
    assert_eq!(changed(6 * 32 + 31, 2), PlanError::Follows { index: 6 });
    // Another prompt than the group's first sample has.
    assert_eq!(changed(32 + 28, 5), PlanError::Follows { index: 1 });
    for sum in [8, 12, 19, 20, 24] {
        assert_eq!(changed(sum, 1), PlanError::Follows { index: 0 });
        assert_eq!(changed(12 * 32 + sum, 99), PlanError::Follows { index: 12 });
    }
}

#[test]
fn an_entry_follows_from_the_one_before_and_its_group_and_no_other_does() {
    let groups = groups();
    let plan = Plan::new(SAMPLES, &groups).unwrap();
    let other = group(4, [(3, 1), (1, 999_999), (5, 1)]).unwrap();
    for (index, entry) in plan.entries().iter().enumerate() {
        let before = index.checked_sub(1).map(|index| &plan.entries()[index]);
        let slot = u32::try_from(index).unwrap() % SAMPLES;
        let own = groups.get(index / 3).and_then(Option::as_ref);
        assert!(entry.follows(before, slot, own), "{index}");
        assert!(!entry.follows(before, slot, Some(&other)), "{index}");
        for byte in 0..32 {
            let mut bytes = entry.to_bytes();
            bytes[byte] ^= 1;
            let changed = Entry::from_bytes(&bytes);
            let follows = changed.is_ok_and(|changed| changed.follows(before, slot, own));
            assert!(!follows, "{index} {byte}");
        }
    }
    // At the end of a group the next one is the first after a taught group more.
    let entries = plan.entries();
    let own = groups[0].as_ref();
    assert!(!entries[3].follows(Some(&entries[1]), 0, None));
    assert!(!entries[2].follows(Some(&entries[1]), 3, own));
}

fn any_group() -> impl Strategy<Value = Option<Group>> {
    let reward = prop_oneof![Just(0_u32), Just(1_000_000), 0..=1_000_000_u32];
    let sample = (0..5_000_u32, reward).prop_map(|(response_count, reward_micro)| Sample {
        response_count,
        reward_micro,
    });
    let samples = prop::collection::vec(sample, SAMPLES as usize);
    let group = (1..3_000_u32, samples).prop_map(|(prompt_count, samples)| Group {
        prompt_count,
        samples,
    });
    prop::option::weighted(0.8, group)
}

proptest! {
    #[test]
    fn every_plan_is_read_as_it_was_written_and_bytes_have_one_plan(
        groups in prop::collection::vec(any_group(), 0..40),
        byte in any::<prop::sample::Index>(),
        to: u8,
    ) {
        let plan = Plan::new(SAMPLES, &groups).unwrap();
        let count = u32::try_from(groups.len()).unwrap();
        let mut bytes = plan.bytes();
        prop_assert_eq!(&Plan::decode(&bytes, count, SAMPLES).unwrap(), &plan);
        let at = byte.index(bytes.len());
        bytes[at] = to;
        if let Ok(other) = Plan::decode(&bytes, count, SAMPLES) {
            prop_assert_eq!(&other.bytes(), &bytes);
            prop_assert_eq!(other == plan, other.name() == plan.name());
        }
    }
}
