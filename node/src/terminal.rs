//! The terminal's live view: the whole network on one screen, for the person who started it.
//!
//! From top to bottom, in the order of the questions that a newcomer has: is it alive (height,
//! pace, page), how far is the run (phase, step, progress), does the model get better (loss, then
//! reward and held-out answers), who works and what became of it (units, miners, and under a
//! slashed miner the reason), what is being voted on, what happened lately, and how to stop.
//!
//! [`draw`] is a function of an [`Overview`] and an [`Extra`] alone; it performs nothing and fits
//! any size: a section that finds no room is left out, the reason of a slash last of all.
//! [`plain_line`] says the same in one line where standard output is not a terminal.

mod charts;
mod header;
mod miners;
#[cfg(test)]
mod tests;
mod text;
mod vote;

use crate::rpc::overview::Overview;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Wrap},
};
use std::time::Duration;

/// What the supervisor knows beside the chain.
#[derive(Debug, Clone)]
pub struct Extra {
    /// Since start.
    pub elapsed: Duration,
    /// The page.
    pub page_url: String,
    /// The folder.
    pub home: String,
    /// Name and process id, if alive.
    pub processes: Vec<(String, Option<u32>)>,
    /// Memory of all processes.
    pub rss_mib: u64,
    /// Notes, oldest first.
    pub notes: Vec<String>,
}

/// Below this size only [`plain_line`] is shown.
const COLUMNS_MIN: u16 = 60;
/// Rows below which only [`plain_line`] is shown.
const ROWS_MIN: u16 = 16;

/// Columns before the text of an event: its height and sign.
const EVENT_INDENT: usize = 11;

/// What is not essential.
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws the view.
pub fn draw(frame: &mut Frame<'_>, overview: &Overview, extra: &Extra) {
    let area = frame.area();
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        let line = Paragraph::new(plain_line(overview)).wrap(Wrap { trim: true });
        return frame.render_widget(line, area);
    }
    let proposal = vote::shown(overview);
    let rows = Rows::share(area, overview, extra);
    let [
        top,
        curves,
        units,
        people,
        voting,
        events,
        processes,
        notes,
        keys,
    ] = Layout::vertical(rows.constraints()).areas(area);
    header::draw(frame, top, overview, extra);
    charts::draw(frame, curves, overview);
    header::draw_units(frame, units, overview);
    miners::draw(frame, people, &overview.miners);
    if let Some(proposal) = proposal {
        vote::draw(frame, voting, proposal, overview);
    }
    draw_events(frame, events, overview);
    draw_processes(frame, processes, extra);
    draw_notes(frame, notes, extra);
    draw_keys(frame, keys, extra);
}

/// Rows for each section.
#[derive(Debug, Clone, Copy)]
struct Rows {
    curves: u16,
    miners: u16,
    vote: u16,
    events: u16,
    notes: u16,
}

impl Rows {
    /// Shares the height. The charts take what the rest leaves, between a floor and a ceiling;
    /// above the ceiling the events grow.
    fn share(area: Rect, overview: &Overview, extra: &Extra) -> Self {
        let height = area.height;
        let roomy = height >= 36;
        let left = height.saturating_sub(6);
        let vote = match vote::shown(overview) {
            Some(_) => 3,
            None => 0,
        };
        let notes_count = u16::try_from(extra.notes.len()).unwrap_or(u16::MAX);
        let notes = notes_count.min(if roomy { 3 } else { 1 });
        let (curves_min, curves_max) = if roomy { (11, 18) } else { (7, 11) };
        let events_min = if roomy { 7 } else { 3 };
        let left = left.saturating_sub(vote).saturating_sub(notes);
        let miners = miners::rows(&overview.miners, area.width)
            .min(left.saturating_sub(curves_min).saturating_sub(events_min))
            .max(4);
        let left = left.saturating_sub(miners);
        let curves = left.saturating_sub(events_min).min(curves_max);
        let events = left.saturating_sub(curves);
        Self {
            curves,
            miners,
            vote,
            events,
            notes,
        }
    }

    const fn constraints(&self) -> [Constraint; 9] {
        let Self {
            curves,
            miners,
            vote,
            events,
            notes,
        } = *self;
        [
            Constraint::Length(3),
            Constraint::Length(curves),
            Constraint::Length(1),
            Constraint::Length(miners),
            Constraint::Length(vote),
            Constraint::Length(events),
            Constraint::Length(1),
            Constraint::Length(notes),
            Constraint::Length(1),
        ]
    }
}

