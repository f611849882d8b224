//! Miners: what they did and earned, and why one was slashed.

use super::{QUIET, section, text};
use crate::rpc::overview::{MinerRow, SlashRow};
use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
    widgets::Paragraph,
};

/// Rows that all miners need at a width: a rule, the column titles, a row each, and the reasons.
pub(super) fn rows(miners: &[MinerRow], width: u16) -> u16 {
    let slashes = miners.iter().filter_map(|miner| miner.slash.as_ref());
    let reasons: usize = slashes.map(|slash| reason_lines(slash, width).len()).sum();
    let rows = 2 + miners.len().max(1) + reasons;
    u16::try_from(rows).unwrap_or(u16::MAX)
}

/// Why a miner was slashed, in one line.
pub(super) fn reason(miner: &MinerRow, slash: &SlashRow) -> String {
    format!(
        "miner {} slashed: {}",
        miner.address.short(),
        particulars(slash)
    )
}

fn particulars(slash: &SlashRow) -> String {
    format!(
        "{} measured {}, limit {} · unit {} · height {} · burned {}",
        slash.check.as_str(),
        text::whole(slash.measured),
        text::whole(slash.limit),
        slash.unit,
        slash.height,
        text::whole(slash.burned.get()),
    )
}

/// Draws the table; slashed miners come first, so that a reason is never cut off.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, miners: &[MinerRow]) {
    let (slashed, others): (Vec<_>, Vec<_>) =
        miners.iter().partition(|miner| miner.slash.is_some());
    let mut lines: Vec<Line<'_>> = Vec::new();
    for miner in slashed.into_iter().chain(others) {
        lines.push(row(miner));
        let slashes = miner.slash.iter();
        lines.extend(slashes.flat_map(|slash| reason_lines(slash, area.width)));
    }
    if lines.is_empty() {
        lines.push(Line::styled("no miner has joined yet", QUIET));
    }
    let room = usize::from(area.height).saturating_sub(2);
    let hidden = lines.len().saturating_sub(room);
    lines.insert(0, Line::styled(titles(), QUIET));
    let mut block = section(" Miners ".bold());
    if hidden > 0 {
        let more = format!(" {hidden} more rows on the page ");
        block = block.title(Line::styled(more, QUIET).right_aligned());
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn titles() -> String {
    format!(
        "{:<10}{:<9}{:>9}{:>6}{:>9}{:>8}{:>11}{:>9}{:>9}",
        "address", "status", "accepted", "void", "slashed", "missed", "earned", "vesting", "bond"
    )
}

fn row(miner: &MinerRow) -> Line<'static> {
    let status = Style::new().fg(match miner.status.as_str() {
        "active" => Color::Green,
        "slashed" => Color::Red,
        _ => Color::Reset,
    });
    let units = miner.units;
    let number = |value: u64, width: usize, style: Style| {
        let style = if value == 0 { QUIET } else { style };
        Span::styled(format!("{:>width$}", text::whole(value)), style)
    };
    let plain = Style::new();
    Line::from(vec![
        Span::raw(format!("{:<10}", miner.address.short())),
        Span::styled(format!("{:<9}", text::shorten(&miner.status, 8)), status),
        number(units.accepted, 9, plain),
        number(units.void, 6, plain),
        number(units.slashed, 9, plain.fg(Color::Red)),
        number(units.missed, 8, plain),
        number(miner.earned.get(), 11, plain),
        number(miner.vesting.get(), 9, plain),
        number(miner.bond.get(), 9, plain),
    ])
}

/// What a miner was slashed for, whole at any width.
fn reason_lines(slash: &SlashRow, width: u16) -> Vec<Line<'static>> {
    let room = usize::from(width).saturating_sub(3);
    let lines = text::wrapped(&particulars(slash), room).into_iter();
    let lines = lines.enumerate().map(|(index, words)| {
        let sign = if index == 0 { " └ " } else { "   " };
        Line::from(vec![
            Span::styled(sign, QUIET),
            Span::styled(words, Style::new().fg(Color::Red)),
        ])
    });
    lines.collect()
}
