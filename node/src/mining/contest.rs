//! Contesting convictions: a miner computes the unit again before it stakes a bond on being right.

use super::Miner;
use crate::{
    computation::{Bound, Computation, Drawing, Product, States},
    local::{Sort, Trust, Work as Spent},
    rpc::work::{ConvictedUnit, StepContext, Work},
};
use anyhow::{Context as _, Result};
use protocol::{class::Class, transaction::Body, verdict::Check};
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
        let is_right = match self.contested.get(&unit) {
            Some(is_right) => *is_right,
            None => match self.is_reproduced(context, convicted).await {
                Ok(is_right) => is_right,
                Err(error) => {
                    tracing::warn!(%unit, "{error:#}");
                    return Ok(());
                }
            },
        };
        self.contested.insert(unit, is_right);
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
    async fn is_reproduced(
        &mut self,
        context: &StepContext,
        convicted: &ConvictedUnit,
    ) -> Result<bool> {
        let computation = self
            .gather(context, convicted.unit, &convicted.inputs)
            .await?;
        let device = self.bench.device();
        if let Some(class) = convicted.limits.clone() {
            return self.is_misjudged(computation, convicted, class).await;
        }
        let secrets = self.secrets(convicted.plant_rate);
        let (kind, trust) = (convicted.unit.kind, Trust::Newcomer);
        let spent = Spent::Mining(Sort { kind, trust });
        let blobs = Arc::clone(&self.bench.blobs);
        let product = self.bench.compute(spent, move || {
            computation.execute((&secrets, &blobs), &Drawing::Exact, &device)
        });
        let Product { blob, .. } = product.await??;
        Ok(protocol::BlobId::of(&blob) == convicted.blob)
    }
    /// Whether the exact engine, here, measures something else in a tolerant unit than auditors
    /// did. Units that were right one by one are not measured again.
    async fn is_misjudged(
        &self,
        computation: Computation,
        convicted: &ConvictedUnit,
        class: Class,
    ) -> Result<bool> {
        if convicted.finding.check == Check::Lifetime {
            return Ok(false);
        }
        let blob = self.bench.blobs.get(&convicted.blob)?;
        let blob = blob.context("the unit's blob is gone")?;
        let bound = Bound {
            claim: convicted.claim,
            opened: None,
            plant: None,
            class: Some(class),
            challenge: None,
            states: States::default(),
        };
        let device = self.bench.device();
        let (kind, trust) = (convicted.unit.kind, Trust::Newcomer);
        let spent = Spent::Mining(Sort { kind, trust });
        let judged = self.bench.compute(spent, move || {
            computation.judge(&bound, &blob, None, &device)
        });
        Ok(judged.await?.verdict.contradiction() != Some(convicted.finding))
    }
}
