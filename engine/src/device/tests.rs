//! A device that fails in the middle changes no bit.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Device, DeviceChoice};
use crate::testing::{bits, config, model, tokens};
use crate::trainer::{AdamW, Batch, InnerOptions, InnerState, pseudo_gradient};
use crate::{KernelPath, Threads};

#[test]
fn choices_are_read_as_they_are_written() {
    for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
    assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
    let error = "tpu\n".parse::<DeviceChoice>().unwrap_err();
    let message = "device is \"tpu\\n\"; known are auto, cpu, cuda and cuda:N";
    assert_eq!(error.to_string(), message);
    for text in ["", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
        assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
    }
}

#[test]
fn training_on_the_processor_gives_the_pseudo_gradient() {
    let model = model();
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 3,
        first_step: 0,
        clip_norm: 1.0,
    };
    let vocab = config().vocab_size;
    let batches: Vec<_> = (1..5)
        .map(|seed| Batch::next_token(&tokens(3 * 21, vocab, seed), 20))
        .collect();
    let expected = pseudo_gradient(&model, batches.clone(), &options, &Threads::new(1)).unwrap();
    let device = Device::cpu(2);
    let mut training = device.train(&model);
    let losses = batches
        .into_iter()
        .map(|batch| training.step(vec![batch], &options).unwrap());
    assert_eq!(losses.collect::<Vec<_>>(), expected.losses);
    let values = training.pseudo_gradient().unwrap();
    assert_eq!(bits(&values), bits(&expected.values));
}

#[test]
fn a_step_on_parts_of_several_lengths_is_one_step() {
    let model = model();
    let parts = [
        Batch::next_token(&tokens(4 * 11, 37, 1), 10),
        Batch::next_token(&tokens(2 * 31, 37, 2), 30),
    ];
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 1,
        first_step: 0,
        clip_norm: 1.0,
    };
    let step = |parts: &[Batch], threads: &Threads| {
        let mut state = InnerState::new(model.clone());
        let mut gradients = crate::trainer::Gradients::zeros(&model);
        let mut workspace = crate::trainer::Workspace::new();
        let buffers = (&mut gradients, &mut workspace);
        let loss = state.step(parts, &options, buffers, threads).unwrap();
        (loss.weight.to_bits(), state.digest())
    };
    let portable = Threads::new(1).with_kernels(KernelPath::Portable).unwrap();
    assert_eq!(step(&parts, &Threads::new(2)), step(&parts, &portable));
    assert_eq!(f64::from_bits(step(&parts, &portable).0), 100.0);
}
