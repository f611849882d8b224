//! Where the engine computes: on the processor, or on a GPU.
//!
//! Both give the same bits, so the choice is one of speed alone, and a GPU that fails is no
//! calamity: what it was doing is done again on the processor, from the same inputs to the same
//! result, and the device says so once ([`Device::failure`]).

use crate::arithmetic::threads::Threads;
use crate::cuda::{self, Gpu};
use crate::trainer::{
    Batch, Checkpointing, Gradients, GrpoLoss, GrpoOptions, GrpoSequence, InnerOptions, InnerState,
    Loss, Workspace, grpo,
};
use crate::{
    Continuation, Generation, GenerationOptions, GenerationRequest, InputError, Parameters, Replay,
};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// What to compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that works, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPU with this index.
    Cuda(usize),
}

/// A text that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device is \"{text}\"; known are auto, cpu, cuda and cuda:N")]
pub struct DeviceChoiceError {
    text: String,
}

impl FromStr for DeviceChoice {
    type Err = DeviceChoiceError;

    fn from_str(text: &str) -> Result<Self, DeviceChoiceError> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        let index = text.strip_prefix("cuda:");
        let index = index.and_then(|digits| digits.parse().ok());
        index.map(Self::Cuda).ok_or_else(|| DeviceChoiceError {
            text: text.escape_default().to_string(),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

/// Where a computation runs. Every device gives the same bits.
#[derive(Clone, Debug)]
pub struct Device {
    threads: Threads,
    checkpointing: Checkpointing,
    gpu: Option<Gpu>,
    /// Why the GPU is no longer used.
    failure: Arc<OnceLock<String>>,
}

impl From<Threads> for Device {
    fn from(threads: Threads) -> Self {
        Self {
            threads,
            checkpointing: Checkpointing::default(),
            gpu: None,
            failure: Arc::default(),
        }
    }
}

impl Device {
    /// The processor, with the given number of threads.
    #[must_use]
    pub fn cpu(threads_count: usize) -> Self {
        Threads::new(threads_count).into()
    }

    /// A GPU, with threads for what stays on the processor.
    #[must_use]
    pub fn gpu(gpu: Gpu, threads: Threads) -> Self {
        Self {
            gpu: Some(gpu),
            ..threads.into()
        }
    }

    /// The device that was chosen, and why it is the processor if a GPU was wanted and cannot be
    /// used.
    #[must_use]
    pub fn open(choice: DeviceChoice, threads: Threads) -> (Self, Option<String>) {
        let index = match choice {
            DeviceChoice::Cpu => return (threads.into(), None),
            DeviceChoice::Auto => 0,
            DeviceChoice::Cuda(index) => index,
        };
        match cuda::open(index) {
            Ok(gpu) => (Self::gpu(gpu, threads), None),
            Err(unusable) => {
                let reason = format!("GPU {index} cannot be used: {unusable}");
                (threads.into(), Some(reason))
            }
        }
    }

    /// The same device with the given activations kept in training on the processor.
    #[must_use]
    pub fn with_checkpointing(self, checkpointing: Checkpointing) -> Self {
        Self {
            checkpointing,
            ..self
        }
    }

    fn workspace(&self) -> Workspace {
        Workspace::new().with_checkpointing(self.checkpointing)
    }

    /// Threads and kernels of what runs on the processor.
    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Why the GPU is no longer used, once it failed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The GPU, while it works.
    fn working(&self) -> Option<&Gpu> {
        self.gpu.as_ref().filter(|_| self.failure.get().is_none())
    }

    /// The result of a GPU; `None` where the processor has to do it.
    fn settle<T>(&self, result: Result<T, cuda::Error>) -> Option<Result<T, InputError>> {
        match result {
            Ok(value) => Some(Ok(value)),
            Err(cuda::Error::Input(error)) => Some(Err(error)),
            Err(error) => {
                // The first failure stands: those after it follow from it.
                self.failure.get_or_init(|| error.to_string());
                None
            }
        }
    }

    /// As [`generate`](crate::generate).
    ///
    /// # Errors
    /// A prompt that the model cannot take.
    pub fn generate(
        &self,
        model: &Parameters,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, InputError> {
        let done = self
            .working()
            .and_then(|gpu| self.settle(gpu.generate(model, requests, options)));
        done.unwrap_or_else(|| crate::generate(model, requests, options, &self.threads))
    }

    /// As [`replay`](crate::replay).
    ///
    /// # Errors
    /// A sequence that the model cannot take.
    pub fn replay(
        &self,
        model: &Parameters,
        continuations: &[Continuation<'_>],
    ) -> Result<Vec<Replay>, InputError> {
        let done = self
            .working()
            .and_then(|gpu| self.settle(gpu.replay(model, continuations)));
        done.unwrap_or_else(|| crate::replay(model, continuations, &self.threads))
    }

    /// As [`response_logprobs`](crate::response_logprobs).
    ///
    /// # Errors
    /// A sequence that the model cannot take.
    pub fn response_logprobs(
        &self,
        model: &Parameters,
        continuations: &[Continuation<'_>],
        temperature: f32,
    ) -> Result<Vec<Vec<f32>>, InputError> {
        let done = self
            .working()
            .and_then(|gpu| self.settle(gpu.response_logprobs(model, continuations, temperature)));
        done.unwrap_or_else(|| {
            crate::response_logprobs(model, continuations, temperature, &self.threads)
        })
    }

    /// As [`grpo`](grpo()), added to `start`.
    ///
    /// # Errors
    /// A rollout that the model cannot take.
    pub fn grpo(
        &self,
        model: &Parameters,
        sequences: &[GrpoSequence],
        options: &GrpoOptions,
        start: Gradients,
    ) -> Result<(GrpoLoss, Gradients), InputError> {
        // The processor begins anew where a GPU fails half-way.
        let on_gpu = |gpu: &Gpu| {
            let mut gradients = start.clone();
            let loss = gpu.grpo(model, sequences, options, &mut gradients)?;
            Ok((loss, gradients))
        };
        let done = self.working().and_then(|gpu| self.settle(on_gpu(gpu)));
        done.unwrap_or_else(|| {
            let mut gradients = start;
            let workspace = &mut self.workspace();
            let threads = &self.threads;
            let loss = grpo(
                model,
                sequences,
                options,
                &mut gradients,
                workspace,
                threads,
            )?;
            Ok((loss, gradients))
        })
    }

    /// Inner training from a model, with fresh moments.
    #[must_use]
    pub fn train<'a>(&'a self, model: &'a Parameters) -> Training<'a> {
        self.training(Start::Model(model))
    }

    /// Inner training that goes on from a state.
    #[must_use]
    pub fn resume<'a>(&'a self, state: &'a InnerState) -> Training<'a> {
        self.training(Start::State(state))
    }

    fn training<'a>(&'a self, start: Start<'a>) -> Training<'a> {
        let gpu = self.working().and_then(|gpu| {
            let run = gpu.inner(&start.state());
            self.settle(run)?.ok()
        });
        Training {
            device: self,
            start,
            gpu,
            taken: Vec::new(),
            cpu: None,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gpu) = self.working() {
            let gigabytes = gpu.memory_bytes() / 1_000_000_000;
            return write!(formatter, "{}, {gigabytes} GB", gpu.name());
        }
        let (path, count) = (self.threads.kernel_path(), self.threads.count());
        write!(formatter, "processor, {path:?} kernels, threads: {count}")
    }
}

/// What training starts from.
#[derive(Clone, Copy, Debug)]
enum Start<'a> {
    /// A model, with fresh moments.
    Model(&'a Parameters),
    /// Weights and moments.
    State(&'a InnerState),
}

impl<'a> Start<'a> {
    fn state(self) -> Cow<'a, InnerState> {
        match self {
            Self::Model(model) => Cow::Owned(InnerState::new(model.clone())),
            Self::State(state) => Cow::Borrowed(state),
        }
    }
    const fn weights(self) -> &'a Parameters {
        match self {
            Self::Model(model) => model,
            Self::State(state) => &state.parameters,
        }
    }
}

/// Inner steps on their way.
#[derive(Debug)]
pub struct Training<'a> {
    device: &'a Device,
    start: Start<'a>,
    gpu: Option<cuda::InnerRun>,
    /// Steps taken on the GPU, to be repeated if it fails.
    taken: Vec<(Vec<Batch>, InnerOptions)>,
    cpu: Option<CpuRun>,
}

impl Training<'_> {
    /// Takes one step on one batch, as [`InnerState::step`].
    ///
    /// # Errors
    /// A batch that the model cannot take.
    pub fn step(&mut self, parts: Vec<Batch>, options: &InnerOptions) -> Result<Loss, InputError> {
        if let Some(run) = &mut self.gpu
            && let Some(done) = self.device.settle(run.step(&parts, options))
        {
            self.taken.push((parts, *options));
            return done;
        }
        let threads = self.device.threads;
        self.cpu()?.step(&parts, options, &threads)
    }

    /// Weights and moments as they are now.
    ///
    /// # Errors
    /// None that the steps did not already have.
    pub fn state(&mut self) -> Result<Cow<'_, InnerState>, InputError> {
        if let Some(run) = &self.gpu
            && let Some(state) = self.device.settle(run.state())
        {
            return Ok(Cow::Owned(state?));
        }
        Ok(Cow::Borrowed(&self.cpu()?.state))
    }

    /// What the weights have lost since the start, `theta_0 - theta_H`, flat.
    ///
    /// # Errors
    /// None that the steps did not already have.
    pub fn pseudo_gradient(mut self) -> Result<Vec<f32>, InputError> {
        let start = self.start.weights().as_slice();
        let state = self.state()?;
        let pairs = start.iter().zip(state.parameters.as_slice());
        Ok(pairs.map(|(before, after)| before - after).collect())
    }

    /// The state on the processor, with the steps of a failed GPU taken again.
    fn cpu(&mut self) -> Result<&mut CpuRun, InputError> {
        self.gpu = None;
        let run = match self.cpu.take() {
            Some(run) => run,
            None => {
                let mut run = CpuRun::new(self.start.state().into_owned(), self.device.workspace());
                for (parts, options) in std::mem::take(&mut self.taken) {
                    run.step(&parts, &options, &self.device.threads)?;
                }
                run
            }
        };
        Ok(self.cpu.insert(run))
    }
}

/// A state with the buffers of its steps.
#[derive(Debug)]
struct CpuRun {
    state: InnerState,
    gradients: Gradients,
    workspace: Workspace,
}

impl CpuRun {
    fn new(state: InnerState, workspace: Workspace) -> Self {
        Self {
            gradients: Gradients::zeros(&state.parameters),
            state,
            workspace,
        }
    }

    fn step(
        &mut self,
        parts: &[Batch],
        options: &InnerOptions,
        threads: &Threads,
    ) -> Result<Loss, InputError> {
        let buffers = (&mut self.gradients, &mut self.workspace);
        self.state.step(parts, options, buffers, threads)
    }
}

#[cfg(test)]
mod tests;
