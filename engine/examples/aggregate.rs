//! What aggregating a step costs: twenty updates of a model of 100 million parameters.
//!
//! Run with `cargo run --release -p engine --example aggregate -- PARAMETERS UPDATES THREADS`. The
//! updates lie in a file that is mapped, as a node's blobs are; what a pass over their bytes takes
//! is measured in the same run by adding them up, in turns with the aggregate, so that the share
//! of the memory's bandwidth is that of one machine at one time. Times are of this thread on a
//! processor, so one thread's numbers hold on a busy machine too.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "sizes and times become shares and seconds"
)]

use engine::Threads;
use engine::trainer::{CompressedUpdate, Part, Robustness, Update, aggregate, compress};
use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Write as _},
    time::Instant,
};

const ROUNDS: usize = 3;
const ROBUST: Robustness = Robustness {
    norm_max: 1_000_000_000,
    norm_ratio: 1_500_000,
    weight_cap: 400_000,
    center_ratio: 1_500_000,
    center_rounds_count: 3,
};

/// Values that look like an update: a part that all share, and one of its own.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mix = |mut state: u64| {
        state ^= state >> 33;
        state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
        state ^= state >> 33;
        f32::from(state.to_le_bytes()[7].cast_signed()) / 128.0
    };
    let at = |index: u64| 1e-3 * mix(index) + 5e-4 * mix(index ^ seed << 40);
    (0..count as u64).map(at).collect()
}

/// Seconds that this thread was on a processor, or of the clock with more threads than one.
fn seconds(threads: usize, started: Instant) -> f64 {
    let of_thread = || -> Option<f64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
        Some(nanoseconds as f64 / 1e9)
    };
    match threads {
        1 => of_thread().unwrap_or_else(|| started.elapsed().as_secs_f64()),
        _ => started.elapsed().as_secs_f64(),
    }
}

/// Memory of this process that is not a mapped file, in bytes; its peak.
fn anonymous_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Reads all bytes once.
fn read(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    let mut lanes = [0_u64; 16];
    for words in words.chunks(16) {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: usize| {
        let text = arguments.next();
        text.map_or(Ok(otherwise), |text| text.parse())
    };
    let (count, updates, threads) = (number(100_000_000)?, number(20)?, number(1)?);
    let file = tempfile::tempfile()?;
    write(&file, count, updates)?;
    #[expect(
        unsafe_code,
        reason = "maps a file that has no name, so that nobody changes it"
    )]
    // SAFETY: the file was just made, is known to this process only, and is not written again.
    let bytes = unsafe { memmap2::Mmap::map(&file)? };
    let length = compress::encoded_length(count);
    let centre = CompressedUpdate::compress(&values(count, 0))?;
    let execution = Threads::new(threads);
    let before = anonymous_bytes();
    let sampler = Sampler::start();
    let (mut reading, mut checking, mut combining) = (0.0, 0.0, 0.0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let at = || seconds(threads, started);
        let t = at();
        std::hint::black_box(read(&bytes));
        let (reads, t) = (at() - t, at());
        let mut parts = Vec::with_capacity(updates);
        for (cluster, bytes) in bytes.chunks(length).enumerate() {
            let update = Update::dense(bytes, count)?;
            parts.push(Part {
                update,
                tokens: 1_000_000,
                cluster,
            });
        }
        let (checks, t) = (at() - t, at());
        std::hint::black_box(aggregate(&parts, &centre, &ROBUST, &execution)?);
        let combines = at() - t;
        reading += reads;
        checking += checks;
        combining += combines;
    }
    let peak = sampler.stop();
    let rounds = ROUNDS as f64;
    let gigabytes = bytes.len() as f64 / 1e9;
    let rate = gigabytes * rounds / reading;
    // The products read every update once, the sum once more and writes four bytes a value.
    let moved = 2.0 * gigabytes + 4.0 * count as f64 / 1e9;
    println!("| what | seconds | GB/s |\n|---|---|---|");
    let row = |what: &str, seconds: f64, gigabytes: f64| {
        println!("| {what} | {seconds:.3} | {:.2} |", gigabytes / seconds);
    };
    row("read all updates", reading / rounds, gigabytes);
    row("check their form", checking / rounds, gigabytes);
    row("aggregate", combining / rounds, moved);
    let share = moved * rounds / combining / rate;
    println!("\nshare of the memory's bandwidth: {:.0} %", 100.0 * share);
    if let (Some(before), Some(peak)) = (before, peak) {
        let beyond = peak.saturating_sub(before) as f64 / f64::from(1 << 20);
        println!("memory beyond the model, the centre and mapped updates: {beyond:.0} MiB");
    }
    Ok(())
}

fn write(file: &File, count: usize, updates: usize) -> Result<(), Box<dyn Error>> {
    let mut writer = BufWriter::new(file);
    for update in 1..=updates as u64 {
        let compressed = CompressedUpdate::compress(&values(count, update))?;
        writer.write_all(&compressed.encode())?;
    }
    writer.flush()?;
    Ok(())
}

/// Looks at the memory in use while others work.
struct Sampler {
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<Option<u64>>,
}

impl Sampler {
    fn start() -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut peak = None;
            let pause = std::time::Duration::from_millis(5);
            while stopped.recv_timeout(pause).is_err() {
                peak = peak.max(anonymous_bytes());
            }
            peak
        });
        Self { stop, thread }
    }
    fn stop(self) -> Option<u64> {
        if self.stop.send(()).is_err() {
            return None;
        }
        self.thread.join().ok().flatten()
    }
}
