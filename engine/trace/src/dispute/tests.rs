//! Liars on either side, over every tensor of a small step and of a small reinforcement part.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod plans;

use super::*;
use crate::trace::{Numbers, Trace};
use crate::tree::Opening;
use crate::{
    Model, Objective, Optimiser, Part, Reinforcement, RopeScaling, Sequence, Sequences, Step,
};
use proptest::prelude::*;

const MODEL: Model = Model {
    vocab_size: 19,
    hidden_size: 12,
    intermediate_size: 18,
    layers_count: 2,
    heads_count: 4,
    key_heads_count: 2,
    head_dim: 6,
    eps: 1e-5,
    rope_theta: 10_000.0,
    rope_scaling: RopeScaling::Default,
    has_biases: true,
    has_head_norms: true,
    is_tied: true,
};

fn step() -> Program {
    Program::new(Step {
        model: MODEL,
        parts: vec![
            Part {
                sequences_count: 2,
                length: 9,
            },
            Part {
                sequences_count: 3,
                length: 5,
            },
        ],
        optimiser: Optimiser {
            lr: 0.01,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            decay: 0.1,
            correction1: 0.1,
            correction2: 0.01,
            norm_max: 0.5,
        },
    })
}

/// Two groups of two ragged sequences, the last without a response, with a head of its own.
fn part() -> Program {
    let sequence = |(prompt_count, response_count, advantage)| Sequence {
        prompt_count,
        response_count,
        advantage: Some(advantage),
    };
    let sequences = [(3, 5, 0.9), (3, 2, -0.9), (1, 7, -1.1), (4, 0, 1.1)];
    Program::reinforcement(Reinforcement {
        model: Model {
            is_tied: false,
            ..MODEL
        },
        sequences: Sequences::new(sequences.map(sequence).to_vec()),
        objective: Objective {
            clip_low: 0.2,
            clip_high: 0.3,
            delta: 4.0,
            temperature: 0.8,
            normaliser: 23.0,
            parts_count: 3,
        },
    })
}

