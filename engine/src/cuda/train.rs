//! Gradients and optimiser steps on the device.
//!
//! The host keeps the loss: it sees one log-probability a row and answers with the factor of that
//! row's gradient, by the CPU engine's own functions. Weights, moments and gradients stay on the
//! device from step to step, and so does the hash of their state.

use super::Error;
use super::driver::DriverError;
use super::hash;
use super::layers::add;
use super::memory::{Array, Device, word};
use super::model::Model;
use super::pass::{Pass, logits, logits_backward, passes};
use super::rows::Rows;
use super::scorer::{NO_TARGET, Scorer, logit_rows};
use crate::Parameters;
use crate::trainer::adamw::AdamWState;
use crate::trainer::grpo::rows as grpo_rows;
use crate::trainer::inner::{STATE_TAG, reciprocal, warmup};
use crate::trainer::{
    AdamW, Batch, GrpoLoss, GrpoOptions, GrpoSequence, InnerOptions, InnerState, Loss,
};
use crate::transformer::pass::check;
use engine_trace::schedule::correction;

/// A model with its gradients, on the device.
#[derive(Debug)]
pub(crate) struct Trainer {
    pub(crate) model: Model,
    pub(crate) gradients: Array<f32>,
    /// Gradients of the embedded tokens, apart from a tied head's.
    embedding: Array<f32>,
    pass: Pass,
    scorer: Scorer,
    d_hidden: Array<f32>,
}

/// What every row is for: its target or [`NO_TARGET`], and the factor of its gradient given its
/// index and the log-probability of the target.
struct Objective<'a> {
    targets: &'a [u32],
    temperature: f32,
    factor: &'a mut dyn FnMut(usize, f32) -> f32,
}

impl Trainer {
    /// The model with gradients of +0.
    pub(crate) fn new(device: &Device, parameters: &Parameters) -> Result<Self, DriverError> {
        let model = Model::upload(device, parameters)?;
        Ok(Self {
            gradients: device.zeros(model.weights.len())?,
            embedding: device.array(0)?,
            pass: Pass::new(device)?,
            scorer: Scorer::new(device)?,
            d_hidden: device.array(0)?,
            model,
        })
    }

    /// Runs forward and backward over `sequences`, adding to the gradients.
    fn accumulate(
        &mut self,
        sequences: &[&[u32]],
        mut objective: Objective<'_>,
    ) -> Result<(), Error> {
        for (index, tokens) in sequences.iter().enumerate() {
            check(&self.model.config, index, tokens)?;
        }
        let embedding = self.model.layout.embedding();
        self.embedding.resize(embedding.len())?;
        self.embedding.clear()?;
        let (survive, rows_max) = Pass::survivors(&self.model);
        let mut first = 0;
        for run in passes(&self.model, sequences, rows_max) {
            let rows = Rows::new(&self.model.device, run)?;
            self.pass
                .run(&mut self.model, &rows, survive, &mut |_, _, _| Ok(()))?;
            self.head(first, rows.count, &mut objective)?;
            let sums = (&self.gradients, &self.embedding);
            self.pass
                .backward(&self.model, &rows, &self.d_hidden, sums)?;
            first += rows.count;
        }
        // Tied heads fold into the same tensor; the embedding's own part is added once, at the
        // end.
        let own = self.gradients.part(embedding);
        Ok(add(&self.model.device, own, self.embedding.all())?)
    }

    /// Logits, their gradients and the head's, some rows at a time; fills `d_hidden`.
    fn head(
        &mut self,
        first: usize,
        count: usize,
        objective: &mut Objective<'_>,
    ) -> Result<(), DriverError> {
        let d = self.model.config.hidden_size;
        let step = logit_rows(&self.model);
        self.d_hidden.resize(count * d)?;
        for start in (0..count).step_by(step) {
            let rows = step.min(count - start);
            let hidden = self.pass.hidden.part(start * d..(start + rows) * d);
            logits(&self.model, hidden, &mut self.scorer.logits)?;
            let targets = &objective.targets[first + start..][..rows];
            let logprobs = self.scorer.score(targets, objective.temperature)?;
            let factor = |(index, (&target, logprob)): (usize, (&u32, f32))| match target {
                NO_TARGET => 0.0,
                _ => (objective.factor)(first + start + index, logprob),
            };
            let pairs = targets.iter().zip(logprobs).enumerate();
            let factors: Vec<f32> = pairs.map(factor).collect();
            self.scorer.slopes(&factors)?;
            let inputs = (hidden, &self.scorer.logits);
            logits_backward(
                &self.model,
                inputs,
                &self.gradients,
                self.d_hidden.from(start * d),
            )?;
        }
        Ok(())
    }

    /// Adds the gradient of the summed cross-entropy of `batch`.
    pub(crate) fn cross_entropy(&mut self, batch: &Batch) -> Result<Loss, Error> {
        batch.check(self.model.config.vocab_size)?;
        let sequences: Vec<&[u32]> = batch.tokens.chunks_exact(batch.length).collect();
        let pairs = batch.targets.iter().zip(&batch.weights);
        let target = |(&target, &weight): (&u32, &f32)| match weight {
            0.0 => NO_TARGET,
            _ => target,
        };
        let targets: Vec<u32> = pairs.map(target).collect();
        let mut loss = Loss::default();
        let mut factor = |row: usize, log_probability: f32| {
            let weight = batch.weights[row];
            loss.sum -= f64::from(weight) * f64::from(log_probability);
            loss.weight += f64::from(weight);
            weight
        };
        let objective = Objective {
            targets: &targets,
            temperature: 1.0,
            factor: &mut factor,
        };
        self.accumulate(&sequences, objective)?;
        Ok(loss)
    }

