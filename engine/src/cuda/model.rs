//! A model's weights in device memory, and the tables that go with them.

use super::driver::DriverError;
use super::memory::{Array, Device, Part};
use crate::Parameters;
use crate::transformer::attention::heads::Heads;
use crate::transformer::config::ModelConfig;
use crate::transformer::parameters::Layout;
use crate::transformer::rope::Table;
use std::ops::Range;

/// A model on the device: one flat vector, as on the host.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) device: Device,
    pub(crate) config: ModelConfig,
    pub(crate) layout: Layout,
    pub(crate) heads: Heads,
    pub(crate) weights: Array<f32>,
    rope: Rope,
}

/// Cosines and sines, `[positions, head_dim / 2]`.
#[derive(Debug)]
struct Rope {
    table: Table,
    cosines: Array<f32>,
    sines: Array<f32>,
}

/// What a kernel needs to turn rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turning {
    pub(crate) cosines: Part<f32>,
    pub(crate) sines: Part<f32>,
}

impl Model {
    /// Copies the parameters to the device.
    pub(crate) fn upload(device: &Device, parameters: &Parameters) -> Result<Self, DriverError> {
        let rope = Rope {
            table: Table::default(),
            cosines: device.array(0)?,
            sines: device.array(0)?,
        };
        Ok(Self {
            device: device.clone(),
            config: parameters.config().clone(),
            layout: parameters.layout().clone(),
            heads: Heads::new(parameters.config()),
            weights: device.upload(parameters.as_slice())?,
            rope,
        })
    }

    /// One tensor, or several that stand side by side.
    pub(crate) fn get(&self, range: &Range<usize>) -> Part<f32> {
        self.weights.part(range.clone())
    }

    /// Makes the rotary tables hold at least `positions` positions.
    pub(crate) fn cover(&mut self, positions: usize) -> Result<(), DriverError> {
        let Rope {
            table,
            cosines,
            sines,
        } = &mut self.rope;
        if positions * (self.config.head_dim / 2) > cosines.len() {
            table.cover(&self.config, positions);
            let (cosine, sine) = table.values();
            cosines.write(cosine)?;
            sines.write(sine)?;
        }
        Ok(())
    }

    pub(crate) fn turning(&self) -> Turning {
        Turning {
            cosines: self.rope.cosines.all(),
            sines: self.rope.sines.all(),
        }
    }
}
