//! Liars on either side, over every tensor of a small step.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::trace::{Numbers, Trace};
use crate::{Model, Optimiser, Part, RESULTS_COUNT, RopeScaling, Step};
use proptest::prelude::*;

fn program() -> Program {
    Program::new(Step {
        model: Model {
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
        },
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
    let vocab = u32::try_from(program.step().model.vocab_size).unwrap();
    match tensor.kind {
        Kind::Tokens | Kind::Targets => Numbers::Word(words.map(|word| word % vocab).collect()),
        Kind::RowWeights => Numbers::Single(words.map(|word| (unit(word) * 3.0).floor()).collect()),
        Kind::Weights => Numbers::Single(words.map(|word| unit(word) - 0.5).collect()),
        Kind::FirstMoment | Kind::SecondMoment => {
            Numbers::Single(words.map(|word| unit(word) * 0.01).collect())
        }
        kind => panic!("{kind:?} is not given"),
    }
}

fn trace() -> Trace {
    let program = program();
    let words = program.clone();
    Trace::new(program, |tensor| given(&words, tensor), &mut ()).unwrap()
}

fn claim(before: &Trace, after: &Trace) -> Claim {
    let (before, after) = (before.names(), after.names());
    let results = &after[after.len() - RESULTS_COUNT..];
    Claim {
        weights: before[0],
        moments: Some([before[1], before[2]]),
        results: std::array::from_fn(|index| Some(results[index])),
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
    let honest = trace();
    let program = honest.program().clone();
    for place in program.table().start..program.tensors().len() {
        let tensor = program.tensors()[place];
        let length = program.length(tensor);
        for index in [0, length / 2, length - 1] {
            let liar = changed(&honest, place, index);
            let number = Number {
                place: u32::try_from(place).unwrap(),
                index,
            };
            match between(&liar, &honest).0 {
                Outcome::DefendantLied { number: found, .. } => assert_eq!(found, number),
                Outcome::Batch { number: found, .. } => {
                    assert_eq!(found, number);
                    assert_eq!(program.defined(tensor, index), Defined::Given);
                }
                Outcome::ChallengerLied { .. } => panic!("{tensor:?} {index}: the liar won"),
            }
        }
    }
}

#[test]
fn a_lie_that_is_carried_on_is_found_where_it_began() {
    let honest = trace();
    let program = honest.program().clone();
    for kind in [
        Kind::Rotated,
        Kind::Probabilities,
        Kind::Slope,
        Kind::QkvGradient,
        Kind::Mean,
    ] {
        let mut places = 0..program.tensors().len();
        let place = places
            .find(|place| program.tensors()[*place].kind == kind)
            .unwrap();
        let mut liar = changed(&honest, place, 3);
        liar.again_from(place + 1);
        let (outcome, taken) = between(&liar, &honest);
        let number = Number {
            place: u32::try_from(place).unwrap(),
            index: 3,
        };
        match outcome {
            Outcome::DefendantLied { number: found, .. } => assert_eq!(found, number, "{kind:?}"),
            other => panic!("{kind:?}: {other:?}"),
        }
        assert!(
            taken.rounds <= 14 && taken.bytes <= 20_000,
            "{kind:?}: {taken:?}"
        );
    }
}

#[test]
fn a_first_step_reads_moments_that_nobody_named() {
    let program = program();
    let words = program.clone();
    let fresh = |tensor: Tensor| match tensor.kind {
        Kind::FirstMoment | Kind::SecondMoment => {
            Numbers::zeros(tensor.kind.encoding(), words.length(tensor))
        }
        _ => given(&words, tensor),
    };
    let honest = Trace::new(program.clone(), fresh, &mut ()).unwrap();
    let last = program.tensors().len();
    for place in last - RESULTS_COUNT..last {
        let index = program.length(program.tensors()[place]) - 1;
        let liar = changed(&honest, place, index);
        let claim = Claim {
            moments: None,
            ..claim(&honest, &liar)
        };
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

#[test]
fn what_nobody_claims_cannot_be_disputed() {
    let honest = trace();
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
    let asked = dispute.question(honest.program(), &Question::First(0));
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
        Stage::Which if chance(2) == 0 => Question::Table,
        Stage::Which => Question::Result(u8::try_from(chance(RESULTS_COUNT)).unwrap()),
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

/// One honest trace for all cases.
fn shared() -> &'static Trace {
    static TRACE: std::sync::OnceLock<Trace> = std::sync::OnceLock::new();
    TRACE.get_or_init(trace)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_honest_defendant_wins_wherever_the_challenger_points(seed: u64) {
        let honest = shared();
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
    fn a_liar_is_found_whatever_it_says_about_its_folds(seed: u64) {
        let honest = shared();
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
        let honest = shared();
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
                Question::Ask(vec![0]),
                Question::Show(vec![(u32::MAX, Opening::of(&[7], 0))]),
            ];
            if dispute.stage != Stage::Which {
                questions.push(Question::Table);
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
        let honest = shared();
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
        let Some(Question::Show(shown)) = question(&dispute, honest) else {
            return Ok(());
        };
        for at in 0..shown.len() {
            let mut forged = shown.clone();
            let bytes = &mut forged[at].1.bytes;
            let byte = chance(bytes.len());
            bytes[byte] ^= 1;
            let asked = dispute.question(honest.program(), &Question::Show(forged));
            prop_assert_eq!(asked, Err(Refused::NotShown));
            let mut fewer = shown.clone();
            fewer.remove(at);
            let asked = dispute.question(honest.program(), &Question::Show(fewer));
            prop_assert_eq!(asked, Err(Refused::NotShown));
        }
        dispute.question(honest.program(), &Question::Show(shown)).unwrap();
        let won = matches!(dispute.outcome(), Some(Outcome::ChallengerLied { .. }));
        prop_assert!(won);
    }
}
