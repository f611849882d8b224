//! What a dispute about one inner step takes, with the devnet's model and batch.
//!
//! ```text
//! cargo run --release -p engine --example dispute
//! ```
//!
//! A defendant changes one number somewhere in its trace and carries on with it; a challenger that
//! took the same step honestly meets it before the referee. Times are wall time of one thread; the
//! referee's is that of checking all moves, which is what every validator does.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a report of fixed sizes"
)]

use engine::trainer::{AdamW, Batch, Gradients, InnerOptions, InnerState, Workspace};
use engine::{Family, ModelConfig, Parameters, RopeScaling, Threads, trace};
use engine_trace::dispute::{Claim, Dispute, Outcome, Side, answer, question};
use engine_trace::{Kind, Trace};
use std::time::{Duration, Instant};

const CONFIG: ModelConfig = ModelConfig {
    family: Family::Llama,
    vocab_size: 256,
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 3,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    head_dim: 8,
    rms_norm_eps: 1e-5,
    rope_theta: 100.0,
    rope_scaling: RopeScaling::Default,
    max_position_embeddings: 128,
    tie_word_embeddings: true,
};

/// Four rows of text, and forty-eight of seventeen tokens, as in a devnet's inner step.
fn parts() -> Vec<Batch> {
    let tokens = |count: usize, salt: u32| {
        let word = |i: u32| (i.wrapping_add(salt)).wrapping_mul(2_654_435_761) >> 24;
        (0..count as u32).map(word).collect::<Vec<_>>()
    };
    vec![
        Batch::next_token(&tokens(4 * 64, 1), 63),
        Batch::next_token(&tokens(48 * 18, 7), 17),
    ]
}

/// As before the first step: nobody named moments.
fn claim(before: &Trace, after: &Trace) -> Claim {
    let [weights, _, _] = Claim::of(before).given;
    Claim {
        given: [weights, None, None],
        ..Claim::of(after)
    }
}

/// What one dispute took.
#[derive(Default)]
struct Taken {
    rounds: usize,
    bytes: usize,
    players: Duration,
    referee: Duration,
}

fn play(liar: &Trace, honest: &Trace) -> (Outcome, Taken) {
    let mut dispute = Dispute::new(claim(honest, liar));
    let mut taken = Taken::default();
    while let Some(side) = dispute.turn() {
        let begun = Instant::now();
        let (bytes, thought, checked) = match side {
            Side::Defendant => {
                let answer = answer(&dispute, liar).unwrap();
                let thought = begun.elapsed();
                taken.rounds += 1;
                dispute.answer(honest.program(), &answer).unwrap();
                (borsh::to_vec(&answer).unwrap(), thought, begun.elapsed())
            }
            Side::Challenger => {
                let question = question(&dispute, honest).unwrap();
                let thought = begun.elapsed();
                dispute.question(honest.program(), &question).unwrap();
                (borsh::to_vec(&question).unwrap(), thought, begun.elapsed())
            }
        };
        taken.bytes += bytes.len();
        taken.players += thought;
        taken.referee += checked - thought;
    }
    (dispute.outcome().unwrap(), taken)
}

/// Changes one number in the middle of a tensor, and one of the weights that the step ends with,
/// without computing everything between again.
fn liar(honest: &Trace, place: usize) -> Trace {
    let program = honest.program();
    let index = program.length(program.tensors()[place]) / 2;
    let mut liar = honest.clone();
    for (place, index) in [(place, index), (program.tensors().len() - 1, 0)] {
        let numbers = liar.numbers_mut(place).unwrap();
        let number = numbers.get(index).unwrap();
        numbers.set(index, number + 0.5);
    }
    liar
}

fn main() {
    let threads = Threads::new(1);
    let mut state = InnerState::new(Parameters::initialize(&CONFIG, [5; 32]));
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 4,
        first_step: 0,
        clip_norm: 1.0,
    };
    let begun = Instant::now();
    let honest = trace::trace(&state, &parts(), &options, &threads).unwrap();
    let traced = begun.elapsed();
    let program = honest.program();
    let bytes = program
        .tensors()
        .iter()
        .map(|tensor| program.bytes(*tensor))
        .sum::<u64>();
    let begun = Instant::now();
    let names_count = honest.names().len();
    let named = begun.elapsed();

    let mut gradients = Gradients::zeros(&state.parameters);
    let buffers = (&mut gradients, &mut Workspace::new());
    let begun = Instant::now();
    state.step(&parts(), &options, buffers, &threads).unwrap();
    let stepped = begun.elapsed();
    println!(
        "{} parameters, {} tensors, {} MiB; step {stepped:.1?}, trace {traced:.1?}, names {named:.1?}",
        state.parameters.as_slice().len(),
        names_count,
        bytes >> 20
    );
    println!(
        "{:<18} {:>6} {:>7} {:>10} {:>10}",
        "changed", "rounds", "bytes", "players", "referee"
    );
    let kinds = [
        Kind::Qkv,
        Kind::Probabilities,
        Kind::Logits,
        Kind::Slope,
        Kind::HiddenSlope,
        Kind::QkvGradient,
        Kind::Norm1Gain,
        Kind::SquareLanes,
        Kind::NewWeights,
    ];
    for kind in kinds {
        let mut places = program.tensors().iter();
        let place = places.position(|tensor| tensor.kind == kind).unwrap();
        let liar = liar(&honest, place);
        let (outcome, taken) = play(&liar, &honest);
        let Outcome::DefendantLied { number, .. } = outcome else {
            panic!("{kind:?}: {outcome:?}");
        };
        assert_eq!(number.place as usize, place);
        println!(
            "{:<18} {:>6} {:>7} {:>10.1?} {:>10.1?}",
            format!("{kind:?}"),
            taken.rounds,
            taken.bytes,
            taken.players,
            taken.referee
        );
    }
}
