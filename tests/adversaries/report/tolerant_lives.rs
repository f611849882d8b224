//! What lying earns in a tolerant class: whole lives on the production state machine, in which the
//! verdicts are those that the production verifier gave about units of the class.
//!
//! Honest units are another engine's, lies an adversary's, in the open as the class sends them;
//! each was judged once, and every unit of a life is one of them, drawn by its name. Claims,
//! findings and sums are theirs, so void and slash, the second look and the evidence of a lifetime
//! come about as on a network. Gradient units are of the exact class, and honest.

use crate::{
    economy::{self, Caution, Lives, Work},
    economy_chain::{Chain, Setup, accepting, commitment_body},
    spread::{spread, summed},
    statistics::{Mean, Share},
    subject::Subject,
    tolerant::Workers,
};
use adversaries::{Cheat, Past};
use anyhow::Result;
use governance::parameters::Name;
use protocol::{
    Amount,
    class::{Class, ClassTable, Level},
    codec::{BoundedVec, encode},
    identifiers::tagged_hash,
    rollout::{Payload, Root, Totals},
    task::{RolloutTask, UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
};
use serde::Serialize;
use verifier::rollout::{Claimed, judge};

/// Honest units that were judged, from which those of lives are drawn.
const HONEST_UNITS: u32 = 200;
/// Tasks of which no other part of the report has units.
const FIRST_TASK: u32 = 1 << 20;

/// A unit and what the verifier found.
#[derive(Clone, Debug)]
struct Judged {
    totals: Totals,
    verdict: Verdict,
}

/// Units of a class: honest ones, and one adversary's.
pub(crate) struct Pool<'a> {
    subject: &'a Subject,
    class: &'a Class,
    honest: &'a [Judged],
    lies: Vec<Judged>,
}

/// Honest units of a class.
pub(crate) struct Honest(Vec<Judged>);

/// Lives of miners of a tolerant class that lie about the same share of their units.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TolerantLives {
    pub(crate) class: String,
    pub(crate) name: String,
    /// Lies that were judged, and of these, those that are void or worse, and slashed, each alone.
    pub(crate) void_units: Share,
    pub(crate) slashed_units: Share,
    /// What a lie adds to the evidence, in nats.
    pub(crate) evidence: Mean,
    pub(crate) lives: Lives,
    /// Gain over honest work on the same units, of a liar that saves half of a unit's cost, and of
    /// one that saves what this adversary was measured to save.
    pub(crate) gain_half: Mean,
    pub(crate) gain_measured: Mean,
}

impl TolerantLives {
    /// The gain that must not be one. The rate of audits deters lies that an audit finds with
    /// `audit-power`, whatever they save. What a class finds more seldom is close to its own honest
    /// work, and counts with what it saves.
    pub(crate) fn gain(&self) -> Mean {
        let power_micro = Name::AuditPower.bounds().default;
        let Share { count, of, .. } = self.void_units;
        if count * 1_000_000 >= of * power_micro {
            self.lives.gain
        } else {
            self.gain_measured
        }
    }
}

fn judged(subject: &Subject, class: &Class, task: &RolloutTask, payload: &Payload) -> Judged {
    let groups = u32::try_from(payload.groups.as_slice().len()).unwrap_or(u32::MAX);
    let prompts = subject.world.prompts(task, groups);
    let totals = payload.totals(crate::subject::EXACT_MICRO);
    let claimed = Claimed {
        root: payload.root(&prompts).unwrap_or(Root::from_bytes([0; 32])),
        totals,
        opened: None,
        plant: None,
        class: Some(class),
    };
    let inputs = subject.inputs(task);
    let found = judge(&inputs, &claimed, &encode(payload), &subject.device);
    Judged {
        totals,
        verdict: found.verdict,
    }
}

fn level(verdict: &Verdict) -> Level {
    let worst = verdict.contradiction();
    worst.map_or(Level::Holds, |finding| finding.level())
}

impl Honest {
    /// Has the class' engine do units and judges them.
    pub(crate) fn new(subject: &Subject, class: &Class, workers: &Workers) -> Result<Self> {
        let indexes: Vec<u32> = (FIRST_TASK..FIRST_TASK + HONEST_UNITS).collect();
        let one = |index: &u32| {
            let task = subject.task(*index);
            let work = workers.with(|worker| {
                miner::rollout::execute_with(&subject.inputs(&task), &subject.device, |all, how| {
                    anyhow::Ok(worker.generate(all, how)?)
                })
            })?;
            anyhow::Ok(judged(subject, class, &task, &work.payload))
        };
        let all: Result<Vec<Judged>> = spread(&indexes, one, |_| ()).into_iter().collect();
        all.map(Self)
    }
}

impl<'a> Pool<'a> {
    /// Has an adversary do units and judges them.
    pub(crate) fn new(
        subject: &'a Subject,
        (class, honest): (&'a Class, &'a Honest),
        cheat: Cheat,
        units: u32,
    ) -> Result<Self> {
        let lie = |index| {
            let task = subject.task(index);
            let work = subject.work_in_the_open(&task, cheat)?;
            anyhow::Ok(judged(subject, class, &task, &work))
        };
        Ok(Self {
            subject,
            class,
            honest: &honest.0,
            lies: (0..units).map(lie).collect::<Result<_>>()?,
        })
    }