/// Numbers that look random: integers of 24 bits, scaled.
fn noise(tensor: Tensor, count: u64) -> impl Iterator<Item = u32> {
    let key = blake3::hash(format!("{tensor:?}").as_bytes());
    let mut bytes = vec![0; usize::try_from(count).unwrap() * 4];
    blake3::Hasher::new_keyed(key.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    let words: Vec<[u8; 4]> = bytes.as_chunks().0.to_vec();
    words.into_iter().map(|word| u32::from_le_bytes(word) >> 8)
}

fn given(program: &Program, tensor: Tensor) -> Numbers {
    let length = program.length(tensor);
    let words = noise(tensor, length);
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    let unit = |word: u32| word as f32 / 16_777_216.0;
    let vocab = u32::try_from(program.model().vocab_size).unwrap();
    match tensor.kind {
        Kind::Tokens | Kind::Targets => Numbers::Word(words.map(|word| word % vocab).collect()),
        Kind::RowWeights => Numbers::Single(words.map(|word| (unit(word) * 3.0).floor()).collect()),
        Kind::Weights => Numbers::Single(words.map(|word| unit(word) - 0.5).collect()),
        // The model has learned a little since it drew the responses.
        Kind::BehaviourWeights => {
            let weights = noise(program.weights(program.tensors()[0]), length);
            let pairs = weights.zip(words);
            let number = |(weight, word)| unit(weight) - 0.5 + (unit(word) - 0.5) * 0.05;
            Numbers::Single(pairs.map(number).collect())
        }
        Kind::FirstMoment | Kind::SecondMoment | Kind::SumBefore => {
            Numbers::Single(words.map(|word| unit(word) * 0.01).collect())
        }
        kind => panic!("{kind:?} is not given"),
    }
}

fn trace(program: Program) -> Trace {
    let words = program.clone();
    Trace::new(program, |tensor| given(&words, tensor), &mut ()).unwrap()
}

fn traces() -> [Trace; 2] {
    [trace(step()), trace(part())]
}

fn claim(before: &Trace, after: &Trace) -> Claim {
    Claim {
        given: Claim::of(before).given,
        results: Claim::of(after).results,
    }
}

/// What a dispute took.
#[derive(Debug, Default)]
struct Taken {
    rounds: usize,
    bytes: usize,
}

fn play(
    mut dispute: Dispute,
    program: &Program,
    mut defendant: impl FnMut(&Dispute) -> Answer,
    mut challenger: impl FnMut(&Dispute) -> Question,
) -> (Outcome, Taken) {
    let mut taken = Taken::default();
    while let Some(side) = dispute.turn() {
        match side {
            Side::Defendant => {
                let answer = defendant(&dispute);
                dispute.answer(program, &answer).unwrap();
                taken.rounds += 1;
                taken.bytes += borsh::to_vec(&answer).unwrap().len();
            }
            Side::Challenger => {
                let question = challenger(&dispute);
                dispute.question(program, &question).unwrap();
                taken.bytes += borsh::to_vec(&question).unwrap().len();
            }
        }
    }
    (dispute.outcome().unwrap(), taken)
}

/// Both play by their traces.
fn between(defendant: &Trace, challenger: &Trace) -> (Outcome, Taken) {
    let dispute = Dispute::new(claim(challenger, defendant));
    play(
        dispute,
        challenger.program(),
        |dispute| answer(dispute, defendant).unwrap(),
        |dispute| question(dispute, challenger).unwrap(),
    )
}

/// Adds to a number, so that its bits change.
fn changed(honest: &Trace, place: usize, index: u64) -> Trace {
    let mut liar = honest.clone();
    let numbers = liar.numbers_mut(place).unwrap();
    let number = numbers.get(index).unwrap();
    numbers.set(
        index,
        if number.is_finite() {
            number + 1.0
        } else {
            0.0
        },
    );
    liar
}

#[test]
fn whoever_changes_one_number_of_any_tensor_is_found_at_that_number() {
    for honest in &traces() {
        let program = honest.program();
        for place in program.table().start..program.tensors().len() {
            let length = program.length(program.tensors()[place]);
            for index in [0, length / 2, length - 1] {
                found_at(honest, place, index);
            }
        }
    }
}

/// A liar changes this number, and nothing that follows from it.
fn found_at(honest: &Trace, place: usize, index: u64) {
    let program = honest.program();
    let tensor = program.tensors()[place];
    let liar = changed(honest, place, index);
    let number = Number {
        place: u32::try_from(place).unwrap(),
        index,
    };
    match between(&liar, honest).0 {
        Outcome::DefendantLied { number: found, .. } => assert_eq!(found, number),
        Outcome::Batch { number: found, .. } => {
            assert_eq!(found, number);
            assert_eq!(program.defined(tensor, index), Defined::Given);
        }
        Outcome::ChallengerLied { .. } => panic!("{tensor:?} {index}: the liar won"),
    }
}

#[test]
fn names_of_a_step_do_not_change() {
    // Who disputes a step names its numbers so; another value here is another rule of the chain.
    let names = trace(step()).names().concat();
    let hash = blake3::hash(&names).to_hex();
    assert_eq!(
        hash.as_str(),
        "8ecfe17e37d1d0c926e01b9fa05c19fe6c5803ff9dd7f538cb718dca6f62000f"
    );
}

/// Changes a number and all that follows from it.
fn carried(honest: &Trace, tensor: Tensor, index: u64) {
    let place = honest.program().place(tensor).unwrap();
    let mut liar = changed(honest, place, index);
    liar.again_from(place + 1);
    let (outcome, taken) = between(&liar, honest);
    let number = Number {
        place: u32::try_from(place).unwrap(),
        index,
    };
    match outcome {
        Outcome::DefendantLied { number: found, .. } => assert_eq!(found, number, "{tensor}"),
        other => panic!("{tensor}: {other:?}"),
    }
    assert!(
        taken.rounds <= 14 && taken.bytes <= 20_000,
        "{tensor}: {taken:?}"
    );
}

#[test]
fn a_lie_that_is_carried_on_is_found_where_it_began() {
    let honest = trace(step());
    for kind in [
        Kind::Rotated,
        Kind::Probabilities,
        Kind::Slope,
        Kind::QkvGradient,
        Kind::Mean,
    ] {
        let tensor = Tensor {
            part: 0,
            layer: 0,
            kind,
        };
        carried(&honest, tensor, 3);
    }
}

#[test]
fn a_lie_about_a_reinforcement_part_is_found_where_it_began() {
    let honest = trace(part());
    let of = |part, layer, kind| Tensor { part, layer, kind };
    // Rows 3, 10 and 17, of the first three sequences, predict tokens.
    let (third, first_rows) = (3, 8 + 5);
    let cell = |position: u64, head: u64, column: u64| {
        (8 * 8 + 5 * 5) * 4 + (position * 4 + head) * 8 + column
    };
    for (tensor, index) in [
        (of(0, 0, Kind::Embedded), 100),
        (of(0, 1, Kind::Scores), cell(5, 2, 4)),
        (of(0, 0, Kind::LogProbability), third),
        (of(1, 0, Kind::Probabilities), cell(7, 3, 7)),
        (of(1, 1, Kind::Mixed), (first_rows + 4) * 24 + 13),
        (of(1, 0, Kind::LogProbability), first_rows + 4),
        (of(1, 0, Kind::Ratio), third),
        (of(1, 0, Kind::Free), 10),
        (of(1, 0, Kind::Held), 10),
        (of(1, 0, Kind::Objective), third),
        (of(1, 0, Kind::Loss), 0),
        (of(1, 0, Kind::RowWeights), third),
        (of(1, 0, Kind::Slope), third * 19 + 7),
        (of(1, 1, Kind::ScoreSlope), cell(6, 1, 2)),
        (of(1, 0, Kind::KeySlopes), (first_rows + 2) * 24 + 5),
        (of(1, 1, Kind::QkvGradient), 77),
        (of(1, 0, Kind::EmbeddingSum), 30),
        (of(0, 0, Kind::SumAfter), 1234),
    ] {
        carried(&honest, tensor, index);
    }
}

#[test]
fn a_part_learns_from_rows_that_predict_tokens_of_responses_and_from_no_others() {
    let honest = trace(part());
    let single = |part, kind| {
        let tensor = Tensor {
            part,
            layer: 0,
            kind,
        };
        let numbers = honest.numbers(tensor).unwrap();
        let count = u64::try_from(numbers.len()).unwrap();
        (0..count).map(|index| numbers.get(index).unwrap())
    };
    let predicts = |row: &u64| [2..7, 10..12, 13..20].iter().any(|rows| rows.contains(row));
    let rows: Vec<bool> = (0..25).map(|row| predicts(&row)).collect();
    for (part, kind) in [
        (0, Kind::LogProbability),
        (1, Kind::LogProbability),
        (1, Kind::Ratio),
        (1, Kind::Objective),
    ] {
        let found: Vec<bool> = single(part, kind).map(|number| number != 0.0).collect();
        assert_eq!(found, rows, "{kind:?}");
    }
    // Some are clipped, some are not.
    let weights: Vec<f64> = single(1, Kind::RowWeights).collect();
    let learned = weights.iter().filter(|weight| **weight != 0.0).count();
    assert!((1..14).contains(&learned), "{weights:?}");
}

/// What is zero before a first step, or before a first part.
const fn is_fresh(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::FirstMoment | Kind::SecondMoment | Kind::SumBefore
    )
}

