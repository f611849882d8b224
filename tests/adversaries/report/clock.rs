//! How long the parts of the report take.

use anyhow::Result;
use serde::Serialize;
use std::time::Instant;

/// One part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) wall_s: f64,
    /// Processor time, other engines' that ended with it included.
    pub(crate) processor_s: f64,
}

/// The parts so far.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    sections: Vec<Section>,
}

impl Clock {
    /// Does a part and says how long it took.
    pub(crate) fn section<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("== {name}");
        let (start, before) = (Instant::now(), processor_s());
        let result = work()?;
        let (wall_s, processor_s) = (start.elapsed().as_secs_f64(), processor_s() - before);
        println!("== {name}: {wall_s:.1} s, {processor_s:.1} s of processors");
        self.sections.push(Section {
            name: name.to_owned(),
            wall_s,
            processor_s,
        });
        Ok(result)
    }

    /// All parts, in their order.
    pub(crate) fn finish(self) -> Vec<Section> {
        let sum = |value: fn(&Section) -> f64| self.sections.iter().map(value).sum::<f64>();
        let (wall_s, processor_s) = (sum(|one| one.wall_s), sum(|one| one.processor_s));
        println!("== all: {wall_s:.1} s, {processor_s:.1} s of processors");
        self.sections
    }
}

/// Processor seconds of this process and of those that it has waited for.
fn processor_s() -> f64 {
    /// Ticks a second, of every Linux.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may have spaces: user and system time are the twelfth field and the
    // next, those of children the two after.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(4);
    let ticks: f64 = times.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

/// Runs something and tells the seconds of this thread's processor time that it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let busy = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let first = text.split_whitespace().next();
        first
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let before = busy();
    let result = work();
    ((busy() - before) / 1e9, result)
}
