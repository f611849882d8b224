//! The same bits on a GPU.
//!
//! A miner with a GPU is audited by a validator without one, so what is computed here equals the
//! CPU engine to the last bit: hidden states, losses, gradients, weights, tokens. Nothing about a
//! GPU stands in the way. Its multiply-add, addition, division and square root round as IEEE 754
//! says, subnormals included, when they are asked for by name. Results differ between machines
//! only because programs differ in the *order* of operations, and the order is ours to write:
//!
//! - **Folds stay whole.** An output of a matrix product is one accumulator that meets its `k`
//!   ascending. A block of threads takes a tile of outputs, never a share of a sum, so any tile
//!   size gives the same bits, as on the CPU. Sums over rows, as of weights' gradients, are
//!   products with rows for `k`, and continue from the gradient buffer.
//! - **Reductions have sixteen lanes**, and sixteen neighbouring threads are those lanes; the tree
//!   above them is spelled out.
//! - **Elementary functions** are the CPU's polynomials, operation for operation.
//! - **Nothing is left to chance or taste**: no atomic operation on floats, no flushing to zero, no
//!   contraction, no library. `tests/cuda_ptx.rs` reads every instruction of the assembly for it.
//!
//! ```text
//! fold:     acc = fma.rn(a[k], b[k], acc)     for k = 0, 1, …      on both machines
//! ```
//!
//! The layers, bottom up:
//!
//! - `kernels/` is CUDA C in a small language that `g++` understands as well, with its PTX;
//! - [`Driver`] is the seam: memory, copies, kernels by name. Behind it is a GPU (`gpu_driver`,
//!   through `cust`, the driver's library found at run time by `lazy`), or in tests the host;
//! - `memory`, `product`, `layers`, `attention`, `block`, `pass` are the model, as in
//!   [`transformer`](crate::ModelConfig), each a page of launches;
//! - `train`, `scorer`, `outer` are losses and optimisers, where the host decides and the device
//!   computes; `generate` and `cache` draw tokens; `hash` and `exchange` make digests, updates and
//!   the activations of proofs, so that weights stay where they are;
//! - [`Gpu`] is all of it, in the shape of the engine's own functions.
//!
//! How work is cut into passes follows from the device's memory and changes no bit: folds are
//! interrupted and continued. A device that fails leaves inputs as they were, and the CPU goes on
//! from there with the same bits ([`Device`](crate::Device)).
//!
//! Spec: arithmetic. Why it is made like this: `spec/decisions/004-why-these-cuda-kernels.md`.

pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod cache;
pub(crate) mod driver;
pub(crate) mod exchange;
pub(crate) mod generate;
#[cfg(feature = "cuda")]
pub(crate) mod gpu_driver;
pub(crate) mod hash;
pub(crate) mod layers;
#[cfg(all(feature = "cuda", target_arch = "x86_64"))]
pub(crate) mod lazy;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod open;
pub(crate) mod outer;
pub(crate) mod pass;
pub(crate) mod prefill;
pub(crate) mod product;
pub(crate) mod rows;
pub(crate) mod scorer;
pub(crate) mod train;

use crate::trainer::outer::OuterError;
use crate::trainer::{
    Batch, CompressError, CompressedUpdate, Feedback, Gradients, GrpoLoss, GrpoOptions,
    GrpoSequence, InnerOptions, InnerState, Loss, OuterOptimizer, OuterState, PseudoGradient,
    SparseUpdate,
};
use crate::{
    Continuation, Generation, GenerationOptions, GenerationRequest, InputError, Parameters,
    Prefill, Replay,
};
use memory::Device;
use model::Model;
use std::sync::Arc;
use train::{Inner, Trainer};

pub use driver::{Address, Driver, DriverError, Launch};
pub use open::{Unusable, open};

/// Why a computation on a device has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Tokens that the model cannot take.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Values that cannot be compressed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// Parts of an outer step that do not belong together.
    #[error(transparent)]
    Outer(#[from] OuterError),
    /// The device failed; the same on the CPU may succeed.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// A device that computes what the CPU engine computes, bit for bit.
///
/// The methods mirror the engine's functions and take the same arguments. Each copies the model
/// to the device; where one model serves many calls, [`Gpu::load`] copies it once.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Device,
}

impl Gpu {
    /// A device behind a driver of one's own.
    #[must_use]
    pub fn with_driver(driver: Arc<dyn Driver>) -> Self {
        Self {
            device: Device::new(driver),
        }
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.device.driver().name()
    }

