//! `cairn query`: what a node knows, in words or as JSON.

use crate::rpc::{client::Client, query::ClassesAnswer};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use protocol::{
    Address, Height, ProposalId, RunId, Step, rollout::Opened, task::UnitId, verdict::Check,
};
use serde_json::Value;

/// What to ask.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// The node to ask.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8420")]
    node: String,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A block, with its transactions.
    Block {
        /// Its height.
        height: Height,
    },
    /// An account's balance, stake and nonce.
    Account {
        /// Its address.
        address: Address,
    },
    /// A miner's standing, units and earnings.
    Miner {
        /// Its address.
        address: Address,
    },
    /// Engines besides the exact one that miners may draw rollouts with, and their limits.
    Classes,
    /// A run's recipe and progress.
    Run {
        /// Its number.
        #[arg(default_value = "0")]
        run: RunId,
    },
    /// A step's units by their miners, and which gradient units it closed without.
    Step {
        /// Its number.
        step: Step,
        /// The run's.
        #[arg(default_value = "0")]
        run: RunId,
    },
    /// Why a unit was paid, or not: every check, measured value, limit, verdict, auditor, payout.
    Unit {
        /// Its id, such as 0.12.rollout.3.
        unit: UnitId,
    },
    /// A proposal's votes and fate.
    Proposal {
        /// Its id.
        id: ProposalId,
    },
}

/// Asks and prints.
///
/// # Errors
/// When no node answers, or it knows no such thing.
pub async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { what, json, node } = arguments;
    let path = match &what {
        What::Block { height } => format!("/v1/blocks/{height}"),
        What::Account { address } => format!("/v1/accounts/{address}"),
        What::Miner { address } => format!("/v1/miners/{address}"),
        What::Classes => "/v1/classes".to_owned(),
        What::Run { run } => format!("/v1/runs/{run}"),
        What::Step { step, run } => format!("/v1/steps/{run}/{step}"),
        What::Unit { unit } => format!("/v1/units/{unit}"),
        What::Proposal { id } => format!("/v1/proposals/{id}"),
    };
    let answer: Value = Client::new(vec![node]).get(&path).await?;
    let text = if json {
        serde_json::to_string_pretty(&answer).context("cannot encode the answer")?
    } else {
        let mut text = String::new();
        match what {
            What::Unit { .. } => describe_unit(&answer, &mut text),
            What::Classes => describe_classes(answer, &mut text)?,
            What::Block { .. }
            | What::Account { .. }
            | What::Miner { .. }
            | What::Run { .. }
            | What::Step { .. }
            | What::Proposal { .. } => describe(&answer, 0, &mut text),
        }
        text.trim_end().to_owned()
    };
    crate::devnet::screen::print(&text)
}

/// Names and values, indented by depth.
fn describe(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if value.is_object() || value.as_array().is_some_and(|items| !items.is_empty()) {
                    text.push_str(&format!("{indent}{name}\n"));
                    describe(value, depth + 1, text);
                } else {
                    text.push_str(&format!("{indent}{name}: {}\n", plain(value)));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if item.is_object() {
                    text.push_str(&format!("{indent}-\n"));
                    describe(item, depth + 1, text);
                } else {
                    text.push_str(&format!("{indent}- {}\n", plain(item)));
                }
            }
        }
        scalar => text.push_str(&format!("{indent}{}\n", plain(scalar))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        other => other.to_string(),
    }
}

/// Every class by its limits; the exact one is always there and has none.
fn describe_classes(answer: Value, text: &mut String) -> Result<()> {
    let answer: ClassesAnswer =
        serde_json::from_value(answer).context("the node's answer is not understood")?;
    text.push_str(&format!(
        "version {}\nclass 0, exact: no limits, every difference is proof\n",
        answer.version
    ));
    for row in answer.classes {
        text.push_str(&format!("\n{}\n", crate::calibrate::describe(&row.class)));
    }
    Ok(())
}

