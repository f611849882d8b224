//! The terminal's live view (provisional; being replaced).
use crate::rpc::overview::Overview;
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
    /// Notes.
    pub notes: Vec<String>,
}
/// Draws.
pub fn draw(frame: &mut ratatui::Frame<'_>, overview: &Overview, _extra: &Extra) {
    frame.render_widget(
        ratatui::widgets::Paragraph::new(plain_line(overview)),
        frame.area(),
    );
}
/// One line.
#[must_use]
pub fn plain_line(overview: &Overview) -> String {
    let run = overview.run.as_ref();
    let point = run.and_then(|r| r.points.last());
    format!(
        "step {} {} units {:?} loss {:?} exact {:?} eval {:?}",
        run.map_or(0, |r| r.step.get()),
        run.map_or("", |r| r.phase.as_str()),
        overview.units,
        point.and_then(|p| p.loss_micro),
        point.and_then(|p| p.exact_micro),
        point.and_then(|p| p.evaluation_micro),
    )
}
