//! What voting costs the state machine: 100 000 voters, 100 live proposals, a million votes.
//!
//! ```sh
//! cargo run --release -p ledger-state --example votes
//! ```
//!
//! Prints, in microseconds of this thread's processor time: a block in which nothing is due; a
//! vote, while seats are few and when there are a million; the block that closes all hundred votes
//! at once, and the one that executes what fits. Counting happens as votes arrive, so closing costs
//! the same whatever the number of voters.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement, printed"
)]

use governance::{lifecycle, power, proposal, submit, vote};
use ledger_state::{State, View, genesis, run};
use protocol::{
    Address, Amount, Height, ProposalId, SigningKey,
    class::ClassTable,
    codec::{BoundedVec, Text},
    genesis::{Account, Genesis, Governance, Validator},
    proposal::{Action, Choice, Payload, Weights},
};
use rustix::time::{ClockId, clock_gettime};

const VOTERS_COUNT: u32 = 100_000;
/// Twenty on each of five tracks, which is all that those take.
const PROPOSALS_COUNT: u32 = 100;
/// Proposals that each voter votes on.
const VOTES_EACH_COUNT: u32 = 10;
/// Of the voters, those with two thirds of all stake; they vote on everything.
const LARGE_COUNT: u32 = 100;
/// Votes in a block.
const BLOCK_VOTES_COUNT: usize = 1_000;

fn now_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The result, and microseconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let from = now_us();
    let result = work();
    (result, now_us() - from)
}

