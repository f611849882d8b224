//! Numbers for people, and lines with something at both ends.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    text::Line,
    widgets::Paragraph,
};
use std::time::Duration;

/// What stands for a number that was not measured.
pub(super) const MISSING: &str = "–";

/// A whole number with spaces between thousands.
pub(super) fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Millionths with three digits after the point.
pub(super) fn decimal(micro: i64) -> String {
    format!("{:.3}", units(micro))
}

/// Millionths as a percentage.
pub(super) fn percent(micro: u64) -> String {
    format!("{:.1} %", 100.0 * share(micro, 1_000_000))
}

/// Millionths as a number to draw.
pub(super) const fn units(micro: i64) -> f64 {
    micro as f64 / 1e6
}

/// A part of a whole, zero of nothing.
pub(super) fn share(part: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    part as f64 / total as f64
}

/// Cells out of `cells` for a part of a whole, rounded down.
pub(super) fn cells(part: u64, total: u64, cells: usize) -> usize {
    let wide = u128::from(part) * cells as u128 / u128::from(total.max(1));
    usize::try_from(wide).unwrap_or(cells).min(cells)
}

/// A duration in its natural unit.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..100 => format!("{seconds} s"),
        100..6000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// At most `count` characters, with an ellipsis where some are missing.
pub(super) fn shorten(text: &str, count: usize) -> String {
    if text.chars().count() <= count {
        return text.to_owned();
    }
    let kept: String = text.chars().take(count.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The words of a text in lines of at most `width` characters; a longer word has a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let count = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + count <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One line at the left and one at the right; the right one goes first where both do not fit.
pub(super) fn draw_ends(frame: &mut Frame<'_>, area: Rect, left: Line<'_>, right: Line<'_>) {
    let wide = |line: &Line<'_>| u16::try_from(line.width()).unwrap_or(u16::MAX);
    let room = area.width.saturating_sub(wide(&left)).saturating_sub(2);
    let right_width = wide(&right).min(room);
    let [left_area, right_area] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(right_width)]).areas(area);
    frame.render_widget(left, left_area);
    if right_width == wide(&right) {
        let right = Paragraph::new(right).alignment(Alignment::Right);
        frame.render_widget(right, right_area);
    }
}
