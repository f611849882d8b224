//! The exact engine behind a pipe gives what it gives without one.
#![allow(clippy::unwrap_used, reason = "tests")]

use engine::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, RopeScaling, Sampling,
    Threads,
};
use engine_worker::{Worker, WorkerError};

fn model() -> Parameters {
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: 32,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 4,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
    };
    Parameters::initialize(&config, [7; 32])
}

fn requests() -> Vec<GenerationRequest> {
    let request = |index: u8| GenerationRequest {
        prompt: vec![1, 2, u32::from(index % 30)],
        seed: [index; 32],
    };
    (0..40).map(request).collect()
}

const OPTIONS: GenerationOptions = GenerationOptions {
    sampling: Sampling::Gumbel { temperature: 1.0 },
    tokens_max: 9,
    eos: 5,
};

fn worker() -> Worker {
    let program = env!("CARGO_BIN_EXE_exact-worker").to_owned();
    Worker::start(&[program], &model()).unwrap()
}

#[test]
fn the_exact_engine_behind_a_pipe_draws_the_same_rollouts() {
    let mut worker = worker();
    assert_eq!(worker.description(), "exact engine");
    let expected = engine::generate(&model(), &requests(), &OPTIONS, &Threads::new(1)).unwrap();
    let ended = expected.iter().filter(|one| one.tokens.len() < 9).count();
    assert!(ended > 0, "some rows end early");
    for _ in 0..2 {
        assert_eq!(worker.generate(&requests(), &OPTIONS).unwrap(), expected);
    }
    assert!(worker.generate(&[], &OPTIONS).unwrap().is_empty());
}

#[test]
fn a_worker_takes_another_model_and_keeps_as_many_bits_as_it_is_told() {
    let mut other = model();
    other
        .as_mut_slice()
        .iter_mut()
        .for_each(|value| *value *= 1.5);
    let mut worker = worker();
    worker.load(&other).unwrap();
    let expected = engine::generate(&other, &requests(), &OPTIONS, &Threads::new(1)).unwrap();
    assert_eq!(worker.generate(&requests(), &OPTIONS).unwrap(), expected);
    let program = env!("CARGO_BIN_EXE_exact-worker").to_owned();
    let coarse = |bits: &str| {
        let command = [program.clone(), bits.to_owned()];
        let mut worker = Worker::start(&command, &model()).unwrap();
        worker.generate(&requests(), &OPTIONS).unwrap()
    };
    let exact = engine::generate(&model(), &requests(), &OPTIONS, &Threads::new(1)).unwrap();
    assert_eq!(coarse("23"), exact);
    assert_ne!(coarse("1"), exact);
}

#[test]
fn prompts_of_different_lengths_are_refused() {
    let mut requests = requests();
    requests[3].prompt.pop();
    let refused = worker().generate(&requests, &OPTIONS);
    let expected = matches!(
        refused,
        Err(WorkerError::Prompts {
            shortest: 2,
            longest: 3
        })
    );
    assert!(expected, "{refused:?}");
}

#[test]
fn a_program_that_is_no_worker_is_an_error() {
    let none = Worker::start(&[], &model());
    assert!(matches!(none, Err(WorkerError::Command)));
    let missing = Worker::start(&["/no/such/program".into()], &model());
    assert!(matches!(missing, Err(WorkerError::Process { .. })));
    let silent = Worker::start(&["true".into()], &model());
    assert!(matches!(silent, Err(WorkerError::Process { .. })));
}
