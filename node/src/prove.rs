//! `cairn prove`, `cairn provenance` and `cairn verify`: facts about a chain as files that anyone
//! can check who has its genesis, or trusts one of its blocks, offline.

use crate::{
    home::{read_genesis, write_atomically},
    rpc::{
        client::{Client, ClientError},
        query::summary,
    },
    syncing::Trust,
};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use governance::parameters::Name;
use ledger_evidence::{
    Anchor, Contribution, File, Finding, Judged, Provenance, Record, StepProvenance, Subject,
    Verified,
};
use ledger_state::unit::{Opinion, Unit};
use protocol::{BlockId, CheckpointId, genesis::Genesis, task::UnitKind};
use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How often a node is asked that cannot prove something yet.
const ATTEMPTS_COUNT: u32 = 20;
/// How long between.
const PAUSE: Duration = Duration::from_millis(500);

const MS_PER_DAY: u128 = 86_400_000;

/// What to prove.
#[derive(Debug, Args)]
pub struct ProveArguments {
    /// account, validator, miner, verifier, unit, verdict, proposal, checkpoint or run.
    kind: String,
    /// Its name, such as 0.12.rollout.3 of a unit or 0.13 of a checkpoint. What there is not is
    /// proven to be absent.
    id: String,
    /// The node to ask. It need not be trusted.
    #[arg(long, default_value = "http://127.0.0.1:8420")]
    node: String,
    /// The file to write [default: KIND-ID.proof].
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    from: Since,
}

/// Whose provenance to prove.
#[derive(Debug, Args)]
pub struct ProvenanceArguments {
    /// The checkpoint, by its hash or as run.step.
    checkpoint: String,
    /// The node to ask. It need not be trusted.
    #[arg(long, default_value = "http://127.0.0.1:8420")]
    node: String,
    /// The file to write [default: CHECKPOINT.provenance].
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    from: Since,
}

/// For whom.
#[derive(Clone, Copy, Debug, Args)]
struct Since {
    /// Begin with this header instead of genesis, for who trusts it, as HEIGHT:BLOCK.
    #[arg(long, value_name = "HEIGHT:BLOCK")]
    trust: Option<Trust>,
}

impl Since {
    fn query(self, path: &str) -> String {
        match self.trust {
            Some(Trust { height, .. }) => format!("{path}?from={height}"),
            None => path.to_owned(),
        }
    }
    /// Whether the node began with the header that was asked for.
    fn check(self, file: &File) -> Result<()> {
        let found = file.begin.as_ref().map(|begin| begin.header.id());
        let wanted = self.trust.map(|trust| trust.block);
        let name = |block: Option<BlockId>| {
            block.map_or("genesis".to_owned(), |block| format!("block {block}"))
        };
        ensure!(
            found == wanted,
            "the node's proof begins with {}, not with {}",
            name(found),
            name(wanted)
        );
        Ok(())
    }
}

/// What to check.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// A file that `cairn prove` or `cairn provenance` wrote.
    file: PathBuf,
    /// The genesis that is trusted.
    #[arg(long, required_unless_present = "trust", conflicts_with = "trust")]
    genesis: Option<PathBuf>,
    /// The header that is trusted instead, as HEIGHT:BLOCK, from a source that you believe; the
    /// file must begin with it.
    #[arg(long, value_name = "HEIGHT:BLOCK")]
    trust: Option<Trust>,
    /// A safetensors file that must be the checkpoint of a provenance.
    #[arg(long)]
    model: Option<PathBuf>,
}

/// Asks a node for the proof of a record.
///
/// # Errors
/// When no node answers, it proves nothing, or the file cannot be written.
pub async fn prove(arguments: ProveArguments) -> Result<()> {
    let ProveArguments {
        kind,
        id,
        node,
        out,
        from,
    } = arguments;
    let (kind, id) = Subject::parse(&kind, &id)?.words();
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{kind}-{id}.proof")));
    fetch(node, (&format!("/v1/proofs/{kind}/{id}"), from), &out).await
}

/// Asks a node for the provenance of a checkpoint.
///
/// # Errors
/// When no node answers, it has no such checkpoint, or the file cannot be written.
pub async fn provenance(arguments: ProvenanceArguments) -> Result<()> {
    let ProvenanceArguments {
        checkpoint,
        node,
        out,
        from,
    } = arguments;
    let is_plain = checkpoint
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '.');
    ensure!(is_plain, "{checkpoint:?} names no checkpoint");
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{checkpoint}.provenance")));
    fetch(node, (&format!("/v1/provenance/{checkpoint}"), from), &out).await
}

