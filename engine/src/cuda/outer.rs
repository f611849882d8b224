//! The outer step on the device, and the pseudo-gradient that leads to it.

use super::Error;
use super::driver::DriverError;
use super::memory::{Array, Device};
use super::train::{Inner, Moments, clip_norm};
use crate::Parameters;
use crate::trainer::outer::{Buffers, OuterError};
use crate::trainer::{AdamW, OuterOptimizer, OuterState};

/// `before - after`, elementwise.
pub(crate) fn difference(
    device: &Device,
    before: &[f32],
    after: &Inner,
) -> Result<Vec<f32>, DriverError> {
    let before = device.upload(before)?;
    let out = device.array::<f32>(before.len())?;
    let after = &after.trainer.model.weights;
    let count = (before.len() as u64).into();
    let arguments = [(&before).into(), after.into(), (&out).into(), count];
    device.each("difference", before.len(), &arguments)?;
    out.read()
}

/// As [`OuterState::step`].
pub(crate) fn step(
    device: &Device,
    state: &mut OuterState,
    optimizer: &OuterOptimizer,
    model: &mut Parameters,
    pseudo_gradient: &[f32],
) -> Result<(), Error> {
    state.check(model, pseudo_gradient)?;
    let kind = state.kind();
    let theta = device.upload(model.as_slice())?;
    let gradient = device.upload(pseudo_gradient)?;
    match (*optimizer, &mut state.buffers) {
        (
            OuterOptimizer::Nesterov { lr, momentum },
            Buffers::Nesterov {
                momentum: buffer,
                step_count,
            },
        ) => {
            let array = device.upload(buffer)?;
            nesterov(device, (&theta, &gradient, &array), lr, momentum)?;
            let (values, next) = (theta.read()?, array.read()?);
            model.as_mut_slice().copy_from_slice(&values);
            *buffer = next;
            *step_count += 1;
        }
        (
            OuterOptimizer::AdamW {
                lr,
                beta1,
                beta2,
                eps,
                weight_decay,
                clip_norm: norm_max,
            },
            Buffers::AdamW(moments),
        ) => {
            let options = AdamW {
                lr,
                beta1,
                beta2,
                eps,
                weight_decay,
            };
            clip_norm(device, &gradient, norm_max)?;
            let mut on_device = Moments::upload(device, moments)?;
            on_device.step(device, (&options, 1.0), &theta, &gradient)?;
            let (values, next) = (theta.read()?, on_device.download()?);
            model.as_mut_slice().copy_from_slice(&values);
            *moments = next;
        }
        _ => return Err(OuterError::Optimizer { state: kind }.into()),
    }
    Ok(())
}

fn nesterov(
    device: &Device,
    (theta, gradient, buffer): (&Array<f32>, &Array<f32>, &Array<f32>),
    lr: f32,
    momentum: f32,
) -> Result<(), DriverError> {
    let arguments = [
        theta.into(),
        gradient.into(),
        buffer.into(),
        lr.into(),
        momentum.into(),
        (theta.len() as u64).into(),
    ];
    device.each("nesterov", theta.len(), &arguments)
}
