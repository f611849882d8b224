//! A part's trace against the part itself, from plans of ragged groups.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::{bits, config, every_execution, families, own_head, tokens};
use crate::trainer::{Workspace, grpo};
use crate::{Continuation, ModelConfig, response_logprobs};
use engine_trace::plan::{Group, Plan, Sample};

const SAMPLES: u32 = 3;
const FLOOR_MICRO: u64 = 10_000;

/// Tokens of a prompt, and of each response with its reward.
type Shape = (usize, [(usize, u32); 3]);

/// Prompts and responses of a unit, by group; the second group is left out, the third's rewards
/// are equal, and the last one's first response has no token.
struct Unit {
    plan: Plan,
    prompts: Vec<Vec<u32>>,
    responses: Vec<Vec<Vec<u32>>>,
}

impl Unit {
    fn new(vocab: usize) -> Self {
        let shapes: [Shape; 5] = [
            (4, [(3, 0), (1, 1_000_000), (9, 250_000)]),
            (3, [(2, 0), (2, 0), (2, 0)]),
            (2, [(6, 250_000), (2, 250_000), (2, 250_000)]),
            (1, [(5, 500_000), (5, 0), (17, 500_000)]),
            (7, [(0, 1_000_000), (2, 0), (1, 500_000)]),
        ];
        let group = |(index, (prompt, samples)): (usize, &Shape)| {
            let sample = |&(tokens, reward_micro): &(usize, u32)| Sample {
                response_count: u32::try_from(tokens).unwrap(),
                reward_micro,
            };
            (index != 1).then(|| Group {
                prompt_count: u32::try_from(*prompt).unwrap(),
                samples: samples.iter().map(sample).collect(),
            })
        };
        let groups: Vec<_> = shapes.iter().enumerate().map(group).collect();
        let drawn = |count, seed: usize| tokens(count, vocab, u8::try_from(seed).unwrap());
        let of_group = |(index, (_, samples)): (usize, &Shape)| {
            let samples = samples.iter().enumerate();
            samples
                .map(|(slot, (count, _))| drawn(*count, 10 * index + slot))
                .collect()
        };
        Self {
            plan: Plan::new(SAMPLES, &groups).unwrap(),
            prompts: (0..)
                .zip(shapes)
                .map(|(index, (count, _))| drawn(count, 100 + index))
                .collect(),
            responses: shapes.iter().enumerate().map(of_group).collect(),
        }
    }
    /// The sequences of a part: tokens from the unit, lengths and advantages from the plan.
    fn sequences(&self, part: u32, parts_count: u32) -> Vec<GrpoSequence> {
        let taught = [0, 3, 4];
        let groups = self.plan.part(part, parts_count);
        let groups = groups.map(|group| taught[usize::try_from(group).unwrap()]);
        let tokens = groups.flat_map(|group| {
            let prompt = &self.prompts[group];
            let responses = self.responses[group].iter();
            responses.map(move |response| [prompt.as_slice(), response].concat())
        });
        let planned = self.plan.sequences(part, parts_count, FLOOR_MICRO);
        let sequences: Vec<_> = tokens
            .zip(planned.as_slice())
            .map(|(tokens, planned)| {
                assert_eq!(tokens.len() as u64, planned.length());
                GrpoSequence {
                    tokens,
                    prompt_len: usize::try_from(planned.prompt_count).unwrap(),
                    advantage: planned.advantage.unwrap(),
                    behaviour_logprobs: Vec::new(),
                }
            })
            .collect();
        assert_eq!(sequences.len(), planned.as_slice().len());
        sequences
    }
    fn options(&self, temperature: f32) -> GrpoOptions {
        GrpoOptions {
            clip_low: 0.02,
            clip_high: 0.03,
            delta: 1.1,
            temperature,
            normaliser: self.plan.normaliser(),
        }
    }
}

/// Numbers of both signs, and zeros of both.
fn noise(model: &Parameters) -> Gradients {
    let words = tokens(model.as_slice().len(), 1 << 16, 77);
    #[expect(clippy::cast_precision_loss, reason = "16 bits")]
    let number = |word: u32| match word % 5 {
        0 => 0.0,
        1 => -0.0,
        _ => (word as f32 - 32_768.0) * 1e-6,
    };
    Gradients::from_values(model, words.into_iter().map(number).collect()).unwrap()
}

fn numbers(trace: &Trace, part: usize, kind: Kind) -> &Numbers {
    let tensor = Tensor {
        part,
        layer: 0,
        kind,
    };
    trace.numbers(tensor).unwrap()
}

fn single(trace: &Trace, part: usize, kind: Kind) -> &[f32] {
    match numbers(trace, part, kind) {
        Numbers::Single(numbers) => numbers,
        other => panic!("{kind:?} is {other:?}"),
    }
}

