//! The longest dispute that a step of a model can have, and a part of a reinforcement unit: rounds,
//! and bytes on the chain.
//!
//! ```text
//! cargo run --release -p engine-trace --example rounds
//! ```
//!
//! A round is one answer and the question that follows it. Every tensor is looked at: how deep
//! its tree is, how long the longest fold of its numbers, how many bytes its operands take. Beside
//! it, what is disputed about a sparse update of the model: a chunk, and what the update lost.
//!
//! A part is of responses of one length. What shows its plan and its tokens is not counted: three
//! pieces of the plan with its name, one or two with a question, and a leaf with a token.

#![allow(clippy::print_stdout, reason = "a report")]

use engine_trace::dispute::Stretch;
use engine_trace::sparse::{CHUNK_VALUES, count_max, encoded_length};
use engine_trace::tree::{LEVELS, PIECE_BYTES, Span};
use engine_trace::{
    Defined, Model, Objective, Optimiser, Part, Program, Reinforcement, RopeScaling, Sequence,
    Sequences, Source, Step, Tensor,
};
use std::collections::BTreeSet;

/// A model, and the tokens of the batch: sequences and their length; and the responses of a part,
/// with the tokens of each and its prompt.
struct Case {
    name: &'static str,
    model: Model,
    part: Part,
    responses: (usize, u64),
}

const fn model(sizes: [u64; 7], layers_count: u32) -> Model {
    let [
        vocab_size,
        hidden_size,
        intermediate_size,
        heads,
        key_heads,
        head_dim,
        tied,
    ] = sizes;
    Model {
        vocab_size,
        hidden_size,
        intermediate_size,
        layers_count,
        heads_count: heads,
        key_heads_count: key_heads,
        head_dim,
        eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        has_biases: false,
        has_head_norms: true,
        is_tied: tied == 1,
    }
}

const fn batch(sequences_count: u64, length: u64) -> Part {
    Part {
        sequences_count,
        length,
    }
}

const CASES: [Case; 4] = [
    Case {
        name: "devnet, 0.6 M",
        model: model([99, 128, 352, 4, 2, 32, 1], 3),
        part: batch(16, 128),
        responses: (48, 24),
    },
    Case {
        name: "1 B",
        model: model([32_768, 2048, 5632, 16, 4, 128, 1], 20),
        part: batch(64, 2048),
        responses: (64, 4608),
    },
    Case {
        name: "10 B",
        model: model([128_256, 4096, 14_336, 32, 8, 128, 0], 40),
        part: batch(128, 4096),
        responses: (256, 4608),
    },
    Case {
        name: "72 B",
        model: model([128_256, 8192, 28_672, 64, 8, 128, 0], 80),
        part: batch(256, 4096),
        responses: (256, 4608),
    },
];

/// Levels of the tree of a file.
fn depth(bytes: u64) -> u32 {
    bytes
        .div_ceil(PIECE_BYTES)
        .next_power_of_two()
        .trailing_zeros()
}

/// Rounds and bytes of a walk down a file, to the entry of a piece.
fn walk(bytes: u64) -> (u64, u64) {
    let mut span = Span::file(bytes);
    let (mut rounds, mut shown) = (1, span.length.min(PIECE_BYTES) + 4);
    while !span.is_piece() {
        let below = span.below();
        rounds += 1;
        shown += 32 * below.len() as u64 + 4;
        // The left parts are the deepest.
        span = below[0];
    }
    (rounds, shown)
}

