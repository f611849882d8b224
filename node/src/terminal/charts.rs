//! Two charts over steps: loss, then the shares of right answers.

use super::{section, text};
use crate::rpc::overview::{Overview, RunOverview, StepPoint};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize as _},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph},
};

/// A line of a chart.
struct Curve {
    name: &'static str,
    colour: Color,
    points: Vec<(f64, f64)>,
    last: String,
}

impl Curve {
    /// Takes what each closed step measured; `show` writes the last value.
    fn new<T: Copy>(
        (name, colour): (&'static str, Color),
        run: &RunOverview,
        measured: impl Fn(&StepPoint) -> Option<T>,
        (value, show): (impl Fn(T) -> f64, impl Fn(T) -> String),
    ) -> Self {
        let points = run.points.iter().filter_map(|point| {
            let measured = measured(point)?;
            Some((position(point.step.get()), value(measured)))
        });
        let last = run.points.iter().rev().find_map(&measured).map(show);
        Self {
            name,
            colour,
            points: points.collect(),
            last: last.unwrap_or_else(|| text::MISSING.to_owned()),
        }
    }

    fn legend(&self) -> [Span<'static>; 3] {
        [
            Span::styled(format!(" {} ", self.name), Style::new().fg(self.colour)),
            self.last.clone().bold(),
            Span::raw(" "),
        ]
    }
}

/// A step on the horizontal axis.
const fn position(step: u64) -> f64 {
    step as f64
}

/// Draws both charts side by side.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, overview: &Overview) {
    let [left, right] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)])
        .spacing(2)
        .areas(area);
    let Some(run) = &overview.run else {
        return frame.render_widget(section(" Curves ".bold()), area);
    };
    draw_loss(frame, left, run);
    draw_shares(frame, right, run);
}

fn draw_loss(frame: &mut Frame<'_>, area: Rect, run: &RunOverview) {
    let measures = (text::units, text::decimal);
    let loss = Curve::new(
        ("Loss", Color::Blue),
        run,
        |point| point.loss_micro,
        measures,
    );
    let values = loss.points.iter().map(|(_, value)| *value);
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let room = ((high - low) * 0.08).max(0.01);
    let bounds = [low - room, high + room];
    let labels = [bounds[0], f64::midpoint(bounds[0], bounds[1]), bounds[1]];
    let labels = labels.map(|value| format!("{value:>5.2}"));
    let steps = steps_shown(&loss.points, 0, run.pretrain_steps_count.saturating_sub(1));
    draw_chart(frame, area, &[loss], (steps, bounds, labels));
}

fn draw_shares(frame: &mut Frame<'_>, area: Rect, run: &RunOverview) {
    let measures = || (|micro| text::share(micro, 1_000_000), text::percent);
    let curves = [
        Curve::new(
            ("Reward", Color::Green),
            run,
            |point| point.reward_micro,
            measures(),
        ),
        Curve::new(
            ("exact", Color::Magenta),
            run,
            |point| point.exact_micro,
            measures(),
        ),
        Curve::new(
            ("held out", Color::Yellow),
            run,
            |point| point.evaluation_micro,
            measures(),
        ),
    ];
    let known: Vec<_> = curves
        .iter()
        .flat_map(|curve| curve.points.clone())
        .collect();
    let steps = steps_shown(&known, 0, run.steps_count);
    let labels = ["  0 %", " 50 %", "100 %"].map(str::to_owned);
    draw_chart(frame, area, &curves, (steps, [0.0, 1.0], labels));
}

/// First and last step of the axis: the whole range, unless the run has hardly begun.
fn steps_shown(points: &[(f64, f64)], first: u64, last: u64) -> [f64; 2] {
    let (first, last) = (position(first), position(last.max(first + 1)));
    let known = points.iter().map(|(step, _)| *step).fold(first, f64::max);
    if known - first >= (last - first) / 4.0 {
        return [first, last.max(known)];
    }
    [first, last.min(first + (2.0 * (known - first)).max(8.0))]
}

fn draw_chart(
    frame: &mut Frame<'_>,
    area: Rect,
    curves: &[Curve],
    (steps, values, labels): ([f64; 2], [f64; 2], [String; 3]),
) {
    let legend: Vec<Span<'_>> = curves.iter().flat_map(Curve::legend).collect();
    let block: Block<'_> = section(Line::from(legend));
    if curves.iter().all(|curve| curve.points.is_empty()) {
        let nothing = Line::styled("nothing measured yet", super::QUIET).centered();
        return frame.render_widget(
            Paragraph::new(vec![Line::default(), nothing]).block(block),
            area,
        );
    }
    let datasets = curves.iter().map(|curve| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(curve.colour))
            .data(&curve.points)
    });
    let step = |value: f64| format!("{value:.0}");
    let middle = f64::midpoint(steps[0], steps[1]).floor();
    let chart = Chart::new(datasets.collect())
        .block(block)
        .legend_position(None)
        .x_axis(
            Axis::default()
                .bounds(steps)
                .labels([step(steps[0]), step(middle), step(steps[1])])
                .style(super::QUIET),
        )
        .y_axis(
            Axis::default()
                .bounds(values)
                .labels(labels)
                .style(super::QUIET),
        );
    frame.render_widget(chart, area);
}
