//! A dispute between processes: what the chain computes decides, whatever most validators say.

use crate::support::{Devnet, PATIENCE};
use engine_trace::Kind;
use ledger_state::verdict::dispute::{Operation, Place};
use node::{
    home::key_file,
    rpc::{overview::Overview, query::UnitAnswer},
};
use protocol::{Address, verdict::Check};
use serde_json::Value;
use std::time::{Duration, Instant};

fn address(devnet: &Devnet, name: &str) -> Address {
    let key = devnet.home().join(name).join("operator.key");
    key_file(&key).unwrap().address()
}

/// The disputes that are over.
async fn decided(devnet: &Devnet) -> Vec<UnitAnswer> {
    let now: Overview = devnet.ask("/v1/overview").await;
    let step = now.run.map_or(0, |run| run.step.get());
    let mut decided = Vec::new();
    for (step, index) in (0..=step).flat_map(|step| (0..4).map(move |index| (step, index))) {
        let path = format!("/v1/units/0.{step}.gradient.{index}");
        let Ok(unit) = devnet.client.get::<UnitAnswer>(&path).await else {
            continue;
        };
        let is_over = |place: &Place| matches!(place, Place::Over { .. });
        if unit
            .dispute
            .as_ref()
            .is_some_and(|dispute| is_over(&dispute.place))
        {
            decided.push(unit);
        }
    }
    decided
}

fn end(unit: &UnitAnswer) -> (bool, Option<Operation>) {
    match unit.dispute.as_ref().unwrap().place {
        Place::Over {
            is_right,
            operation,
        } => (is_right, operation),
        _ => panic!("{unit:?}"),
    }
}

/// A network of one honest validator, two honest miners and these cheats.
async fn started(cheats: &str) -> Devnet {
    started_with(cheats, &[]).await
}