    fn count(&self, bar: Level) -> Share {
        let reached = self.lies.iter().filter(|one| level(&one.verdict) >= bar);
        Share::new(reached.count() as u64, self.lies.len() as u64)
    }

    fn evidence(&self) -> Mean {
        let nats = self.lies.iter().map(|one| {
            let sum = one.verdict.finding(Check::MarginSum);
            let sum = sum.map_or(u64::MAX, |finding| finding.measured);
            let tokens = u64::from(one.totals.tokens_count);
            self.class.evidence_micro(sum, tokens) as f64 / 1e6
        });
        Mean::new(&nats.collect::<Vec<_>>())
    }

    fn one(&self, id: UnitId, is_lie: bool) -> &Judged {
        let pool = if is_lie { &self.lies } else { self.honest };
        let [a, b, c, d, ..] = tagged_hash("cairn/tolerant-life/v1", &id);
        let index = u32::from_le_bytes([a, b, c, d]) as usize % pool.len().max(1);
        &pool[index]
    }
}

impl Work for Pool<'_> {
    fn setup(&self, seed: u32) -> Setup {
        let mut setup = economy::setup(seed);
        let (own, subject) = (&mut setup.recipe, &self.subject.recipe);
        own.model = subject.model.clone();
        own.reinforce.groups_per_unit_count = subject.reinforce.groups_per_unit_count;
        own.reinforce.samples_per_group_count = subject.reinforce.samples_per_group_count;
        setup.classes = ClassTable {
            version: 1,
            classes: BoundedVec::new(vec![self.class.clone()]).expect("one class is few"),
        };
        setup
    }

    fn register(&self, chain: &mut Chain) {
        let register = |key: &protocol::SigningKey| {
            let body = Body::RegisterMiner {
                bond: Amount::new(10_000),
                vrf: key.vrf().public(),
                class: self.class.id,
            };
            (key.clone(), body)
        };
        let content = chain.miners.iter().map(register).collect();
        chain.block(content);
    }

    fn commit(&self, chain: &mut Chain, ids: &[UnitId], lies: &[UnitId]) {
        let bind = |id: &UnitId| {
            let mut body = commitment_body(chain, *id);
            if let Body::CommitRollouts { totals, .. } = &mut body {
                *totals = self.one(*id, lies.contains(id)).totals;
            }
            (chain.key_of(chain.unit(*id).miner), body)
        };
        let content = ids.iter().map(bind).collect();
        chain.block(content);
    }

    fn verdict(&self, id: UnitId, is_lie: bool) -> Verdict {
        match id.kind {
            UnitKind::Rollout => self.one(id, is_lie).verdict.clone(),
            UnitKind::Gradient => accepting(),
        }
    }
}

/// Lives of adversaries at every share, as their temper has it and as one that is honest whenever
/// all of its units are audited, which it is again after a void unit. Not of those all of whose
/// lies are slashed at once, whose lives are those of the exact class; nor of those none of whose
/// are void, which the class takes for its own: they earn what honest work earns, and what they
/// save.
pub(crate) fn lives(
    pools: &[(Cheat, f64, Pool<'_>)],
    shares_micro: &[u32],
    count: u32,
    mut say: impl FnMut(&TolerantLives),
) -> Vec<TolerantLives> {
    let pools = pools.iter().filter(|(_, _, pool)| {
        let (void, slashed) = (pool.count(Level::Void), pool.count(Level::Slash));
        void.count > 0 && slashed.count < slashed.of
    });
    let mut kinds = Vec::new();
    for one in pools {
        for caution in [caution(one.0), Caution::OnceSampled] {
            kinds.extend(shares_micro.iter().map(|share| (one, (caution, *share))));
        }
    }
    summed(
        &kinds,
        |(_, (_, share))| economy::lives_count(count, *share),
        |((_, _, pool), how), seed| economy::life(pool, *how, seed),
        |((cheat, saved, pool), (caution, share)), all| {
            let lives = economy::summary(*caution, *share, all);
            TolerantLives {
                class: pool.class.name.as_str().to_owned(),
                name: cheat.adversary().name().to_owned(),
                void_units: pool.count(Level::Void),
                slashed_units: pool.count(Level::Slash),
                evidence: pool.evidence(),
                gain_half: lives.money(0.5)[1],
                gain_measured: lives.money(*saved)[1],
                lives,
            }
        },
        &mut say,
    )
}

/// When an adversary lies, by what it says of itself.
fn caution(cheat: Cheat) -> Caution {
    let unpaid = Past {
        unpaid_count: 1,
        is_convicted: false,
    };
    if cheat.adversary().dares(unpaid) {
        Caution::None
    } else {
        Caution::UntilNoticed
    }
}
