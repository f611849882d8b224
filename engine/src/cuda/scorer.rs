//! Rows of logits on the device: log-probabilities of their targets, and gradients.

use super::driver::DriverError;
use super::memory::{Array, Device};
use super::model::Model;

/// The target of a row that has none.
pub(crate) const NO_TARGET: u32 = u32::MAX;

/// The part of the memory that logits may take, unless a single row has more.
const LOGITS_SHARE: u64 = 16;
/// Most values of logits at a time: 1 GiB.
const LOGIT_VALUES_MAX: usize = 1 << 28;

/// Rows whose logits are held at a time.
pub(crate) fn logit_rows(model: &Model) -> usize {
    let values = model.device.values(LOGITS_SHARE).min(LOGIT_VALUES_MAX);
    (values / model.config.vocab_size).max(1)
}

/// Buffers for rows of logits.
#[derive(Debug)]
pub(crate) struct Scorer {
    device: Device,
    /// `[rows, vocab_size]`.
    pub(crate) logits: Array<f32>,
    targets: Array<u32>,
    sums: Array<f32>,
    logprobs: Array<f32>,
    factors: Array<f32>,
}

impl Scorer {
    pub(crate) fn new(device: &Device) -> Result<Self, DriverError> {
        Ok(Self {
            device: device.clone(),
            logits: device.array(0)?,
            targets: device.array(0)?,
            sums: device.array(0)?,
            logprobs: device.array(0)?,
            factors: device.array(0)?,
        })
    }

    /// The log-probability of every row's target at `temperature`; the logits become
    /// exponentials. Rows without a target have an unspecified number.
    pub(crate) fn score(
        &mut self,
        targets: &[u32],
        temperature: f32,
    ) -> Result<Vec<f32>, DriverError> {
        let vocabulary = self.logits.len() / targets.len();
        self.targets.write(targets)?;
        self.sums.resize(targets.len())?;
        self.logprobs.resize(targets.len())?;
        let arguments = [
            (&self.logits).into(),
            (&self.targets).into(),
            temperature.into(),
            (&self.sums).into(),
            (&self.logprobs).into(),
            vocabulary.into(),
        ];
        let grid = [targets.len(), 1, 1];
        self.device.launch("exponentials", grid, 256, &arguments)?;
        self.logprobs.read()
    }

    /// After [`Self::score`]: the exponentials become `factor (p - [v = target])`, and +0 in rows
    /// without a target.
    pub(crate) fn slopes(&mut self, factors: &[f32]) -> Result<(), DriverError> {
        let vocabulary = self.logits.len() / factors.len();
        self.factors.write(factors)?;
        let arguments = [
            (&self.logits).into(),
            (&self.targets).into(),
            (&self.sums).into(),
            (&self.factors).into(),
            vocabulary.into(),
        ];
        self.device
            .launch("slopes", [factors.len(), 1, 1], 256, &arguments)
    }
}
