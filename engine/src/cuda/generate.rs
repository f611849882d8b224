//! Batched generation on the device.
//!
//! Prompts run as whole sequences and leave their keys and values in a cache; then every step
//! feeds one token of each unfinished sequence. A sequence that ends frees its slot for the next.

use super::Error;
use super::cache::{Cache, slot_bytes};
use super::driver::DriverError;
use super::layers::gather;
use super::memory::{Array, Device, word};
use super::model::Model;
use super::pass::{Pass, ROWS_MAX, Survive, logits};
use super::rows::Rows;
use crate::transformer::pass::check;
use crate::transformer::prefill::runs;
use crate::{Finish, Generation, GenerationOptions, GenerationRequest, Sampling};
use std::collections::VecDeque;
use std::iter::repeat_n;

/// Sequences decoded together.
const SLOTS_MAX: usize = 256;

/// One sequence on its way.
struct Sequence<'a> {
    request: &'a GenerationRequest,
    tokens: Vec<u32>,
    hidden: Vec<f32>,
    limit: usize,
    finish: Option<Finish>,
    slot: u32,
}

impl Sequence<'_> {
    fn take(&mut self, token: u32, eos: u32) {
        self.tokens.push(token);
        if token == eos {
            self.finish = Some(Finish::EndOfSequence);
        } else if self.tokens.len() >= self.limit {
            self.finish = Some(Finish::Cap);
        }
    }

    /// Positions fed before the last token drawn.
    fn fed(&self) -> usize {
        self.request.prompt.len() + self.tokens.len() - 1
    }
}

/// Buffers of the draws.
struct Draws {
    logits: Array<f32>,
    seeds: Array<u32>,
    positions: Array<u64>,
    tokens: Array<u32>,
}

struct Decoder<'a> {
    model: &'a mut Model,
    pass: Pass,
    cache: Cache,
    draws: Draws,
    options: GenerationOptions,
}

/// Continues every request.
pub(crate) fn generate(
    model: &mut Model,
    requests: &[GenerationRequest],
    options: &GenerationOptions,
) -> Result<Vec<Generation>, Error> {
    let context = model.config.max_position_embeddings;
    for (index, request) in requests.iter().enumerate() {
        check(&model.config, index, &request.prompt)?;
    }
    let open = |request| Sequence::new(request, options, context);
    let mut sequences: Vec<_> = requests.iter().map(open).collect();
    let capacity = sequences
        .iter()
        .map(|s| s.request.prompt.len() + s.limit.max(1) - 1)
        .max();
    let capacity = capacity.unwrap_or(1);
    model.cover(capacity)?;
    let budget = model.device.driver().memory_bytes() / 2;
    let fitting = budget / slot_bytes(model, capacity).max(1);
    let slot_count = usize::try_from(fitting).unwrap_or(usize::MAX);
    let slot_count = slot_count.clamp(1, SLOTS_MAX).min(requests.len().max(1));
    let mut decoder = Decoder::new(model, slot_count, capacity, *options)?;
    decoder.run(&mut sequences, slot_count)?;
    Ok(sequences.into_iter().map(Sequence::close).collect())
}

impl<'a> Sequence<'a> {
    fn new(request: &'a GenerationRequest, options: &GenerationOptions, context: usize) -> Self {
        // A full context still predicts one token beyond its last position.
        let limit = options.tokens_max.min(context - request.prompt.len() + 1);
        Self {
            request,
            tokens: Vec::new(),
            hidden: Vec::new(),
            limit,
            finish: (limit == 0).then_some(Finish::Cap),
            slot: 0,
        }
    }

    fn close(self) -> Generation {
        Generation {
            tokens: self.tokens,
            finish: self.finish.unwrap_or(Finish::Cap),
            hidden: self.hidden,
        }
    }
}

impl Draws {
    fn new(device: &Device) -> Result<Self, DriverError> {
        Ok(Self {
            logits: device.array(0)?,
            seeds: device.array(0)?,
            positions: device.array(0)?,
            tokens: device.array(0)?,
        })
    }
}

impl<'a> Decoder<'a> {
    fn new(
        model: &'a mut Model,
        slot_count: usize,
        capacity: usize,
        options: GenerationOptions,
    ) -> Result<Self, DriverError> {
        Ok(Self {
            pass: Pass::new(&model.device)?,
            cache: Cache::new(model, slot_count, capacity)?,
            draws: Draws::new(&model.device)?,
            model,
            options,
        })
    }

