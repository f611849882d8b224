//! Panels of lines as an SVG picture.

use super::By;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::ops::Range;

/// One curve of one source.
pub(super) struct Line {
    /// Of whom.
    pub(super) name: String,
    /// Left to right.
    pub(super) points: Vec<(f64, f64)>,
}

/// One curve of all sources.
pub(super) struct Panel {
    /// What it shows.
    pub(super) title: &'static str,
    /// One for each source that has it.
    pub(super) lines: Vec<Line>,
}

impl Panel {
    fn points(&self) -> impl Iterator<Item = &(f64, f64)> + Clone {
        self.lines.iter().flat_map(|line| &line.points)
    }
}

/// Width of the picture, and height of a panel, in pixels.
const WIDTH: u32 = 960;
const PANEL_HEIGHT: u32 = 300;
/// Told apart also by those who do not see all colours (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// Draws all panels below one another.
pub(super) fn picture(panels: &[Panel], by: By) -> Result<String> {
    let mut svg = String::new();
    let count = u32::try_from(panels.len())?.max(1);
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, PANEL_HEIGHT * count));
        let area = area.into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let areas = area.split_evenly((panels.len().max(1), 1));
        let points = panels.iter().flat_map(Panel::points);
        let across = span(points.map(|(x, _)| *x), 0.0);
        for (panel, area) in panels.iter().zip(&areas) {
            draw(panel, (by, &across), area)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(panel: &Panel, (by, across): (By, &Range<f64>), area: &Area<'_>) -> Result<()> {
    let upward = span(panel.points().map(|(_, y)| *y), 0.05);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(across.clone(), upward)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc(match by {
            By::Step => "step",
            By::Tokens => "tokens of accepted gradients",
        })
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| format!("{y:.2}"))
        .label_style(("sans-serif", 13))
        .draw()
        .map_err(failed)?;
    for (line, colour) in panel.lines.iter().zip(COLOURS.into_iter().cycle()) {
        let style = colour.stroke_width(2);
        let points = line.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, style))
            .map_err(failed)?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    if panel.lines.len() > 1 {
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.9))
            .border_style(RGBColor(200, 200, 200))
            .label_font(("sans-serif", 13))
            .draw()
            .map_err(failed)?;
    }
    Ok(())
}

/// From the smallest to the largest, with some room; never empty.
fn span(values: impl Iterator<Item = f64> + Clone, room: f64) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let width = if high > low { high - low } else { 1.0 };
    low - width * room..low + width * (1.0 + room)
}

/// A count with a unit of thousands.
fn short(count: f64) -> String {
    match count {
        count if count >= 1e9 => format!("{:.1} G", count / 1e9),
        count if count >= 1e6 => format!("{:.1} M", count / 1e6),
        count if count >= 1e4 => format!("{:.0} k", count / 1e3),
        count => format!("{count:.0}"),
    }
}
