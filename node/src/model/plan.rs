//! `cairn model plan`: memory before it is taken.

use super::PlanArguments;
use crate::devnet::screen::print;
use anyhow::{Result, ensure};
use engine::trainer::Checkpointing;
use engine::{ModelConfig, Plan};

/// Bytes in a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Prints bytes by purpose, and whether they fit.
///
/// # Errors
/// One line with the file and what is wrong with it, or which number is out of bounds.
pub(super) fn run(arguments: &PlanArguments) -> Result<()> {
    let config = ModelConfig::from_directory(&arguments.directory)?;
    let context = config.max_position_embeddings;
    let (batch, length) = (arguments.batch, arguments.seq.unwrap_or(context));
    ensure!(
        (1..=context).contains(&length),
        "seq is {length}; the model allows 1 to {context}"
    );
    ensure!(
        (1..=1 << 20).contains(&batch),
        "batch is {batch}; allowed are 1 to 1048576"
    );
    let memory = match arguments.memory {
        Some(memory) => {
            let positive = memory.is_finite() && memory > 0.0;
            ensure!(positive, "memory is {memory}; it must be above 0");
            Some(memory)
        }
        None => available(),
    };
    let plan = Plan::new(&config, batch, length);
    print(&report(&plan, batch, length, memory))
}

#[expect(clippy::cast_precision_loss, reason = "shown to three decimals")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB
}

fn report(plan: &Plan, batch: usize, length: usize, memory: Option<f64>) -> String {
    let row = |name: &str, bytes: u64| format!("  {name:<44}{:>10.3}\n", gib(bytes));
    let total = |name: &str, bytes: u64| {
        let fits = memory.map_or("", |memory| {
            if gib(bytes) <= memory {
                "  fits"
            } else {
                "  does not fit"
            }
        });
        format!("  {name:<44}{:>10.3}{fits}\n", gib(bytes))
    };
    let mut text = format!(
        "{} parameters; batch {batch}, {length} tokens a sequence; GiB\n\ntraining\n",
        plan.parameters
    );
    text += &row("weights", plan.weights);
    text += &row(
        "weights packed, both ways",
        plan.packed + plan.packed_backward,
    );
    text += &row("gradients", plan.gradients);
    text += &row("optimiser (AdamW, two moments)", plan.optimizer);
    text += &row("weights at the start of the round", plan.base);
    text += &row("activations", plan.activations);
    text += &row(
        "activations with checkpointing",
        plan.activations_checkpointed,
    );
    text += &row("buffers of the way back", plan.buffers);
    text += &row("logits", plan.logits);
    text += &total("total", plan.training(Checkpointing::Off));
    text += &total(
        "total with checkpointing",
        plan.training(Checkpointing::Blocks),
    );
    text += "\ngeneration\n";
    text += &row("weights", plan.weights);
    text += &row("weights packed", plan.packed);
    text += &row("keys and values", plan.cache);
    text += &row(
        "hidden states, logits, pass over the prompts",
        plan.generation,
    );
    text += &total("total", plan.generating());
    match memory {
        Some(memory) => text += &format!("\nmemory {memory:.3}"),
        None => text += "\nmemory is unknown here; give --memory",
    }
    text
}

/// GiB that this machine has free: what the kernel says, and the limit of a container if lower.
fn available() -> Option<f64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let kernel = read("/proc/meminfo").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        number(line.trim().trim_end_matches(" kB")).map(|kib| kib * 1024.0)
    });
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| {
        let used = number(&read("/sys/fs/cgroup/memory.current")?)?;
        number(&text).map(|limit| limit - used)
    });
    let bytes = match (kernel, container) {
        (Some(kernel), Some(container)) => kernel.min(container),
        (one, other) => one.or(other)?,
    };
    Some(bytes / GIB)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn totals_are_compared_with_memory() {
        let config = ModelConfig {
            family: engine::Family::Llama,
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 100_000.0,
            rope_scaling: engine::RopeScaling::Default,
            max_position_embeddings: 8192,
            tie_word_embeddings: true,
        };
        let plan = Plan::new(&config, 4, 512);
        let text = report(&plan, 4, 512, Some(2.0));
        assert!(
            text.starts_with("134515008 parameters; batch 4, 512 tokens"),
            "{text}"
        );
        let verdicts: Vec<bool> = text
            .lines()
            .filter(|line| line.starts_with("  total"))
            .map(|line| line.ends_with("  fits"))
            .collect();
        assert_eq!(verdicts, [false, false, true], "{text}");
    }
}
