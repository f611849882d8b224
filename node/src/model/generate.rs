//! `cairn model generate`: continue a text, and check the exact engine while at it.

use super::GenerateArguments;
use crate::devnet::screen::print;
use anyhow::{Context as _, Result, ensure};
use engine::tokenizer::Tokenizer;
use engine::{
    Finish, Generation, GenerationOptions, GenerationRequest, Parameters, Sampling, Threads,
    generate, prefill,
};
use std::time::Instant;

/// Prints the continuation of a prompt, and on standard error what it took.
///
/// # Errors
/// One line with the file and what is wrong with it, or what is wrong with the prompt.
pub(super) fn run(arguments: &GenerateArguments) -> Result<()> {
    let sampling = sampling(arguments.temperature)?;
    let clock = Instant::now();
    let model = Parameters::from_directory(&arguments.directory)?;
    let loaded = clock.elapsed();
    let tokenizer = Tokenizer::from_directory(&arguments.directory)?;
    let prompt = tokens(arguments, &tokenizer)?;
    let count = arguments.threads.unwrap_or_else(cores);
    let threads = Threads::new(count.max(1));
    let options = GenerationOptions {
        sampling,
        tokens_max: arguments.tokens,
        // Without such a token only the count ends the text.
        eos: tokenizer.eos().unwrap_or(u32::MAX),
    };
    let request = GenerationRequest {
        prompt,
        seed: *blake3::hash(&arguments.seed.to_le_bytes()).as_bytes(),
    };
    let clock = Instant::now();
    let requests = std::slice::from_ref(&request);
    let generation = generate(&model, requests, &options, &threads)?.remove(0);
    let generated = clock.elapsed();
    print(tokenizer.decode(&generation.tokens)?.trim_end())?;
    let ended = match generation.finish {
        Finish::EndOfSequence => "ended by the model",
        Finish::Cap => "cut at the limit",
    };
    tracing::info!(
        "loaded in {:.2} s; {} tokens of prompt and {} more, {ended}, in {:.2} s",
        loaded.as_secs_f64(),
        request.prompt.len(),
        generation.tokens.len(),
        generated.as_secs_f64()
    );
    if arguments.verify {
        verify(&model, &request.prompt, &generation, &threads)?;
    }
    Ok(())
}

fn sampling(temperature: f32) -> Result<Sampling> {
    ensure!(
        temperature.is_finite() && temperature >= 0.0,
        "temperature is {temperature}; it must be finite and not below 0"
    );
    Ok(if temperature == 0.0 {
        Sampling::Greedy
    } else {
        Sampling::Gumbel { temperature }
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The tokens of the prompt, as a chat if the model is for chats.
fn tokens(arguments: &GenerateArguments, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let chat = tokenizer.chat(&arguments.prompt);
    let text = match chat {
        Some(chat) if !arguments.raw => chat,
        _ => arguments.prompt.clone(),
    };
    let tokens = tokenizer.encode(&text)?;
    ensure!(
        !tokens.is_empty(),
        "prompt has no tokens; at least 1 is needed"
    );
    Ok(tokens)
}

/// Runs all tokens in one pass and compares the bits of the hidden states.
fn verify(
    model: &Parameters,
    prompt: &[u32],
    generation: &Generation,
    threads: &Threads,
) -> Result<()> {
    let fed = generation.hidden.len() / model.config().hidden_size;
    let mut all = prompt.to_vec();
    all.extend(&generation.tokens);
    let replay = prefill(model, &[&all[..fed]], threads)?;
    let replay = replay.first().context("no sequence was run")?;
    let pairs = generation.hidden.iter().zip(&replay.hidden);
    let differing = pairs.filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    ensure!(
        differing == 0 && replay.hidden.len() == generation.hidden.len(),
        "{differing} of {} hidden values differ between decoding and one pass",
        generation.hidden.len()
    );
    let count = generation.hidden.len();
    tracing::info!("one pass over all {fed} tokens gives the same bits in {count} hidden values");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use engine::{Family, ModelConfig, RopeScaling};

    #[test]
    fn one_flipped_bit_of_a_hidden_state_is_found() {
        let config = ModelConfig {
            family: Family::Llama,
            vocab_size: 11,
            hidden_size: 8,
            intermediate_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 4,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::Default,
            max_position_embeddings: 32,
            tie_word_embeddings: true,
        };
        let model = Parameters::initialize(&config, [1; 32]);
        let threads = Threads::new(1);
        let request = GenerationRequest {
            prompt: vec![1, 2, 3],
            seed: [0; 32],
        };
        let options = GenerationOptions {
            sampling: Sampling::Greedy,
            tokens_max: 9,
            eos: u32::MAX,
        };
        let prompt = request.prompt.clone();
        let mut generation = generate(&model, &[request], &options, &threads)
            .unwrap()
            .remove(0);
        verify(&model, &prompt, &generation, &threads).unwrap();
        let last = generation.hidden.len() - 1;
        generation.hidden[last] = f32::from_bits(generation.hidden[last].to_bits() ^ 1);
        let error = verify(&model, &prompt, &generation, &threads).unwrap_err();
        let count = generation.hidden.len();
        assert_eq!(
            error.to_string(),
            format!("1 of {count} hidden values differ between decoding and one pass")
        );
    }
}
