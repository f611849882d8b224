//! What a miner computes: one unit at a time, beside its other duties.
//!
//! A unit may take minutes, an opening must come within seconds. A miner that answered only
//! between two units would look like one that hides what it bound, and pay for it.

use super::{Miner, disputing::Shown};
use crate::{
    computation::{Computation, Drawing, Product, Secrets},
    local::{Sort, Trust, Work as Spent},
    rpc::{
        client::Client,
        work::{Input, StepContext, WorkUnit},
    },
    workbench::Workbench,
};
use adversaries::Conduct;
use anyhow::{Result, anyhow};
use protocol::{
    BlobId,
    recipe::Recipe,
    task::{UnitId, UnitKind},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::JoinSet;

/// What came of a computation.
pub(super) enum Made {
    /// A unit, with all that its miner binds, keeps and shows.
    Product(Box<Product>),
    /// Whether a convicted unit is right after all.
    IsRight(bool),
    /// What is shown in a dispute.
    Shown(Shown),
}

/// The computation that is under way, and those that failed since one succeeded or all had a turn.
#[derive(Default)]
pub(super) struct Making {
    underway: JoinSet<(UnitId, Result<Made>)>,
    failed: BTreeSet<UnitId>,
}

impl Making {
    /// Whether this unit is next: nothing is under way, and it did not fail while others wait.
    pub(super) fn wants(&self, unit: UnitId) -> bool {
        self.underway.is_empty() && !self.failed.contains(&unit)
    }
    /// Begins a computation.
    pub(super) fn begin(
        &mut self,
        unit: UnitId,
        computation: impl Future<Output = Result<Made>> + Send + 'static,
    ) {
        self.underway
            .spawn(async move { (unit, computation.await) });
    }
    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.underway.is_empty()
    }
    /// Gives those that failed another turn, if nobody else wants one.
    pub(super) fn try_again(&mut self) {
        if self.underway.is_empty() {
            self.failed.clear();
        }
    }
    /// Waits for the computation under way; forever if there is none.
    ///
    /// # Errors
    /// When it panicked.
    pub(super) async fn next(&mut self) -> Result<(UnitId, Result<Made>)> {
        let Some(done) = self.underway.join_next().await else {
            return std::future::pending().await;
        };
        let (unit, made) = done.map_err(|error| anyhow!("computation failed: {error}"))?;
        if made.is_ok() {
            self.failed.clear();
        } else {
            self.failed.insert(unit);
        }
        Ok((unit, made))
    }
}

impl Miner {
    /// Begins to compute a unit, if its turn has come.
    pub(super) async fn compute(&mut self, context: &StepContext, unit: &WorkUnit) {
        let id = unit.unit;
        if !self.making.wants(id) {
            return;
        }
        let inputs = (&unit.inputs[..], unit.feedback);
        let Some(computation) = self.gathered(context, id, inputs).await else {
            return;
        };
        let secrets = self.secrets(unit.plant_rate);
        let (drawing, bench) = (self.drawing.clone(), Arc::clone(&self.bench));
        let sort = (id.kind, Trust::of(unit.audit_rate));
        self.making.begin(id, async move {
            let computation = computation.await?;
            let product = execute(&bench, sort, computation, (secrets, drawing)).await?;
            Ok(Made::Product(Box::new(product)))
        });
    }
    /// The inputs of a unit, to be fetched by whoever computes; nothing if no node says by which
    /// recipe.
    pub(super) async fn gathered(
        &mut self,
        context: &StepContext,
        unit: UnitId,
        (inputs, feedback): (&[Input], Option<BlobId>),
    ) -> Option<impl Future<Output = Result<Computation>> + Send + 'static> {
        if let Some(lost) = feedback
            && let Err(error) = self.serve_feedback(unit, lost).await
        {
            tracing::warn!(%unit, "{error:#}");
        }
        let recipe = match self.recipe(context.run).await {
            Ok(recipe) => recipe,
            Err(error) => {
                tracing::warn!(%unit, "{error:#}");
                return None;
            }
        };
        let recipe = match &self.drawing {
            Drawing::Cheat(cheat) => Arc::new(cheat.recipe(unit, &recipe)),
            Drawing::Exact | Drawing::Worker(_) => recipe,
        };
        let (bench, chain) = (Arc::clone(&self.bench), self.chain);
        let (context, inputs) = (context.clone(), inputs.to_vec());
        let owner = (unit, self.address);
        let chain = (chain, recipe);
        let client = Arc::clone(&self.client);
        Some(async move {
            follow(&bench, &client, &chain.1, &context).await?;
            let inputs = (&inputs[..], feedback);
            Computation::gather(&bench, chain, &context, owner, inputs).await
        })
    }
    /// Gets a step's checkpoint although no unit of it is this miner's: the way from there to the
    /// next one is shorter.
    pub(super) async fn keep_up(&mut self, context: &StepContext) {
        let key = (context.run, context.step);
        if !self.making.is_idle() || self.kept_up.get(&key.0) == Some(&key.1) {
            return;
        }
        let Ok(recipe) = self.recipe(context.run).await else {
            return;
        };
        self.kept_up.insert(key.0, key.1);
        let (bench, client) = (Arc::clone(&self.bench), Arc::clone(&self.client));
        let context = context.clone();
        tokio::spawn(async move {
            if let Err(error) = follow(&bench, &client, &recipe, &context).await {
                tracing::warn!(step = %context.step, "{error:#}");
            }
        });
    }
    /// Takes in what came of a computation.
    pub(super) async fn take(&mut self, made: Result<(UnitId, Result<Made>)>) {
        let taken = match made {
            Ok((unit, Ok(Made::Product(product)))) => self.bind(unit, *product).await,
            Ok((unit, Ok(Made::IsRight(is_right)))) => {
                self.contested.insert(unit, is_right);
                Ok(())
            }
            Ok((_, Ok(Made::Shown(shown)))) => {
                self.shown = Some(shown);
                Ok(())
            }
            Ok((unit, Err(error))) => Err(error.context(unit)),
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            tracing::warn!("{error:#}");
        }
    }
    /// Keeps what a unit came to, to be submitted, served and opened.
    async fn bind(&mut self, unit: UnitId, product: Product) -> Result<()> {
        let Product {
            blob,
            body,
            opening,
            states,
            feedback,
        } = product;
        if !states.is_empty() {
            self.trajectories.keep(unit, states)?;
        }
        if let Some(lost) = feedback {
            self.feedbacks.keep(unit, &lost)?;
        }
        if let Some(opening) = opening {
            self.openings.insert(unit, opening);
        }
        if self.conduct(unit) != Conduct::WithholdsBlob {
            let id = self.bench.keep(&blob).await?;
            self.kept.insert(unit, id);
        }
        self.products.insert(unit, body);
        self.units_count += 1;
        self.tell(&format!("computed unit {unit}"))
    }
}