    /// Bytes of its memory in all.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.device.driver().memory_bytes()
    }

    /// The driver itself, for measuring and testing single kernels.
    #[must_use]
    pub fn driver(&self) -> &dyn Driver {
        self.device.driver()
    }

    /// Copies a model to the device.
    ///
    /// # Errors
    /// The device has too little memory or is lost.
    pub fn load(&self, model: &Parameters) -> Result<Resident, Error> {
        let model = Model::upload(&self.device, model)?;
        Ok(Resident { model })
    }

    /// As [`generate`](crate::generate).
    ///
    /// # Errors
    /// A prompt the model cannot take, or a failure of the device.
    pub fn generate(
        &self,
        model: &Parameters,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, Error> {
        self.load(model)?.generate(requests, options)
    }

    /// As [`prefill`](crate::prefill).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn prefill(&self, model: &Parameters, sequences: &[&[u32]]) -> Result<Vec<Prefill>, Error> {
        self.load(model)?.prefill(sequences)
    }

    /// As [`logprobs`](crate::logprobs).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn logprobs(
        &self,
        model: &Parameters,
        sequences: &[&[u32]],
        temperature: f32,
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.load(model)?.logprobs(sequences, temperature)
    }

    /// As [`replay`](crate::replay()).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn replay(
        &self,
        model: &Parameters,
        continuations: &[Continuation<'_>],
    ) -> Result<Vec<Replay>, Error> {
        self.load(model)?.replay(continuations)
    }

    /// As [`response_logprobs`](crate::response_logprobs).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn response_logprobs(
        &self,
        model: &Parameters,
        continuations: &[Continuation<'_>],
        temperature: f32,
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.load(model)?
            .response_logprobs(continuations, temperature)
    }

    /// As [`cross_entropy`](crate::trainer::cross_entropy).
    ///
    /// # Errors
    /// A batch the model cannot take, or a failure of the device.
    pub fn cross_entropy(
        &self,
        model: &Parameters,
        batch: &Batch,
        gradients: &mut Gradients,
    ) -> Result<Loss, Error> {
        let mut trainer = Trainer::new(&self.device, model)?;
        trainer.gradients.write(gradients.as_slice())?;
        let loss = trainer.cross_entropy(batch)?;
        trainer.gradients.read_into(gradients.as_mut_slice())?;
        Ok(loss)
    }

    /// As [`grpo`](crate::trainer::grpo()).
    ///
    /// # Errors
    /// A rollout the model cannot take, or a failure of the device.
    pub fn grpo(
        &self,
        model: &Parameters,
        sequences: &[GrpoSequence],
        options: &GrpoOptions,
        gradients: &mut Gradients,
    ) -> Result<GrpoLoss, Error> {
        let mut trainer = Trainer::new(&self.device, model)?;
        trainer.gradients.write(gradients.as_slice())?;
        let loss = trainer.grpo(sequences, options)?;
        trainer.gradients.read_into(gradients.as_mut_slice())?;
        Ok(loss)
    }

    /// As [`clip_gradient_norm`](crate::trainer::clip_gradient_norm).
    ///
    /// # Errors
    /// A failure of the device.
    pub fn clip_gradient_norm(&self, gradient: &mut [f32], norm_max: f32) -> Result<f32, Error> {
        let array = self.device.upload(gradient)?;
        let norm = train::clip_norm(&self.device, &array, norm_max)?;
        array.read_into(gradient)?;
        Ok(norm)
    }

    /// Copies a state of inner training to the device, to take steps there.
    ///
    /// # Errors
    /// The device has too little memory or is lost.
    pub fn inner(&self, state: &InnerState) -> Result<InnerRun, Error> {
        let inner = Inner::upload(&self.device, state)?;
        Ok(InnerRun { inner })
    }

    /// As [`pseudo_gradient`](crate::trainer::pseudo_gradient).
    ///
    /// # Errors
    /// A batch the model cannot take, or a failure of the device.
    pub fn pseudo_gradient(
        &self,
        theta_0: &Parameters,
        batches: impl IntoIterator<Item = Batch>,
        options: &InnerOptions,
    ) -> Result<PseudoGradient, Error> {
        let mut run = self.inner(&InnerState::new(theta_0.clone()))?;
        let (mut losses, mut digests) = (Vec::new(), Vec::new());
        for batch in batches {
            losses.push(run.step(&[batch], options)?);
            digests.push(run.digest()?);
        }
        let values = outer::difference(&self.device, theta_0.as_slice(), &run.inner)?;
        Ok(PseudoGradient {
            values,
            losses,
            digests,
        })
    }

    /// As [`OuterState::step`].
    ///
    /// # Errors
    /// Parts that do not belong together, or a failure of the device, after which state and model
    /// are as before.
    pub fn outer_step(
        &self,
        state: &mut OuterState,
        optimizer: &OuterOptimizer,
        model: &mut Parameters,
        pseudo_gradient: &[f32],
    ) -> Result<(), Error> {
        outer::step(&self.device, state, optimizer, model, pseudo_gradient)
    }

    /// As [`CompressedUpdate::compress`].
    ///
    /// # Errors
    /// A value that is not finite or too large, or a failure of the device.
    pub fn compress(&self, values: &[f32]) -> Result<CompressedUpdate, Error> {
        exchange::compress(&self.device, values)
    }

    /// As [`Feedback::compress`].
    ///
    /// # Errors
    /// A value that is not finite or too large, or a failure of the device; nothing has changed
    /// then.
    ///
    /// # Panics
    /// If the update has another length.
    pub fn compress_sparse(
        &self,
        feedback: &mut Feedback,
        update: &[f32],
        decay: f32,
    ) -> Result<SparseUpdate, Error> {
        exchange::compress_sparse(&self.device, feedback, update, decay)
    }

    /// The `count` largest activations of consecutive runs of `hidden`, rounded to bfloat16, by
    /// magnitude and ties to the lower index: for each run (index in it, bits), by index.
    ///
    /// `ends` are the ends of the runs in `hidden`, ascending. A run of fewer values gives all.
    ///
    /// # Errors
    /// A failure of the device.
    ///
    /// # Panics
    /// If `ends` do not ascend inside `hidden`.
    pub fn largest_activations(
        &self,
        hidden: &[f32],
        ends: &[usize],
        count: usize,
    ) -> Result<Vec<Vec<(u32, u16)>>, Error> {
        assert!(ends.is_sorted() && ends.last().is_none_or(|&end| end <= hidden.len()));
        Ok(exchange::largest_activations(
            &self.device,
            hidden,
            ends,
            count,
        )?)
    }
}

