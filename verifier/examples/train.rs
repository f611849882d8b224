//! A whole run in one process, without a network: every unit, every audit, every checkpoint.
//!
//! Run with `cargo run --release -p verifier --example train -- RECIPE.json THREADS`. It is the
//! same computation as a network's, byte for byte, so a recipe can be tried before anyone pays
//! for it. Set `CAIRN_AUDIT=1` to audit every unit as well.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use engine::{Device, Parameters};
use miner::{
    Generation, GradientInputs, RolloutInputs, World, gradient, initial_model, initial_outer,
    rollout,
};
use protocol::{
    Address, BlobId, ChainId, CheckpointId, RunId, SigningKey, Step,
    codec::encode,
    gradient::Salts as StateSalts,
    recipe::{Phase, Recipe},
    rollout::{Payload, Salts},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use std::{collections::BTreeMap, error::Error, time::Instant};
use verifier::{Successor, checkpoint, rollout::Claimed};

const MINER: Address = Address::from_bytes([3; 32]);

type Rollouts = Vec<(RolloutTask, Payload)>;

struct Run {
    recipe: Recipe,
    device: Device,
    audits: bool,
    /// Weights of the step before, and what they generated.
    before: Option<(Parameters, Rollouts)>,
    now: Successor,
}

fn unit(step: Step, kind: UnitKind, index: u32) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step,
        kind,
        index,
    }
}

impl Run {
    fn rollouts(&self, step: Step, beacon: Beacon) -> Result<Rollouts, Box<dyn Error>> {
        let mut rollouts = Vec::new();
        for index in 0..self.recipe.rollout_units_count(step) {
            let task = RolloutTask {
                chain: ChainId::from_bytes([1; 32]),
                checkpoint: CheckpointId::of(&self.now.model.to_safetensors()),
                environment: self.recipe.environment,
                beacon,
                unit: unit(step, UnitKind::Rollout, index),
                miner: MINER,
            };
            let inputs = RolloutInputs {
                task: &task,
                recipe: &self.recipe,
                model: &self.now.model,
            };
            let salts = Salts::derive(&SigningKey::from_seed([3; 32]), task.chain, task.unit);
            let payload = rollout::execute(&inputs, &salts, &self.device)?.payload;
            if self.audits {
                let groups = self.recipe.reinforce.groups_per_unit_count;
                let prompts = World::of(&self.recipe)?.prompts(&task, groups);
                let claimed = Claimed {
                    root: payload.root(&prompts).ok_or("a unit without samples")?,
                    totals: payload.totals(1_000_000),
                    opened: None,
                    plant: None,
                    class: None,
                };
                let blob = encode(&payload);
                let judged = verifier::rollout::judge(&inputs, &claimed, &blob, &self.device);
                assert!(judged.verdict.accepts(), "{judged:?}");
            }
            rollouts.push((task, payload));
        }
        Ok(rollouts)
    }

    fn gradients(
        &self,
        step: Step,
        beacon: &Beacon,
    ) -> Result<Vec<protocol::gradient::Payload>, Box<dyn Error>> {
        let count = match self.recipe.phase(step) {
            Some(Phase::Pretrain) => self.recipe.pretrain.units_count,
            Some(Phase::Reinforce) => self.recipe.reinforce.gradient_units_count,
            None => 0,
        };
        let execute = |index: u32| {
            let reinforce = self.recipe.phase(step) == Some(Phase::Reinforce);
            let before = self.before.as_ref().filter(|_| reinforce);
            let generation = before.map(|(model, rollouts)| Generation {
                model,
                rollouts: rollouts
                    .iter()
                    .skip(index as usize)
                    .step_by(count as usize)
                    .cloned()
                    .collect(),
            });
            let inputs = GradientInputs {
                unit: unit(step, UnitKind::Gradient, index),
                miner: MINER,
                recipe: &self.recipe,
                beacon,
                model: &self.now.model,
                generation,
                feedback: None,
            };
            let mut files = BTreeMap::new();
            let mut keep = |file: &[u8]| {
                if self.audits {
                    files.insert(BlobId::of(file), file.to_vec());
                }
                Ok(())
            };
            let salts = StateSalts::OPEN;
            let work = gradient::execute(&inputs, &salts, &mut keep, &self.device)?;
            let blob = encode(&work.payload);
            let segments = (0..).zip(&work.states).filter(|_| self.audits);
            for (segment, _) in segments {
                let file = |file: &BlobId| files.get(file).map(Vec::as_slice);
                let claimed = verifier::gradient::Claimed::of(&inputs, &work, segment, file);
                let claimed = claimed.ok_or("a state's file was not kept")?;
                let judged = verifier::gradient::judge(&inputs, &claimed, &blob, &self.device);
                assert!(judged.verdict.accepts(), "{:?}", judged.verdict);
            }
            Ok(work.payload)
        };
        (0..count).map(execute).collect()
    }

    fn step(&mut self, step: Step) -> Result<String, Box<dyn Error>> {
        let mut beacon = [0; 32];
        beacon[..8].copy_from_slice(&step.get().to_le_bytes());
        let beacon = Beacon::from_bytes(beacon);
        let rollouts = self.rollouts(step, beacon)?;
        let updates = self.gradients(step, &beacon)?;
        let Successor { model, outer } = &self.now;
        let next = checkpoint::advance(&self.recipe, step, model, outer, &updates)?;
        let losses: i64 = updates.iter().map(|update| update.loss_micro()).sum();
        let loss = losses as f64 / 1e6 / updates.len().max(1) as f64;
        let mut line = format!("step {step:>3}  loss {loss:7.4}");
        let totals = rollouts.iter().map(|(_, p)| p.totals(1_000_000));
        let (samples, reward, exact) = totals.fold((0, 0, 0), |(samples, reward, exact), t| {
            let samples = samples + t.samples_count;
            (samples, reward + t.reward_micro, exact + t.exact_count)
        });
        if samples > 0 {
            let reward = reward as f64 / 1e6 / f64::from(samples);
            let exact = f64::from(exact) / f64::from(samples);
            line += &format!("  reward {reward:.3}  sampled {exact:.3}");
        }
        self.before = Some((std::mem::replace(&mut self.now, next).model, rollouts));
        Ok(line)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the first argument is a recipe")?;
    let recipe: Recipe = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let threads = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let now = Successor {
        model: initial_model(&recipe)?,
        outer: initial_outer(&recipe)?,
    };
    println!("{} parameters", now.model.as_slice().len());
    let mut run = Run {
        recipe,
        device: Device::cpu(threads),
        audits: std::env::var_os("CAIRN_AUDIT").is_some(),
        before: None,
        now,
    };
    let start = Instant::now();
    for step in (0..run.recipe.steps_count()).map(Step::new) {
        let mut line = run.step(step)?;
        if run.recipe.is_evaluated(step.next()) {
            let found = checkpoint::evaluate(&run.recipe, &run.now.model, &run.device)?;
            let share = f64::from(found.exact_count) / f64::from(found.prompts_count.max(1));
            line += &format!("  held-out greedy {share:.3}");
        }
        println!("{line}  {:.0} s", start.elapsed().as_secs_f64());
    }
    let file = run.now.model.to_safetensors();
    let id = CheckpointId::of(&file);
    if let Some(path) = arguments.next() {
        std::fs::write(path, &file)?;
    }
    println!("last checkpoint {id}");
    Ok(())
}
