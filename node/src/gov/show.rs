//! Looking: proposals, counts, previews, the stage, in words or as the node's JSON.

use super::{path_of, statement};
use crate::{
    devnet::screen::print,
    rpc::{
        client::Client,
        governance::{GovernanceAnswer, ProposalAnswer, ProposalsAnswer},
        overview::ProposalRow,
        preview::{Preview, Rejudged},
    },
};
use anyhow::{Context as _, Result};
use governance::gate::Side;
use protocol::{Micro, ProposalId};
use serde::{Serialize, de::DeserializeOwned};
use std::io::IsTerminal as _;

/// Gets, and prints as JSON or in words.
async fn tell<T: Serialize + DeserializeOwned>(
    client: &Client,
    path: &str,
    json: bool,
    words: impl FnOnce(&T) -> String,
) -> Result<()> {
    let answer: T = client.get(path).await?;
    print(&if json {
        serde_json::to_string_pretty(&answer).context("cannot encode the answer")?
    } else {
        words(&answer)
    })
}

pub(super) async fn list(client: &Client, from: usize, json: bool) -> Result<()> {
    let path = format!("/v1/proposals?from={from}");
    tell(client, &path, json, |answer: &ProposalsAnswer| {
        let mut lines: Vec<String> = answer.proposals.iter().map(line).collect();
        lines.push(match answer.next {
            Some(next) => format!("{} in all; go on with --from {next}", answer.count),
            None => format!("{} in all", answer.count),
        });
        lines.join("\n")
    })
    .await
}

fn line(row: &ProposalRow) -> String {
    let (id, status, track) = (row.id, &row.status, &row.track);
    format!("{id} {status:<11} {track:<18} {}", row.title)
}

pub(super) async fn show(client: &Client, id: ProposalId, json: bool) -> Result<()> {
    let colour = std::io::stdout().is_terminal();
    tell(client, &path_of(id), json, |answer: &ProposalAnswer| {
        let row = &answer.row;
        let mut lines = vec![
            format!("{:?}", row.title),
            format!(
                "  {} on track {}, by {}",
                row.status, row.track, answer.proposer
            ),
        ];
        lines.extend(
            row.changes
                .iter()
                .map(|change| statement::change(change, colour)),
        );
        let summary = answer.payload.summary.as_str();
        if !summary.is_empty() {
            lines.push(format!("  {summary}"));
        }
        lines.push(format!(
            "  deposit {} of {}",
            answer.deposited, answer.price
        ));
        lines.extend(counted(row));
        if row.voting_ends > protocol::Height::ZERO {
            lines.push(format!("  voting ends at height {}", row.voting_ends));
        }
        lines.push(format!(
            "  takes effect at height {}, if at all",
            row.enact_at
        ));
        lines.extend(answer.votes.iter().map(|vote| {
            let (weights, power, own) = (vote.weights, vote.power, vote.own);
            format!(
                "  {} votes {weights} with {power}, {own} of it its own",
                vote.voter
            )
        }));
        lines.join("\n")
    })
    .await
}

pub(super) async fn tally(client: &Client, id: ProposalId, json: bool) -> Result<()> {
    let answer: ProposalAnswer = client.get(&path_of(id)).await?;
    let text = if json {
        serde_json::to_string_pretty(&answer.row).context("cannot encode the tally")?
    } else {
        counted(&answer.row).join("\n")
    };
    print(&text)
}

fn percent(micro: Micro) -> String {
    let (whole, part) = (micro.get() / 10_000, micro.get() / 100 % 100);
    format!("{whole}.{part:02} %")
}

/// The count against its lines.
fn counted(row: &ProposalRow) -> Vec<String> {
    let share = |part: u64, whole: u64| Micro::new(governance::share::in_millionths(part, whole));
    let (yes, no, abstain, veto) = (
        row.yes.get(),
        row.no.get(),
        row.abstain.get(),
        row.veto.get(),
    );
    let support = share(yes.saturating_add(abstain), row.total.get());
    let approval = share(yes, yes.saturating_add(no).saturating_add(veto));
    let vetoed = share(veto, yes.saturating_add(veto));
    vec![
        format!(
            "  yes {yes}, no {no}, abstain {abstain}, veto {veto} of {}",
            row.total
        ),
        format!(
            "  support {}; {} is needed",
            percent(support),
            percent(row.support_needed)
        ),
        format!(
            "  approval {}; {} is needed",
            percent(approval),
            percent(row.approval_needed)
        ),
        format!(
            "  vetoes {} of yes and veto; above a third stops it",
            percent(vetoed)
        ),
    ]
}

