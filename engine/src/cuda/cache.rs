//! Keys and values of the positions fed so far, by slot.

use super::driver::DriverError;
use super::memory::{Array, Device, Part};
use super::model::Model;

/// The caches of all blocks, and which rows of a pass belong to which slot.
#[derive(Debug)]
pub(crate) struct Cache {
    /// `[block, slot, key head, width, capacity]`.
    keys: Array<f32>,
    /// `[block, slot, key head, capacity, width]`.
    values: Array<f32>,
    scores: Array<f32>,
    /// The slot of every row.
    pub(crate) slots: Array<u32>,
    /// The position of every row.
    pub(crate) positions: Array<u32>,
    slot_count: usize,
    capacity: usize,
}

/// Bytes of one slot of `capacity` positions.
pub(crate) fn slot_bytes(model: &Model, capacity: usize) -> u64 {
    let values = 2 * model.config.num_hidden_layers * model.heads.keys * model.heads.width;
    (values as u64) * (capacity as u64) * 4
}

impl Cache {
    pub(crate) fn new(
        model: &Model,
        slot_count: usize,
        capacity: usize,
    ) -> Result<Self, DriverError> {
        let device: &Device = &model.device;
        let heads = model.heads;
        let length = slot_count * heads.keys * heads.width * capacity;
        let blocks = model.config.num_hidden_layers;
        Ok(Self {
            keys: device.array(blocks * length)?,
            values: device.array(blocks * length)?,
            scores: device.array(0)?,
            slots: device.array(0)?,
            positions: device.array(0)?,
            slot_count,
            capacity,
        })
    }

    fn block(&self, model: &Model, index: usize) -> (Part<f32>, Part<f32>) {
        let length = self.slot_count * model.heads.keys * model.heads.width * self.capacity;
        let part = |array: &Array<f32>| array.from(index * length).first(length);
        (part(&self.keys), part(&self.values))
    }

    /// Keeps the keys and values of all rows of `qkv`.
    pub(crate) fn append(
        &self,
        model: &Model,
        index: usize,
        qkv: &Array<f32>,
    ) -> Result<(), DriverError> {
        let heads = model.heads;
        let (keys, values) = self.block(model, index);
        let count = qkv.len() / heads.row() * heads.keys * heads.width;
        let arguments = [
            qkv.into(),
            (&self.slots).into(),
            (&self.positions).into(),
            keys.into(),
            values.into(),
            heads.queries.into(),
            heads.keys.into(),
            heads.width.into(),
            self.capacity.into(),
            (count as u64).into(),
        ];
        model.device.each("cache_append", count, &arguments)
    }

    /// Attention of every row over its slot's positions up to its own.
    pub(crate) fn attend(
        &mut self,
        model: &Model,
        index: usize,
        qkv: &Array<f32>,
        out: &Array<f32>,
    ) -> Result<(), DriverError> {
        let heads = model.heads;
        let rows = qkv.len() / heads.row();
        self.scores.resize(rows * heads.queries * self.capacity)?;
        let (keys, values) = self.block(model, index);
        let arguments = [
            qkv.into(),
            (&self.slots).into(),
            (&self.positions).into(),
            keys.into(),
            values.into(),
            (&self.scores).into(),
            out.into(),
            heads.scale.into(),
            heads.queries.into(),
            heads.keys.into(),
            heads.width.into(),
            self.capacity.into(),
        ];
        model
            .device
            .launch("cache_attend", [rows, heads.queries, 1], 128, &arguments)
    }
}
