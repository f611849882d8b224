//! Figures for those who operate a node, in the text format of Prometheus, and whether it is
//! healthy. Figures are read from the state when they are asked for; nothing is counted twice.
//!
//! | path | answers |
//! |---|---|
//! | `GET /metrics` | all figures, the consensus engine's after our own |
//! | `GET /v1/health/live` | 200 while the process answers |
//! | `GET /v1/health/ready` | 200 while the tip is recent and the signer there; else 503 and why |

use super::server::Served;
use crate::{
    local::{Report, Work},
    signer::remote::RemoteSigner,
};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use ledger_state::{
    View,
    bond::{Miner, Status},
    run::{self, Run, Tip},
    task,
    unit::{Outcome, Unit},
    validator::{Standing, Validator},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    metrics::MetricType,
    registry::Registry,
};
use protocol::Address;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// A tip older than this is not recent: the node catches up, is cut off, or the chain stands.
pub const TIP_AGE_SECONDS_MAX: f64 = 30.0;

/// Whether a node can be relied on, and if not, why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it can.
    pub ready: bool,
    /// Its height.
    pub height: u64,
    /// Seconds since the time in the last block's header.
    pub tip_age_seconds: f64,
    /// Peers of the blob and gossip network.
    pub peers: usize,
    /// What is wrong.
    pub reason: Option<String>,
}

/// The routes of this module.
pub(super) fn routes() -> Router<Arc<Served>> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/health/live", get(|| async { "live" }))
        .route("/v1/health/ready", get(ready))
}

async fn ready(State(served): State<Arc<Served>>) -> Response {
    let health = health(&served);
    let status = match health.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}

fn health(served: &Served) -> Health {
    let tip = served.chain.view(run::tip);
    let age = tip_age_seconds(&tip);
    let is_old = age > TIP_AGE_SECONDS_MAX;
    let old = is_old.then(|| {
        format!("the last block is {age:.0} s old; at most {TIP_AGE_SECONDS_MAX:.0} s are recent")
    });
    let away = served.local.signer().and_then(RemoteSigner::away_for);
    let away = away.map(|away| {
        let seconds = away.as_secs();
        format!(
            "the signer is away: it has not answered for {seconds} s, and this validator does not \
             sign"
        )
    });
    // Who does not sign may be why blocks do not come.
    let reasons: Vec<String> = away.into_iter().chain(old).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    Health {
        ready: reason.is_none(),
        height: tip.height.get(),
        tip_age_seconds: age,
        peers: served.local.peers_count(),
        reason,
    }
}

/// Seconds since the time in the tip's header; zero if that lies in the future.
#[must_use]
pub fn tip_age_seconds(tip: &Tip) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    std::time::Duration::from_millis(now_ms.saturating_sub(tip.time_ms)).as_secs_f64()
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let mut registry = Registry::with_prefix("cairn");
    registry.register_collector(Box::new(Reading::of(&served)));
    let mut text = String::new();
    if let Err(error) = text::encode(&mut text, &registry) {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    // One document has one end.
    let mut whole = text.trim_end().trim_end_matches("# EOF").to_owned();
    whole.push_str(&ledger_consensus::stock::metrics());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], whole).into_response()
}

type Labels = Vec<(&'static str, String)>;

/// One figure, with its value for every set of labels.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    values: Vec<(Labels, f64)>,
}

/// All figures at one moment.
#[derive(Debug, Default)]
struct Reading(Vec<Figure>);

