//! `cairn gov`: what a holder does. Nothing is signed unseen.
//!
//! Every command that signs goes the same way. The bytes to sign are decoded again into words, with
//! the values in force beside the new ones and changes of permission marked; a node tries them
//! and says what they would do, or the rule that refuses them and its code. Only then is a
//! person asked, and after a yes the same bytes are signed. `--dry-run` stops before the question,
//! `--yes` answers it, `--out FILE` keeps the signed transaction in a file for `cairn gov submit`
//! on another machine, and with `--chain` and `--nonce` no node is asked at all.

pub mod arguments;
mod file;
mod show;
mod sign;
mod statement;

use crate::rpc::client::Client;
use anyhow::{Context as _, Result, bail};
use arguments::{Arguments, Signing, What};
use protocol::{
    Amount, ProposalId,
    proposal::{Choice, Guard, Track, Weights},
    transaction::Body,
};

/// Runs a command.
///
/// # Errors
/// When a node or a rule refuses it, or whoever is asked does not say yes.
pub async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { what, node, json } = arguments;
    let client = Client::new(vec![node]);
    match what {
        What::List { from } => show::list(&client, from, json).await,
        What::Show { id } => show::show(&client, id, json).await,
        What::Tally { id } => show::tally(&client, id, json).await,
        What::Preview { id } => show::preview(&client, id, json).await,
        What::Stage => show::stage(&client, json).await,
        What::Parameters => show::parameters(&client, json).await,
        What::Submit { file, yes, dry_run } => {
            sign::submit_file(&client, &file, sign::Consent { yes, dry_run, json }).await
        }
        signed => {
            let (act, signing) = act(signed)?;
            sign::sign(&client, act, signing, json).await
        }
    }
}

/// What is signed, before a deposit that was left out is known.
pub(super) enum Act {
    /// As it is.
    Body(Body),
    /// A proposal with the deposit that it will need.
    Propose(Box<protocol::proposal::Payload>),
}

fn act(what: What) -> Result<(Act, Signing)> {
    let (body, signing) = match what {
        What::Propose {
            file,
            deposit,
            signing,
        } => {
            let payload = file::payload(&file)?;
            let Some(deposit) = deposit else {
                return Ok((Act::Propose(Box::new(payload)), signing));
            };
            let deposit = Amount::new(deposit);
            (Body::Propose { payload, deposit }, signing)
        }
        What::Deposit {
            id,
            amount,
            signing,
        } => {
            let (proposal, amount) = (id, Amount::new(amount));
            (Body::Deposit { proposal, amount }, signing)
        }
        What::Vote {
            id,
            weights,
            signing,
        } => {
            let (proposal, weights) = (id, weights_of(&weights)?);
            (Body::Vote { proposal, weights }, signing)
        }
        What::Delegate {
            track,
            to,
            end,
            signing,
        } => (delegate(&track, to, end)?, signing),
        What::Object { id, signing } => (Body::Object { proposal: id }, signing),
        What::Signal { version, signing } => (Body::SignalReadiness { version }, signing),
        What::AdvanceStage { signing } => (Body::AdvanceStage, signing),
        What::Guard(act) => {
            let (guard, signing) = guard(act)?;
            (Body::Guard { guard }, signing)
        }
        What::Submit { .. }
        | What::Show { .. }
        | What::List { .. }
        | What::Tally { .. }
        | What::Preview { .. }
        | What::Stage
        | What::Parameters => bail!("invariant: only commands that sign come here"),
    };
    Ok((Act::Body(body), signing))
}

fn delegate(track: &str, to: Option<protocol::Address>, end: bool) -> Result<Body> {
    let track: Track = track.parse()?;
    match (to, end) {
        (Some(_), true) => bail!("either name a delegate or give --end"),
        (None, false) => bail!("name a delegate, or end the delegation with --end"),
        (to, _) => Ok(Body::Delegate { track, to }),
    }
}

fn guard(act: arguments::Guard) -> Result<(Guard, Signing)> {
    Ok(match act {
        arguments::Guard::Decree { file, signing } => {
            let payload = file::payload(&file)?;
            (Guard::Decree { payload }, signing)
        }
        arguments::Guard::Cancel { id, signing } => (Guard::Cancel { proposal: id }, signing),
        arguments::Guard::Delay { id, signing } => (Guard::Delay { proposal: id }, signing),
        arguments::Guard::Pause { module, signing } => {
            let module = module.into();
            (Guard::Pause { module }, signing)
        }
    })
}

/// `yes`, or `yes=600000,abstain=400000`: weights in millionths.
fn weights_of(text: &str) -> Result<Weights> {
    let choice = |name: &str| {
        let found = Choice::ALL
            .into_iter()
            .find(|choice| choice.as_str() == name);
        found.with_context(|| format!("{name:?} is not yes, no, abstain or veto"))
    };
    if !text.contains('=') {
        return Ok(Weights::all(choice(text)?));
    }
    let mut weights = Weights::default();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').with_context(|| {
            format!("{part:?} is not a choice with its weight, such as no=400000")
        })?;
        let micro = weight
            .parse()
            .map(protocol::Micro::new)
            .with_context(|| format!("{weight:?} is not a number of millionths"))?;
        match choice(name)? {
            Choice::Yes => weights.yes = micro,
            Choice::No => weights.no = micro,
            Choice::Abstain => weights.abstain = micro,
            Choice::Veto => weights.veto = micro,
        }
    }
    Ok(weights)
}

/// A proposal's path on a node.
fn path_of(id: ProposalId) -> String {
    format!("/v1/proposals/{id}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use protocol::Micro;

    #[test]
    fn votes_are_read_whole_and_split() {
        assert_eq!(weights_of("veto").unwrap(), Weights::all(Choice::Veto));
        let split = weights_of("yes=600000,abstain=400000").unwrap();
        assert_eq!(
            (split.yes, split.abstain),
            (Micro::new(600_000), Micro::new(400_000))
        );
        assert!(
            weights_of("maybe")
                .unwrap_err()
                .to_string()
                .contains("maybe")
        );
        assert!(
            weights_of("yes=1,no")
                .unwrap_err()
                .to_string()
                .contains("\"no\"")
        );
    }
}
