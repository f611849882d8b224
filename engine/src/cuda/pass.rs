//! A pass on the device: embedding, all blocks, final norm, and the way back.

use super::attention::{self, Scratch};
use super::block::{self, Buffers, Keep, Kept, Mixer};
use super::driver::DriverError;
use super::layers::{Into, NormBackward, Runs, gather, norm, norm_backward};
use super::memory::{Array, Device, Part, word};
use super::model::Model;
use super::product::{Matrix, nn, nt, tn};
use super::rows::Rows;
use crate::transformer::prefill::runs;

/// Rows of one pass, unless a single sequence has more. Folds continue from pass to pass, so this
/// changes memory and speed and no bit.
pub(crate) const ROWS_MAX: usize = 4096;

/// Cuts sequences into passes of at most `rows_max` rows (or of one longer sequence), and of no
/// more sequences than a grid over their heads may have.
pub(crate) fn passes<'a>(
    model: &Model,
    sequences: &'a [&'a [u32]],
    rows_max: usize,
) -> impl Iterator<Item = &'a [&'a [u32]]> + use<'a> {
    let rows_min = rows_max.div_ceil(attention::sequences_max(model.heads));
    runs(sequences, rows_max, move |tokens| {
        tokens.len().max(rows_min)
    })
}

/// Which activations survive the way forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survive {
    /// All.
    All,
    /// The residual stream at the entrance of every block, which is computed again on the way
    /// back.
    Entrances,
    /// None.
    None,
}

/// Sees a block's queries, keys and values: `(model, block, qkv)`.
pub(crate) type Tap<'a> = dyn FnMut(&Model, usize, &Array<f32>) -> Result<(), DriverError> + 'a;

/// The buffers of a pass.
#[derive(Debug)]
pub(crate) struct Pass {
    device: Device,
    blocks: Vec<Kept>,
    entrances: Vec<Array<f32>>,
    residual: Array<f32>,
    reciprocal: Array<f32>,
    /// After the final norm, `[rows, hidden_size]`.
    pub(crate) hidden: Array<f32>,
    scratch: Scratch,
    buffers: Buffers,
}

impl Pass {
    pub(crate) fn new(device: &Device) -> Result<Self, DriverError> {
        Ok(Self {
            device: device.clone(),
            blocks: Vec::new(),
            entrances: Vec::new(),
            residual: device.array(0)?,
            reciprocal: device.array(0)?,
            hidden: device.array(0)?,
            scratch: Scratch::new(device)?,
            buffers: Buffers::new(device)?,
        })
    }

    /// What survives a training pass, and its rows: all, if a third of the device's memory holds
    /// that of many rows.
    pub(crate) fn survivors(model: &Model) -> (Survive, usize) {
        let (block, layers) = (block::kept_values(model), model.config.num_hidden_layers);
        let values = model.device.values(3);
        let rows = values / (block * layers);
        if rows >= ROWS_MAX / 8 {
            return (Survive::All, rows.min(ROWS_MAX));
        }
        let rows = values / (block + layers * model.config.hidden_size);
        (Survive::Entrances, rows.clamp(1, ROWS_MAX))
    }

    fn prepare(&mut self, layers: usize, survive: Survive) -> Result<(), DriverError> {
        let kept = if survive == Survive::All { layers } else { 1 };
        self.blocks.truncate(kept);
        while self.blocks.len() < kept {
            self.blocks.push(Kept::new(&self.device)?);
        }
        let entrances = if survive == Survive::Entrances {
            layers
        } else {
            0
        };
        self.entrances.truncate(entrances);
        while self.entrances.len() < entrances {
            self.entrances.push(self.device.array(0)?);
        }
        Ok(())
    }

    /// Runs whole sequences. `tap` sees every block's queries, keys and values.
    pub(crate) fn run(
        &mut self,
        model: &mut Model,
        rows: &Rows,
        survive: Survive,
        tap: &mut Tap<'_>,
    ) -> Result<(), DriverError> {
        model.cover(rows.longest)?;
        let model = &*model;
        self.prepare(model.config.num_hidden_layers, survive)?;
        self.embed(model, &rows.tokens)?;
        let keep = if survive == Survive::All {
            Keep::All
        } else {
            Keep::None
        };
        let kept_count = self.blocks.len();
        for index in 0..model.config.num_hidden_layers {
            if let Some(entrance) = self.entrances.get_mut(index) {
                entrance.copy_from(&self.residual)?;
            }
            let kept = &mut self.blocks[index % kept_count];
            let mut mixer = Mixer::Rows(rows, &mut self.scratch);
            let buffers = (&mut *kept, keep, &mut self.buffers);
            block::forward(
                model,
                index,
                &self.residual,
                &rows.positions,
                &mut mixer,
                buffers,
            )?;
            tap(model, index, &kept.qkv)?;
        }
        self.final_norm(model)
    }

