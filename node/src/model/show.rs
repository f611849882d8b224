//! `cairn model show`: what a directory holds.

use crate::devnet::screen::print;
use anyhow::Result;
use engine::{ModelConfig, Parameters, RopeScaling};
use std::path::Path;

/// Prints shape, number of parameters and id.
///
/// # Errors
/// One line with the file and what is wrong with it.
pub(super) fn run(directory: &Path) -> Result<()> {
    let model = Parameters::from_directory(directory)?;
    print(&describe(model.config()))?;
    print(&format!("parameters       {}", model.as_slice().len()))?;
    let id = hex::encode(model.file_id());
    print(&format!("id               {id}"))
}

fn describe(config: &ModelConfig) -> String {
    let ModelConfig {
        family,
        vocab_size,
        hidden_size,
        intermediate_size,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        rms_norm_eps,
        rope_theta,
        rope_scaling,
        max_position_embeddings,
        tie_word_embeddings,
    } = config;
    let scaling = match rope_scaling {
        RopeScaling::Default => "none".to_owned(),
        RopeScaling::Llama3 { factor, .. } => format!("llama3, factor {factor}"),
    };
    let head = if *tie_word_embeddings {
        "the embeddings"
    } else {
        "its own"
    };
    format!(
        "family           {family:?}
layers           {num_hidden_layers}
hidden size      {hidden_size}
gated layer      {intermediate_size}
heads            {num_attention_heads} of {head_dim}, {num_key_value_heads} for keys and values
vocabulary       {vocab_size}, output head {head}
context          {max_position_embeddings} tokens, rotary base {rope_theta}, scaling {scaling}
norm epsilon     {rms_norm_eps:e}"
    )
}