async fn fetch(node: String, (path, from): (&str, Since), out: &Path) -> Result<()> {
    let path = from.query(path);
    let client = Client::new(vec![node]);
    let mut attempts = 0;
    let bytes = loop {
        attempts += 1;
        match client.bytes(&path).await {
            Err(ClientError::Refused(problem))
                if problem.message.contains("ask again") && attempts < ATTEMPTS_COUNT =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            answer => break answer?,
        }
    };
    let file = File::decode(&bytes).context("the node's answer is no proof")?;
    from.check(&file)?;
    write_atomically(out, &bytes)?;
    crate::devnet::screen::print(&format!("{}: {} bytes", out.display(), bytes.len()))
}

/// Checks a file, and says what it proves.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(arguments: &VerifyArguments) -> Result<()> {
    let VerifyArguments {
        file,
        genesis,
        trust,
        model,
    } = arguments;
    let name = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    let genesis = genesis.as_deref().map(read_genesis).transpose()?;
    let anchor = match (&genesis, trust) {
        (Some(genesis), _) => Anchor::Genesis(genesis),
        (None, Some(trust)) => Anchor::Block(trust.block),
        (None, None) => bail!("a genesis or a header to trust is needed"),
    };
    let verified = File::decode(&bytes)
        .and_then(|file| file.verify(anchor))
        .with_context(|| format!("{name} proves nothing to you"))?;
    let mut lines = vec![basis(&verified)];
    lines.extend(age_warning(&verified, genesis.as_ref()));
    match &verified.finding {
        Finding::Entry { subject, record } => {
            ensure!(
                model.is_none(),
                "{name} is about {subject}, not about a model"
            );
            lines.extend(describe(subject, record.as_deref()));
        }
        Finding::Provenance(made) => {
            if let Some(path) = model {
                lines.push(check_model(made, path)?);
            }
            lines.extend(describe_provenance(made));
        }
    }
    crate::devnet::screen::print(&lines.join("\n"))
}

fn basis(verified: &Verified) -> String {
    let Verified {
        chain,
        certified,
        trusted: (from, _),
        links_count,
        finding: _,
    } = verified;
    let height = certified.header.height;
    let (power, total) = (certified.power, certified.power_total);
    let percent = u128::from(power) * 100 / u128::from(total.max(1));
    let from = match from.get() {
        0 => "genesis".to_owned(),
        height => format!("the trusted block {height}"),
    };
    format!(
        "chain {chain}: block {height}:{} is final by {power} of {total} power ({percent} %), \
         reached from {from} over {links_count} headers\nproven of the state before it, after \
         block {}:",
        certified.id,
        height.saturating_sub(1)
    )
}

/// Whoever held power when the trusted block was made may have taken its stake out since, and have
/// nothing to lose by signing another chain from there.
fn age_warning(verified: &Verified, genesis: Option<&Genesis>) -> Option<String> {
    let name = Name::UnbondingDays;
    let set = genesis.into_iter().flat_map(|genesis| &genesis.parameters);
    let set = set.rev().find(|one| one.name.as_str() == name.as_str());
    let bound_days = set.map_or(name.bounds().default, |one| one.value);
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()?
        .as_millis();
    let days = now_ms.saturating_sub(verified.trusted.1.into()) / MS_PER_DAY;
    (days > bound_days.into()).then(|| {
        format!(
            "what you trust is {days} days old, and stake is bound for {bound_days}: who signed \
             then may have nothing left to lose. Name a recent block from a source that you \
             believe: --trust HEIGHT:BLOCK, to `cairn prove` as well"
        )
    })
}

/// A record in words; what its kind says first, then all of it.
fn describe(subject: &Subject, record: Option<&Record>) -> Vec<String> {
    let Some(record) = record else {
        return vec![format!("there is no {subject}")];
    };
    let line = match record {
        Record::Account(account) => {
            format!(
                "{subject}: balance {}, nonce {}",
                account.balance, account.nonce
            )
        }
        Record::Validator(validator) => {
            format!(
                "{subject}: stake {}, holder {}",
                validator.stake, validator.holder
            )
        }
        Record::Miner(miner) => format!(
            "{subject}: bond {}, earned {}, {:?}",
            miner.bond, miner.earned, miner.status
        ),
        Record::Verifier(verifier) => format!(
            "{subject}: bond {}, {} audits, earned {}, fined {}",
            verifier.bond, verifier.audits_count, verifier.earned, verifier.fined
        ),
        Record::Unit(unit) => return describe_unit(subject, unit),
        Record::Proposal(proposal) => format!(
            "{subject}: {:?} by {}, {:?}",
            proposal.title, proposal.proposer, proposal.status
        ),
        Record::Checkpoint(agreed) => {
            let made = &agreed.checkpoint;
            let evaluation = made.evaluation.map_or(String::new(), |evaluation| {
                let (exact, all) = (evaluation.exact_count, evaluation.prompts_count);
                format!(", {exact} of {all} held-out answers right")
            });
            format!(
                "{subject}: model {} ({} bytes), outer state {}, agreed at height {}{evaluation}",
                made.model, made.model_bytes, made.outer, agreed.at
            )
        }
        Record::Run(run) => {
            format!(
                "{subject}: step {}, escrow {}, {:?}",
                run.step, run.escrow, run.stage
            )
        }
    };
    vec![line]
}