#[test]
fn a_first_step_or_part_reads_zeros_that_nobody_named() {
    for program in [step(), part()] {
        let words = program.clone();
        let fresh = |tensor: Tensor| {
            if is_fresh(tensor.kind) {
                Numbers::zeros(tensor.kind.encoding(), words.length(tensor))
            } else {
                given(&words, tensor)
            }
        };
        let honest = Trace::new(program.clone(), fresh, &mut ()).unwrap();
        let embedding = |place: &usize| {
            let kind = program.tensors()[*place].kind;
            kind == Kind::EmbeddingGradient || *place >= program.table().end
        };
        for place in (0..program.tensors().len()).filter(embedding) {
            let index = program.length(program.tensors()[place]) - 1;
            let liar = changed(&honest, place, index);
            let mut claim = claim(&honest, &liar);
            for (given, tensor) in claim.given.iter_mut().zip(program.tensors()) {
                *given = given.filter(|_| !is_fresh(tensor.kind));
            }
            assert!(claim.given.contains(&None));
            let (outcome, _) = play(
                Dispute::new(claim),
                &program,
                |dispute| answer(dispute, &liar).unwrap(),
                |dispute| question(dispute, &honest).unwrap(),
            );
            assert!(
                matches!(outcome, Outcome::DefendantLied { .. }),
                "{place}: {outcome:?}"
            );
        }
    }
}

