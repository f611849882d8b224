//! A [`Device`] with a GPU behind it, sound or failing in the middle, gives the processor's bits.

use crate::emulator::{Emulator, Order};
use crate::models::{batches, families, grpo_sequences, inner_options, model};
use crate::values::assert_same;
use engine::cuda::{Address, Driver, DriverError, Gpu, Launch};
use engine::trainer::{Gradients, GrpoOptions, pseudo_gradient};
use engine::{Continuation, Device, GenerationOptions, GenerationRequest, Sampling, Threads};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A device that is lost after some launches.
#[derive(Debug)]
struct Failing {
    device: Arc<dyn Driver>,
    launches_left: AtomicUsize,
}

impl Failing {
    fn lost(&self) -> Result<(), DriverError> {
        match self.launches_left.load(Ordering::Relaxed) {
            0 => Err(DriverError {
                operation: "run a kernel",
                reason: "the device is lost".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl Driver for Failing {
    fn name(&self) -> String {
        self.device.name()
    }
    fn memory_bytes(&self) -> u64 {
        self.device.memory_bytes()
    }
    fn processor_count(&self) -> usize {
        self.device.processor_count()
    }
    fn clock_hertz(&self) -> u64 {
        self.device.clock_hertz()
    }
    fn allocate(&self, bytes: usize) -> Result<Address, DriverError> {
        self.lost()?;
        self.device.allocate(bytes)
    }
    fn free(&self, address: Address) {
        self.device.free(address);
    }
    fn upload(&self, to: Address, from: &[u8]) -> Result<(), DriverError> {
        self.lost()?;
        self.device.upload(to, from)
    }
    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DriverError> {
        self.lost()?;
        self.device.download(from, to)
    }
    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError> {
        self.lost()?;
        self.device.copy(from, to, bytes)
    }
    fn clear(&self, address: Address, bytes: usize) -> Result<(), DriverError> {
        self.lost()?;
        self.device.clear(address, bytes)
    }
    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError> {
        self.lost()?;
        self.launches_left.fetch_sub(1, Ordering::Relaxed);
        self.device.launch(launch)
    }
    fn synchronize(&self) -> Result<(), DriverError> {
        self.lost()?;
        self.device.synchronize()
    }
}

fn device(launches: usize) -> Device {
    let device = Emulator::new(Order::Upwards, 1 << 32);
    let driver = Failing {
        device,
        launches_left: AtomicUsize::new(launches),
    };
    Device::gpu(Gpu::with_driver(Arc::new(driver)), Threads::new(1))
}

#[test]
fn training_goes_on_where_a_gpu_failed() {
    let config = families().remove(0);
    let model = model(&config);
    let options = inner_options();
    let expected = pseudo_gradient(&model, batches(&config), &options, &Threads::new(1)).unwrap();
    for launches in [0, 1, 100, 250, usize::MAX] {
        let device = device(launches);
        let mut training = device.train(&model);
        let batches = batches(&config).into_iter();
        let losses = batches.map(|batch| training.step(vec![batch], &options).unwrap());
        assert_eq!(losses.collect::<Vec<_>>(), expected.losses);
        let values = training.pseudo_gradient().unwrap();
        assert_same(&values, &expected.values, "pseudo-gradient");
        assert_eq!(
            device.failure().is_some(),
            launches != usize::MAX,
            "{launches}"
        );
    }
}

#[test]
fn rollouts_replays_and_gradients_are_those_of_the_processor() {
    let config = families().remove(2);
    let model = model(&config);
    let processor = Device::cpu(1);
    let requests: Vec<_> = (0..6_u8)
        .map(|index| GenerationRequest {
            prompt: vec![1, 2, 3 + u32::from(index / 3)],
            seed: [index; 32],
        })
        .collect();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 9,
        eos: 0,
    };
    let sequences = grpo_sequences(&model);
    let grpo = GrpoOptions {
        clip_low: 0.2,
        clip_high: 0.2,
        delta: 4.0,
        temperature: 1.0,
        normaliser: 10.0,
    };
    let expected = processor.generate(&model, &requests, &options).unwrap();
    let pairs = requests.iter().zip(&expected);
    let items: Vec<_> = pairs
        .map(|(request, generation)| Continuation {
            prompt: &request.prompt,
            response: &generation.tokens,
        })
        .chain([Continuation {
            prompt: &[1, 2],
            response: &[],
        }])
        .collect();
    for launches in [60, usize::MAX] {
        let device = device(launches);
        assert_eq!(
            device.generate(&model, &requests, &options).unwrap(),
            expected
        );
        let replayed = processor.replay(&model, &items).unwrap();
        assert_eq!(device.replay(&model, &items).unwrap(), replayed);
        let scored = processor.response_logprobs(&model, &items, 0.7).unwrap();
        assert_eq!(
            device.response_logprobs(&model, &items, 0.7).unwrap(),
            scored
        );
        let (loss, gradients) = processor
            .grpo(&model, &sequences, &grpo, Gradients::zeros(&model))
            .unwrap();
        let (found, by_device) = device
            .grpo(&model, &sequences, &grpo, Gradients::zeros(&model))
            .unwrap();
        assert_eq!(found, loss);
        assert_same(by_device.as_slice(), gradients.as_slice(), "gradients");
        assert_eq!(device.failure().is_some(), launches == 60);
    }
}
