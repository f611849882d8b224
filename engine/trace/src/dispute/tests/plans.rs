//! Disputes about a part whose referee has never seen its plan.

use super::*;
use crate::plan::{Frame, Group, Outline, Plan, Sample};

const FRAME: Frame = Frame {
    groups_count: 5,
    samples_count: 12,
    part: 1,
    parts_count: 2,
    floor_micro: 10_000,
};

/// A group of ragged responses.
fn group(prompt_count: u32, longest: u32, rewards: [u32; 2]) -> Option<Group> {
    let sample = |slot: u32| Sample {
        response_count: slot % (longest + 1),
        reward_micro: rewards[usize::from(slot > 4)],
    };
    Some(Group {
        prompt_count,
        samples: (0..12).map(sample).collect(),
    })
}

/// Three taught groups, of which the last two are the part's, one left out, one level.
fn plan() -> Plan {
    let groups = [
        group(3, 2, [0, 500_000]),
        group(2, 1, [7, 7]),
        group(1, 3, [1_000_000, 0]),
        None,
        group(2, 2, [0, 1]),
    ];
    Plan::new(12, &groups).unwrap()
}

fn reinforcement(sequences: Sequences, normaliser: f32) -> Program {
    Program::reinforcement(Reinforcement {
        model: MODEL,
        sequences,
        objective: Objective {
            clip_low: 0.2,
            clip_high: 0.3,
            delta: 4.0,
            temperature: 0.8,
            normaliser,
            parts_count: 2,
        },
    })
}

fn part_of(plan: &Plan) -> Trace {
    let sequences = plan.sequences(FRAME.part, FRAME.parts_count, FRAME.floor_micro);
    trace(reinforcement(sequences, plan.normaliser()))
}

fn outlined(plan: &Plan) -> Outline {
    let ends = plan.ends(FRAME.part, FRAME.parts_count);
    let last = u32::try_from(FRAME.last()).unwrap();
    let pieces = plan.shown([ends[0], ends[1], last]);
    FRAME.outline(&plan.name(), ends, &pieces).unwrap()
}

/// Both play by their traces, before a referee that knows entries as they are shown.
fn between(defendant: &Trace, challenger: &Trace, plan: &Plan) -> Outcome {
    let outline = outlined(plan);
    let blank = reinforcement(outline.blank(), outline.normaliser());
    let places = plan.places(FRAME.part, FRAME.parts_count);
    let mut dispute = Dispute::new(claim(challenger, defendant));
    loop {
        match dispute.turn() {
            Some(Side::Defendant) => {
                let answer = answer(&dispute, defendant).unwrap();
                dispute.answer(&blank, &answer).unwrap();
            }
            Some(Side::Challenger) => {
                let question = question(&dispute, challenger);
                let question = question.expect("a difference");
                let pieces = entries_with(&dispute, &question, challenger, (plan, &places));
                if !pieces.is_empty() {
                    let refused = dispute.clone().question(&blank, &question);
                    assert_eq!(refused, Err(Refused::NotShown));
                }
                let shown = FRAME.sequences(&outline, &plan.name(), &pieces).unwrap();
                let program = reinforcement(shown, outline.normaliser());
                dispute.question(&program, &question).unwrap();
            }
            None => return dispute.outcome().unwrap(),
        }
    }
}

#[test]
fn a_number_of_any_tensor_is_found_by_entries_that_are_shown() {
    let plan = plan();
    let honest = part_of(&plan);
    let program = honest.program();
    for place in program.table().start..program.tensors().len() {
        let tensor = program.tensors()[place];
        let length = program.length(tensor);
        for index in [0, length / 2, length - 1] {
            let liar = changed(&honest, place, index);
            let number = Number {
                place: u32::try_from(place).unwrap(),
                index,
            };
            match between(&liar, &honest, &plan) {
                Outcome::DefendantLied { number: found, .. }
                | Outcome::Batch { number: found, .. } => assert_eq!(found, number, "{tensor}"),
                Outcome::ChallengerLied { .. } => panic!("{tensor} {index}: the liar won"),
            }
            if tensor.kind == Kind::Tokens {
                continue;
            }
            match between(&honest, &liar, &plan) {
                Outcome::ChallengerLied { .. } => (),
                other => panic!("{tensor} {index}: {other:?}"),
            }
        }
    }
}

#[test]
fn whoever_rewards_otherwise_than_the_plan_says_is_found() {
    let (plan, honest) = (plan(), part_of(&plan()));
    let sequences = plan.sequences(FRAME.part, FRAME.parts_count, FRAME.floor_micro);
    let mut own = sequences.as_slice().to_vec();
    own[6].advantage = own[6].advantage.map(|advantage| -advantage);
    let liar = trace(reinforcement(Sequences::new(own), plan.normaliser()));
    match between(&liar, &honest, &plan) {
        Outcome::DefendantLied { number, .. } => {
            let tensor = honest.program().tensors()[number.place as usize];
            assert_eq!(tensor.kind, Kind::Free, "{tensor}");
        }
        other => panic!("{other:?}"),
    }
}