#[test]
fn what_nobody_claims_cannot_be_disputed() {
    let honest = trace(step());
    let mut claim = claim(&honest, &honest);
    claim.results[0] = None;
    let mut dispute = Dispute::new(claim);
    dispute
        .answer(honest.program(), &answer(&dispute, &honest).unwrap())
        .unwrap();
    assert_eq!(question(&dispute, &honest), None);
    let before = dispute.clone();
    let asked = dispute.question(honest.program(), &Question::Result(0));
    assert_eq!(asked, Err(Refused::Unclaimed { index: 0 }));
    let asked = dispute.question(honest.program(), &Question::First(u16::MAX));
    assert!(matches!(asked, Err(Refused::Index { .. })));
    let asked = dispute.question(honest.program(), &Question::Show(None));
    assert_eq!(asked, Err(Refused::NotDue));
    assert_eq!(dispute, before);
}

/// A challenger that points anywhere, by chance.
fn anywhere(
    dispute: &Dispute,
    honest: &Trace,
    chance: &mut impl FnMut(usize) -> usize,
) -> Question {
    let first = |index: usize| Question::First(u16::try_from(index).unwrap());
    match &dispute.stage {
        Stage::Which { names } if chance(2) == 0 => first(chance(names.len())),
        Stage::Which { .. } => {
            let claimed = dispute.claim.results.iter().flatten().count();
            Question::Result(u8::try_from(chance(claimed)).unwrap())
        }
        Stage::Choose { names, .. } => first(chance(names.len())),
        Stage::Pick { file, bytes, .. } => {
            let width = match file {
                File::Table => 32,
                File::Tensor(place) => {
                    let tensor = tensor_at(honest.program(), *place as usize);
                    usize::try_from(tensor.kind.encoding().width()).unwrap()
                }
            };
            first(chance(bytes.len() / width))
        }
        Stage::Cut { values, .. } => first(chance(values.len() + 1)),
        Stage::Show {
            number,
            operation,
            operands,
        } if !operands.is_empty() => {
            // Any number that is read, which is what its tensor has.
            let mut others = dispute.clone();
            let index = chance(operands.len());
            let mut other = operands.clone();
            other[index] = f64::to_bits(f64::from_bits(operands[index]) + 1.0);
            if other[index] == operands[index] {
                other[index] = 0;
            }
            others.stage = Stage::Show {
                number: *number,
                operation: *operation,
                operands: other,
            };
            question(&others, honest).unwrap()
        }
        _ => question(dispute, honest).unwrap(),
    }
}

fn chances(seed: u64) -> impl FnMut(usize) -> usize {
    let mut stream = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    move |count| {
        let mut word = [0; 8];
        stream.fill(&mut word);
        usize::try_from(u64::from_le_bytes(word) % count as u64).unwrap()
    }
}

