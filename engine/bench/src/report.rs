//! Rows, goals, shares of the machine's limits, and the table.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "the table is what the program is for; counts become shares"
)]

use crate::workload::{Measured, PRODUCT, ROLLOUT, TRAIN, config};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is measured in every round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Fma,
    Bandwidth,
    Train,
    TrainTwo,
    Prefill,
    PrefillTwo,
    Generate,
    GenerateTwo,
    Product,
}

/// The other side of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Theirs {
    /// A worker of this program.
    Worker(&'static str),
    /// The Python script.
    Python(&'static str),
    /// There is none.
    Nobody,
}

impl Row {
    pub(crate) const ALL: [Self; 9] = [
        Self::Fma,
        Self::Bandwidth,
        Self::Train,
        Self::TrainTwo,
        Self::Prefill,
        Self::PrefillTwo,
        Self::Generate,
        Self::GenerateTwo,
        Self::Product,
    ];

    /// The worker of our side.
    pub(crate) fn ours(self) -> &'static str {
        match self {
            Self::Fma => "fma",
            Self::Bandwidth => "bandwidth",
            Self::Train | Self::TrainTwo => "train",
            Self::Prefill | Self::PrefillTwo => "prefill",
            Self::Generate | Self::GenerateTwo => "generate",
            Self::Product => "product",
        }
    }

    pub(crate) fn theirs(self) -> Theirs {
        match self {
            Self::Fma | Self::Bandwidth => Theirs::Nobody,
            Self::Product => Theirs::Worker("matrixmultiply"),
            _ => Theirs::Python(self.ours()),
        }
    }

    pub(crate) fn threads(self) -> usize {
        match self {
            Self::TrainTwo | Self::PrefillTwo | Self::GenerateTwo => 2,
            _ => 1,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Product => format!("one product of {PRODUCT}³, 1 thread"),
            Self::Fma | Self::Bandwidth => self.ours().to_owned(),
            _ => {
                let plural = if self.threads() == 1 { "" } else { "s" };
                format!("{}, {} thread{plural}", self.ours(), self.threads())
            }
        }
    }

    /// Least ratio to the peer.
    fn goal(self) -> Option<f64> {
        match self {
            Self::Train => Some(1.6),
            Self::TrainTwo | Self::Prefill => Some(1.5),
            Self::Generate => Some(2.0),
            Self::Product => Some(0.9),
            _ => None,
        }
    }

    /// Rates of one thread are by processor time, rates of several by the clock.
    fn rate(self, measured: &Measured) -> f64 {
        if self.threads() == 1 {
            measured.per_cpu_second
        } else {
            measured.per_wall_second
        }
    }

    /// Operations and least memory traffic, in bytes, of a unit of the row's rate.
    fn needs(self) -> Option<(f64, f64)> {
        let work = Work::new();
        match self {
            Self::Train | Self::TrainTwo => Some(work.train()),
            Self::Prefill | Self::PrefillTwo => Some(work.prefill()),
            Self::Generate | Self::GenerateTwo => Some(work.generate()),
            Self::Product => Some((1.0, 16.0 / (2.0 * PRODUCT as f64))),
            Self::Fma | Self::Bandwidth => None,
        }
    }
}

/// What one token costs: operations of the matrix products, and bytes that cannot stay in a cache
/// between steps.
struct Work {
    parameters: f64,
    matrices: f64,
    attention: f64,
    kept: f64,
    cached: f64,
    outputs: f64,
}

impl Work {
    fn new() -> Self {
        let config = config();
        let (d, ff, layers) = (
            config.hidden_size as f64,
            config.intermediate_size as f64,
            config.num_hidden_layers as f64,
        );
        let query = (config.num_attention_heads * config.head_dim) as f64;
        let key = (config.num_key_value_heads * config.head_dim) as f64;
        let vocab = config.vocab_size as f64;
        let block = d * (query + 2.0 * key) + query * d + 3.0 * d * ff;
        Self {
            parameters: layers * block + 2.0 * vocab * d,
            matrices: layers * block + vocab * d,
            // Scores and values: 4 operations a key, feature and head.
            attention: layers * 4.0 * query,
            kept: layers * (4.0 * d + 2.0 * query + 2.0 * key + 3.0 * ff),
            cached: layers * 2.0 * key,
            outputs: d + vocab,
        }
    }

    /// Three products instead of one; weights, moments and gradients are read and written once a
    /// step, activations once a token.
    fn train(&self) -> (f64, f64) {
        let (rows, length) = TRAIN;
        let forward = 2.0 * self.matrices + self.attention * (length + 1) as f64 / 2.0;
        let state = 8.0 * 4.0 * self.parameters / (rows * length) as f64;
        (3.0 * forward, state + 2.0 * 4.0 * self.kept)
    }

    fn prefill(&self) -> (f64, f64) {
        let (rows, length) = ROLLOUT;
        let forward = 2.0 * self.matrices + self.attention * (length + 1) as f64 / 2.0;
        let weights = 4.0 * self.parameters / (rows * length) as f64;
        (forward, weights + 4.0 * self.outputs)
    }

    /// Weights are read once a step of the batch, the cache once a token.
    fn generate(&self) -> (f64, f64) {
        let (rows, length) = ROLLOUT;
        let keys = (length + 1) as f64 / 2.0;
        let forward = 2.0 * self.matrices + self.attention * keys;
        let weights = 4.0 * self.matrices / rows as f64;
        (forward, weights + 4.0 * self.cached * keys)
    }
}

