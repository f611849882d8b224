//! How often a miner is audited: always at first, then as rarely as what it can lose allows.

use super::{forfeits, tolerant};
use crate::support::{Chain, Setup};
use governance::parameters::Name;
use ledger_state::{sample, unit::Draw};
use protocol::{
    Amount, Micro,
    sample::Deterrence,
    task::{UnitId, UnitKind},
};

/// Newcomers for four units, then down to one in a hundred.
fn setup() -> Setup {
    let mut setup = Setup {
        parameters: vec![(Name::NewcomerUnits, 4), (Name::AuditRate, 10_000)],
        ..Setup::default()
    };
    setup.recipe.pretrain.units_count = 30;
    setup.recipe.schedule.deadline_blocks = 60;
    setup
}

fn rate(chain: &Chain, id: UnitId) -> Micro {
    match chain.unit(id).commitment.unwrap().draw {
        Draw::Drawn { rate } | Draw::Update { rate, .. } | Draw::Spared { rate } => rate,
        Draw::Pending => panic!("unit {id} is not drawn yet"),
    }
}

/// The rate by the rule's words: 2 · 0.8 R / (0.95 · 0.8 (R + A)), rounded up.
fn expected(price: u64, at_risk: u64) -> Micro {
    let rate = (1_000_000 * 160 * price).div_ceil(76 * (price + at_risk));
    Micro::new(rate.clamp(10_000, 1_000_000))
}

/// One unit, from its commitment to its acceptance.
fn accept(chain: &mut Chain, id: UnitId) {
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    if !chain.is_accepted(id) {
        chain.accept_all();
    }
    assert!(chain.is_accepted(id));
}

#[test]
fn a_newcomer_is_always_audited_and_then_by_what_it_can_lose() {
    let mut chain = Chain::working(&setup());
    let own = chain.units_of_miner(0).into_iter();
    let own: Vec<UnitId> = own.filter(|id| id.kind == UnitKind::Gradient).collect();
    for (accepted, id) in own.iter().take(6).enumerate() {
        let at_risk = chain.miner_record(0).at_risk().get();
        assert_eq!(chain.miner_record(0).judged, accepted as u64);
        accept(&mut chain, *id);
        if accepted < 4 {
            assert_eq!(rate(&chain, *id), Micro::ONE);
            assert_eq!(chain.unit(*id).audits.len(), 1);
        } else {
            assert_eq!(rate(&chain, *id), expected(700, at_risk));
        }
    }
    let now = chain.miner_record(0);
    assert!(now.vesting_total() > Amount::ZERO, "unvested pay counts");
    assert!(expected(700, now.at_risk().get()) < expected(700, 10_000));
    let parameters = ledger_state::run::parameters(&chain.view());
    let rollout = chain.units_of(UnitKind::Rollout)[0];
    let next = sample::rate(
        &chain.view(),
        &parameters,
        rollout,
        chain.miner(0).address(),
    );
    assert_eq!(next, expected(300, now.at_risk().get()));
}

#[test]
fn rollouts_of_a_tolerant_class_are_audited_by_unvested_pay_alone() {
    let mut setup = tolerant::setup(0);
    setup
        .parameters
        .extend([(Name::NewcomerUnits, 0), (Name::AuditRate, 10_000)]);
    let mut chain = tolerant::started(&setup);
    let miner = chain.miner(0).address();
    let rate = |chain: &Chain, kind| {
        let parameters = ledger_state::run::parameters(&chain.view());
        let id = chain.units_of(UnitKind::Rollout)[0];
        sample::rate(&chain.view(), &parameters, UnitId { kind, ..id }, miner)
    };
    assert_eq!(chain.miner_record(0).bond.get(), 10_000);
    assert_eq!(rate(&chain, UnitKind::Rollout), Micro::ONE);
    // Gradients have no tolerance: a lie about them costs the bond.
    assert_eq!(rate(&chain, UnitKind::Gradient), expected(700, 10_000));
    for unvested in [1_000, 20_000] {
        forfeits::lock(&mut chain, miner, &[unvested]);
        let total = chain.miner_record(0).vesting_total().get();
        assert_eq!(rate(&chain, UnitKind::Rollout), expected(300, total));
        let at_risk = 10_000 + total;
        assert_eq!(rate(&chain, UnitKind::Gradient), expected(700, at_risk));
    }
}

#[test]
fn a_void_for_fault_makes_a_newcomer_again() {
    let mut setup = setup();
    setup.parameters = vec![(Name::NewcomerUnits, 2), (Name::AuditRate, 10_000)];
    setup.recipe.schedule.availability_blocks = 1;
    let mut chain = Chain::working(&setup);
    let own = chain.units_of_miner(0);
    accept(&mut chain, own[0]);
    accept(&mut chain, own[1]);
    let parameters = ledger_state::run::parameters(&chain.view());
    let miner = chain.miner(0).address();
    let now = |chain: &Chain| sample::rate(&chain.view(), &parameters, own[3], miner);
    assert!(now(&chain) < Micro::ONE);
    chain.commit(&own[2..3]);
    chain.wait_until("the void", |chain| chain.outcome(own[2]).is_some());
    assert_eq!(chain.miner_record(0).judged, 0);
    assert_eq!(now(&chain), Micro::ONE);
}

#[test]
fn the_rate_is_between_its_floor_and_one_and_rounded_up() {
    let deterrence = Deterrence {
        margin: Micro::new(2_000_000),
        gain: Micro::new(800_000),
        power: Micro::new(950_000),
        honest_share: Micro::new(800_000),
        floor: Micro::new(20_000),
    };
    let rate = |price, at_risk| {
        deterrence
            .rate(Amount::new(price), Amount::new(at_risk))
            .get()
    };
    assert_eq!(rate(100, 0), 1_000_000, "with nothing to lose");
    assert_eq!(rate(100, 1_000), 191_388, "160 000 000 / 836, rounded up");
    assert_eq!(rate(100, 10_000), 20_845);
    assert_eq!(rate(100, 11_000), 20_000);
    assert_eq!(rate(0, 0), 1_000_000);
    assert_eq!(rate(0, 1), 20_000, "nothing is saved");
    assert_eq!(rate(u64::MAX, u64::MAX), 1_000_000);
    assert_eq!(rate(1, u64::MAX), 20_000);
    let careless = Deterrence {
        power: Micro::ZERO,
        ..deterrence
    };
    assert_eq!(careless.rate(Amount::new(1), Amount::new(1)), Micro::ONE);
}