/// A unit's story: the answer first, then every check of every verdict as a table.
fn describe_unit(answer: &Value, text: &mut String) {
    text.push_str(&format!("unit {}\n", plain(&answer["unit"])));
    text.push_str(&format!("  {}\n", plain(&answer["summary"])));
    text.push_str(&format!("  miner {}\n", plain(&answer["miner"])));
    let commitment = &answer["commitment"];
    if !commitment.is_null() {
        text.push_str(&format!(
            "  blob {} ({} bytes), committed at height {}, attested by {} validators\n",
            plain(&commitment["blob"]),
            plain(&commitment["blob_bytes"]),
            plain(&commitment["at"]),
            commitment["attested_by"].as_array().map_or(0, Vec::len),
        ));
        if let Some(rate) = commitment["draw"]["rate"].as_u64() {
            let draw = plain(&commitment["draw"]["draw"]);
            text.push_str(&format!(
                "  {draw}: the audit's probability was {rate} in a million\n"
            ));
        }
        text.push_str("  claim\n");
        describe(&commitment["claim"], 2, text);
    }
    describe_opening(&answer["opening"], text);
    for audit in answer["audits"].as_array().into_iter().flatten() {
        let group = match audit["group"].as_u64() {
            Some(group) => format!(", group {group} only"),
            None => String::new(),
        };
        text.push_str(&format!("  audit by {}{group}\n", plain(&audit["tier"])));
        for seat in audit["seats"].as_array().into_iter().flatten() {
            describe_seat(seat, text);
        }
    }
    for appeal in answer["appeals"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "  appeal at height {} with a bond of {}\n",
            plain(&appeal["at"]),
            plain(&appeal["bond"]),
        ));
    }
    let contest = &answer["contest"];
    for (what, contestants) in [("contested", "contestants"), ("contested in vain", "lost")] {
        for contestant in contest[contestants].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "  acceptance {what} by {} with a bond of {}\n",
                plain(&contestant["auditor"]),
                plain(&contestant["bond"]),
            ));
        }
    }
}

/// What the miner opened: its sketch, and the fault that it planted.
fn describe_opening(opening: &Value, text: &mut String) {
    if let Ok(opened) = serde_json::from_value::<Opened>(opening["sketch"].clone()) {
        text.push_str(&format!("  opened, sketch {}\n", opened.sketch()));
    }
    let correction = &opening["plant"]["correction"];
    if !correction.is_null() {
        text.push_str(&format!(
            "  planted fault at token {} of sample {} of group {}; the right token is {}\n",
            plain(&correction["position"]),
            plain(&correction["slot"]),
            plain(&correction["group"]),
            plain(&correction["token"]),
        ));
    }
    if let Some(by) = opening["open_by"].as_u64() {
        text.push_str(&format!("  its miner must open it by height {by}\n"));
    }
}

fn describe_seat(seat: &Value, text: &mut String) {
    let opinion = &seat["opinion"];
    let stage = plain(&opinion["stage"]);
    text.push_str(&format!("    {} {stage}\n", plain(&seat["auditor"])));
    if let Some(sketch) = opinion["sketch"].as_str() {
        text.push_str(&format!("      own sketch {sketch}\n"));
    }
    for finding in opinion["verdict"].as_array().into_iter().flatten() {
        let (measured, limit) = (finding["measured"].as_u64(), finding["limit"].as_u64());
        let holds = if measured <= limit {
            "holds"
        } else if measured <= finding["slash_limit"].as_u64() {
            "VOIDS"
        } else {
            "FAILS"
        };
        let check: Option<Check> = serde_json::from_value(finding["check"].clone()).ok();
        let rule = check.map_or(String::new(), |check| {
            let (rule, section) = check.rule();
            format!("{rule} ({section})")
        });
        text.push_str(&format!(
            "      {:<15} measured {:>8}  limit {:>7}  {holds}  {rule}\n",
            plain(&finding["check"]),
            plain(&finding["measured"]),
            plain(&finding["limit"]),
        ));
    }
}
