//! Where the heads stand in a row.

#![expect(clippy::cast_precision_loss, reason = "head_dim is below 2^12")]

use crate::transformer::config::ModelConfig;

/// The widths attention works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) queries: usize,
    /// Key heads, and value heads.
    pub(crate) keys: usize,
    /// Values in a head.
    pub(crate) width: usize,
    /// `1 / sqrt(width)`.
    pub(crate) scale: f32,
}

impl Heads {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        Self {
            queries: config.num_attention_heads,
            keys: config.num_key_value_heads,
            width: config.head_dim,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
        }
    }

    /// Query heads that read one key head.
    pub(crate) fn group(&self) -> usize {
        self.queries / self.keys
    }

    /// Values in a row of queries, keys and values.
    pub(crate) fn row(&self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    /// Values of a row that are turned to its position: queries and keys.
    pub(crate) fn turned(&self) -> usize {
        (self.queries + self.keys) * self.width
    }

    /// Values in a row of outputs.
    pub(crate) fn out_row(&self) -> usize {
        self.queries * self.width
    }

    /// Where a key head begins in a row.
    pub(crate) fn key_column(&self, key_head: usize) -> usize {
        (self.queries + key_head) * self.width
    }

    /// Where a value head begins in a row.
    pub(crate) fn value_column(&self, key_head: usize) -> usize {
        (self.queries + self.keys + key_head) * self.width
    }
}