async fn started_with(cheats: &str, more: &[&str]) -> Devnet {
    let who = ["--fresh", "--validators", "1", "--miners", "2", "--cheats"];
    let devnet = Devnet::start(&[&who[..], &[cheats], more].concat());
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    devnet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lying_validators_with_five_sevenths_of_stake_convict_no_honest_miner_and_a_liar_loses() {
    // A cheat's validator has half of the stake of another: together they have five sevenths.
    let cheats = [&["false-accuser"; 5][..], &["own-recipe"]]
        .concat()
        .join(",");
    let devnet = started(&cheats).await;
    let liar = address(&devnet, "cheat-5-own-recipe");
    let since = Instant::now();
    let (honest, lied) = loop {
        assert!(since.elapsed() < PATIENCE, "{}", devnet.log());
        let decided = decided(&devnet).await;
        let (lied, honest): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|unit| unit.miner == liar);
        if let ([honest, ..], [lied, ..]) = (&honest[..], &lied[..]) {
            break (honest.clone(), lied.clone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    // The accusers made a move each, and every one ended at a number that the chain computed.
    let (is_right, operation) = end(&honest);
    assert!(is_right, "{}", honest.summary);
    assert!(operation.is_some_and(|operation| operation.is_right()));
    assert!(honest.summary.starts_with("accepted"), "{}", honest.summary);
    assert!(honest.summary.contains("its miner won the dispute"));

    let (is_right, operation) = end(&lied);
    assert!(!is_right, "{}", lied.summary);
    assert!(operation.is_some_and(|operation| !operation.is_right()));
    assert!(lied.summary.contains("its miner says"), "{}", lied.summary);
    let (check, now) = slashed_for(&devnet, liar).await;
    assert!(matches!(check, Check::Loss | Check::Update | Check::State));
    let fined = now.validators.iter().filter(|row| row.fined.get() > 0);
    assert!(fined.count() <= 5, "whoever did not lie is not fined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_honest_auditor_wins_by_proof_against_validators_that_accept_a_lie() {
    // Five sevenths of stake accept whatever they see, more than two thirds.
    let cheats = [&["collude-ok"; 5][..], &["own-recipe"]].concat().join(",");
    let devnet = started(&cheats).await;
    let liar = address(&devnet, "cheat-5-own-recipe");
    let honest = address(&devnet, "validator-0");
    let since = Instant::now();
    let contested = loop {
        assert!(since.elapsed() < PATIENCE, "{}", devnet.log());
        let decided = decided(&devnet).await;
        let contested = |unit: &UnitAnswer| unit.miner == liar && unit.contest.is_some();
        if let Some(unit) = decided.into_iter().find(contested) {
            break unit;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (is_right, operation) = end(&contested);
    assert!(!is_right, "{}", contested.summary);
    assert!(operation.is_some_and(|operation| !operation.is_right()));
    let contest = contested.contest.unwrap();
    let [contestant] = &contest.contestants[..] else {
        panic!("{contest:?}");
    };
    assert_eq!(contestant.auditor, honest);
    assert!(contest.lost.is_empty());
    assert!(
        contested.summary.starts_with("slashed"),
        "{}",
        contested.summary
    );

    let slashed = devnet.until("the slash", |now| {
        now.miners
            .iter()
            .any(|row| row.address == liar && row.slash.is_some())
    });
    let now = slashed.await;
    let slashed = now.miners.iter().filter(|row| row.slash.is_some());
    assert_eq!(slashed.count(), 1, "no honest miner is");
    for row in &now.validators {
        let is_honest = row.operator == honest;
        assert!(!is_honest || row.fined.get() == 0, "it was right");
    }
    let fined = now.validators.iter().filter(|row| row.fined.get() > 0);
    assert!(fined.count() >= 1, "whoever accepted the lie is fined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lie_about_advantages_comes_down_to_one_number_of_a_reinforcement_part() {
    // The cheat prefers this decay, so that it is honest until responses are learned from.
    let change = |recipe: &mut Value| recipe["pretrain"]["weight_decay"] = 123_456.into();
    let who = "--fresh --validators 1 --miners 2 --cheats own-recipe";
    let who: Vec<&str> = who.split(' ').collect();
    let devnet = Devnet::start_changed(change, &who);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let liar = address(&devnet, "cheat-0-own-recipe");
    let since = Instant::now();
    let lied = loop {
        assert!(since.elapsed() < PATIENCE, "{}", devnet.log());
        let decided = decided(&devnet).await;
        if let Some(unit) = decided.into_iter().find(|unit| unit.miner == liar) {
            break unit;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (is_right, operation) = end(&lied);
    assert!(!is_right, "{}", lied.summary);
    let Some(Operation::Number { tensor, .. }) = operation else {
        panic!("{}", lied.summary);
    };
    assert_eq!(tensor.kind, Kind::Free, "{}", lied.summary);
    slashed_for(&devnet, liar).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_miner_of_a_reinforcement_part_wins_against_an_auditor_that_lies_about_it() {
    // So few steps of pre-training that the accuser, which pays for each lie, can still lie about
    // what is learned from responses.
    let steps_count = 2;
    let change = |recipe: &mut Value| recipe["pretrain"]["steps_count"] = steps_count.into();
    let who = "--fresh --validators 2 --miners 2 --cheats false-accuser";
    let who: Vec<&str> = who.split(' ').collect();
    let devnet = Devnet::start_changed(change, &who);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let liar = address(&devnet, "cheat-0-false-accuser");
    let since = Instant::now();
    // It says that the update is wrong, and points to a number of the part that the miner names:
    // the miner shows its plan and its table, and the chain computes what was drawn.
    let won = loop {
        assert!(since.elapsed() < PATIENCE, "{}", devnet.log());
        let decided = decided(&devnet).await.into_iter();
        let is_played = |unit: &UnitAnswer| {
            let Place::Over { operation, .. } = unit.dispute.as_ref().unwrap().place else {
                return false;
            };
            unit.unit.step.get() >= steps_count && operation.is_some()
        };
        if let Some(unit) = decided.into_iter().find(is_played) {
            break unit;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (is_right, operation) = end(&won);
    assert!(is_right, "{}", won.summary);
    let operation = operation.unwrap();
    assert!(operation.is_right(), "{}", won.summary);
    assert!(
        matches!(operation, Operation::Number { .. }),
        "{}",
        won.summary
    );
    assert!(won.summary.starts_with("accepted"), "{}", won.summary);
    assert!(won.summary.contains("its miner won the dispute"));
    assert_eq!(won.dispute.as_ref().unwrap().refuted, [liar]);
    // The accuser pays: a fine for its verdict, and the bond with which it contested.
    let now: Overview = devnet.ask("/v1/overview").await;
    assert!(now.miners.iter().all(|row| row.slash.is_none()));
    let mut rows = now.validators.iter();
    let row = rows.find(|row| row.operator == liar).unwrap();
    assert!(row.fined.get() > 0, "{row:?}");
    let contest = won.contest.expect("it was outvoted");
    assert_eq!(contest.lost.len(), 1);
    assert_eq!(contest.lost[0].auditor, liar);
}

/// A network with sparse updates and one cheat, which takes its conviction for a mistake: what its
/// dispute came down to, and what it was slashed for.
async fn sparse(cheat: &str) -> (Operation, Check) {
    let devnet = started_with(cheat, &["--updates", "sparse"]).await;
    let liar = address(&devnet, &format!("cheat-0-{cheat}"));
    let since = Instant::now();
    let lied = loop {
        assert!(since.elapsed() < PATIENCE, "{}", devnet.log());
        let decided = decided(&devnet).await;
        if let Some(unit) = decided.into_iter().find(|unit| unit.miner == liar) {
            break unit;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (is_right, operation) = end(&lied);
    assert!(!is_right, "{}", lied.summary);
    let operation = operation.unwrap_or_else(|| panic!("{}", lied.summary));
    assert!(lied.summary.contains(&operation.to_string()));
    (operation, slashed_for(&devnet, liar).await.0)
}

/// What the liar is slashed for, and nobody else is; and the network then.
async fn slashed_for(devnet: &Devnet, liar: Address) -> (Check, Overview) {
    let slashed = devnet.until("the slash", |now| {
        now.miners
            .iter()
            .any(|row| row.address == liar && row.slash.is_some())
    });
    let now = slashed.await;
    let slashed = now.miners.iter().filter(|row| row.slash.is_some());
    assert_eq!(slashed.count(), 1, "no honest miner is");
    let found = now.miners.iter().find_map(|row| row.slash.clone()).unwrap();
    (found.check, now)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sparse_update_is_said_to_have_lost_comes_down_to_one_value() {
    // It knows that it lied, and appeals all the same.
    let (operation, check) = sparse("forged-feedback").await;
    assert!(matches!(operation, Operation::Lost { .. }), "{operation}");
    assert_eq!(check, Check::Feedback);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sparse_update_comes_down_to_one_value() {
    // Its own recipe gives what it sent, so it appeals.
    let (operation, check) = sparse("own-decay").await;
    assert!(matches!(operation, Operation::Value { .. }), "{operation}");
    assert_eq!(check, Check::Update);
}
