//! What cuts of the network do: blocks while it is cut, and how long after healing until there is
//! one, or until whoever was away is back at the tip.
//!
//! `links` reads its rules again whenever their file changes; here they are changed.

use super::{Options, nodes::Nodes};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Distance of looks.
const POLL: Duration = Duration::from_millis(10);
/// Longest wait for a network that is whole again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Cuts the network into halves, and then a third of the nodes off.
pub(super) async fn measure(options: &Options, nodes: &Nodes, rules: &Path) -> Result<()> {
    let count = options.validators;
    let duration = Duration::from_secs(options.cut_seconds);
    println!(
        "\ncut, {} s | blocks meanwhile | first block after, s | all have it after, s",
        options.cut_seconds
    );
    let halves = [(0..count / 2).collect(), (count / 2..count).collect()];
    cut(nodes, rules, ("halves", &halves), duration).await?;
    let most = count - count.saturating_sub(1) / 3;
    let most: [Vec<usize>; 2] = [(0..most).collect(), (most..count).collect()];
    cut(nodes, rules, ("a third away", &most), duration).await
}

async fn cut(
    nodes: &Nodes,
    rules: &Path,
    (name, groups): (&str, &[Vec<usize>; 2]),
    duration: Duration,
) -> Result<()> {
    let text = fs::read(rules).with_context(|| format!("cannot read {}", rules.display()))?;
    let mut now: Value = serde_json::from_slice(&text)?;
    set(rules, &mut now, json!(groups))?;
    // What was on its way still arrives.
    sleep(Duration::from_secs(1)).await;
    let from = nodes.height().await?;
    sleep(duration).await;
    let to = nodes.height().await?;
    set(rules, &mut now, json!([]))?;
    let healed = Instant::now();
    let (mut first_s, mut goal) = (None, 0);
    while healed.elapsed() < PATIENCE {
        let mut heights = Vec::new();
        for index in 0..nodes.all.len() {
            heights.push(nodes.height_of(index).await?);
        }
        let elapsed_s = healed.elapsed().as_secs_f64();
        let highest = heights.iter().copied().max().unwrap_or_default();
        if first_s.is_none() && highest > to {
            (first_s, goal) = (Some(elapsed_s), highest);
        }
        if let Some(first_s) = first_s
            && heights.iter().all(|height| *height >= goal)
        {
            println!("{name} | {} | {first_s:.2} | {elapsed_s:.2}", to - from);
            return Ok(());
        }
        sleep(POLL).await;
    }
    ensure!(
        first_s.is_some(),
        "no block within {} s",
        PATIENCE.as_secs()
    );
    println!(
        "{name} | {} | {:.2} | not within {} s",
        to - from,
        first_s.unwrap_or_default(),
        PATIENCE.as_secs()
    );
    Ok(())
}

fn set(rules: &Path, now: &mut Value, groups: Value) -> Result<()> {
    now["groups"] = groups;
    let beside = rules.with_extension("new");
    fs::write(&beside, serde_json::to_vec(now)?)?;
    Ok(fs::rename(&beside, rules)?)
}
