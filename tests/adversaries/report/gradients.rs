//! Gradient units of pre-training before the production verifier: every adversary in both forms of
//! updates, judged by every segment that may be drawn and by the check of the update alone.

use crate::{
    clock::timed,
    spread::spread,
    statistics::Share,
    subject::{Subject, beacon},
};
use adversaries::{Adversary, Cheat, Target, all};
use anyhow::{Context as _, Result};
use engine::Device;
use miner::{
    GradientInputs,
    gradient::{self, Keep, Work},
};
use protocol::{
    Address, BlobId, Micro, RunId, SigningKey, Step,
    codec::encode,
    gradient::Salts,
    recipe::{Recipe, UpdateForm},
    task::{Beacon, UnitId, UnitKind},
    verdict::{Check, Verdict},
};
use serde::Serialize;
use std::collections::BTreeMap;
use verifier::Bound;

/// The forms of updates that every adversary's units are made in.
const FORMS: [UpdateForm; 2] = [
    UpdateForm::Dense,
    UpdateForm::Sparse {
        feedback_decay: Micro::new(950_000),
    },
];

/// How one adversary's units fare; without one, honest work, of which nothing may be found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Gradients {
    pub(crate) name: String,
    /// How updates are sent.
    pub(crate) form: &'static str,
    /// Units that are not the honest ones, and of these, those that no validator attests.
    pub(crate) refused: Share,
    /// Units in which it lied without effect: the work is the honest one.
    pub(crate) without_effect: u64,
    /// Segments of these units, and of these, those whose audit rejects.
    pub(crate) segments: Share,
    /// Units whose check of the update alone rejects.
    pub(crate) updates: Share,
    /// Units that neither an audit nor admission rejects.
    pub(crate) missed: u64,
    /// By which check a verdict rejects first.
    pub(crate) reasons: BTreeMap<&'static str, u64>,
    /// Processor time that the units take beside honest ones.
    pub(crate) effort: f64,
}

/// A recipe, and where its units start from.
struct Bench<'a> {
    recipe: Recipe,
    form: &'static str,
    subject: &'a Subject,
    beacon: Beacon,
    lost: Option<Vec<f32>>,
    units: u32,
}

/// Work and the files that an auditor may ask for.
struct Made {
    work: Work,
    files: BTreeMap<BlobId, Vec<u8>>,
    seconds: f64,
}

