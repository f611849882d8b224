//! What a repeated training step and a decoding step allocate: counted, and held to a bound.
//!
//! The kernels and the parallel parts allocate nothing once buffers have their size; what remains
//! are lists that a step makes anew. The bounds fall as those go.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(unsafe_code, reason = "a global allocator that counts")]

use engine::trainer::{AdamW, Batch, Gradients, InnerOptions, InnerState, Workspace};
use engine::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, RopeScaling, Sampling,
    Threads, generate,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time.
static MEASURING: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls of the allocator during `work`.
fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.load(Ordering::Relaxed);
    work();
    COUNT.load(Ordering::Relaxed) - before
}

fn model() -> Parameters {
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: 256,
        hidden_size: 96,
        intermediate_size: 256,
        num_hidden_layers: 3,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 256,
        tie_word_embeddings: true,
    };
    Parameters::initialize(&config, [3; 32])
}

/// The list of the batch's sequences.
const TRAINING_STEP_MAX: usize = 1;

#[test]
fn a_repeated_training_step_allocates_next_to_nothing() {
    let _one = MEASURING.lock().unwrap();
    let tokens: Vec<u32> = (0..16 * 129).map(|i| i * 7 % 256).collect();
    let batch = Batch::next_token(&tokens, 128);
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 1,
        first_step: 0,
        clip_norm: 1.0,
    };
    for count in [1, 3] {
        let threads = Threads::new(count);
        let mut state = InnerState::new(model());
        let mut gradients = Gradients::zeros(&state.parameters);
        let mut workspace = Workspace::new();
        let mut step = || {
            let buffers = (&mut gradients, &mut workspace);
            state
                .step(std::slice::from_ref(&batch), &options, buffers, &threads)
                .unwrap();
        };
        step();
        // A helper that slept through the first steps sizes its own buffers when it first wakes
        // in time, so the quietest of some steps counts.
        let counts: Vec<usize> = (0..20).map(|_| allocations(&mut step)).collect();
        let least = counts.iter().copied().min().unwrap();
        assert!(
            least <= TRAINING_STEP_MAX,
            "a step on {count} threads allocates {counts:?}; {TRAINING_STEP_MAX} are allowed"
        );
    }
}

/// For 100 steps more: the lists of 16 sequences' tokens grow, each once.
const DECODING_MAX: usize = 20;

#[test]
fn decoding_steps_allocate_nothing_but_growing_results() {
    let _one = MEASURING.lock().unwrap();
    let (model, threads) = (model(), Threads::new(1));
    let requests: Vec<_> = (0..16_u8)
        .map(|index| GenerationRequest {
            prompt: vec![1, 2, 3, u32::from(index)],
            seed: [index; 32],
        })
        .collect();
    let run = |tokens_max: usize| {
        let options = GenerationOptions {
            sampling: Sampling::Gumbel { temperature: 1.0 },
            tokens_max,
            eos: u32::MAX,
        };
        allocations(|| drop(generate(&model, &requests, &options, &threads).unwrap()))
    };
    run(200);
    let (short, long) = (run(100), run(200));
    assert!(
        long <= short + DECODING_MAX,
        "100 steps allocate {short} times, 200 steps {long} times; {DECODING_MAX} more are allowed"
    );
}
