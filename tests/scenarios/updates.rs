//! Updates that are checked without a step being repeated, between processes.

use crate::support::{Devnet, PATIENCE};
use ledger_state::unit::Draw;
use node::{
    home::key_file,
    rpc::{overview::Overview, query::UnitAnswer},
};
use protocol::verdict::Check;
use std::time::{Duration, Instant};

/// The first gradient units that came to a draw and are over.
async fn settled(devnet: &Devnet) -> Vec<UnitAnswer> {
    let now: Overview = devnet.ask("/v1/overview").await;
    let step = now.run.map_or(0, |run| run.step.get());
    let mut settled = Vec::new();
    for (step, index) in (0..=step).flat_map(|step| (0..4).map(move |index| (step, index))) {
        let path = format!("/v1/units/0.{step}.gradient.{index}");
        if let Ok(unit) = devnet.client.get::<UnitAnswer>(&path).await
            && unit.summary.contains(" at height ")
            && unit.commitment.is_some()
        {
            settled.push(unit);
        }
    }
    settled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_checked_where_no_segment_is_drawn_and_a_liar_is_found() {
    // Nearly no segment is drawn, and every update.
    let rates = [
        "newcomer-units=0",
        "audit-rate=10000",
        "audit-gain=10000",
        "compression-audit-rate=1000000",
    ];
    let rates = rates.iter().flat_map(|rate| ["--parameter", rate]);
    let cheats = ["--fresh", "--miners", "2", "--cheats", "scaled-gradient"];
    let arguments: Vec<&str> = cheats.into_iter().chain(rates).collect();
    let devnet = Devnet::start(&arguments);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let key = devnet
        .home()
        .join("cheat-0-scaled-gradient")
        .join("operator.key");
    let liar = key_file(&key).unwrap().address();
    let since = Instant::now();
    let accepted = loop {
        assert!(since.elapsed() < PATIENCE, "{}", devnet.log());
        let checked = |unit: &UnitAnswer| {
            let draw = unit.commitment.as_ref().map(|commitment| commitment.draw);
            let is_update = matches!(draw, Some(Draw::Update { .. }));
            is_update && unit.miner != liar && unit.summary.starts_with("accepted")
        };
        if let Some(unit) = settled(&devnet).await.into_iter().find(checked) {
            break unit;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let challenge = accepted.challenge.unwrap();
    assert!(
        challenge.last.is_some(),
        "its miner has shown where it ends"
    );
    assert_eq!((challenge.start, challenge.end), (None, None));
    assert!(
        accepted.summary.contains("its update was drawn"),
        "{}",
        accepted.summary
    );

    let slash = |now: &Overview| {
        let mut rows = now.miners.iter().filter(|row| row.address == liar);
        rows.find_map(|row| row.slash.clone())
    };
    let now = devnet.until("the slash", |now| slash(now).is_some()).await;
    assert_eq!(slash(&now).unwrap().check, Check::Update);
    let slashed = now.miners.iter().filter(|row| row.slash.is_some());
    assert_eq!(slashed.count(), 1, "no honest miner is");
}
