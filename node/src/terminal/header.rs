//! The first lines: the chain and its pace, the run and its progress, and the units so far.

use super::{Extra, QUIET, text};
use crate::rpc::overview::{Overview, RunOverview};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
};
use std::time::Duration;

/// Draws the three lines at the top.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, overview: &Overview, extra: &Extra) {
    let [chain, run, progress] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    let elapsed = Line::styled(text::duration(extra.elapsed), QUIET);
    text::draw_ends(frame, chain, chain_line(overview), elapsed);
    let page = Line::from(Span::styled(
        extra.page_url.as_str(),
        Style::new().fg(Color::Cyan).underlined(),
    ));
    let Some(overview) = &overview.run else {
        return text::draw_ends(frame, run, Line::raw("waiting for a run"), page);
    };
    text::draw_ends(frame, run, run_line(overview), page);
    frame.render_widget(
        progress_line(overview, usize::from(progress.width)),
        progress,
    );
}

fn chain_line(overview: &Overview) -> Line<'static> {
    let interval = match overview.block_interval_ms {
        0 => text::MISSING.to_owned(),
        ms => text::duration(Duration::from_millis(ms)),
    };
    Line::from(vec![
        text::shorten(&overview.name, 24).bold(),
        Span::styled("  height ", QUIET),
        text::whole(overview.height.get()).bold(),
        Span::styled("  block every ", QUIET),
        Span::raw(interval),
        Span::styled("  peers ", QUIET),
        Span::raw(overview.peers_count.to_string()),
        Span::styled("  waiting ", QUIET),
        Span::raw(overview.mempool_count.to_string()),
        Span::styled("  transfer costs ", QUIET),
        Span::raw(overview.transfer_fee.to_string()),
    ])
}

fn run_line(run: &RunOverview) -> Line<'static> {
    let phase = match run.phase.as_str() {
        "pretrain" => "Pre-training",
        "reinforce" => "Reinforcement learning",
        "finished" => "Finished",
        other => other,
    };
    let mut spans = vec![
        Span::styled(
            phase.to_owned(),
            phase_colour(run).add_modifier(ratatui::style::Modifier::BOLD),
        ),
        Span::styled("  step ", QUIET),
        format!("{}/{}", run.step, run.steps_count).bold(),
    ];
    if run.stage != run.phase {
        spans.push(Span::styled(format!("  {}", run.stage), QUIET));
    }
    Line::from(spans)
}

fn phase_colour(run: &RunOverview) -> Style {
    Style::new().fg(match run.phase.as_str() {
        "pretrain" => Color::Blue,
        _ => Color::Green,
    })
}

/// A bar over the whole run: pre-training in one colour, reinforcement in another.
fn progress_line(run: &RunOverview, width: usize) -> Line<'static> {
    let total = run.steps_count;
    let cells = |steps: u64| text::cells(steps, total, width);
    let border = cells(run.pretrain_steps_count);
    let done = if run.phase == "finished" {
        width
    } else {
        cells(run.step.get())
    };
    let part = |from: usize, to: usize, colour: Color| {
        let split = done.clamp(from, to);
        [
            Span::styled("━".repeat(split - from), Style::new().fg(colour)),
            Span::styled("─".repeat(to - split), QUIET.fg(colour)),
        ]
    };
    let [a, b] = part(0, border, Color::Blue);
    let [c, d] = part(border, width, Color::Green);
    Line::from(vec![a, b, c, d])
}

/// Draws the line of units.
pub(super) fn draw_units(frame: &mut Frame<'_>, area: Rect, overview: &Overview) {
    let units = overview.units;
    let mut spans = vec![Span::styled("Units ", Style::new().bold())];
    for (count, name, colour) in [
        (units.accepted, "accepted", Color::Green),
        (units.void, "void", Color::Reset),
        (units.slashed, "slashed", Color::Red),
        (units.missed, "missed", Color::Yellow),
    ] {
        let style = match count {
            0 => QUIET,
            _ => Style::new().fg(colour),
        };
        spans.push(Span::styled(
            format!(" {}", text::whole(count)),
            style.bold(),
        ));
        spans.push(Span::styled(format!(" {name} "), style));
    }
    let step = overview.run.as_ref().filter(|run| run.phase != "finished");
    let step = step.map(|run| {
        let now = run.step_units;
        let settled = format!("{} of {} settled", now.settled, now.assigned);
        if area.width < 96 {
            return settled;
        }
        format!("this step {} committed, {settled}", now.committed)
    });
    let right = Line::styled(step.unwrap_or_default(), QUIET);
    text::draw_ends(frame, area, Line::from(spans), right);
}
