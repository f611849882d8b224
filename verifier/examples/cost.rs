//! What an audit costs beside the work it checks, on this machine.
//!
//! Run with `cargo run --release -p verifier --example cost`; arguments: device, then repetitions.
//! With one thread, times are of the processor where the system tells them (Linux), so that other
//! work on the machine disturbs less.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use engine::{Device, Parameters};
use miner::{Generation, GradientInputs, RolloutInputs, World, gradient, initial_model, rollout};
use protocol::{
    Address, BlobId, ChainId, CheckpointId, Micro, RunId, SigningKey, Step,
    codec::encode,
    gradient::Salts as StateSalts,
    recipe::{Recipe, UpdateForm},
    rollout::Salts,
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use std::{
    collections::BTreeMap,
    error::Error,
    time::{Duration, Instant},
};
use verifier::{Bound, rollout::Claimed};

/// About 0.6 million parameters, sorting eight digits, 12 prompts of 16 samples.
fn recipe() -> Result<Recipe, Box<dyn Error>> {
    let mut recipe: Recipe = serde_json::from_str(include_str!("../../miner/recipes/tiny.json"))?;
    let environment = environment::by_name("sort-digits-8").ok_or("no such environment")?;
    recipe.environment = protocol::EnvironmentHash::from_bytes(environment.hash());
    recipe.model.hidden_size = 128;
    recipe.model.intermediate_size = 256;
    recipe.model.layers_count = 4;
    recipe.model.head_dim = 32;
    recipe.model.positions_max = 64;
    recipe.pretrain.inner_steps_count = 10;
    recipe.pretrain.corpus_rows_count = 4;
    recipe.pretrain.corpus_row_tokens = 64;
    recipe.pretrain.demonstration_rows_count = 32;
    recipe.reinforce.groups_per_unit_count = 12;
    recipe.reinforce.samples_per_group_count = 16;
    recipe.reinforce.segments_count = 4;
    Ok(recipe)
}

/// Time that this thread has spent on a processor.
fn busy() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The least time of several tries, and the last value: processor time where one thread works,
/// else the clock's.
fn least<T>(bench: &Bench, mut work: impl FnMut() -> T) -> (Duration, T) {
    let single = bench.device.threads().count() == 1;
    let mut timed = || {
        let (busy_before, start) = (busy(), Instant::now());
        let value = work();
        let (wall, spent) = (start.elapsed(), busy() - busy_before);
        (if single { spent } else { wall }, value)
    };
    let (mut best, mut value) = timed();
    for _ in 1..bench.repetitions {
        let (time, again) = timed();
        (best, value) = (best.min(time), again);
    }
    (best, value)
}

fn unit(step: u64, kind: UnitKind) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step: Step::new(step),
        kind,
        index: 0,
    }
}

struct Bench {
    recipe: Recipe,
    model: Parameters,
    device: Device,
    repetitions: usize,
}

const MINER: Address = Address::from_bytes([3; 32]);

impl Bench {
    fn rollouts(&self) -> Result<(RolloutTask, protocol::rollout::Payload), Box<dyn Error>> {
        let task = RolloutTask {
            chain: ChainId::from_bytes([1; 32]),
            checkpoint: CheckpointId::of(&self.model.to_safetensors()),
            environment: self.recipe.environment,
            beacon: Beacon::from_bytes([2; 32]),
            unit: unit(3, UnitKind::Rollout),
            miner: MINER,
        };
        let inputs = RolloutInputs {
            task: &task,
            recipe: &self.recipe,
            model: &self.model,
        };
        let salts = Salts::derive(&SigningKey::from_seed([3; 32]), task.chain, task.unit);
        let (execution, work) = least(self, || rollout::execute(&inputs, &salts, &self.device));
        let payload = work?.payload;
        let bytes = encode(&payload);
        let totals = payload.totals(1_000_000);
        let groups = self.recipe.reinforce.groups_per_unit_count;
        let prompts = World::of(&self.recipe)?.prompts(&task, groups);
        let root = payload.root(&prompts).ok_or("a unit without samples")?;
        let claimed = Claimed {
            root,
            totals,
            opened: None,
            plant: None,
            class: None,
        };
        let (audit, judged) = least(self, || {
            verifier::rollout::judge(&inputs, &claimed, &bytes, &self.device)
        });
        assert!(judged.verdict.accepts(), "{judged:?}");
        let bound = Bound {
            unit: task.unit,
            miner: MINER,
            beacon: task.beacon,
            root: Some(root),
            recipe: &self.recipe,
            is_open: false,
        };
        let (admission, admitted) = least(self, || verifier::admit(&bound, &bytes));
        admitted?;
        let (samples, tokens) = (totals.samples_count, totals.tokens_count);
        println!(
            "rollout unit: {samples} samples, {tokens} tokens, {} bytes",
            bytes.len()
        );
        report("rollout", execution, audit, admission);
        self.proofs(&payload, &task)?;
        Ok((task, payload))
    }