/// Two honest traces for all cases, of which a seed takes one.
fn shared(seed: u64) -> &'static Trace {
    static TRACES: std::sync::OnceLock<[Trace; 2]> = std::sync::OnceLock::new();
    let [step, part] = TRACES.get_or_init(traces);
    if seed.is_multiple_of(2) { step } else { part }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_honest_defendant_wins_wherever_the_challenger_points(seed: u64) {
        let honest = shared(seed);
        let mut chance = chances(seed);
        let (outcome, _) = play(
            Dispute::new(claim(honest, honest)),
            honest.program(),
            |dispute| answer(dispute, honest).unwrap(),
            |dispute| anywhere(dispute, honest, &mut chance),
        );
        match outcome {
            Outcome::ChallengerLied { .. } => (),
            Outcome::Batch { number, claimed } => {
                let tensor = honest.program().tensors()[number.place as usize];
                let own = honest.numbers(tensor).unwrap().get(number.index).unwrap();
                let own = bits_of(&tensor.kind.encoding().encode(own));
                prop_assert_eq!(claimed, own);
            }
            Outcome::DefendantLied { .. } => prop_assert!(false, "{:?}", outcome),
        }
    }

    #[test]
    fn a_liar_is_found_whatever_it_says_about_its_folds_and_operands(seed: u64) {
        let honest = shared(seed);
        let program = honest.program();
        let mut chance = chances(seed);
        let between = program.tensors().len() - program.table().start;
        let place = program.table().start + chance(between);
        let tensor = program.tensors()[place];
        let index = chance(usize::try_from(program.length(tensor)).unwrap()) as u64;
        let liar = changed(honest, place, index);
        let (outcome, _) = play(
            Dispute::new(claim(honest, &liar)),
            program,
            |dispute| match answer(dispute, &liar).unwrap() {
                Answer::Values(mut values) => {
                    for byte in &mut values {
                        *byte ^= u8::try_from(chance(2) * chance(256)).unwrap();
                    }
                    Answer::Values(values)
                }
                Answer::Operands(mut operands) => {
                    for bits in &mut operands {
                        *bits ^= (chance(2) as u64) << chance(64);
                    }
                    operands.truncate(chance(operands.len() + 3));
                    Answer::Operands(operands)
                }
                other => other,
            },
            |dispute| question(dispute, honest).unwrap(),
        );
        let given = program.defined(tensor, index) == Defined::Given;
        prop_assert!(match outcome {
            Outcome::DefendantLied { .. } => !given,
            Outcome::Batch { .. } => given,
            Outcome::ChallengerLied { .. } => false,
        }, "{:?}: {:?}", tensor, outcome);
    }

    #[test]
    fn moves_that_are_not_due_or_show_something_else_change_nothing(seed: u64) {
        let honest = shared(seed);
        let mut chance = chances(seed);
        let mut dispute = Dispute::new(claim(honest, honest));
        while let Some(side) = dispute.turn() {
            let before = dispute.clone();
            let answers = [
                Answer::Names(vec![[7; 32]; chance(20)]),
                Answer::Piece(vec![7; chance(1030)]),
                Answer::Values(vec![7; 8 * 127 + 1]),
            ];
            for answer in &answers {
                prop_assert!(dispute.answer(honest.program(), answer).is_err());
            }
            let mut questions = vec![
                Question::Result(4),
                Question::First(u16::MAX),
                Question::Show(Some(Box::new(Shown {
                    index: u16::MAX,
                    entry: None,
                    piece: Opening::of(&[7], 0),
                }))),
            ];
            if !matches!(dispute.stage, Stage::Show { .. }) {
                questions.push(Question::Show(None));
            }
            for question in &questions {
                prop_assert!(dispute.question(honest.program(), question).is_err());
            }
            prop_assert_eq!(&dispute, &before);
            match side {
                Side::Defendant => {
                    let answer = answer(&dispute, honest).unwrap();
                    dispute.answer(honest.program(), &answer).unwrap();
                }
                Side::Challenger => {
                    let question = anywhere(&dispute, honest, &mut chance);
                    dispute.question(honest.program(), &question).unwrap();
                }
            }
        }
    }

    #[test]
    fn operands_that_are_not_those_of_the_trace_are_refused(seed: u64) {
        let honest = shared(seed);
        let mut chance = chances(seed);
        let mut dispute = Dispute::new(claim(honest, honest));
        while !matches!(dispute.stage, Stage::Show { .. } | Stage::Over(_)) {
            match dispute.turn() {
                Some(Side::Defendant) => {
                    dispute.answer(honest.program(), &answer(&dispute, honest).unwrap()).unwrap();
                }
                _ => {
                    let question = anywhere(&dispute, honest, &mut chance);
                    dispute.question(honest.program(), &question).unwrap();
                }
            }
        }
        if matches!(dispute.stage, Stage::Over(_)) {
            return Ok(());
        }
        let asked = anywhere(&dispute, honest, &mut chance);
        if let Question::Show(Some(shown)) = &asked {
            let mut forged = Vec::new();
            let mut other = shown.clone();
            let byte = chance(other.piece.bytes.len());
            other.piece.bytes[byte] ^= 1;
            forged.push(other);
            let mut other = shown.clone();
            other.index += 1;
            other.piece.piece += 1;
            forged.push(other);
            if let Some(mut entry) = shown.entry.clone() {
                let mut other = shown.clone();
                other.entry = None;
                forged.push(other);
                let mut other = shown.clone();
                let byte = chance(entry.bytes.len());
                entry.bytes[byte] ^= 1;
                other.entry = Some(entry);
                forged.push(other);
            }
            for forged in forged {
                let question = Question::Show(Some(forged));
                let asked = dispute.question(honest.program(), &question);
                prop_assert_eq!(asked, Err(Refused::NotShown));
            }
        }
        dispute.question(honest.program(), &asked).unwrap();
        let won = matches!(dispute.outcome(), Some(Outcome::ChallengerLied { .. }));
        prop_assert!(won);
    }
}