fn describe_unit(subject: &Subject, unit: &Unit) -> Vec<String> {
    let mut lines = vec![format!(
        "{subject} of miner {}: {}",
        unit.miner,
        summary(unit)
    )];
    if let Some(bound) = &unit.commitment {
        lines.push(format!(
            "  blob {} ({} bytes), bound at height {}, {} tokens",
            bound.blob,
            bound.blob_bytes,
            bound.at,
            bound.claim.tokens_count()
        ));
    }
    if !matches!(subject, Subject::Verdict(_)) {
        return lines;
    }
    if unit.audits.is_empty() {
        lines.push("  no verdict: it was not audited".to_owned());
    }
    for audit in &unit.audits {
        lines.push(format!("  round of {:?}", audit.tier));
        for seat in &audit.seats {
            let said = match &seat.opinion {
                Opinion::Pending => "did not speak".to_owned(),
                Opinion::Committed { .. } => "bound a verdict".to_owned(),
                Opinion::Revealed { verdict, .. } => verdict
                    .findings()
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            lines.push(format!("    {}: {said}", seat.auditor));
        }
    }
    lines
}

fn check_model(made: &Provenance, path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let last = made.steps.last().context("no step was made")?;
    let (found, proven) = (CheckpointId::of(&bytes), last.checkpoint.model);
    ensure!(
        found == proven,
        "{} has hash {found}; what is proven is about checkpoint {proven}",
        path.display()
    );
    Ok(format!("{} is that checkpoint", path.display()))
}

fn describe_provenance(made: &Provenance) -> Vec<String> {
    let Provenance { run, recipe, steps } = made;
    let mut lines = vec![format!(
        "run {run} began with weights that follow from its recipe's seed {}",
        recipe.seed
    )];
    for step in steps {
        lines.extend(describe_step(step));
    }
    let all = || steps.iter().flat_map(|step| &step.contributions);
    let mut miners: Vec<_> = all().map(|one| one.miner).collect();
    miners.sort_unstable();
    miners.dedup();
    if let Some(last) = steps.last() {
        let model = last.checkpoint.model;
        lines.push(format!(
            "checkpoint {model} was made in {} steps by {} contributions, each signed by one of {} \
             miners; all signatures hold",
            steps.len(),
            all().count(),
            miners.len(),
        ));
    }
    lines
}

fn describe_step(made: &StepProvenance) -> Vec<String> {
    let StepProvenance {
        step,
        contributions,
        left_out_count,
        checkpoint,
        agreed_at,
    } = made;
    let mut lines = vec![format!(
        "step {step}: {} contributions, {left_out_count} units left out",
        contributions.len()
    )];
    lines.extend(contributions.iter().map(describe_contribution));
    let (model, next) = (checkpoint.model, checkpoint.step);
    lines.push(format!(
        "  made checkpoint {next}: {model}, agreed at height {agreed_at}"
    ));
    lines
}

fn describe_contribution(one: &Contribution) -> String {
    let judged = match one.judged {
        Judged::Spared { rate } => format!("not audited (probability {rate} in a million)"),
        Judged::Accepted {
            rounds_count,
            auditors_count,
        } => format!(
            "audited and accepted (rounds: {rounds_count}, auditors in the last: {auditors_count})"
        ),
    };
    let weight = match (one.unit.kind, one.share) {
        (UnitKind::Gradient, Some(share)) => {
            format!("weight {} tokens, {share} millionths", one.tokens_count)
        }
        (UnitKind::Gradient | UnitKind::Rollout, _) => format!("{} tokens", one.tokens_count),
    };
    format!(
        "  {}: miner {}, blob {} ({} bytes), {weight}, {judged}; signed in transaction {}, bound \
         at height {}",
        one.unit, one.miner, one.blob, one.blob_bytes, one.transaction, one.bound_at
    )
}