    /// The part that is the same for miner and auditor.
    fn proofs(
        &self,
        payload: &protocol::rollout::Payload,
        task: &RolloutTask,
    ) -> Result<(), Box<dyn Error>> {
        let prompt = World::of(&self.recipe)?.prompt(task, 0);
        let width = self.model.config().hidden_size;
        let states = |rows: usize| -> Vec<f32> {
            let values = 0..rows * width;
            values
                .map(|index| ((index * 7919) % 4093) as f32 / 4093.0 - 0.5)
                .collect()
        };
        let (prompt, response) = (states(prompt.len()), states(8));
        let (shared, proof) = least(self, || rollout::prompt_proof(&prompt, width));
        proof?;
        let (own, proofs) = least(self, || rollout::response_proofs(&response, width));
        proofs?;
        let groups = u32::try_from(payload.groups.as_slice().len())?;
        let all = shared * groups + own * u32::try_from(payload.samples().count())?;
        println!("  proofs of all samples, one thread: {all:.1?}");
        Ok(())
    }

    fn gradient(&self, name: &str, inputs: &GradientInputs<'_>) -> Result<(), Box<dyn Error>> {
        let mut files = BTreeMap::new();
        let mut keep = |file: &[u8]| {
            files.insert(BlobId::of(file), file.to_vec());
            Ok(())
        };
        let salts = StateSalts::OPEN;
        let kept = gradient::execute(inputs, &salts, &mut keep, &self.device)?;
        let (execution, work) = least(self, || {
            gradient::execute(inputs, &salts, &mut gradient::forget, &self.device)
        });
        assert_eq!(work?, kept);
        let payload = &kept.payload;
        let (bytes, tokens) = (encode(payload), payload.tokens_count);
        let form = match inputs.recipe.update(inputs.unit.step) {
            UpdateForm::Dense => "dense",
            UpdateForm::Sparse { .. } => "sparse",
        };
        let mut audit = Duration::ZERO;
        let segments = u32::try_from(kept.states.len())?;
        if inputs.generation.is_none() {
            let file = |file: &BlobId| files.get(file).map(Vec::as_slice);
            let claimed = verifier::gradient::Claimed::of(inputs, &kept, segments, file);
            let claimed = claimed.ok_or("the last weights were not kept")?;
            let (time, judged) = least(self, || {
                verifier::gradient::judge(inputs, &claimed, &bytes, &self.device)
            });
            assert!(judged.verdict.accepts(), "{:?}", judged.verdict);
            println!("  {name}: check of the {form} update alone: {time:.1?}");
        }
        for segment in 0..segments {
            let file = |file: &BlobId| files.get(file).map(Vec::as_slice);
            let claimed = verifier::gradient::Claimed::of(inputs, &kept, segment, file);
            let claimed = claimed.ok_or("a state's file was not kept")?;
            let (time, judged) = least(self, || {
                verifier::gradient::judge(inputs, &claimed, &bytes, &self.device)
            });
            assert!(judged.verdict.accepts(), "{:?}", judged.verdict);
            println!("  {name}: audit of segment {segment}: {time:.1?}");
            audit += time / segments;
        }
        let (admission, admitted) = least(self, || {
            let bound = Bound {
                unit: inputs.unit,
                miner: MINER,
                beacon: *inputs.beacon,
                root: payload.root(),
                recipe: inputs.recipe,
                is_open: false,
            };
            verifier::admit(&bound, &bytes)
        });
        admitted?;
        println!("{name} unit: {tokens} tokens, {} bytes", bytes.len());
        report(name, execution, audit, admission);
        Ok(())
    }
}

fn report(name: &str, execution: Duration, audit: Duration, admission: Duration) {
    let ratio = audit.as_secs_f64() / execution.as_secs_f64();
    println!("  {name}: execution {execution:.1?}, audit {audit:.1?} (ratio {ratio:.2})");
    println!("  {name}: admission {admission:.1?}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        let text = arguments.next();
        text.map_or(Ok(default), |text| text.parse::<usize>())
    };
    let (threads, repetitions) = (number(1)?, number(5)?);
    let recipe = recipe()?;
    let bench = Bench {
        model: initial_model(&recipe)?,
        recipe,
        device: Device::cpu(threads),
        repetitions,
    };
    println!(
        "{} parameters, {threads} threads, {:?}",
        bench.model.as_slice().len(),
        bench.device.threads().kernel_path()
    );
    let (task, payload) = bench.rollouts()?;
    let mut inputs = GradientInputs {
        unit: unit(3, UnitKind::Gradient),
        miner: MINER,
        recipe: &bench.recipe,
        beacon: &Beacon::from_bytes([2; 32]),
        model: &bench.model,
        generation: None,
        feedback: None,
    };
    bench.gradient("pre-training", &inputs)?;
    let mut sparse = bench.recipe.clone();
    sparse.pretrain.update = UpdateForm::Sparse {
        feedback_decay: Micro::new(950_000),
    };
    let zeros = vec![0.0; bench.model.as_slice().len()];
    let sparse = GradientInputs {
        recipe: &sparse,
        feedback: Some(&zeros),
        ..inputs.clone()
    };
    bench.gradient("sparse pre-training", &sparse)?;
    inputs.unit = unit(4, UnitKind::Gradient);
    inputs.generation = Some(Generation {
        model: &bench.model,
        rollouts: vec![(task, payload)],
    });
    bench.gradient("reinforcement", &inputs)?;
    Ok(())
}