impl Reading {
    fn of(served: &Served) -> Self {
        let mut reading = Self::default();
        served.chain.view(|view| {
            reading.chain(view);
            reading.validators(view);
            reading.runs(view);
            reading.miners(view);
        });
        let waiting = served.chain.mempool_count();
        reading.one(
            "mempool_transactions",
            "Transactions waiting",
            waiting as f64,
        );
        reading.process(&served.local.report());
        // A key in this process is always here.
        let signer = served.local.signer();
        let here = signer.is_none_or(|signer| !signer.is_away());
        let help = "Whether what signs is there: a signer answers, or the key is in the process";
        reading.one("signer_here", help, f64::from(u8::from(here)));
        let away = signer.and_then(RemoteSigner::away_for).unwrap_or_default();
        let help = "Seconds since the first question that the signer did not answer; 0 if it does";
        reading.one("signer_away_seconds", help, away.as_secs_f64());
        let refused = signer.map_or(0, RemoteSigner::refused_count);
        let help = "Questions that the signer refused";
        reading.one("signer_refusals", help, refused as f64);
        reading
    }
    fn one(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.many(name, help, vec![(Vec::new(), value)]);
    }
    fn many(&mut self, name: &'static str, help: &'static str, values: Vec<(Labels, f64)>) {
        self.0.push(Figure { name, help, values });
    }
    fn chain(&mut self, view: &View<'_>) {
        let tip = run::tip(view);
        self.one("height", "Last committed height", tip.height.get() as f64);
        let help = "Seconds since the time in the last block's header";
        self.one("tip_age_seconds", help, tip_age_seconds(&tip));
        let supply = [
            ("genesis", tip.genesis_supply),
            ("minted", tip.minted),
            ("burned", tip.burned),
            ("cap", tip.supply_cap),
        ];
        let values = supply.map(|(part, amount)| (label("part", part), amount.get() as f64));
        self.many(
            "supply_tokens",
            "Tokens at genesis, made, burned, allowed",
            values.into(),
        );
        let proposals = ledger_state::proposal::all(view).into_iter();
        let open = proposals.filter(|(_, proposal)| !proposal.status.is_final());
        self.one(
            "proposals_open",
            "Proposals that are not final",
            open.count() as f64,
        );
    }
    fn validators(&mut self, view: &View<'_>) {
        let all = view.scan::<Validator>(&());
        let each = |value: fn(&Validator) -> u64| -> Vec<(Labels, f64)> {
            let row = |(operator, validator): &(Address, Validator)| {
                (label("operator", operator), value(validator) as f64)
            };
            all.iter().map(row).collect()
        };
        self.many("validator_power", "Weight in consensus", each(|v| v.power));
        self.many("validator_stake_tokens", "Stake", each(|v| v.stake.get()));
        let help = "Heights in a row at which it let its turn to propose pass";
        self.many(
            "validator_turns_missed_in_a_row",
            help,
            each(|v| v.turns.missed_in_a_row),
        );
        let help = "Rounds in which it let its turn to propose pass";
        self.many(
            "validator_rounds_missed",
            help,
            each(|v| v.rounds_missed_count),
        );
        self.many(
            "validator_fined_tokens",
            "Fined and slashed",
            each(|v| v.fined.get()),
        );
        let help = "1 if it is jailed, frozen or removed";
        let is_out = |v: &Validator| u64::from(!matches!(v.standing, Standing::Bonded));
        self.many("validator_out", help, each(is_out));
    }
    fn runs(&mut self, view: &View<'_>) {
        let runs = view.scan::<Run>(&());
        let each = |value: fn(&Run) -> u64| -> Vec<(Labels, f64)> {
            let row = |(id, run): &(_, Run)| (label("run", id), value(run) as f64);
            runs.iter().map(row).collect()
        };
        self.many("run_step", "Current step", each(|run| run.step.get()));
        self.many(
            "run_escrow_tokens",
            "What is left to pay",
            each(|run| run.escrow.get()),
        );
        let mut states: BTreeMap<(String, &'static str), u32> = BTreeMap::new();
        for (id, run) in &runs {
            for (_, unit) in task::units(view, *id, run.step) {
                *states.entry((id.to_string(), state(&unit))).or_default() += 1;
            }
        }
        let row = |((run, state), count): ((String, &str), u32)| {
            let labels = vec![("run", run), ("state", state.to_owned())];
            (labels, f64::from(count))
        };
        let values = states.into_iter().map(row).collect();
        self.many("units", "Units of the current step by state", values);
    }
    fn miners(&mut self, view: &View<'_>) {
        let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
        for (_, miner) in view.scan::<Miner>(&()) {
            let status = match miner.status {
                Status::Active => "active",
                Status::Idle => "idle",
                Status::Leaving => "leaving",
                Status::Slashed(_) => "slashed",
            };
            *counts.entry(status).or_default() += 1;
        }
        let row = |(status, count): (&str, u32)| (label("status", status), f64::from(count));
        self.many(
            "miners",
            "Miners by status",
            counts.into_iter().map(row).collect(),
        );
    }
    fn process(&mut self, report: &Report) {
        self.one(
            "peers",
            "Peers of the blob and gossip network",
            report.peers_count as f64,
        );
        let traffic = [
            ("received", report.received_bytes),
            ("sent", report.sent_bytes),
        ];
        let values = traffic.map(|(way, bytes)| (label("way", way), bytes as f64));
        self.many(
            "blob_bytes",
            "Blob bytes carried since the start",
            values.into(),
        );
        let mut seconds: BTreeMap<&'static str, f64> = BTreeMap::new();
        for (work, spent) in &report.spent {
            let what = match work {
                Work::Mining(_) => "mining",
                Work::Audit(_) => "audit",
                Work::Checkpoint => "checkpoint",
            };
            *seconds.entry(what).or_default() += spent.us as f64 / 1e6;
        }
        let row = |(work, seconds): (&str, f64)| (label("work", work), seconds);
        let help = "Processor time spent since the start";
        self.many("work_seconds", help, seconds.into_iter().map(row).collect());
        let bytes = report.rss_kib_max as f64 * 1024.0;
        self.one(
            "resident_bytes_max",
            "Largest resident memory so far",
            bytes,
        );
    }
}

fn label(name: &'static str, value: impl fmt::Display) -> Labels {
    vec![(name, value.to_string())]
}

/// Where a unit is, in a word.
fn state(unit: &Unit) -> &'static str {
    match unit.outcome() {
        Some(Outcome::Accepted { .. }) => "accepted",
        Some(Outcome::Void { .. }) => "void",
        Some(Outcome::Slashed { .. }) => "slashed",
        Some(Outcome::Missed) => "missed",
        None if unit.commitment.is_some() => "committed",
        None => "assigned",
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Figure { name, help, values } in &self.0 {
            let mut figure = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in values {
                if labels.is_empty() {
                    figure.encode_gauge(value)?;
                } else {
                    figure.encode_family(labels)?.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}
