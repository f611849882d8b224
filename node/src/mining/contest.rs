//! Contesting convictions: a miner computes the unit again before it stakes a bond on being right.

use super::{
    Miner,
    making::{Made, execute},
};
use crate::{
    computation::{Bound, Computation, Drawing, Product, Secrets, States},
    local::{Sort, Trust, Work as Spent},
    rpc::work::{ConvictedUnit, StepContext, Work},
    workbench::Workbench,
};
use anyhow::{Context as _, Result};
use ledger_state::unit::Claim;
use protocol::{transaction::Body, verdict::Check};
use std::sync::Arc;

impl Miner {
    /// Appeals against a conviction, if the unit comes out as it was bound when it is computed
    /// again: then the auditors are wrong. Otherwise an appeal would only lose its bond.
    pub(super) async fn contest(
        &mut self,
        context: &StepContext,
        convicted: &ConvictedUnit,
        work: &Work,
    ) -> Result<()> {
        let unit = convicted.unit;
        let is_right = match (&self.drawing, self.contested.get(&unit)) {
            (Drawing::Cheat(cheat), _) if cheat.adversary().insists() => true,
            (_, Some(is_right)) => *is_right,
            (_, None) => {
                self.examine(context, convicted).await;
                return Ok(());
            }
        };
        let (finding, bond) = (convicted.finding, convicted.bond);
        if !is_right {
            return self.tell(&format!("unit {unit} was convicted: {finding}"));
        }
        if work.balance < bond {
            let balance = work.balance;
            return self.tell(&format!(
                "unit {unit} was convicted wrongly; an appeal takes {bond}, the balance is {balance}"
            ));
        }
        tracing::warn!(%unit, "convicted wrongly ({finding}); an appeal stakes {bond}");
        self.submit(&Body::Appeal { unit }, work).await
    }
    /// Begins to find out whether a convicted unit is right, if its turn has come.
    async fn examine(&mut self, context: &StepContext, convicted: &ConvictedUnit) {
        let unit = convicted.unit;
        if !self.making.wants(unit) {
            return;
        }
        let inputs = (&convicted.inputs[..], convicted.feedback);
        let Some(computation) = self.gathered(context, unit, inputs).await else {
            return;
        };
        let (bench, convicted) = (Arc::clone(&self.bench), convicted.clone());
        let secrets = self.secrets(convicted.plant_rate);
        self.making.begin(unit, async move {
            let computation = computation.await?;
            let is_right = if convicted.limits.is_some() {
                is_misjudged(&bench, computation, convicted).await?
            } else {
                is_reproduced(&bench, computation, convicted, secrets).await?
            };
            Ok(Made::IsRight(is_right))
        });
    }
}

/// Whether a convicted unit comes out as it was bound when it is computed again.
async fn is_reproduced(
    bench: &Workbench,
    computation: Computation,
    convicted: ConvictedUnit,
    secrets: Secrets,
) -> Result<bool> {
    let sort = (convicted.unit.kind, Trust::Newcomer);
    let Product { body, .. } = execute(bench, sort, computation, (secrets, Drawing::Exact)).await?;
    Ok(binds(&body, &convicted))
}

/// Whether a commitment says what was bound: not the blob alone, for what differs may be a state or
/// what an update lost.
fn binds(body: &Body, convicted: &ConvictedUnit) -> bool {
    let (blob, claim) = match *body {
        Body::CommitRollouts {
            root, blob, totals, ..
        } => (blob, Claim::Rollout { root, totals }),
        Body::CommitGradient {
            root,
            blob,
            tokens_count,
            loss_micro,
            feedback,
            ..
        } => {
            let claim = Claim::Gradient {
                root,
                tokens_count,
                loss_micro,
                feedback,
            };
            (blob, claim)
        }
        _ => return false,
    };
    (blob, claim) == (convicted.blob, convicted.claim)
}

/// Whether the exact engine, here, measures something else in a tolerant unit than auditors did.
/// Units that were right one by one are not measured again.
async fn is_misjudged(
    bench: &Workbench,
    computation: Computation,
    convicted: ConvictedUnit,
) -> Result<bool> {
    if convicted.finding.check == Check::Lifetime {
        return Ok(false);
    }
    let blob = bench.blobs.get(&convicted.blob)?;
    let blob = blob.context("the unit's blob is gone")?;
    let bound = Bound {
        claim: convicted.claim,
        opened: None,
        plant: None,
        class: convicted.limits,
        challenge: None,
        feedback: None,
        states: States::default(),
    };
    let device = bench.device();
    let (kind, trust) = (convicted.unit.kind, Trust::Newcomer);
    let spent = Spent::Mining(Sort { kind, trust });
    let judged = bench.compute(spent, move || {
        computation.judge(&bound, &blob, None, &device)
    });
    Ok(judged.await?.verdict.contradiction() != Some(convicted.finding))
}