/// Honest work and every adversary that lies about gradients, or the one that was asked for, in
/// both forms.
pub(crate) fn gradients(
    subject: &Subject,
    bot: Option<Cheat>,
    units: u32,
    say: impl Fn(&Gradients),
) -> Result<Vec<Gradients>> {
    let lies = |one: &&dyn Adversary| one.targets().contains(&Target::Gradient);
    let cheats: Vec<Option<Cheat>> = match bot {
        Some(cheat) if cheat.lies_about(Target::Gradient) => vec![None, Some(cheat)],
        Some(_) => return Ok(Vec::new()),
        None => {
            let liars = all().filter(lies).map(Cheat::always).map(Some);
            std::iter::once(None).chain(liars).collect()
        }
    };
    let mut benches = Vec::new();
    for update in FORMS {
        let mut recipe = subject.recipe.clone();
        recipe.pretrain.update = update;
        let mut bench = Bench {
            form: match update {
                UpdateForm::Dense => "dense",
                UpdateForm::Sparse { .. } => "sparse",
            },
            recipe,
            subject,
            beacon: beacon(7),
            lost: None,
            units,
        };
        bench.lost = bench.made(None, units)?.work.lost;
        benches.push(bench);
    }
    let of_bench = |bench| cheats.iter().map(move |cheat| (bench, *cheat));
    let items: Vec<(&Bench<'_>, Option<Cheat>)> = benches.iter().flat_map(of_bench).collect();
    let work = |(bench, cheat): &(&Bench<'_>, Option<Cheat>)| bench.gradients(*cheat);
    let found = spread(&items, work, |one| one.iter().for_each(&say));
    found.into_iter().collect()
}

impl Bench<'_> {
    fn inputs(&self, index: u32) -> GradientInputs<'_> {
        let last = self.recipe.pretrain.steps_count.saturating_sub(1);
        GradientInputs {
            unit: UnitId {
                run: RunId::ZERO,
                step: Step::new(last),
                kind: UnitKind::Gradient,
                index,
            },
            miner: Address::from_bytes([3; 32]),
            recipe: &self.recipe,
            beacon: &self.beacon,
            model: &self.subject.model,
            generation: None,
            feedback: self.lost.as_deref(),
        }
    }
    fn device(&self) -> &Device {
        &self.subject.device
    }
    fn made(&self, cheat: Option<Cheat>, index: u32) -> Result<Made> {
        let mut files = BTreeMap::new();
        let mut hold = |file: &[u8]| {
            files.insert(BlobId::of(file), file.to_vec());
            Ok(())
        };
        let (inputs, keep) = (self.inputs(index), &mut hold as &mut Keep<'_>);
        let key = SigningKey::from_seed([3; 32]);
        let salts = Salts::derive(&key, self.subject.task(0).chain, inputs.unit);
        let (seconds, work) = timed(|| match cheat {
            Some(cheat) => cheat.gradient(&inputs, (&salts, keep), self.device()),
            None => gradient::execute(&inputs, &salts, keep, self.device()),
        });
        Ok(Made {
            work: work?,
            files,
            seconds,
        })
    }
    /// What an auditor of this segment finds; their number stands for the update alone.
    fn judged(&self, made: &Made, index: u32, segment: u32) -> Result<Verdict> {
        let inputs = self.inputs(index);
        let file = |file: &BlobId| made.files.get(file).map(Vec::as_slice);
        let claimed = verifier::gradient::Claimed::of(&inputs, &made.work, segment, file);
        let claimed = claimed.context("a state's file was not kept")?;
        let blob = encode(&made.work.payload);
        let judged = verifier::gradient::judge(&inputs, &claimed, &blob, self.device());
        Ok(judged.verdict)
    }
    fn is_refused(&self, made: &Made, index: u32) -> bool {
        let inputs = self.inputs(index);
        let bound = Bound {
            unit: inputs.unit,
            miner: inputs.miner,
            beacon: self.beacon,
            root: made.work.payload.root(),
            recipe: &self.recipe,
            is_open: false,
        };
        verifier::admit(&bound, &encode(&made.work.payload)).is_err()
    }
    fn gradients(&self, cheat: Option<Cheat>) -> Result<Gradients> {
        let segments = gradient::segments(&self.inputs(0)).count();
        let (mut seen, mut refused, mut updates, mut found) = (0, 0, 0, 0);
        let (mut without_effect, mut missed) = (0, 0);
        let (mut spent, mut honest_spent) = (0.0, 0.0);
        let mut reasons: BTreeMap<&'static str, u64> = BTreeMap::new();
        for index in 0..self.units {
            let made = self.made(cheat, index)?;
            let honest = self.made(None, index)?;
            spent += made.seconds;
            honest_spent += honest.seconds;
            if cheat.is_some() && made.work == honest.work {
                without_effect += 1;
                continue;
            }
            seen += 1;
            let is_refused = self.is_refused(&made, index);
            refused += u64::from(is_refused);
            let mut is_found = is_refused;
            for segment in 0..=segments {
                let verdict = self.judged(&made, index, segment)?;
                let Some(reason) = verdict.contradiction() else {
                    continue;
                };
                is_found = true;
                *reasons.entry(Check::as_str(reason.check)).or_default() += 1;
                if segment < segments {
                    found += 1;
                } else {
                    updates += 1;
                }
            }
            missed += u64::from(!is_found);
        }
        Ok(Gradients {
            name: cheat.map_or("honest".to_owned(), |cheat| cheat.to_string()),
            form: self.form,
            refused: Share::new(refused, seen),
            without_effect,
            segments: Share::new(found, seen * u64::from(segments)),
            updates: Share::new(updates, seen),
            missed,
            reasons,
            effort: spent / f64::max(honest_spent, 1e-9),
        })
    }
}

impl Gradients {
    /// Whether honest work was rejected, or a lie by nobody.
    pub(crate) fn is_failed(&self) -> bool {
        let is_rejected = !self.reasons.is_empty() || self.refused.count > 0;
        if self.name == "honest" {
            is_rejected
        } else {
            self.missed > 0
        }
    }
}