pub(super) async fn preview(client: &Client, id: ProposalId, json: bool) -> Result<()> {
    let path = format!("{}/preview", path_of(id));
    tell(client, &path, json, |preview: &Preview| {
        let Preview {
            blocks_count,
            parameters,
            draws_count,
            repeated_count,
            audited_count,
            would_be_audited_count,
            verdicts_lost_count,
            convictions_lost_count,
            verdicts_gained_count,
            classes,
            changed_count,
        } = preview;
        let mut lines = vec![format!("verdicts that would change: {changed_count}")];
        if !parameters.is_empty() {
            lines.extend([
                format!("{blocks_count} blocks replayed under the proposed {}", parameters.join(", ")),
                format!("  {draws_count} draws made again; today's values repeat {repeated_count} of them"),
                format!("  audited: {audited_count} were, {would_be_audited_count} would have been"),
                format!("  not given: {verdicts_lost_count}, {convictions_lost_count} of them convictions"),
                format!("  given besides: {verdicts_gained_count}"),
            ]);
        }
        lines.extend(classes.iter().map(rejudged));
        lines.join("\n")
    })
    .await
}

fn rejudged(class: &Rejudged) -> String {
    let Rejudged {
        class,
        verdicts_count,
        milder_count,
        harsher_count,
        unclear_count,
    } = class;
    format!(
        "{verdicts_count} verdicts judged again by the proposed limits of class {class}\n  \
         milder: {milder_count}\n  harsher: {harsher_count}\n  \
         not to be told without the work itself: {unclear_count}"
    )
}

pub(super) async fn stage(client: &Client, json: bool) -> Result<()> {
    tell(client, "/v1/governance", json, |now: &GovernanceAnswer| {
        let mut lines = vec![
            format!("stage {} since height {}", now.stage, now.stage_since),
            format!("  the steward may still: {}", now.steward_power),
        ];
        for row in &now.gates {
            let mark = if row.holds { "open  " } else { "CLOSED" };
            let side = match row.gate.side {
                Side::AtLeast => "at least",
                Side::Below => "below",
            };
            let (name, found, needed) = (&row.gate.name, row.gate.found, row.gate.needed);
            lines.push(format!("  gate {mark} {name}: {found}; {side} {needed}"));
        }
        let (held, needed) = (now.held_days, now.held_days_needed);
        lines.push(format!("  all gates have held for {held} of {needed} days"));
        let (treasury, left) = (now.treasury, now.treasury_left_today);
        lines.push(format!("  treasury {treasury}; {left} may leave it today"));
        for (module, until) in &now.paused {
            lines.push(format!(
                "  {} stand still until height {until}",
                module.as_str()
            ));
        }
        lines.push(match &now.plan {
            Some(plan) => format!(
                "  version {}; {} is planned for height {}, {} of power is ready",
                now.version,
                plan.version,
                plan.height,
                percent(plan.ready)
            ),
            None => format!("  version {}", now.version),
        });
        lines.join("\n")
    })
    .await
}

pub(super) async fn parameters(client: &Client, json: bool) -> Result<()> {
    tell(client, "/v1/governance", json, |now: &GovernanceAnswer| {
        let mut lines = Vec::new();
        for row in &now.parameters {
            let (name, value, min, max) = (&row.name, row.value, row.min, row.max);
            lines.push(format!("{name:<26} {value:>16}  {min} to {max}"));
        }
        for row in &now.tracks {
            let (days, lock, price) = (row.voting_days, row.timelock_days, row.price);
            lines.push(format!(
                "track {:<18} {days:>2} d + {lock:>2} d, support {}, approval {}, deposit {price}",
                row.track.as_str(),
                percent(row.support),
                percent(row.approval)
            ));
        }
        lines.join("\n")
    })
    .await
}
