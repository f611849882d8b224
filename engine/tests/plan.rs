//! The memory plan against what the allocator counts.

#![allow(clippy::unwrap_used, reason = "tests")]

use engine::trainer::cross_entropy;
use engine::trainer::{AdamW, AdamWState, Batch, Checkpointing, Gradients, Workspace};
use engine::{Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, Plan};
use engine::{RopeScaling, Sampling, Threads, generate};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use, and the most that were.
struct Counting {
    now: AtomicUsize,
    peak: AtomicUsize,
}

#[global_allocator]
static COUNTING: Counting = Counting {
    now: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
};

#[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = self.now.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.peak.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let now = self.now.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.peak.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that `work` had in use above what was in use before it.
fn peak(work: impl FnOnce()) -> u64 {
    let before = COUNTING.now.load(Ordering::Relaxed);
    COUNTING.peak.store(before, Ordering::Relaxed);
    work();
    (COUNTING.peak.load(Ordering::Relaxed) - before) as u64
}

fn train(config: &ModelConfig, batch: usize, length: usize, checkpointing: Checkpointing) -> u64 {
    peak(|| {
        let base = Parameters::initialize(config, [1; 32]);
        let mut model = base.clone();
        let mut moments = AdamWState::new(model.as_slice().len());
        let mut gradients = Gradients::zeros(&model);
        let mut workspace = Workspace::new().with_checkpointing(checkpointing);
        let threads = Threads::new(1);
        let batch = Batch::next_token(&vec![7; batch * (length + 1)], length);
        cross_entropy(&model, &batch, &mut gradients, &mut workspace, &threads).unwrap();
        let options = AdamW {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        };
        let values = model.as_mut_slice();
        moments.step(&options, 1.0, values, gradients.as_slice(), &threads);
        assert_ne!(base, model);
    })
}

fn sample(config: &ModelConfig, batch: usize, length: usize) -> u64 {
    peak(|| {
        let model = Parameters::initialize(config, [1; 32]);
        // Prompts that differ share nothing, and long ones need the widest pass.
        let request = |index: usize| GenerationRequest {
            prompt: vec![u32::try_from(index).unwrap(); length - 8],
            seed: [2; 32],
        };
        let options = GenerationOptions {
            sampling: Sampling::Greedy,
            tokens_max: 8,
            eos: u32::MAX,
        };
        let requests: Vec<_> = (0..batch).map(request).collect();
        generate(&model, &requests, &options, &Threads::new(1)).unwrap();
    })
}

fn assert_near(what: &str, planned: u64, measured: u64) {
    let ratio = planned as f64 / measured as f64;
    eprintln!("{what}: planned {planned}, measured {measured}, ratio {ratio:.3}");
    assert!(
        (0.9..1.1).contains(&ratio),
        "{what}: {planned} against {measured}"
    );
}

/// One test, because the counters see every thread.
#[test]
fn plans_are_what_the_allocator_counts() {
    for (family, head_dim, batch, length) in [
        (Family::Llama, 32, 8, 128),
        (Family::Qwen2, 48, 1, 700),
        (Family::Qwen3, 64, 3, 256),
    ] {
        let config = ModelConfig {
            family,
            vocab_size: 2000,
            hidden_size: 256,
            intermediate_size: 640,
            num_hidden_layers: 4,
            num_attention_heads: 8,
            num_key_value_heads: 4,
            head_dim,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::Default,
            max_position_embeddings: 1024,
            tie_word_embeddings: family == Family::Llama,
        };
        let plan = Plan::new(&config, batch, length);
        for checkpointing in [Checkpointing::Off, Checkpointing::Blocks] {
            let what = format!("{family:?} training, checkpointing {checkpointing:?}");
            let measured = train(&config, batch, length, checkpointing);
            assert_near(&what, plan.training(checkpointing), measured);
        }
        let what = format!("{family:?} generation");
        assert_near(&what, plan.generating(), sample(&config, batch, length));
    }
}