/// A section: a rule with a title, and the space below it.
fn section<'a>(title: impl Into<Line<'a>>) -> Block<'a> {
    Block::new()
        .borders(Borders::TOP)
        .border_style(QUIET)
        .title(title)
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, overview: &Overview) {
    let lines = overview.events.iter().map(|event| {
        let (sign, style) = match event.tone.as_str() {
            "good" => ("✓", Style::new().fg(Color::Green)),
            "bad" => ("!", Style::new().fg(Color::Red)),
            _ => ("·", QUIET),
        };
        let words = if event.tone == "bad" {
            style
        } else {
            Style::new()
        };
        // A rule's text is longer than most windows are wide.
        let room = usize::from(area.width).saturating_sub(EVENT_INDENT);
        let wrapped = text::wrapped(&event.text, room).into_iter();
        let wrapped = wrapped.enumerate().map(move |(index, text)| {
            let (height, sign) = if index == 0 {
                (event.height.to_string(), sign)
            } else {
                (String::new(), " ")
            };
            Line::from(vec![
                Span::styled(format!("{height:>8} "), QUIET),
                Span::styled(format!("{sign} "), style),
                Span::styled(text, words),
            ])
        });
        wrapped.collect::<Vec<_>>()
    });
    let lines = lines.flatten().take(usize::from(area.height));
    let lines: Vec<Line<'_>> = lines.collect();
    let block = section(" Events ".bold());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_processes(frame: &mut Frame<'_>, area: Rect, extra: &Extra) {
    let mut spans = Vec::new();
    for (name, process) in &extra.processes {
        let (sign, colour) = match process {
            Some(_) => ("●", Color::Green),
            None => ("✗", Color::Red),
        };
        spans.push(Span::styled(sign, Style::new().fg(colour)));
        spans.push(Span::raw(format!(" {name}")));
        if let Some(id) = process {
            spans.push(Span::styled(format!(" {id}"), QUIET));
        }
        spans.push(Span::raw("  "));
    }
    frame.render_widget(Line::from(spans), area);
}

fn draw_notes(frame: &mut Frame<'_>, area: Rect, extra: &Extra) {
    let shown = usize::from(area.height);
    let first = extra.notes.len().saturating_sub(shown);
    let lines = extra.notes.iter().skip(first);
    let lines: Vec<Line<'_>> = lines
        .map(|note| {
            let note = text::shorten(note, area.width.into());
            Line::styled(note, Style::new().fg(Color::Yellow))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, extra: &Extra) {
    let keys = Line::from(vec![
        Span::styled(" q ", Style::new().reversed()),
        Span::raw(" or "),
        Span::styled(" Ctrl-C ", Style::new().reversed()),
        Span::raw(" ends"),
    ]);
    let place = format!("{} · {} MiB", extra.home, text::whole(extra.rss_mib));
    text::draw_ends(frame, area, keys, Line::styled(place, QUIET));
}

/// The network in one line. It changes when a step closes, a miner is slashed or a vote moves on,
/// and not with every block, so that a log holds one line a step or event.
#[must_use]
pub fn plain_line(overview: &Overview) -> String {
    let Some(run) = &overview.run else {
        return format!("{}: no run yet", overview.name);
    };
    let last = |value: fn(&crate::rpc::overview::StepPoint) -> Option<String>| {
        let latest = run.points.iter().rev().find_map(value);
        latest.unwrap_or_else(|| text::MISSING.to_owned())
    };
    let mut parts = vec![
        format!("step {}/{} {}", run.step, run.steps_count, run.phase),
        format!("loss {}", last(|p| p.loss_micro.map(text::decimal))),
        format!("reward {}", last(|p| p.reward_micro.map(text::percent))),
        format!("exact {}", last(|p| p.exact_micro.map(text::percent))),
        format!(
            "held out {}",
            last(|p| p.evaluation_micro.map(text::percent))
        ),
        units_of_closed_steps(run),
    ];
    let slashes = overview.miners.iter().filter_map(|miner| {
        let slash = miner.slash.as_ref()?;
        Some((slash.height, miners::reason(miner, slash)))
    });
    parts.extend(slashes.max().map(|(_, reason)| reason));
    parts.extend(vote::shown(overview).map(vote::in_words));
    parts.join(" | ")
}

/// Units by outcome, summed over closed steps only: those of the open one change all the time.
fn units_of_closed_steps(run: &crate::rpc::overview::RunOverview) -> String {
    let sum = |field: fn(&crate::rpc::overview::UnitCounts) -> u64| {
        let fields = run.points.iter().map(|point| field(&point.units));
        fields.fold(0, u64::saturating_add)
    };
    format!(
        "units {} accepted, {} void, {} slashed, {} missed",
        sum(|units| units.accepted),
        sum(|units| units.void),
        sum(|units| units.slashed),
        sum(|units| units.missed),
    )
}