    /// Adds the gradient of the objective over `sequences`.
    pub(crate) fn grpo(
        &mut self,
        sequences: &[GrpoSequence],
        options: &GrpoOptions,
    ) -> Result<GrpoLoss, Error> {
        let rows = grpo_rows(sequences)?;
        let tokens: Vec<&[u32]> = sequences.iter().map(|s| s.tokens.as_slice()).collect();
        let target = |row: &Option<crate::trainer::grpo::Row>| {
            row.as_ref().map_or(NO_TARGET, |row| word(row.token))
        };
        let targets: Vec<u32> = rows.iter().map(target).collect();
        let mut total = GrpoLoss::default();
        let mut factor = |index: usize, now: f32| {
            let row = rows[index].as_ref();
            row.map_or(0.0, |row| total.add(*row, now, options))
        };
        let objective = Objective {
            targets: &targets,
            temperature: options.temperature,
            factor: &mut factor,
        };
        self.accumulate(&tokens, objective)?;
        Ok(total)
    }
}

/// `gradient *= factor`.
pub(crate) fn scale(
    device: &Device,
    gradient: &Array<f32>,
    factor: f32,
) -> Result<(), DriverError> {
    let count = gradient.len();
    device.each(
        "scale",
        count,
        &[gradient.into(), factor.into(), (count as u64).into()],
    )
}

/// Scales `gradient` so that its norm is at most `norm_max`; returns the norm before.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the norm is rounded to f32 on purpose"
)]
pub(crate) fn clip_norm(
    device: &Device,
    gradient: &Array<f32>,
    norm_max: f32,
) -> Result<f32, DriverError> {
    let squares = device.array::<f64>(1)?;
    let arguments = [
        gradient.into(),
        (&squares).into(),
        (gradient.len() as u64).into(),
    ];
    device.launch("sum_of_squares", [1, 1, 1], 512, &arguments)?;
    let mut sum = [0.0];
    squares.read_into(&mut sum)?;
    let norm = sum[0].sqrt() as f32;
    if norm > norm_max {
        scale(device, gradient, norm_max / norm)?;
    }
    Ok(norm)
}

/// Moments of `AdamW` on the device.
#[derive(Debug)]
pub(crate) struct Moments {
    m: Array<f32>,
    v: Array<f32>,
    step_count: u64,
}

impl Moments {
    pub(crate) fn upload(device: &Device, state: &AdamWState) -> Result<Self, DriverError> {
        Ok(Self {
            m: device.upload(&state.m)?,
            v: device.upload(&state.v)?,
            step_count: state.step_count,
        })
    }

    pub(crate) fn download(&self) -> Result<AdamWState, DriverError> {
        Ok(AdamWState {
            m: self.m.read()?,
            v: self.v.read()?,
            step_count: self.step_count,
        })
    }

    /// Takes one step with `options.lr * lr_factor`.
    pub(crate) fn step(
        &mut self,
        device: &Device,
        (options, lr_factor): (&AdamW, f32),
        theta: &Array<f32>,
        gradient: &Array<f32>,
    ) -> Result<(), DriverError> {
        self.step_count += 1;
        let count = theta.len();
        let arguments = [
            theta.into(),
            gradient.into(),
            (&self.m).into(),
            (&self.v).into(),
            (options.lr * lr_factor).into(),
            options.beta1.into(),
            options.beta2.into(),
            options.eps.into(),
            options.weight_decay.into(),
            correction(options.beta1, self.step_count).into(),
            correction(options.beta2, self.step_count).into(),
            (count as u64).into(),
        ];
        device.each("adam", count, &arguments)
    }
}

/// Weights and moments between two inner steps, on the device.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) trainer: Trainer,
    pub(crate) moments: Moments,
}

impl Inner {
    pub(crate) fn upload(device: &Device, state: &InnerState) -> Result<Self, DriverError> {
        Ok(Self {
            trainer: Trainer::new(device, &state.parameters)?,
            moments: Moments::upload(device, &state.moments)?,
        })
    }

    /// Takes one step on one batch.
    pub(crate) fn step(&mut self, parts: &[Batch], options: &InnerOptions) -> Result<Loss, Error> {
        let Self { trainer, moments } = self;
        trainer.gradients.clear()?;
        let mut loss = Loss::default();
        for part in parts {
            let part = trainer.cross_entropy(part)?;
            loss.sum += part.sum;
            loss.weight += part.weight;
        }
        let device = &trainer.model.device;
        if loss.weight > 0.0 {
            scale(device, &trainer.gradients, reciprocal(loss.weight))?;
        }
        clip_norm(device, &trainer.gradients, options.clip_norm)?;
        let factor = warmup(options, moments.step_count);
        let theta = &trainer.model.weights;
        moments.step(device, (&options.adamw, factor), theta, &trainer.gradients)?;
        Ok(loss)
    }

    /// The state, copied back.
    pub(crate) fn download(&self) -> Result<InnerState, DriverError> {
        let model = &self.trainer.model;
        let parameters = Parameters::from_values(&model.config, model.weights.read()?);
        Ok(InnerState {
            parameters: parameters.expect("invariant: as many weights as were uploaded"),
            moments: self.moments.download()?,
        })
    }

    /// As [`InnerState::digest`].
    pub(crate) fn digest(&self) -> Result<[u8; 32], DriverError> {
        let mut header = STATE_TAG.to_vec();
        header.extend(self.moments.step_count.to_le_bytes());
        let values = [
            &self.trainer.model.weights,
            &self.moments.m,
            &self.moments.v,
        ];
        hash::of(&self.trainer.model.device, &header, &values)
    }
}
