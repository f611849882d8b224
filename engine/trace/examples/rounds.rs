//! The longest dispute that a step of a model can have, and a part of a reinforcement unit: rounds,
//! and bytes on the chain.
//!
//! ```text
//! cargo run --release -p engine-trace --example rounds
//! ```
//!
//! A round is one answer and the question that follows it. Every tensor is looked at: how deep
//! its tree is, how long the longest fold of its numbers, how many bytes its operands take. Beside
//! it, what is disputed about an update of the model: of a sparse one a chunk, and what it lost,
//! and of a reinforcement unit's a block and the norm.
//!
//! "game" are the bytes of the moves in the game. "moves" are those of all moves: with what comes
//! before it, the steps of the segment and the complaint, and in a part with what shows its plan.
//! "in all" adds a transaction with its signature around each.
//!
//! A part is of responses of one length, the unit of four such parts. A leaf with a token is not
//! counted: a dispute that ends with one has no fold and no operands.

#![allow(clippy::print_stdout, reason = "a report")]

use engine_trace::dispute::Stretch;
use engine_trace::sparse::{CHUNK_VALUES, count_max, encoded_length};
use engine_trace::tree::{LEVELS, PIECE_BYTES, Span};
use engine_trace::{
    Defined, Model, Objective, Optimiser, Part, Program, Reinforcement, RopeScaling, Sequence,
    Sequences, Source, Step, Tensor,
};

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

/// Bytes around a move: chain, sender, nonce, fee, kind, unit, length and signature.
const ENVELOPE_BYTES: u64 = 32 + 32 + 8 + 16 + 1 + 21 + 4 + 64;
/// Bytes of a state that a miner shows between steps.
const STATE_BYTES: u64 = 4 + 32 + 1 + 64;
/// Steps of a segment at most.
const STEPS_COUNT: u64 = 4;
/// Parts of a reinforcement unit.
const PARTS_COUNT: u64 = 4;

/// A piece of the blob of a unit with a dense update.
fn blob_piece(parameters_count: u64) -> u64 {
    piece(parameters_count + parameters_count.div_ceil(256) * 4)
}

/// Rounds of a dispute about the norm of a reinforcement unit's sum, bytes of its moves, and with
/// all that is around them.
fn norm(parameters_count: u64) -> (u64, u64, u64) {
    let (rounds, shown) = cut(parameters_count.div_ceil(16), 8);
    let sum = piece(4 * parameters_count);
    let block = 2 * blob_piece(parameters_count) + sum + 8;
    // Block, lanes, lane; then the fold, whose last question is followed by the square.
    let moves = 4 + 2 * rounds;
    let bytes = block + 16 * 8 + 4 + 2 + shown + sum;
    (rounds + 2, bytes, bytes + moves * ENVELOPE_BYTES)
}

/// Notes what an operation reads.
#[derive(Default)]
struct Reads(Vec<Tensor>);

impl Source for Reads {
    fn number(&mut self, tensor: Tensor, _: u64) -> Option<f64> {
        self.0.push(tensor);
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

/// Bytes of what is said and shown of the operands of a number's last operation: all of them, and
/// one in a piece of its tensor, with the piece of the table that names it.
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
    let table = Span::file(32 * program.table().len() as u64);
    // Below one of the spans of the first turn, but of a result, which is disputed where the whole
    // table is agreed about.
    let place = program.place(tensor);
    let is_result = place.is_some_and(|place| place >= program.table().end);
    let agreed = if is_result {
        table.length
    } else {
        table.below()[0].length
    };
    let shown = reads.0.iter().map(|tensor| {
        let place = program.place(*tensor);
        let is_named = place.is_some_and(|place| program.table().contains(&place));
        let entry = if is_named { piece(agreed) } else { 0 };
        piece(program.bytes(*tensor)) + entry
    });
    8 * reads.0.len() as u64 + shown.max().unwrap_or(0) + 8
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

/// What comes before a game.
fn before(parameters_count: u64, plan_bytes: Option<u64>) -> u64 {
    // The losses of up to 120 inner steps, and of all parts, lie in the blob's first piece.
    let losses = blob_piece(parameters_count);
    let shown = match plan_bytes {
        None => losses + (STEPS_COUNT - 1) * STATE_BYTES,
        // The plan's name, its ends and three entries, and one with the number that is pointed to.
        // Only numbers of small tensors read another.
        Some(bytes) => losses + 40 + 4 * piece(bytes),
    };
    shown + 16
}

/// Tensors, and the most rounds and bytes that a dispute takes.
fn report(name: &str, program: &Program, plan_bytes: Option<u64>) -> String {
    let (table_rounds, table_bytes) = walk(32 * program.table().len() as u64);
    let (mut rounds, mut bytes) = (0, 0);
    for tensor in program.tensors() {
        let (own_rounds, own_bytes) = longest(program, *tensor);
        rounds = rounds.max(own_rounds);
        bytes = bytes.max(own_bytes);
    }
    // The table's name is that of the names that are shown first.
    let (rounds, bytes) = (rounds + table_rounds, bytes + table_bytes);
    let count = program.tensors().len();
    let moves = bytes + before(program.model().parameters_count(), plan_bytes);
    let all = moves + (2 * rounds + 2) * ENVELOPE_BYTES;
    format!("{name:<14} {count:>8} {rounds:>8} {bytes:>8} {moves:>8} {all:>8}")
}

fn main() {
    println!("names a turn: at most {}", 1 << LEVELS);
    println!(
        "{:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "step", "tensors", "rounds", "game", "moves", "in all", "chunk", "bytes", "lost", "bytes"
    );
    for case in &CASES {
        let program = step(case.model, case.part);
        let [chunk, lost] = exchanged(program.model().parameters_count());
        println!(
            "{} {:>8} {:>8} {:>8} {:>8}",
            report(case.name, &program, None),
            chunk.0,
            chunk.1,
            lost.0,
            lost.1
        );
    }
    println!(
        "{:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "part", "tensors", "rounds", "game", "moves", "in all", "norm", "moves", "in all"
    );
    for case in &CASES {
        let program = reinforcement(case.model, case.responses);
        let samples_count = PARTS_COUNT * case.responses.0 as u64;
        let plan_bytes = Some(32 * (samples_count + 1));
        let (rounds, moves, bytes) = norm(program.model().parameters_count());
        let part = report(case.name, &program, plan_bytes);
        println!("{part} {rounds:>8} {moves:>8} {bytes:>8}");
    }
}
