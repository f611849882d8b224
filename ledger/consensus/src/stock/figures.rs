//! The engine's figures, of the engine that this process started last.
//!
//! Malachite registers the figures of every engine with a registry of the process, which forgets
//! none: an engine that was started after another (a watch for a doppelgänger comes before every
//! validator's own, and a signer that was away ends one) has the same figures once more, and a
//! document in which a figure has two values is refused, or shows the one that stands still. So
//! each engine is registered under a name of its own, and only what the last one says is told,
//! under the name that it should have.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// What separates a name from the number of its engine; it is in no name.
const SEPARATOR: char = '#';

static STARTED_COUNT: AtomicU64 = AtomicU64::new(0);
/// The one that was started last.
static LATEST: Mutex<String> = Mutex::new(String::new());

/// Under which name the next engine of this process is registered.
pub(super) fn next(name: &str) -> String {
    let number = STARTED_COUNT.fetch_add(1, Ordering::Relaxed);
    let registered = format!("{name}{SEPARATOR}{number}");
    registered.clone_into(&mut LATEST.lock().unwrap_or_else(PoisonError::into_inner));
    registered
}

/// What the last engine says, in the text format of Prometheus.
pub(super) fn export() -> String {
    let mut text = String::new();
    malachitebft_app_channel::app::metrics::export(&mut text);
    of_engine(
        &text,
        &LATEST.lock().unwrap_or_else(PoisonError::into_inner),
    )
}

/// The figures of a document that are of this engine, each with what describes it; under the name
/// without the number.
fn of_engine(text: &str, registered: &str) -> String {
    let name = registered.split(SEPARATOR).next().unwrap_or_default();
    let (own, told) = (label(registered), label(name));
    let (mut whole, mut described) = (String::new(), String::new());
    let mut is_sample_before = false;
    for line in text.lines().filter(|line| *line != "# EOF") {
        let is_sample = !line.starts_with('#');
        if is_sample_before && !is_sample {
            described.clear();
        }
        is_sample_before = is_sample;
        if !is_sample {
            described.push_str(line);
            described.push('\n');
        } else if line.contains(&own) {
            whole.push_str(&std::mem::take(&mut described));
            whole.push_str(&line.replace(&own, &told));
            whole.push('\n');
        }
    }
    whole.push_str("# EOF\n");
    whole
}

fn label(name: &str) -> String {
    format!("moniker=\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP votes Votes.\n# TYPE votes counter\n\
        votes_total{moniker=\"ab#0\",kind=\"nil\"} 3\nvotes_total{moniker=\"ab#0\",kind=\"one\"} 4\n\
        # HELP votes Votes.\n# TYPE votes counter\n\
        votes_total{moniker=\"ab#1\",kind=\"nil\"} 1\n\
        # HELP votes Votes.\n# TYPE votes counter\n\
        votes_total{moniker=\"ab#10\",kind=\"nil\"} 7\n\
        # HELP empty Nothing yet.\n# TYPE empty counter\n\
        # HELP peers Peers.\n# TYPE peers gauge\npeers{moniker=\"ab#0\"} 9\n# EOF\n";

    #[test]
    fn a_figure_is_told_once_and_is_the_last_engines() {
        let described = "# HELP votes Votes.\n# TYPE votes counter\n";
        let last = "votes_total{moniker=\"ab\",kind=\"nil\"} 1\n";
        let expected = format!("{described}{last}# EOF\n");
        assert_eq!(of_engine(TEXT, "ab#1"), expected);
        let both = of_engine(TEXT, "ab#0");
        assert_eq!(both.matches("# TYPE votes").count(), 1);
        assert_eq!(both.matches("votes_total{moniker=\"ab\"").count(), 2);
        assert!(both.contains("peers{moniker=\"ab\"} 9"), "{both}");
        assert_eq!(of_engine(TEXT, "ab#2"), "# EOF\n");
    }

    #[test]
    fn names_of_engines_differ() {
        assert_ne!(next("ab"), next("ab"));
    }
}
