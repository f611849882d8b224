//! Miners and verifiers that want their bond back.

use super::start;
use crate::support::{Chain, Setup, key};
use ledger_state::{
    Event,
    auditor::{self, Verifier},
    bond::{Miner, Status},
};
use protocol::{Amount, Height, staking::Role, transaction::Body};

fn leave(role: Role) -> Body {
    Body::Leave { role }
}

fn left(chain: &Chain) -> usize {
    chain.count(|event| matches!(event, Event::Left { .. }))
}

#[test]
fn a_miner_has_its_bond_back_after_the_vesting_window() {
    let mut chain = start();
    chain.register_miner(0);
    let miner = chain.miner(0);
    let bonded = chain.balance(miner.address());
    chain.block(vec![(miner.clone(), leave(Role::Miner))]);
    let noticed_at = chain.height().get();
    let record = chain.miner_record(0);
    assert_eq!(record.status, Status::Leaving);
    for body in [leave(Role::Miner), Body::Resume] {
        let rejection = chain.reject(miner.clone(), body);
        assert_eq!(rejection.code(), 252, "{rejection}");
    }
    chain.wait_for(Height::new(noticed_at + 30));
    assert_eq!(left(&chain), 0);
    chain.wait(1);
    assert_eq!(chain.balance(miner.address()), bonded + record.bond.get());
    assert_eq!(chain.view().get::<Miner>(&miner.address()), None);
    chain.register_miner(0);
    assert_eq!(
        chain.miner_record(0).status,
        Status::Active,
        "it may begin anew"
    );
}

#[test]
fn a_miner_that_leaves_gets_no_more_units_and_finishes_those_it_has() {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.units_of_miner(0);
    assert!(!ids.is_empty());
    let miner = chain.miner(0);
    chain.block(vec![(miner.clone(), leave(Role::Miner))]);
    let all = chain.commit_all();
    chain.attest_by_all(&all);
    chain.draw(&all);
    chain.accept_all();
    assert!(ids.iter().all(|id| chain.unit(*id).is_accepted()));
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    chain.open_step();
    let own = |chain: &Chain| chain.units_of_miner(0).len();
    assert_eq!(own(&chain), 0);
    let pay = chain.miner_record(0).vesting_total();
    let (bond, before) = (chain.miner_record(0).bond, chain.balance(miner.address()));
    assert!(pay > Amount::ZERO);
    chain.wait_until("the bond's return", |chain| left(chain) == 1);
    let after = chain.balance(miner.address());
    assert_eq!(after, before + bond.get() + pay.get());
}

#[test]
fn whoever_leaves_is_still_slashed() {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.units_of_miner(0);
    let miner = chain.miner(0);
    chain.block(vec![(miner.clone(), leave(Role::Miner))]);
    chain.change(|view| {
        let finding = protocol::verdict::Finding::exact(protocol::verdict::Check::Loss, 1);
        ledger_state::slash::miner(
            view,
            miner.address(),
            ids[0],
            (finding, &[]),
            Height::new(9),
        );
    });
    chain.wait(60);
    assert!(matches!(chain.miner_record(0).status, Status::Slashed(_)));
    assert_eq!(left(&chain), 0);
}

#[test]
fn a_verifier_is_not_drawn_any_more_and_has_its_bond_back() {
    let mut chain = start();
    let verifier = key("verifier", 0);
    chain.fund(&verifier, 12_000);
    let vrf = verifier.vrf().public();
    let bond = Amount::new(11_000);
    chain.block(vec![(
        verifier.clone(),
        Body::RegisterVerifier { bond, vrf },
    )]);
    let role = Role::Verifier;
    let amount = Amount::new(500);
    chain.block(vec![(verifier.clone(), Body::AddBond { role, amount })]);
    chain.wait(2);
    let judges = |chain: &Chain| auditor::all(&chain.view(), chain.height()).len();
    assert_eq!(judges(&chain), 5);
    chain.block(vec![(verifier.clone(), leave(role))]);
    assert_eq!(judges(&chain), 4);
    let refused = chain.reject(verifier.clone(), Body::AddBond { role, amount });
    assert_eq!(refused.code(), 252, "{refused}");
    chain.wait(31);
    assert_eq!(chain.balance(verifier.address()), 12_000);
    assert_eq!(chain.view().get::<Verifier>(&verifier.address()), None);
}

#[test]
fn a_bond_that_a_fine_has_shortened_is_filled_up() {
    let mut chain = start();
    chain.register_miner(0);
    let (role, amount) = (Role::Miner, Amount::new(250));
    let before = chain.miner_record(0).bond.get();
    chain.block(vec![(chain.miner(0), Body::AddBond { role, amount })]);
    assert_eq!(chain.miner_record(0).bond.get(), before + 250);
}