/// Rounds and bytes until one step of a fold is left.
fn cut(steps: u64, width: u64) -> (u64, u64) {
    let (mut rounds, mut shown) = (0, 0);
    let mut length = steps;
    while length > 1 {
        let stretch = Stretch {
            from: 0,
            to: length,
            before: None,
            after: 0,
        };
        let cuts = stretch.cuts();
        let ends = cuts.iter().copied().chain([length]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        shown += width * cuts.len() as u64 + 4;
        length = starts
            .zip(ends)
            .map(|(start, end)| end - start)
            .max()
            .unwrap_or(1);
        rounds += 1;
    }
    (rounds, shown)
}

/// Notes what an operation reads.
#[derive(Default)]
struct Reads(BTreeSet<(Tensor, u64)>);

impl Source for Reads {
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64> {
        let piece = index * tensor.kind.encoding().width() / PIECE_BYTES;
        self.0.insert((tensor, piece));
        Some(1.0)
    }
}

/// Bytes of a piece of a file, shown with the names beside its way up.
fn piece(bytes: u64) -> u64 {
    PIECE_BYTES.min(bytes) + 32 * u64::from(depth(bytes)) + 20
}

/// Rounds and bytes of a dispute about a chunk of a sparse update, and about what it lost.
fn exchanged(parameters_count: u64) -> [(u64, u64); 2] {
    let update = encoded_length(usize::try_from(parameters_count).unwrap_or(usize::MAX)) as u64;
    // A chunk's bytes may lie in two pieces of the blob.
    let (blob, file) = (2 * piece(update), 4 * parameters_count);
    let value = 3 * piece(file) + 8;
    let said = 4 * count_max(CHUNK_VALUES) as u64 + 4;
    let (rounds, shown) = walk(file);
    [
        (1, blob + 8 + said + value),
        (rounds, shown + blob + value + 1),
    ]
}

/// Bytes of the operands of a number's last operation, and of the entries that name them.
fn operands(program: &Program, tensor: Tensor, index: u64) -> u64 {
    let mut reads = Reads::default();
    match program.defined(tensor, index) {
        Defined::Given | Defined::Unknown => None,
        Defined::Map => program.map(tensor, index, &mut reads),
        Defined::Fold(steps) => {
            program.start(tensor, index, &mut reads);
            let last = steps.saturating_sub(1)..steps;
            program.steps_of((tensor, index), last, 0.0, &mut reads)
        }
    };
    let pieces: u64 = reads
        .0
        .iter()
        .map(|(tensor, _)| piece(program.bytes(*tensor)))
        .sum();
    let places = reads
        .0
        .iter()
        .filter_map(|(tensor, _)| program.place(*tensor));
    let places = places.filter(|place| program.table().contains(place));
    let entries = places.map(|place| 32 * (place - program.table().start) as u64 / PIECE_BYTES);
    let entries: BTreeSet<u64> = entries.collect();
    pieces + entries.len() as u64 * piece(32 * program.table().len() as u64)
}

/// The most rounds and bytes that a number of a tensor takes, of its first and its last.
fn longest(program: &Program, tensor: Tensor) -> (u64, u64) {
    let (walked, walk_bytes) = walk(program.bytes(tensor));
    let ends = [0, program.length(tensor) - 1].map(|index| {
        let steps = match program.defined(tensor, index) {
            Defined::Fold(steps) => steps,
            Defined::Given | Defined::Map | Defined::Unknown => 0,
        };
        let (folded, fold_bytes) = cut(steps, tensor.kind.encoding().width());
        (folded, fold_bytes + operands(program, tensor, index))
    });
    let rounds = ends.iter().map(|(rounds, _)| *rounds).max().unwrap_or(0);
    let bytes = ends.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    (walked + rounds + 1, walk_bytes + bytes)
}

fn step(model: Model, part: Part) -> Program {
    let optimiser = Optimiser {
        lr: 0.0,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        decay: 0.0,
        correction1: 1.0,
        correction2: 1.0,
        norm_max: 1.0,
    };
    Program::new(Step {
        model,
        parts: vec![part],
        optimiser,
    })
}

fn reinforcement(model: Model, (count, tokens): (usize, u64)) -> Program {
    let prompt_count = tokens / 9;
    let sequence = Sequence {
        prompt_count,
        response_count: tokens - prompt_count,
        advantage: Some(1.0),
    };
    Program::reinforcement(Reinforcement {
        model,
        sequences: Sequences::new(vec![sequence; count]),
        objective: Objective {
            clip_low: 0.2,
            clip_high: 0.2,
            delta: 4.0,
            temperature: 1.0,
            normaliser: 1.0,
            parts_count: 4,
        },
    })
}

/// Tensors, and the most rounds and bytes that a dispute takes.
fn report(name: &str, program: &Program) -> String {
    let (table_rounds, table_bytes) = walk(32 * program.table().len() as u64);
    let (mut rounds, mut bytes) = (0, 0);
    for tensor in program.tensors() {
        let (own_rounds, own_bytes) = longest(program, *tensor);
        rounds = rounds.max(own_rounds);
        bytes = bytes.max(own_bytes);
    }
    let (rounds, bytes) = (rounds + table_rounds + 1, bytes + table_bytes + 36);
    let count = program.tensors().len();
    format!("{name:<14} {count:>8} {rounds:>8} {bytes:>8}")
}

fn main() {
    println!("names a turn: {}", 1 << LEVELS);
    println!(
        "{:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "step", "tensors", "rounds", "bytes", "chunk", "bytes", "lost", "bytes"
    );
    for case in &CASES {
        let program = step(case.model, case.part);
        let [chunk, lost] = exchanged(program.model().parameters_count());
        println!(
            "{} {:>8} {:>8} {:>8} {:>8}",
            report(case.name, &program),
            chunk.0,
            chunk.1,
            lost.0,
            lost.1
        );
    }
    println!(
        "{:<14} {:>8} {:>8} {:>8}",
        "part", "tensors", "rounds", "bytes"
    );
    for case in &CASES {
        let program = reinforcement(case.model, case.responses);
        println!("{}", report(case.name, &program));
    }
}
