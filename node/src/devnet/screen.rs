//! What a devnet shows: the live view on a terminal, lines elsewhere.

use super::{
    Devnet,
    layout::Role,
    session::Session,
    summary::{ProcessShare, Summary},
};
use crate::terminal;
use anyhow::{Context as _, Result};
use std::{io::Write as _, path::Path};

/// What the person at the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Continue,
    /// End the devnet.
    End,
}

/// Where a devnet is shown.
#[derive(Debug)]
pub enum Screen {
    /// A terminal with the live view.
    Live(Session),
    /// Lines on standard error.
    Lines {
        /// The last line, so that only changes are written.
        last: String,
        /// Notes written.
        notes_count: usize,
    },
}

impl Screen {
    /// The live view if standard output is a terminal and nothing else is wanted on it.
    ///
    /// # Errors
    /// When the terminal cannot be prepared.
    pub fn open(json: bool) -> Result<Self> {
        use std::io::IsTerminal as _;
        if !json && std::io::stdout().is_terminal() {
            let session = Session::open().context("cannot prepare the terminal")?;
            return Ok(Self::Live(session));
        }
        Ok(Self::Lines {
            last: String::new(),
            notes_count: 0,
        })
    }
    /// Shows the devnet as it is now.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn show(&mut self, devnet: &Devnet) -> Result<Wish> {
        match self {
            Self::Live(session) => {
                let wants_end = session.poll_end().context("cannot read the terminal")?;
                if let Some(overview) = &devnet.overview {
                    let extra = extra(devnet);
                    session
                        .draw(overview, &extra)
                        .context("cannot draw on the terminal")?;
                }
                Ok(if wants_end { Wish::End } else { Wish::Continue })
            }
            Self::Lines { last, notes_count } => {
                for note in devnet.notes.iter().skip(*notes_count) {
                    write_line(note)?;
                }
                *notes_count = devnet.notes.len();
                if let Some(overview) = &devnet.overview {
                    let line = terminal::plain_line(overview);
                    if line != *last {
                        write_line(&line)?;
                        *last = line;
                    }
                }
                Ok(Wish::Continue)
            }
        }
    }
}

fn extra(devnet: &Devnet) -> terminal::Extra {
    terminal::Extra {
        elapsed: devnet.started.elapsed(),
        page_url: format!("http://127.0.0.1:{}", devnet.options.port),
        home: devnet.options.home.display().to_string(),
        processes: devnet
            .processes
            .iter()
            .map(|process| (process.participant.name.clone(), process.pid()))
            .collect(),
        rss_mib: devnet.measured.rss_mib_max,
        notes: devnet.notes.clone(),
    }
}

fn write_line(line: &str) -> Result<()> {
    writeln!(std::io::stderr().lock(), "{line}").context("cannot write to standard error")
}

/// Writes a result to standard output.
///
/// # Errors
/// When nobody reads it.
pub fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}

/// The summary in words.
#[must_use]
pub fn summary_text(summary: &Summary, home: &Path) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    let from_to = |first, last| format!("{} → {}", number(first), number(last));
    let cheats: Vec<String> = summary
        .cheats
        .iter()
        .map(|cheat| {
            match (
                cheat.slashed_height,
                cheat.check,
                cheat.measured,
                cheat.limit,
            ) {
                (Some(height), Some(check), Some(measured), Some(limit)) => format!(
                    "{} slashed at height {height}: check {} measured {measured}, limit {limit}",
                    cheat.name,
                    check.as_str()
                ),
                _ if cheat.fined > protocol::Amount::ZERO => {
                    format!("{} fined {} in all", cheat.name, cheat.fined)
                }
                _ if cheat.void > 0 => format!("{} not paid for {} units", cheat.name, cheat.void),
                _ => format!("{} not caught in {} units", cheat.name, cheat.units),
            }
        })
        .collect();
    let proposal = match summary.proposal {
        Some(p) => p
            .enacted_height
            .map_or("voted".to_owned(), |h| format!("enacted at height {h}")),
        None => "none yet".to_owned(),
    };
    let units = summary.units;
    format!(
        "step {} at height {} after {:.0} s; first block after {:.1} s; {} MiB at most\n\
         loss        {}\nexact match {}\nheld out    {}\n\
         units       {} accepted, {} void, {} slashed\ncheats      {}\nproposal    {proposal}\n\
         checkpoint  {}\nstate roots {}\nminers      {}\n\
         Next: `cairn export --home {home} --out model.safetensors`, `cairn replay --home {home}`.",
        summary.steps,
        summary.height,
        summary.wall_s,
        summary.first_block_s,
        summary.rss_mib_max,
        from_to(summary.loss_first, summary.loss_last),
        from_to(summary.reward_first, summary.reward_last),
        from_to(summary.eval_first, summary.eval_last),
        units.accepted,
        units.void,
        units.slashed,
        if cheats.is_empty() {
            "none".to_owned()
        } else {
            cheats.join("; ")
        },
        summary
            .checkpoint
            .map_or("–".to_owned(), |id| id.to_string()),
        if summary.state_roots_agree {
            "equal on all validators"
        } else {
            "DIFFER"
        },
        miners_text(summary),
        home = home.display(),
    )
}

/// Where miners' time went, together, and what one of them carries in a step.
fn miners_text(summary: &Summary) -> String {
    let miners = summary.processes.iter();
    let miners: Vec<_> = miners
        .filter(|process| process.role == Role::Miner)
        .collect();
    let total_s: f64 = miners.iter().map(|miner| miner.total_s()).sum();
    let percent = |seconds: fn(&ProcessShare) -> f64| {
        let sum: f64 = miners.iter().map(|miner| seconds(miner)).sum();
        100.0 * sum / total_s.max(f64::MIN_POSITIVE)
    };
    // Counts far below 2^53.
    let turns = (miners.len() as f64 * summary.steps as f64).max(1.0);
    let megabytes = |bytes: fn(&ProcessShare) -> u64| {
        let sum: u64 = miners.iter().map(|miner| bytes(miner)).sum();
        sum as f64 / turns / 1e6
    };
    format!(
        "compute {:.0} % of the time, fetch {:.0} %, add up {:.0} %; each receives {:.2} MB and \
         sends {:.2} MB a step",
        percent(|miner| miner.computing_s),
        percent(|miner| miner.fetching_s),
        percent(|miner| miner.adding_up_s),
        megabytes(|miner| miner.received_bytes),
        megabytes(|miner| miner.sent_bytes),
    )
}