/// All parts one after the other, from a sum that is not zero; how many rows were learned from
/// and how many not.
fn compare(config: &ModelConfig, temperature: f32, threads: &Threads) -> (usize, u64) {
    let learner = Parameters::initialize(config, [5; 32]);
    let behaviour = Parameters::initialize(config, [6; 32]);
    let unit = Unit::new(config.vocab_size);
    let options = unit.options(temperature);
    // Three taught groups: the first of four parts is empty.
    let parts_count = 4;
    let mut sum = noise(&learner);
    let (mut learned, mut clipped) = (0, 0);
    for part in 0..parts_count {
        let mut sequences = unit.sequences(part, parts_count);
        assert_eq!(sequences.is_empty(), part == 0);
        let trace = PolicyPart {
            learner: &learner,
            behaviour: &behaviour,
            sum: &sum,
            sequences: &sequences,
            options: &options,
            parts_count,
        };
        let trace = trace.trace(threads).unwrap();
        let continuations = sequences.iter().map(|sequence| {
            let (prompt, response) = sequence.tokens.split_at(sequence.prompt_len);
            Continuation { prompt, response }
        });
        let continuations: Vec<_> = continuations.collect();
        let logprobs = response_logprobs(&behaviour, &continuations, temperature, threads);
        let logprobs = logprobs.unwrap();
        let mut found = single(&trace, 0, Kind::LogProbability);
        for (sequence, logprobs) in sequences.iter_mut().zip(logprobs) {
            let (own, rest) = found.split_at(sequence.tokens.len());
            let (own, last) = own[sequence.prompt_len - 1..].split_at(logprobs.len());
            assert_eq!(bits(own), bits(&logprobs), "part {part}");
            assert_eq!(bits(last), [0]);
            found = rest;
            sequence.behaviour_logprobs = logprobs;
        }
        let mut workspace = Workspace::new();
        let loss = grpo(
            &learner,
            &sequences,
            &options,
            &mut sum,
            &mut workspace,
            threads,
        );
        let loss = loss.unwrap();
        let micro = (loss.loss * f64::from(parts_count) * 1e6).round_ties_even();
        let found = numbers(&trace, 0, Kind::LossMicro);
        assert_eq!(found, &Numbers::Double(vec![micro]), "part {part}");
        let found = single(&trace, 0, Kind::SumAfter);
        assert_eq!(bits(found), bits(sum.as_slice()), "part {part}");
        let weights = single(&trace, 1, Kind::RowWeights);
        learned += weights.iter().filter(|weight| **weight != 0.0).count();
        clipped += loss.clipped_count;
    }
    (learned, clipped)
}

#[test]
fn a_trace_ends_where_the_part_ends_in_every_family_at_every_temperature() {
    let threads = Threads::new(1);
    for config in families() {
        for temperature in [1.0, 0.7] {
            let (learned, clipped) = compare(&config, temperature, &threads);
            assert!(learned > 0 && clipped > 0, "{learned} {clipped}");
        }
        compare(&own_head(config), 1.3, &threads);
    }
}

#[test]
fn a_parts_trace_is_the_same_on_every_kernel_path() {
    for threads in every_execution() {
        compare(&config(), 0.9, &threads);
    }
}

#[test]
fn products_of_ragged_rows_by_kernels_are_those_by_definition() {
    let learner = Parameters::initialize(&config(), [5; 32]);
    let behaviour = Parameters::initialize(&config(), [6; 32]);
    let unit = Unit::new(config().vocab_size);
    let part = PolicyPart {
        learner: &learner,
        behaviour: &behaviour,
        sum: &noise(&learner),
        sequences: &unit.sequences(0, 1),
        options: &unit.options(0.7),
        parts_count: 1,
    };
    let quick = part.trace(&Threads::new(1)).unwrap();
    let mut slow = quick.clone();
    slow.again_from(0);
    let tensors = quick.program().tensors().iter();
    for (tensor, (quick, slow)) in tensors.zip(quick.names().iter().zip(slow.names())) {
        assert_eq!(quick, slow, "{tensor:?}");
    }
}

#[test]
fn sequences_that_the_engine_refuses_have_no_trace() {
    let learner = Parameters::initialize(&config(), [5; 32]);
    let unit = Unit::new(config().vocab_size);
    let refused = |change: fn(&mut GrpoSequence)| {
        let mut sequences = unit.sequences(0, 1);
        change(&mut sequences[1]);
        let part = PolicyPart {
            learner: &learner,
            behaviour: &learner,
            sum: &Gradients::zeros(&learner),
            sequences: &sequences,
            options: &unit.options(1.0),
            parts_count: 1,
        };
        part.trace(&Threads::new(1)).unwrap_err()
    };
    let sequence = 1;
    let found = refused(|sequence| sequence.prompt_len = 0);
    assert!(matches!(found, InputError::Response { prompt: 0, .. }));
    let found = refused(|sequence| sequence.prompt_len = 9);
    assert!(matches!(found, InputError::Response { prompt: 9, .. }));
    let found = refused(|sequence| sequence.tokens.clear());
    assert_eq!(found, InputError::Empty { sequence });
    let found = refused(|sequence| sequence.tokens[0] = 37);
    let (token, limit) = (37, 37);
    let expected = InputError::Token {
        sequence,
        token,
        limit,
    };
    assert_eq!(found, expected);
}
