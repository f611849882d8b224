//! `GET /v1/curves/{run}`: how a run went, a point a step.

use super::{overview::StepPoint, overview_build::points};
use ledger_state::{View, run, unit};
use protocol::{RunId, task::UnitKind};
use serde::{Deserialize, Serialize};

/// A run's closed steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curves {
    /// The run.
    pub run: RunId,
    /// By step, ascending.
    pub points: Vec<CurvePoint>,
}

/// A closed step, and how much the model had learned from by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// What the step measured.
    #[serde(flatten)]
    pub point: StepPoint,
    /// Tokens of all gradient units that were accepted until its end.
    pub tokens_count: u64,
}

/// The curves of a run; nothing if there is no such run.
#[must_use]
pub fn curves(view: &View<'_>, id: RunId) -> Option<Curves> {
    let recipe = run::recipe(view, id)?;
    let mut tokens_count = 0_u64;
    let points = points(view, id, &recipe).into_iter().map(|point| {
        let accepted = unit::accepted(view, id, point.step, UnitKind::Gradient);
        let tokens = accepted
            .iter()
            .filter_map(|(_, _, commitment)| match commitment.claim {
                unit::Claim::Gradient { tokens_count, .. } => Some(u64::from(tokens_count)),
                unit::Claim::Rollout { .. } => None,
            });
        tokens_count = tokens_count.saturating_add(tokens.sum());
        CurvePoint {
            point,
            tokens_count,
        }
    });
    Some(Curves {
        run: id,
        points: points.collect(),
    })
}
