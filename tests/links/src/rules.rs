//! What links do to packets.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What links do to packets between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    /// Megabits a second in each direction of each node's link; 0 is no limit.
    pub(crate) rate_mbit: u64,
    /// How long a packet travels, in milliseconds.
    pub(crate) delay_ms: u64,
    /// Packets of a million that are lost.
    #[serde(default)]
    pub(crate) loss_micro: u64,
    /// Nodes that hear one another only; those of none are one more group.
    #[serde(default)]
    pub(crate) groups: Vec<Vec<usize>>,
}

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// When there are none in the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} has no rules", path.display()))
    }
    /// Whether packets between two nodes arrive at all.
    pub(crate) fn joins(&self, from: usize, to: usize) -> bool {
        let group = |node| self.groups.iter().position(|group| group.contains(&node));
        group(from) == group(to)
    }
}

/// Draws which packets are lost: xorshift64*, the same ones for the same seed and order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses(u64);

impl Losses {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }
    /// Whether the next packet is lost.
    pub(crate) const fn next(&mut self, loss_micro: u64) -> bool {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        drawn * 1_000_000 < loss_micro << 32
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn groups_hear_themselves_only() {
        let text = r#"{"rate_mbit": 100, "delay_ms": 50, "groups": [[0, 1], [2]]}"#;
        let rules: Rules = serde_json::from_str(text).unwrap();
        assert!(rules.joins(0, 1) && rules.joins(3, 4));
        assert!(!rules.joins(1, 2) && !rules.joins(2, 3) && !rules.joins(4, 0));
        assert!(Rules::default().joins(0, 4));
        assert!(serde_json::from_str::<Rules>(r#"{"rate": 100}"#).is_err());
    }

    #[test]
    fn about_the_share_that_was_asked_for_is_lost() {
        let mut losses = Losses::new(1);
        let lost = (0..100_000).filter(|_| losses.next(10_000)).count();
        assert!((900..1_100).contains(&lost), "{lost}");
        assert!((0..1_000).all(|_| !losses.next(0)));
    }
}
