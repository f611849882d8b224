//! What was done to other networks, tried here; one file each, named after what happened there.
//!
//! Every attack runs against the real state machine, block by block, and fails for the reason that
//! its file states.

mod early_majority_capture;
mod exchange_votes;
mod flash_loan;
mod guardian_starvation;
mod low_turnout_treasury_raid;
mod nested_grant;
mod payload_swap;

use crate::support::{Chain, Setup, key, payload};
use governance::{Proposal, Refusal, proposal::Status, purse};
use ledger_state::{Rejection, proposal};
use protocol::{
    Amount, ProposalId, SigningKey,
    proposal::{Action, Choice, Guard, Weights},
    transaction::Body,
};

/// A chain on which validators have these stakes.
fn staked(stakes: &[u64]) -> Chain {
    Chain::start(&Setup {
        stakes: stakes.to_vec(),
        ..Setup::default()
    })
}

fn stored(chain: &Chain, id: ProposalId) -> Proposal {
    proposal::stored(&chain.view(), id).unwrap().0
}

fn status(chain: &Chain, id: ProposalId) -> Status {
    stored(chain, id).status
}

fn treasury(chain: &Chain) -> u64 {
    purse::purse(&chain.view()).treasury.get()
}

fn attacker() -> SigningKey {
    key("miner", 0)
}

/// Pays the attacker from the treasury.
fn loot(amount: u64) -> Action {
    Action::Spend {
        to: attacker().address(),
        amount: Amount::new(amount),
    }
}

fn proposing(actions: Vec<Action>) -> Body {
    Body::Propose {
        payload: payload(actions),
        deposit: Amount::new(20_000),
    }
}

fn voting(proposal: ProposalId, choice: Choice) -> Body {
    let weights = Weights::all(choice);
    Body::Vote { proposal, weights }
}

fn guarding(guard: Guard) -> Body {
    Body::Guard { guard }
}

/// The refusal of a body in the next block; it must be one of governance.
fn refusal(chain: &Chain, sender: SigningKey, body: Body) -> Refusal {
    match chain.reject(sender, body) {
        Rejection::Governance(refusal) => refusal,
        other => panic!("refused for another reason: {other}"),
    }
}

/// Waits until a proposal is final.
fn finish(chain: &mut Chain, id: ProposalId) -> Status {
    while !status(chain, id).is_final() {
        chain.wait(1);
    }
    status(chain, id)
}