    /// Feeds one token of every sequence whose keys and values are in `cache`, which says slots
    /// and positions.
    pub(crate) fn step(
        &mut self,
        model: &Model,
        tokens: &Array<u32>,
        cache: &mut super::cache::Cache,
    ) -> Result<(), DriverError> {
        self.prepare(1, Survive::None)?;
        self.embed(model, tokens)?;
        // The mixer borrows the cache whole, so the positions travel beside it.
        let mut positions = self.device.array(0)?;
        positions.copy_from(&cache.positions)?;
        for index in 0..model.config.num_hidden_layers {
            let mut mixer = Mixer::Cache(cache);
            let buffers = (&mut self.blocks[0], Keep::None, &mut self.buffers);
            block::forward(
                model,
                index,
                &self.residual,
                &positions,
                &mut mixer,
                buffers,
            )?;
        }
        self.final_norm(model)
    }

    fn embed(&mut self, model: &Model, tokens: &Array<u32>) -> Result<(), DriverError> {
        let table = model.get(&model.layout.embedding());
        let d = model.config.hidden_size;
        gather(&self.device, (table, d), tokens, &mut self.residual)
    }

    fn final_norm(&mut self, model: &Model) -> Result<(), DriverError> {
        let d = model.config.hidden_size;
        let rows = self.residual.len() / d;
        self.hidden.resize(rows * d)?;
        self.reciprocal.resize(rows)?;
        let input = (self.residual.all(), Runs::rows(d), rows);
        let (y, reciprocal) = (self.hidden.all(), self.reciprocal.all());
        norm(model, input, &model.layout.norm(), y, reciprocal)
    }

    /// Carries `d_hidden` through the final norm and all blocks, adding to `gradients`, and the
    /// gradients of the embedded tokens to `embedding`.
    pub(crate) fn backward(
        &mut self,
        model: &Model,
        rows: &Rows,
        d_hidden: &Array<f32>,
        (gradients, embedding): (&Array<f32>, &Array<f32>),
    ) -> Result<(), DriverError> {
        let d = model.config.hidden_size;
        self.buffers.d_residual.resize(d_hidden.len())?;
        self.buffers.d_residual.clear()?;
        let inputs = NormBackward {
            x: self.residual.all(),
            runs: Runs::rows(d),
            count: rows.count,
            reciprocal: self.reciprocal.all(),
            dy: d_hidden.all(),
        };
        let into = (self.buffers.d_residual.all(), Into::Sum);
        norm_backward(model, inputs, &model.layout.norm(), into, gradients)?;
        let kept_count = self.blocks.len();
        for index in (0..model.config.num_hidden_layers).rev() {
            let kept = &mut self.blocks[index % kept_count];
            if let Some(entrance) = self.entrances.get(index) {
                let mut mixer = Mixer::Rows(rows, &mut self.scratch);
                let buffers = (&mut *kept, Keep::All, &mut self.buffers);
                block::forward(model, index, entrance, &rows.positions, &mut mixer, buffers)?;
            }
            let attention = (rows, &mut self.scratch);
            block::backward(model, index, attention, kept, &mut self.buffers, gradients)?;
        }
        self.embed_backward(rows, embedding, d)
    }

    /// Adds each row's gradient to its token's row of `embedding`, ascending.
    fn embed_backward(
        &self,
        rows: &Rows,
        embedding: &Array<f32>,
        d: usize,
    ) -> Result<(), DriverError> {
        let mut order: Vec<u32> = (0..word(rows.count)).collect();
        let token = |&row: &u32| rows.host_tokens[row as usize];
        // Stable: rows of one token stay ascending.
        order.sort_by_key(token);
        let (mut tokens, mut starts) = (Vec::new(), Vec::new());
        for (index, row) in order.iter().enumerate() {
            if tokens.last() != Some(&token(row)) {
                tokens.push(token(row));
                starts.push(word(index));
            }
        }
        starts.push(word(order.len()));
        let [tokens, starts, order] =
            [tokens, starts, order].map(|values| self.device.upload(&values));
        let (tokens, starts, order) = (tokens?, starts?, order?);
        let arguments = [
            (&tokens).into(),
            (&starts).into(),
            (&order).into(),
            (&self.buffers.d_residual).into(),
            embedding.into(),
            d.into(),
        ];
        self.device
            .launch("embed_backward", [tokens.len(), 1, 1], 256, &arguments)
    }
}

/// Logits `[rows, vocab_size]` of hidden states.
pub(crate) fn logits(
    model: &Model,
    hidden: Part<f32>,
    logits: &mut Array<f32>,
) -> Result<(), DriverError> {
    let (d, vocabulary) = (model.config.hidden_size, model.config.vocab_size);
    logits.resize(hidden.len() / d * vocabulary)?;
    let head = Matrix::of(model.get(&model.layout.head()), d);
    nt(&model.device, Matrix::of(hidden, d), head, logits.all())
}

/// The head on the way back: adds to its gradient and writes `d_hidden`.
pub(crate) fn logits_backward(
    model: &Model,
    (hidden, d_logits): (Part<f32>, &Array<f32>),
    gradients: &Array<f32>,
    d_hidden: Part<f32>,
) -> Result<(), DriverError> {
    let (d, vocabulary) = (model.config.hidden_size, model.config.vocab_size);
    let range = model.layout.head();
    let slopes = Matrix::of(d_logits.all(), vocabulary);
    let d_weight = gradients.part(range.clone());
    tn(&model.device, slopes, Matrix::of(hidden, d), d_weight)?;
    nn(
        &model.device,
        slopes,
        Matrix::of(model.get(&range), d),
        d_hidden,
    )
}