/// Everything measured.
pub(crate) struct Report {
    rounds: BTreeMap<Row, Vec<(Measured, Option<Measured>)>>,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            rounds: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, row: Row, round: (Measured, Option<Measured>)) {
        self.rounds.entry(row).or_default().push(round);
    }

    fn of<T>(&self, row: Row, value: impl Fn(&(Measured, Option<Measured>)) -> T) -> Vec<T> {
        self.rounds
            .get(&row)
            .into_iter()
            .flatten()
            .map(value)
            .collect()
    }

    fn ours(&self, row: Row) -> Option<f64> {
        median(self.of(row, |(ours, _)| row.rate(ours)))
    }

    fn theirs(&self, row: Row) -> Option<f64> {
        let rates = self.of(row, |(_, theirs)| theirs.as_ref().map(|m| row.rate(m)));
        median(rates.into_iter().flatten().collect())
    }

    fn ratio(&self, row: Row) -> Option<f64> {
        let ratio = |ours: &Measured, theirs: &Measured| row.rate(ours) / row.rate(theirs);
        let ratios = self.of(row, |(ours, theirs)| {
            theirs.as_ref().map(|theirs| ratio(ours, theirs))
        });
        median(ratios.into_iter().flatten().collect())
    }

    /// Shares of the multiply-add and the bandwidth limit of as many cores.
    fn shares(&self, row: Row) -> Option<(f64, f64)> {
        let (operations, bytes) = row.needs()?;
        let (rate, cores) = (self.ours(row)?, row.threads() as f64);
        let fma = rate * operations / (self.ours(Row::Fma)? * cores);
        Some((fma, rate * bytes / (self.ours(Row::Bandwidth)? * cores)))
    }

    /// Largest resident memory of training, ours and theirs, in MiB.
    fn memory(&self) -> (Option<f64>, Option<f64>) {
        let mib = |measured: &Measured| measured.memory_kib as f64 / 1024.0;
        let ours = median(self.of(Row::Train, |(ours, _)| mib(ours)));
        let theirs = self.of(Row::Train, |(_, theirs)| theirs.as_ref().map(mib));
        (ours, median(theirs.into_iter().flatten().collect()))
    }

    /// Two threads against one, round by round, both by the clock.
    fn scaling(&self) -> Option<f64> {
        let one = self.of(Row::Train, |(ours, _)| ours.per_wall_second);
        let two = self.of(Row::TrainTwo, |(ours, _)| ours.per_wall_second);
        median(two.iter().zip(one).map(|(two, one)| two / one).collect())
    }

    pub(crate) fn print(&self, peer: Option<&str>) {
        println!("machine: {}", machine());
        println!("peer: {}", peer.unwrap_or("none; our own numbers alone"));
        let rate = |row| self.ours(row).unwrap_or(f64::NAN) / 1e9;
        println!(
            "limits of one core: {:.1} GFLOP/s, {:.1} GB/s\n",
            rate(Row::Fma),
            rate(Row::Bandwidth)
        );
        println!("| | ours | peer | ratio | goal | holds | of FMA limit | of bandwidth |");
        println!("|---|---|---|---|---|---|---|---|");
        for row in Row::ALL.into_iter().filter(|row| row.needs().is_some()) {
            let shares = self.shares(row);
            println!(
                "| {} | {} | {} | {} | {} | {} |",
                row.name(),
                amount(self.ours(row)),
                amount(self.theirs(row)),
                judged(self.ratio(row), row.goal(), |ratio, goal| ratio >= goal),
                percent(shares.map(|(fma, _)| fma)),
                percent(shares.map(|(_, bytes)| bytes)),
            );
        }
        println!(
            "| training, 2 threads to 1 | | | {} | | |",
            judged(self.scaling(), Some(1.7), |ratio, goal| ratio >= goal)
        );
        let (ours, theirs) = self.memory();
        let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
        println!(
            "| peak memory, training, MiB | {} | {} | {} | | |",
            amount(ours),
            amount(theirs),
            judged(ratio, Some(1.0 / 3.0), |ratio, goal| ratio <= goal)
        );
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = Row::ALL
            .into_iter()
            .map(|row| {
                json!({
                    "row": row.name(),
                    "threads": row.threads(),
                    "ours": self.ours(row),
                    "theirs": self.theirs(row),
                    "ratio": self.ratio(row),
                    "goal": row.goal(),
                    "share_of_fma_limit": self.shares(row).map(|(fma, _)| fma),
                    "share_of_bandwidth_limit": self.shares(row).map(|(_, bytes)| bytes),
                    "rounds": self.rounds.get(&row),
                })
            })
            .collect();
        let (ours, theirs) = self.memory();
        json!({
            "machine": machine(),
            "rows": rows,
            "training_two_threads_to_one": self.scaling(),
            "training_memory_mib": { "ours": ours, "theirs": theirs },
        })
    }
}

fn amount(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 1e9 => format!("{:.1} G", value / 1e9),
        Some(value) => format!("{value:.0}"),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// Ratio, goal, and whether it holds.
fn judged(ratio: Option<f64>, goal: Option<f64>, holds: fn(f64, f64) -> bool) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let verdict = match ratio.zip(goal) {
        None => "–",
        Some((ratio, goal)) if holds(ratio, goal) => "yes",
        Some(_) => "no",
    };
    format!("{} | {} | {verdict}", number(ratio), number(goal))
}

/// The processor, its cores and the kernels in use.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |name| {
        name.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let path = engine::Threads::new(1).kernel_path();
    format!("{model}, {cores} cores, kernels {path:?}")
}
