//! Dishonest gradient units, one file each.

mod copied_gradient;
mod loss_liar;
mod poison;
mod random_gradient;
mod scaled_gradient;
mod skip_steps;

use crate::Adversary;

/// All of them.
pub(crate) const ALL: &[&dyn Adversary] = &[
    &skip_steps::SkipSteps,
    &random_gradient::RandomGradient,
    &scaled_gradient::ScaledGradient,
    &copied_gradient::CopiedGradient,
    &poison::Poison,
    &loss_liar::LossLiar,
];

/// Largest magnitude that an adversary writes, inside the range of the compressed form.
const VALUE_MAX: f32 = 1.9;

fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value = (*value * factor).clamp(-VALUE_MAX, VALUE_MAX);
    }
}