async fn follow(
    bench: &Workbench,
    client: &Client,
    recipe: &Arc<Recipe>,
    context: &StepContext,
) -> Result<()> {
    let path = format!(
        "/v1/updates/{}/{}",
        context.run,
        context.step.saturating_sub(1)
    );
    let updates = async { Ok(client.get::<Vec<Input>>(&path).await?) };
    bench.follow(recipe, context, updates).await
}

/// Executes a unit, in its turn.
pub(super) async fn execute(
    bench: &Workbench,
    (kind, trust): (UnitKind, Trust),
    computation: Computation,
    (secrets, drawing): (Secrets, Drawing),
) -> Result<Product> {
    let (device, blobs) = (bench.device(), Arc::clone(&bench.blobs));
    let spent = Spent::Mining(Sort { kind, trust });
    let product = bench.compute(spent, move || {
        computation.execute((&secrets, &blobs), &drawing, &device)
    });
    product.await?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use protocol::{RunId, Step};
    use tokio::sync::oneshot;

    fn unit(index: u32) -> UnitId {
        UnitId {
            run: RunId::ZERO,
            step: Step::ZERO,
            kind: UnitKind::Rollout,
            index,
        }
    }

    #[tokio::test]
    async fn one_unit_is_computed_at_a_time_while_others_can_be_answered_for() {
        let mut making = Making::default();
        let (end, ended) = oneshot::channel();
        making.begin(unit(0), async move {
            ended.await?;
            Ok(Made::IsRight(true))
        });
        assert!(!making.wants(unit(1)));
        end.send(()).unwrap();
        let (done, made) = making.next().await.unwrap();
        assert!(done == unit(0) && matches!(made, Ok(Made::IsRight(true))));
        assert!(making.wants(unit(1)));
    }

    #[tokio::test]
    async fn a_unit_that_fails_lets_the_others_go_first() {
        let mut making = Making::default();
        making.begin(unit(0), async { Err(anyhow!("an input did not arrive")) });
        let (_, made) = making.next().await.unwrap();
        assert!(made.is_err() && !making.wants(unit(0)) && making.wants(unit(1)));
        making.begin(unit(1), async { Ok(Made::IsRight(false)) });
        making.try_again();
        assert!(!making.wants(unit(0)), "another is under way");
        making.next().await.unwrap().1.unwrap();
        assert!(making.wants(unit(0)), "its turn has come again");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_unit_is_computed() {
        let mut making = Making::default();
        making.begin(unit(0), async { panic!("on purpose") });
        assert!(making.next().await.is_err());
        assert!(making.wants(unit(0)));
    }
}