fn account(kind: u8, number: u32) -> Address {
    let mut bytes = [kind; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Address::from_bytes(bytes)
}

fn start() -> State {
    let operator = SigningKey::from_seed([1; 32]);
    let proposer = |number| Account {
        address: account(7, number),
        balance: Amount::new(1_000_000),
    };
    let genesis = Genesis {
        name: Text::new("votes").unwrap(),
        time_ms: 1_000,
        validators: vec![Validator {
            operator: operator.address(),
            holder: account(8, 0),
            stake: Amount::new(1_000),
            vrf: operator.vrf().public(),
        }],
        accounts: (0..PROPOSALS_COUNT).map(proposer).collect(),
        runs: Vec::new(),
        parameters: Vec::new(),
        governance: Governance {
            day_blocks: 1_000,
            deposit_base: Amount::new(100),
            steward: None,
            stage: 1,
            treasury: Amount::new(1_000_000_000),
        },
        supply_cap: Amount::new(u64::MAX),
        classes: ClassTable::default(),
    };
    genesis::state(&genesis).unwrap()
}

/// Changes the state; microseconds of the change, and of the new root.
fn step<T>(state: &mut State, change: impl FnOnce(&mut View<'_>) -> T) -> (T, f64, f64) {
    let mut view = state.view();
    let (result, change_us) = timed(|| change(&mut view));
    let writes = view.into_writes();
    let (_, root_us) = timed(|| state.tree().after(&writes));
    state.advance(writes);
    (result, change_us, root_us)
}

fn action(number: u32) -> Action {
    let set = |name: &str, value| Action::SetParameter {
        parameter: Text::new(name).unwrap(),
        value,
    };
    let value = u64::from(number);
    match number % 5 {
        0 => Action::Signal,
        1 => set("audit-rate", 30_000 + value),
        2 => set("audit-fault-penalty", 1_000 + value),
        3 => Action::Spend {
            to: account(7, number),
            amount: Amount::new(1_000 + value),
        },
        _ => Action::Spend {
            to: account(7, number),
            amount: Amount::new(2_000_000 + value),
        },
    }
}

fn propose(view: &mut View<'_>, number: u32, now: Height) -> ProposalId {
    let payload = Payload {
        title: Text::new(format!("proposal {number}")).unwrap(),
        summary: Text::default(),
        actions: BoundedVec::new(vec![action(number)]).unwrap(),
        // Everything becomes due in the same block.
        not_before: Height::new(40_000),
    };
    let by = account(7, number);
    submit::propose(view, by, &payload, Amount::new(100_000), now).unwrap();
    payload.id(by, now)
}

fn main() {
    let mut state = start();
    let now = Height::new(1);
    let (_, bonded_us, root_us) = step(&mut state, |view| {
        for number in 0..VOTERS_COUNT {
            let stake = if number < LARGE_COUNT {
                2_000_000
            } else {
                1_000
            };
            power::found(view, account(9, number), stake);
        }
    });
    println!(
        "{VOTERS_COUNT} holders bonded: {:.1} us each, root {:.1} ms",
        bonded_us / f64::from(VOTERS_COUNT),
        root_us / 1e3
    );
    let (ids, proposed_us, _) = step(&mut state, |view| {
        let ids = (0..PROPOSALS_COUNT).map(|number| propose(view, number, now));
        ids.collect::<Vec<_>>()
    });
    println!(
        "{PROPOSALS_COUNT} proposals live: {:.1} us each",
        proposed_us / f64::from(PROPOSALS_COUNT)
    );
    idle(&mut state);
    votes(&mut state, &ids, now.next());
    idle(&mut state);
    close(&mut state, &ids);
    assert_eq!(run::tip(&state.view()).height, Height::ZERO);
}

/// A block in which nothing is due.
fn idle(state: &mut State) {
    let (_, us, _) = step(state, |view| lifecycle::advance(view, Height::new(5)));
    println!("a block in which nothing is due: {us:.1} us");
}

fn votes(state: &mut State, ids: &[ProposalId], now: Height) {
    let mut ballots = Vec::new();
    for turn in 0..VOTES_EACH_COUNT {
        for number in 0..VOTERS_COUNT {
            let choice = if number % 4 == 0 {
                Choice::No
            } else {
                Choice::Yes
            };
            let which = (number + turn * 7) % PROPOSALS_COUNT;
            ballots.push((
                account(9, number),
                ids[which as usize],
                Weights::all(choice),
            ));
        }
    }
    for number in 0..LARGE_COUNT {
        let yes = |id: &ProposalId| (account(9, number), *id, Weights::all(Choice::Yes));
        ballots.extend(ids.iter().map(yes));
    }
    let blocks_count = ballots.len() / BLOCK_VOTES_COUNT;
    for (index, block) in ballots.chunks(BLOCK_VOTES_COUNT).enumerate() {
        let ((), us, root_us) = step(state, |view| {
            for (voter, id, weights) in block {
                vote::vote(view, *voter, *id, *weights, now).unwrap();
            }
        });
        if index == 0 || index + 1 == blocks_count {
            println!(
                "votes {:>7}: {:.1} us each, and {:.1} us each for the root",
                (index + 1) * block.len(),
                us / block.len() as f64,
                root_us / block.len() as f64
            );
        }
    }
}

/// Votes of 7, 14 and 21 days end together for those that began together.
fn close(state: &mut State, ids: &[ProposalId]) {
    for height in [
        2 + 7_000,
        2 + 14_000,
        2 + 21_000,
        40_000,
        40_001,
        40_002,
        40_003,
        40_004,
    ] {
        let height = Height::new(height);
        let (events, us, root_us) = step(state, |view| lifecycle::advance(view, height));
        let view = state.view();
        let of = |wanted: &str| {
            let statuses = ids
                .iter()
                .map(|id| proposal::find(&view, *id).unwrap().status);
            statuses.filter(|status| status.as_str() == wanted).count()
        };
        println!(
            "height {height}: {} events, {us:.1} us, root {root_us:.1} us; \
             {} voting, {} timelocked, {} executed, {} failed, {} rejected",
            events.len(),
            of("voting"),
            of("timelocked"),
            of("executed"),
            of("failed"),
            of("rejected")
        );
    }
}
