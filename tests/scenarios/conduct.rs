//! Cheats that do not lie in what they compute: each is found by what it does, or does not.

use crate::support::Devnet;
use node::{
    home::key_file,
    rpc::overview::{MinerRow, Overview},
};
use protocol::{Address, verdict::Check};

fn address(devnet: &Devnet, name: &str) -> Address {
    let key = devnet.home().join(name).join("operator.key");
    key_file(&key).unwrap().address()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_equivocates_stays_silent_or_judges_without_looking_pays() {
    let cheats = "equivocator,silent-opener,lazy-fail";
    let devnet = Devnet::start(&["--fresh", "--miners", "2", "--cheats", cheats]);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let [equivocator, silent, lazy] = [
        "cheat-0-equivocator",
        "cheat-1-silent-opener",
        "cheat-2-lazy-fail",
    ]
    .map(|name| address(&devnet, name));
    let row = |now: &Overview, address| -> Option<MinerRow> {
        let mut rows = now.miners.iter();
        rows.find(|row| row.address == address).cloned()
    };
    let all_paid = |now: &Overview| {
        let equivocated = row(now, equivocator).and_then(|row| row.slash);
        let withheld = row(now, silent).is_some_and(|row| row.units.void > 0);
        let mut auditors = now.validators.iter();
        let fined = auditors.any(|row| row.operator == lazy && row.fined.get() > 0);
        equivocated.is_some() && withheld && fined
    };
    let now = devnet.until("all cheats have paid", all_paid).await;
    let slash = row(&now, equivocator).unwrap().slash.unwrap();
    assert_eq!(slash.check, Check::Equivocation);
    let silent = row(&now, silent).unwrap();
    assert!(
        silent.slash.is_none() && silent.quota_micro < 1_000_000,
        "{silent:?}"
    );
    let honest = now.validators.iter().filter(|row| row.operator != lazy);
    assert!(honest.into_iter().all(|row| row.fined.get() == 0));
    let honest = now.miners.iter().filter(|row| row.slash.is_some());
    assert_eq!(honest.count(), 1, "nobody else is slashed");
}
