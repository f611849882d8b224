//! Generates with another engine, which runs in a process of its own.
//!
//! Not every miner will run the exact engine, and how far another one may differ has to be
//! measured with a real one. A worker is any program that speaks this protocol over its standard
//! input and output; `torch_worker.py` beside this crate is one, in `PyTorch`. It only runs tokens
//! through the model, with a key-value cache: tokens are drawn here, by the one seeded draw.
//!
//! A request is `length u32 | kind u8 | body`, an answer `length u32 | body`, all little-endian,
//! the length that of the body:
//!
//! | kind | body | answer |
//! |---|---|---|
//! | 0 load | path of a safetensors file that carries its configuration | a description in UTF-8 |
//! | 1 begin | `rows u32`, `columns u32`, tokens i32 row-major | logits f32 of each row's last token, then hidden states f32 of all |
//! | 2 step | the same, continuing every row where it stands | the same |
//!
//! Rows of a batch have the same length; a row that has ended is fed on and its answers ignored.
#![forbid(unsafe_code)]

pub mod exact;

use engine::{
    Finish, Generation, GenerationOptions, GenerationRequest, Parameters, Sampling, sampler,
};
use std::{
    io::{self, BufReader, BufWriter, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The worker in `PyTorch`; its arguments are `float32` or `bfloat16`, and threads.
pub const TORCH_WORKER: &str = include_str!("../torch_worker.py");

/// Longest answer in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Rows in a batch.
const ROWS_MAX: usize = 768;

const LOAD: u8 = 0;
const BEGIN: u8 = 1;
const STEP: u8 = 2;

/// Why a worker did not work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No program to run.
    #[error("a worker is a program and its arguments; none was given")]
    Command,
    /// The program cannot be started, or ended.
    #[error("worker {program} cannot be talked to")]
    Process {
        /// The program.
        program: String,
        /// What happened.
        source: io::Error,
    },
    /// An answer of another length than the request has.
    #[error("worker answered {found} bytes; {expected} were expected")]
    Answer {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// Requests that a batch has no room for.
    #[error("prompts of {shortest} and {longest} tokens do not fit one batch")]
    Prompts {
        /// Tokens of the shortest.
        shortest: usize,
        /// Tokens of the longest.
        longest: usize,
    },
}

/// A running worker with a model.
#[derive(Debug)]
pub struct Worker {
    program: String,
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    description: String,
    vocab_size: usize,
    hidden_size: usize,
    // Kept while the worker may read it.
    weights: tempfile::NamedTempFile,
}

/// What one pass of a batch gives.
struct Pass {
    /// `[rows, vocab_size]`
    logits: Vec<f32>,
    /// `[rows, columns, hidden_size]`
    hidden: Vec<f32>,
}

impl Worker {
    /// Starts a program and gives it a model.
    ///
    /// # Errors
    /// When it cannot be started or does not answer.
    pub fn start(command: &[String], model: &Parameters) -> Result<Self, WorkerError> {
        let (program, arguments) = command.split_first().ok_or(WorkerError::Command)?;
        let failed = |source| WorkerError::Process {
            program: program.clone(),
            source,
        };
        let mut weights = tempfile::NamedTempFile::new().map_err(failed)?;
        weights.write_all(&model.to_safetensors()).map_err(failed)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let path = weights.path().to_string_lossy().into_owned();
        let mut worker = Self {
            program: program.clone(),
            child,
            input: BufWriter::new(input),
            output: BufReader::new(output),
            description: String::new(),
            vocab_size: model.config().vocab_size,
            hidden_size: model.config().hidden_size,
            weights,
        };
        let answer = worker.ask(LOAD, path.as_bytes())?;
        worker.description = String::from_utf8_lossy(&answer).chars().take(64).collect();
        Ok(worker)
    }

    /// Gives it another model of the same shape.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn load(&mut self, model: &Parameters) -> Result<(), WorkerError> {
        let path = self.weights.path().to_owned();
        std::fs::write(&path, model.to_safetensors()).map_err(|source| WorkerError::Process {
            program: self.program.clone(),
            source,
        })?;
        self.vocab_size = model.config().vocab_size;
        self.hidden_size = model.config().hidden_size;
        self.ask(LOAD, path.to_string_lossy().as_bytes())?;
        Ok(())
    }

    /// What it calls itself.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Continues every request as [`engine::generate`] does, with the worker's logits.
    ///
    /// # Errors
    /// Prompts of different lengths, or a worker that fails.
    pub fn generate(
        &mut self,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, WorkerError> {
        let mut generations = Vec::with_capacity(requests.len());
        for batch in requests.chunks(ROWS_MAX) {
            generations.extend(self.batch(batch, options)?);
        }
        Ok(generations)
    }

    fn batch(
        &mut self,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, WorkerError> {
        let lengths = requests.iter().map(|request| request.prompt.len());
        let (shortest, longest) = (lengths.clone().min(), lengths.max());
        let (Some(shortest), Some(longest)) = (shortest, longest) else {
            return Ok(Vec::new());
        };
        if shortest != longest || shortest == 0 {
            return Err(WorkerError::Prompts { shortest, longest });
        }
        let prompts: Vec<u32> = requests.iter().flat_map(|r| r.prompt.clone()).collect();
        let mut pass = self.pass(BEGIN, requests.len(), &prompts)?;
        let mut rows: Vec<Row> = requests.iter().map(|_| Row::default()).collect();
        let mut columns = longest;
        for step in 0..options.tokens_max {
            let width = self.hidden_size * columns;
            let logits = pass.logits.chunks_exact(self.vocab_size);
            let states = logits.zip(pass.hidden.chunks_exact(width));
            for ((row, request), (logits, hidden)) in rows.iter_mut().zip(requests).zip(states) {
                row.feed(logits, hidden, request, options);
            }
            if step + 1 == options.tokens_max || rows.iter().all(|row| row.ended) {
                break;
            }
            let fed: Vec<u32> = rows.iter().map(Row::last).collect();
            pass = self.pass(STEP, requests.len(), &fed)?;
            columns = 1;
        }
        Ok(rows.into_iter().map(Row::finish).collect())
    }

    fn pass(&mut self, kind: u8, rows: usize, tokens: &[u32]) -> Result<Pass, WorkerError> {
        let columns = tokens.len() / rows.max(1);
        let mut body = Vec::with_capacity(8 + 4 * tokens.len());
        for number in [rows, columns] {
            body.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        body.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
        let answer = self.ask(kind, &body)?;
        let logits = rows * self.vocab_size;
        let expected = 4 * (logits + rows * columns * self.hidden_size);
        if answer.len() != expected {
            let found = answer.len();
            return Err(WorkerError::Answer { found, expected });
        }
        let values = answer.as_chunks::<4>().0.iter();
        let mut logits_then_hidden: Vec<f32> = values.map(|v| f32::from_le_bytes(*v)).collect();
        let hidden = logits_then_hidden.split_off(logits);
        Ok(Pass {
            logits: logits_then_hidden,
            hidden,
        })
    }

    fn ask(&mut self, kind: u8, body: &[u8]) -> Result<Vec<u8>, WorkerError> {
        self.talk(kind, body)
            .map_err(|source| WorkerError::Process {
                program: self.program.clone(),
                source,
            })
    }

    fn talk(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.input.write_all(&length.to_le_bytes())?;
        self.input.write_all(&[kind])?;
        self.input.write_all(body)?;
        self.input.flush()?;
        let mut length = [0; 4];
        self.output.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut answer = vec![0; length];
        self.output.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One sequence on its way.
#[derive(Default)]
struct Row {
    tokens: Vec<u32>,
    hidden: Vec<f32>,
    ended: bool,
    saw_end: bool,
}

impl Row {
    fn feed(
        &mut self,
        logits: &[f32],
        hidden: &[f32],
        request: &GenerationRequest,
        options: &GenerationOptions,
    ) {
        if self.ended {
            return;
        }
        self.hidden.extend_from_slice(hidden);
        let position = (request.prompt.len() + self.tokens.len()) as u64;
        let token = match options.sampling {
            Sampling::Greedy => sampler::greedy(logits),
            Sampling::Gumbel { temperature } => {
                sampler::sample(logits, &request.seed, position, temperature)
            }
        };
        self.tokens.push(token);
        self.saw_end = token == options.eos;
        self.ended = self.saw_end || self.tokens.len() == options.tokens_max;
    }

    /// The token to be fed next; after the end, whichever was last.
    fn last(&self) -> u32 {
        self.tokens.last().copied().unwrap_or(0)
    }

    fn finish(self) -> Generation {
        Generation {
            tokens: self.tokens,
            finish: if self.saw_end {
                Finish::EndOfSequence
            } else {
                Finish::Cap
            },
            hidden: self.hidden,
        }
    }
}
