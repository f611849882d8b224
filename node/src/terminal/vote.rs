//! The vote: what would change, how the stake stands, and when it takes effect.

use super::{QUIET, section, text};
use crate::rpc::overview::{Overview, ProposalRow};
use governance::describe::Change;
use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
    widgets::Paragraph,
};
use std::time::Duration;

/// The proposal to show: the newest that is open or waits for its height, else the newest.
pub(super) fn shown(overview: &Overview) -> Option<&ProposalRow> {
    let live =
        |proposal: &&ProposalRow| matches!(proposal.status.as_str(), "voting" | "timelocked");
    let proposals = &overview.proposals;
    proposals.iter().find(live).or_else(|| proposals.first())
}

/// The proposal in one line.
pub(super) fn in_words(proposal: &ProposalRow) -> String {
    format!(
        "vote {}: {}, yes {:.1} %, no {:.1} %",
        changes(proposal, ToOwned::to_owned),
        proposal.status,
        100.0 * text::share(proposal.yes.get(), proposal.total.get()),
        100.0 * text::share(proposal.no.get(), proposal.total.get()),
    )
}

/// Its first change, and how many follow.
fn changes(proposal: &ProposalRow, number: impl Fn(&str) -> String) -> String {
    let in_words = |change: &Change| match &change.old {
        Some(old) => format!("{} {} → {}", change.what, number(old), number(&change.new)),
        None => format!("{}: {}", change.what, change.new),
    };
    let first = proposal.changes.first().map(in_words).unwrap_or_default();
    match proposal.changes.len().saturating_sub(1) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A number as people read it; other values as they are.
fn grouped(value: &str) -> String {
    value.parse().map_or_else(|_| value.to_owned(), text::whole)
}

/// Draws the proposal in three lines.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, proposal: &ProposalRow, overview: &Overview) {
    let colour = match proposal.status.as_str() {
        "voting" => Color::Cyan,
        "rejected" | "vetoed" | "failed" | "expired" | "cancelled" => Color::Red,
        _ => Color::Green,
    };
    let title = Line::from(vec![
        " Vote ".bold(),
        Span::raw(text::shorten(&proposal.title, 32)),
        Span::styled("  ", QUIET),
        Span::styled(
            format!("{} ", text::shorten(&changes(proposal, grouped), 48)),
            QUIET,
        ),
        Span::styled(format!(" {} ", proposal.status), Style::new().fg(colour)),
    ]);
    let lines = vec![
        bar(proposal, usize::from(area.width)),
        when(proposal, overview),
    ];
    frame.render_widget(Paragraph::new(lines).block(section(title)), area);
}

/// Yes from the left, abstaining after it, no from the right, and a mark at the support needed.
fn bar(proposal: &ProposalRow, width: usize) -> Line<'static> {
    let total = proposal.total.get();
    let percent = |stake: u64| format!("{:>5.1} %", 100.0 * text::share(stake, total));
    let yes_text = format!("yes {} ", percent(proposal.yes.get()));
    let no_text = format!(" no {}", percent(proposal.no.get()));
    let room = width
        .saturating_sub(yes_text.chars().count())
        .saturating_sub(no_text.chars().count());
    let yes = text::cells(proposal.yes.get(), total, room);
    let abstain = text::cells(proposal.abstain.get(), total, room.saturating_sub(yes));
    let no = text::cells(proposal.no.get(), total, room).min(room - yes - abstain);
    let needed = text::cells(proposal.support_needed.get(), 1_000_000, room);
    let mut spans = vec![Span::styled(yes_text, Style::new().fg(Color::Green))];
    for cell in 0..room {
        let (sign, style) = if cell < yes {
            ("█", Style::new().fg(Color::Green))
        } else if cell < yes + abstain {
            ("▒", Style::new().fg(Color::Green))
        } else if cell >= room - no {
            ("█", Style::new().fg(Color::Red))
        } else {
            ("░", QUIET)
        };
        let mark = cell == needed;
        let sign = if mark { "┃" } else { sign };
        let style = if mark { Style::new().bold() } else { style };
        spans.push(Span::styled(sign, style));
    }
    spans.push(Span::styled(no_text, Style::new().fg(Color::Red)));
    Line::from(spans)
}

/// Deadlines as heights, with what is left in blocks and in time.
fn when(proposal: &ProposalRow, overview: &Overview) -> Line<'static> {
    let left = |target: u64| {
        let blocks = target.saturating_sub(overview.height.get());
        let ms = blocks.saturating_mul(overview.block_interval_ms);
        let time = text::duration(Duration::from_millis(ms));
        format!("height {target}, in {blocks} blocks (~{time})")
    };
    let enact_at = proposal.enact_at.get();
    let words = match proposal.status.as_str() {
        "voting" => format!(
            "voting ends at {}; in effect at {enact_at} if passed",
            left(proposal.voting_ends.get())
        ),
        "deposit" => "its deposit is not filled yet".to_owned(),
        "timelocked" => format!("takes effect at {}", left(enact_at)),
        "executed" => format!("in effect since height {enact_at}"),
        _ => "voting is over; nothing changes".to_owned(),
    };
    Line::styled(words, QUIET)
}
