//! All weights in the panels the tiles read, packed once and used for many rows.

use super::config::ModelConfig;
use super::parameters::Parameters;
use crate::arithmetic::gemm::{Packed, View};
use crate::arithmetic::threads::Threads;

/// Which product the weights `[out, in]` are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    /// `y = x Wᵀ`.
    Forward,
    /// `dx = dy W`.
    Backward,
}

/// The matrices of one block.
#[derive(Clone, Debug, Default)]
pub(crate) struct PackedBlock {
    pub(crate) qkv: Packed,
    pub(crate) out: Packed,
    pub(crate) gate: Packed,
    pub(crate) up: Packed,
    pub(crate) down: Packed,
}

/// The matrices of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct PackedWeights {
    pub(crate) blocks: Vec<PackedBlock>,
    pub(crate) head: Packed,
}

impl PackedWeights {
    /// The weights of `model`, packed for forward passes.
    pub(crate) fn forward(model: &Parameters, threads: &Threads) -> Self {
        let mut weights = Self::default();
        weights.fill(model, Product::Forward, threads);
        weights
    }

    /// Packs the present weights of `model`, reusing the buffers.
    pub(crate) fn fill(&mut self, model: &Parameters, product: Product, threads: &Threads) {
        let config: &ModelConfig = model.config();
        let (d, ff) = (config.hidden_size, config.intermediate_size);
        let pack = |packed: &mut Packed, weight: &[f32], inputs: usize| {
            let view = View::new(weight, weight.len() / inputs, inputs);
            let view = if product == Product::Forward {
                view.transposed()
            } else {
                view
            };
            packed.pack_divided(threads, view);
        };
        self.blocks
            .resize_with(config.num_hidden_layers, PackedBlock::default);
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let ranges = model.layout().block(index);
            pack(&mut block.qkv, model.get(&ranges.qkv), d);
            pack(&mut block.out, model.get(&ranges.out), config.query_width());
            let (gate, up) = model.get(&ranges.gate_up).split_at(ff * d);
            pack(&mut block.gate, gate, d);
            pack(&mut block.up, up, d);
            pack(&mut block.down, model.get(&ranges.down), ff);
        }
        pack(&mut self.head, model.get(&model.layout().head()), d);
    }
}