/// A model in the device's memory.
#[derive(Debug)]
pub struct Resident {
    model: Model,
}

impl Resident {
    /// As [`generate`](crate::generate).
    ///
    /// # Errors
    /// A prompt the model cannot take, or a failure of the device.
    pub fn generate(
        &mut self,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, Error> {
        generate::generate(&mut self.model, requests, options)
    }

    /// As [`prefill`](crate::prefill).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn prefill(&mut self, sequences: &[&[u32]]) -> Result<Vec<Prefill>, Error> {
        prefill::prefill(&mut self.model, sequences)
    }

    /// As [`logprobs`](crate::logprobs).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn logprobs(
        &mut self,
        sequences: &[&[u32]],
        temperature: f32,
    ) -> Result<Vec<Vec<f32>>, Error> {
        prefill::logprobs(&mut self.model, sequences, temperature)
    }

    /// As [`replay`](crate::replay()).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn replay(&mut self, continuations: &[Continuation<'_>]) -> Result<Vec<Replay>, Error> {
        prefill::replay(&mut self.model, continuations)
    }

    /// As [`response_logprobs`](crate::response_logprobs).
    ///
    /// # Errors
    /// A sequence the model cannot take, or a failure of the device.
    pub fn response_logprobs(
        &mut self,
        continuations: &[Continuation<'_>],
        temperature: f32,
    ) -> Result<Vec<Vec<f32>>, Error> {
        prefill::response_logprobs(&mut self.model, continuations, temperature)
    }
}

/// Inner training in the device's memory.
#[derive(Debug)]
pub struct InnerRun {
    inner: Inner,
}

impl InnerRun {
    /// As [`InnerState::step`].
    ///
    /// # Errors
    /// A batch the model cannot take, or a failure of the device.
    pub fn step(&mut self, parts: &[Batch], options: &InnerOptions) -> Result<Loss, Error> {
        self.inner.step(parts, options)
    }

    /// As [`InnerState::digest`], computed on the device.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn digest(&self) -> Result<[u8; 32], Error> {
        Ok(self.inner.digest()?)
    }

    /// Copies the state back.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn state(&self) -> Result<InnerState, Error> {
        Ok(self.inner.download()?)
    }
}