    fn run(
        &mut self,
        sequences: &mut [Sequence<'_>],
        slot_count: usize,
    ) -> Result<(), DriverError> {
        let unfinished = sequences
            .iter_mut()
            .filter(|sequence| sequence.finish.is_none());
        let mut waiting: VecDeque<&mut Sequence<'_>> = unfinished.collect();
        let mut free: Vec<u32> = (0..word(slot_count)).collect();
        let mut active: Vec<&mut Sequence<'_>> = Vec::new();
        loop {
            let ended = active.extract_if(.., |sequence| sequence.finish.is_some());
            free.extend(ended.map(|sequence| sequence.slot));
            // A new prompt costs a pass of its own, so newcomers wait until several fit.
            if !waiting.is_empty() && active.len() <= slot_count / 2 {
                let count = free.len().min(waiting.len());
                let slots = free.split_off(free.len() - count);
                let mut entering: Vec<_> = waiting.drain(..count).collect();
                for (sequence, slot) in entering.iter_mut().zip(slots) {
                    sequence.slot = slot;
                }
                self.enter(&mut entering)?;
                active.extend(entering);
                continue;
            }
            if active.is_empty() {
                return Ok(());
            }
            self.step(&mut active)?;
        }
    }

    /// Runs the prompts of new sequences and draws their first tokens.
    fn enter(&mut self, entering: &mut [&mut Sequence<'_>]) -> Result<(), DriverError> {
        let d = self.model.config.hidden_size;
        let lengths: Vec<usize> = entering.iter().map(|s| s.request.prompt.len()).collect();
        let mut first = 0;
        for run in runs(&lengths, ROWS_MAX, |length| *length) {
            let part = &mut entering[first..first + run.len()];
            first += run.len();
            let prompts: Vec<&[u32]> = part.iter().map(|s| &s.request.prompt[..]).collect();
            let rows = Rows::new(&self.model.device, &prompts)?;
            let slots = part.iter().map(|s| (s.slot, s.request.prompt.len()));
            let slots: Vec<u32> = slots.flat_map(|(slot, n)| repeat_n(slot, n)).collect();
            self.cache.slots.write(&slots)?;
            self.cache.positions.copy_from(&rows.positions)?;
            let cache = &self.cache;
            let mut tap =
                |model: &Model, index: usize, qkv: &Array<f32>| cache.append(model, index, qkv);
            self.pass.run(self.model, &rows, Survive::None, &mut tap)?;
            let ends = run.iter().scan(0, |end, length| {
                *end += length;
                Some(word(*end) - 1)
            });
            let ends = self.model.device.upload(&ends.collect::<Vec<u32>>())?;
            let mut last = self.model.device.array(0)?;
            gather(
                &self.model.device,
                (self.pass.hidden.all(), d),
                &ends,
                &mut last,
            )?;
            let tokens = self.draw(&last, part)?;
            let hidden = self.pass.hidden.read()?;
            let mut rest = &hidden[..];
            for (sequence, token) in part.iter_mut().zip(tokens) {
                let (own, after) = rest.split_at(sequence.request.prompt.len() * d);
                sequence.hidden.extend_from_slice(own);
                sequence.take(token, self.options.eos);
                rest = after;
            }
        }
        Ok(())
    }

    /// Feeds the last token of every sequence and draws the next.
    fn step(&mut self, active: &mut [&mut Sequence<'_>]) -> Result<(), DriverError> {
        let d = self.model.config.hidden_size;
        let fed: Vec<u32> = active
            .iter()
            .filter_map(|s| s.tokens.last().copied())
            .collect();
        let fed = self.model.device.upload(&fed)?;
        let slots: Vec<u32> = active.iter().map(|s| s.slot).collect();
        let positions: Vec<u32> = active.iter().map(|s| word(s.fed())).collect();
        self.cache.slots.write(&slots)?;
        self.cache.positions.write(&positions)?;
        self.pass.step(self.model, &fed, &mut self.cache)?;
        let hidden = std::mem::replace(&mut self.pass.hidden, self.model.device.array(0)?);
        let tokens = self.draw(&hidden, active)?;
        let states = hidden.read()?;
        self.pass.hidden = hidden;
        for ((sequence, token), own) in active.iter_mut().zip(tokens).zip(states.chunks_exact(d)) {
            sequence.hidden.extend_from_slice(own);
            sequence.take(token, self.options.eos);
        }
        Ok(())
    }

    /// A token for every sequence from its row of hidden states.
    fn draw(
        &mut self,
        hidden: &Array<f32>,
        sequences: &[&mut Sequence<'_>],
    ) -> Result<Vec<u32>, DriverError> {
        let Draws {
            logits: scores,
            seeds,
            positions,
            tokens,
        } = &mut self.draws;
        logits(self.model, hidden.all(), scores)?;
        let words = |sequence: &&mut Sequence<'_>| {
            let words = sequence.request.seed.as_chunks::<4>().0.iter();
            words
                .map(|word| u32::from_le_bytes(*word))
                .collect::<Vec<_>>()
        };
        seeds.write(&sequences.iter().flat_map(words).collect::<Vec<_>>())?;
        let drawn = |s: &&mut Sequence<'_>| (s.request.prompt.len() + s.tokens.len()) as u64;
        positions.write(&sequences.iter().map(drawn).collect::<Vec<_>>())?;
        tokens.resize(sequences.len())?;
        let (temperature, greedy) = match self.options.sampling {
            Sampling::Greedy => (1.0, 1_u32),
            Sampling::Gumbel { temperature } => (temperature, 0),
        };
        let arguments = [
            (&*scores).into(),
            (&*seeds).into(),
            (&*positions).into(),
            temperature.into(),
            greedy.into(),
            self.model.config.vocab_size.into(),
            (&*tokens).into(),
        ];
        self.model
            .device
            .launch("draw", [sequences.len(), 1, 1], 256, &arguments)?;
        tokens.read()
    }
}
