//! ENS, 2026: a guardian council lapsed on a fixed date; whoever wanted it gone had only to vote
//! its renewal down and wait.
//!
//! Here the guardian narrows step by step and never vanishes over night: the date after which it
//! may no longer cancel still leaves it a year of delays, and every step is known from genesis.
//! Starving it gains a delay at most, and after the last date votes are still under all rules.

use super::{attacker, finish, guarding, loot, refusal, staked, status};
use crate::support::{Chain, key, propose_by, vote};
use governance::{Refusal, proposal::Status, stage};
use protocol::{
    Height, ProposalId,
    proposal::{Action, Choice, Guard, Module},
};

const MONTH_BLOCKS: u64 = 30;

fn wait_for_month(chain: &mut Chain, month: u64) {
    let now = chain.height().get();
    chain.wait(month * MONTH_BLOCKS - now);
}

/// A raid that passes: the starver has the votes.
fn passed_raid(chain: &mut Chain) -> ProposalId {
    let id = propose_by(chain, &attacker(), vec![loot(900)], Height::ZERO);
    vote(chain, id, 0, Choice::Yes);
    while !matches!(status(chain, id), Status::Timelocked { .. }) {
        chain.wait(1);
    }
    id
}

fn cancelled(chain: &mut Chain, id: ProposalId) -> bool {
    let cancel = guarding(Guard::Cancel { proposal: id });
    chain.block(vec![(key("steward", 0), cancel)]);
    matches!(status(chain, id), Status::Cancelled { .. })
}

#[test]
fn voting_the_extension_down_only_narrows_the_guardian() {
    let mut chain = staked(&[210_000, 90_000, 50_000, 50_000]);
    // Whoever starves the guardian has enough to stop the renewal, which needs two thirds.
    let renewal = propose_by(
        &mut chain,
        &key("miner", 1),
        vec![Action::ExtendSteward],
        Height::ZERO,
    );
    vote(&mut chain, renewal, 0, Choice::No);
    for holder in 1..4 {
        vote(&mut chain, renewal, holder, Choice::Yes);
    }
    assert_eq!(finish(&mut chain, renewal), Status::Rejected);

    wait_for_month(&mut chain, 17);
    let raid = passed_raid(&mut chain);
    assert!(cancelled(&mut chain, raid), "with all its powers");

    wait_for_month(&mut chain, 19);
    let pause = guarding(Guard::Pause {
        module: Module::Treasury,
    });
    let refused = refusal(&chain, key("steward", 0), pause);
    assert_eq!(refused, Refusal::PowerEnded { act: "pause" });
    let raid = passed_raid(&mut chain);
    assert!(cancelled(&mut chain, raid), "still after the first date");

    wait_for_month(&mut chain, 31);
    let raid = passed_raid(&mut chain);
    let cancel = guarding(Guard::Cancel { proposal: raid });
    let refused = refusal(&chain, key("steward", 0), cancel);
    assert_eq!(refused, Refusal::PowerEnded { act: "cancel" });
    let Status::Timelocked { ready_at } = status(&chain, raid) else {
        panic!("it waits for its height");
    };
    let delay = guarding(Guard::Delay { proposal: raid });
    chain.block(vec![(key("steward", 0), delay.clone())]);
    let later = Status::Timelocked {
        ready_at: ready_at.saturating_add(14),
    };
    assert_eq!(status(&chain, raid), later, "two weeks to leave in");
    let again = refusal(&chain, key("steward", 0), delay);
    assert_eq!(again, Refusal::NotDelayable { id: raid });
    finish(&mut chain, raid);

    wait_for_month(&mut chain, 42);
    let sender = key("steward", 0).address();
    let delay = guarding(Guard::Delay { proposal: raid });
    assert_eq!(
        refusal(&chain, key("steward", 0), delay),
        Refusal::NotGuardian { sender }
    );
    assert_eq!(
        stage::steward_power(&chain.view(), chain.height()),
        stage::StewardPower::None
    );
    // What remains are the rules: the raid is no larger than they allow anybody.
    let raid = passed_raid(&mut chain);
    assert!(matches!(finish(&mut chain, raid), Status::Executed { .. }));
}
