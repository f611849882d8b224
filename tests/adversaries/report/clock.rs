//! How long the parts of the report take.

use anyhow::Result;
use serde::Serialize;
use std::time::Instant;

/// One part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) wall_s: f64,
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
        let start = Instant::now();
        let result = work()?;
        let wall_s = start.elapsed().as_secs_f64();
        println!("== {name}: {wall_s:.1} s");
        self.sections.push(Section {
            name: name.to_owned(),
            wall_s,
        });
        Ok(result)
    }

    /// All parts, in their order.
    pub(crate) fn finish(self) -> Vec<Section> {
        let total: f64 = self.sections.iter().map(|section| section.wall_s).sum();
        println!("== all: {total:.1} s");
        self.sections
    }
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
