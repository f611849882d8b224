//! The environment trait: what an environment must define, and what follows from it.

use crate::{Chance, Reward, bytes_of, tokens_of};

/// Which half of the world a prompt or a slice of text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Drawn for training.
    Train,
    /// Kept for evaluation; never drawn for training.
    HeldOut,
}

/// One prompt in this many is held out.
const HELD_OUT_ONE_IN: u8 = 16;

/// A draw misses the wanted split with probability at most 15/16, so this many draws all miss with
/// probability below `2^-380`; the bound only makes the loop's end evident.
const DRAW_COUNT_MAX: u32 = 4096;

/// A world of prompts with known correct answers.
///
/// An environment defines its [`name`](Self::name), its [`description`](Self::description), how to
/// [`draw`](Self::draw) a prompt and how to [`answer`](Self::answer) one; prompts by split,
/// demonstrations and rewards follow from these.
pub trait Environment: Send + Sync + core::fmt::Debug {
    /// The registered name, e.g. `sort-digits-8`.
    fn name(&self) -> &'static str;

    /// The canonical description: kind, version and every parameter. Two environments that could
    /// give different prompts or rewards for some seed must have different descriptions.
    fn description(&self) -> String;

    /// Draws any prompt, of either split.
    fn draw(&self, chance: &mut Chance) -> Vec<u8>;

    /// The correct answer to a prompt, ending with [`END_OF_SEQUENCE`](crate::END_OF_SEQUENCE), or
    /// `None` if the prompt is not one that [`draw`](Self::draw) can give.
    fn answer(&self, prompt: &[u32]) -> Option<Vec<u32>>;

    /// The length of every prompt, in tokens.
    fn prompt_tokens(&self) -> usize;

    /// The most tokens a response may have, end-of-sequence included.
    fn response_tokens_max(&self) -> usize;

    /// The hash that names this environment on the chain: BLAKE3 of the canonical description.
    fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.description().as_bytes()).as_bytes()
    }

    /// Which split a prompt belongs to. Decided by its content alone, so the splits are disjoint
    /// whatever seeds are drawn. A prompt that is not made of bytes counts as held out.
    fn split(&self, prompt: &[u32]) -> Split {
        let Some(bytes) = bytes_of(prompt) else {
            return Split::HeldOut;
        };
        let mut hasher = blake3::Hasher::new_derive_key("cairn environment split v1");
        hasher.update(&self.hash()).update(&bytes);
        let [first, ..] = *hasher.finalize().as_bytes();
        if first.is_multiple_of(HELD_OUT_ONE_IN) {
            Split::HeldOut
        } else {
            Split::Train
        }
    }

    /// The prompt of a seed: the first in the seed's stream that belongs to the wanted split.
    fn prompt(&self, seed: &[u8; 32], split: Split) -> Vec<u32> {
        let mut chance = Chance::new("cairn environment prompt v1", &self.hash(), seed);
        let mut prompt = tokens_of(&self.draw(&mut chance));
        for _ in 0..DRAW_COUNT_MAX {
            if self.split(&prompt) == split {
                break;
            }
            prompt = tokens_of(&self.draw(&mut chance));
        }
        prompt
    }

    /// A worked example for supervised training: the training prompt of the seed followed by its
    /// correct answer. The first [`prompt_tokens`](Self::prompt_tokens) tokens are the prompt.
    fn demonstration(&self, seed: &[u8; 32]) -> Vec<u32> {
        let mut tokens = self.prompt(seed, Split::Train);
        tokens.extend(self.answer(&tokens).unwrap_or_default());
        tokens
    }

    /// Judges a response. Any tokens at all may be given: a malformed prompt or a response over the
    /// limit has reward zero.
    fn reward(&self, prompt: &[u32], response: &[u32]) -> Reward {
        if response.len() > self.response_tokens_max() {
            return Reward::ZERO;
        }
        self.answer(prompt)
            .map_or(Reward::ZERO, |answer| Reward::compare(&answer, response))
    }
}