/// A number of a tensor, and one of another that changes with it.
fn follows(honest: &Trace, from: Kind, to: Kind) -> (Number, Trace, Number) {
    let program = honest.program();
    let place = |kind| {
        let mut tensors = program.tensors().iter();
        tensors.position(|tensor| tensor.kind == kind).unwrap()
    };
    let (from, to) = (place(from), place(to));
    let width = usize::try_from(program.tensors()[to].kind.encoding().width()).unwrap();
    let number = |place: usize, index| Number {
        place: u32::try_from(place).unwrap(),
        index,
    };
    let indices = 0..program.length(program.tensors()[from]);
    let mut found = indices.filter_map(|read| {
        let mut other = changed(honest, from, read);
        other.again_from(from + 1);
        let bytes = [honest, &other].map(|trace| trace.bytes(to));
        let mut pairs = bytes[0].chunks(width).zip(bytes[1].chunks(width));
        let given = pairs.position(|(own, other)| own != other)? as u64;
        Some((number(from, read), other, number(to, given)))
    });
    found.next().unwrap()
}

#[test]
fn operands_that_give_a_lie_are_others_than_were_named() {
    for (honest, from, to) in [
        (trace(step()), Kind::Norm1, Kind::Qkv),
        (trace(step()), Kind::Rotated, Kind::Scores),
        (trace(step()), Kind::GateUp, Kind::Gated),
        (trace(step()), Kind::NewFirstMoment, Kind::NewWeights),
        (trace(part()), Kind::Ratio, Kind::Free),
    ] {
        // It names what is right but for one number, and says that something else was read.
        let (read, other, given) = follows(&honest, from, to);
        let tensor = honest.program().tensors()[given.place as usize];
        let lie = other.numbers(tensor).unwrap().get(given.index).unwrap();
        let mut liar = honest.clone();
        let numbers = liar.numbers_mut(given.place as usize).unwrap();
        numbers.set(given.index, lie);
        let (outcome, _) = play(
            Dispute::new(claim(&honest, &liar)),
            honest.program(),
            |dispute| match dispute.stage {
                Stage::Fold { .. } | Stage::Read { .. } => answer(dispute, &other).unwrap(),
                _ => answer(dispute, &liar).unwrap(),
            },
            |dispute| question(dispute, &honest).unwrap(),
        );
        let Outcome::DefendantLied {
            number,
            claimed,
            computed,
        } = outcome
        else {
            panic!("{to:?}: {outcome:?}");
        };
        assert_eq!(number, read, "{to:?}");
        assert_ne!(claimed, computed);
    }
}
