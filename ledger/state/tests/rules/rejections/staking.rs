//! Stake and exits.

use super::Row;
use crate::{
    staking::{
        contradiction::evidence, registration, restake, rotation::rotate, stake, start, unstake,
    },
    support::{Chain, Setup, key, propose, vote},
};
use ledger_state::{
    Rejection,
    staking::{STAKERS_COUNT_MAX, contradiction::Forgiven},
    validator::{Standing, Validator},
};
use protocol::{
    Amount, Height, Micro, SigningKey,
    proposal::{Action, Choice},
    staking::{Consent, Role, Succession},
    transaction::Body,
};

pub(super) const ROWS: &[Row] = &[
    ("ValidatorUnknown", || of(stake(nobody(), 1_000))),
    ("ValidatorUnknown", || of(unstake(nobody(), 1_000))),
    ("ValidatorUnknown", || {
        held(restake(operator(), nobody(), 1_000))
    }),
    ("ValidatorRemoved", || {
        standing(Standing::Removed, stake(operator(), 1_000))
    }),
    ("ValidatorRemoved", || {
        let chain = with(Standing::Removed);
        chain.reject(key("miner", 0), evidence(&chain, &key("operator", 0), 0))
    }),
    ("ValidatorFrozen", || {
        standing(FROZEN, stake(operator(), 1_000))
    }),
    ("ValidatorFrozen", || {
        standing(FROZEN, unstake(operator(), 1_000))
    }),
    ("ConsentForged", || {
        registered(key("miner", 0), &key("miner", 1))
    }),
    ("ConsentForged", || {
        let chain = start();
        let other = protocol::ChainId::from_bytes([9; 32]);
        let consent = Consent::new(other, key("miner", 0).address(), &key("new", 0));
        chain.reject(key("miner", 0), register(consent, 20_000, 0))
    }),
    ("AlreadyAuditor", || registered_as(&key("operator", 1))),
    ("StakeTooSmall", || fresh_registration(9_999, 0)),
    ("CommissionTooHigh", || {
        fresh_registration(10_000, 1_000_001)
    }),
    ("NotHolder", || of(commission(5))),
    ("NotHolder", || {
        of(Body::Unjail {
            operator: operator(),
        })
    }),
    ("StakeTooSmall", || of(stake(operator(), 99))),
    ("StakeTooSmall", || of(stake(operator(), 0))),
    ("StakeTooSmall", || held(unstake(operator(), 99_950))),
    ("StakeTooLow", || held(unstake(operator(), 100_001))),
    ("StakeTooLow", || held(unstake(operator(), 0))),
    ("StakeTooLow", || of(unstake(operator(), 1))),
    ("BalanceTooLow", || of(stake(operator(), 50_001))),
    ("StakersTooMany", crowded),
    ("StakeBound", bound),
    ("StakeMovedBefore", moved_before),
    ("StakeMovedNowhere", || {
        held(restake(operator(), operator(), 1_000))
    }),
    ("NothingToClaim", || {
        held(Body::ClaimRewards {
            operator: operator(),
        })
    }),
    ("NothingToClaim", || {
        of(Body::ClaimRewards {
            operator: operator(),
        })
    }),
    ("CommissionTooHigh", || held(commission(1_000_001))),
    ("CommissionStep", || held(commission(10_001))),
    ("ValidatorUnknown", || {
        let succession = Succession::new(start().id, nobody(), &key("new", 0));
        held(Body::RotateKey { succession })
    }),
    ("NotHolder", || of(rotate(&start(), 0, &key("new", 0)))),
    ("NotHolder", || {
        let chain = start();
        chain.reject(key("operator", 0), rotate(&chain, 0, &key("new", 0)))
    }),
    ("ValidatorFrozen", || {
        let chain = with(FROZEN);
        chain.reject(key("holder", 0), rotate(&chain, 0, &key("new", 0)))
    }),
    ("ValidatorRemoved", || {
        let chain = with(Standing::Removed);
        chain.reject(key("holder", 0), rotate(&chain, 0, &key("new", 0)))
    }),
    ("KeyTaken", || {
        held(rotate(&start(), 0, &key("operator", 0)))
    }),
    ("KeyTaken", || {
        held(rotate(&start(), 0, &key("operator", 1)))
    }),
    ("KeyTaken", || {
        let mut chain = start();
        let body = rotate(&chain, 1, &key("new", 0));
        chain.block(vec![(key("holder", 1), body)]);
        chain.reject(key("holder", 0), rotate(&chain, 0, &key("new", 0)))
    }),
    ("RotationPending", || {
        let mut chain = start();
        let body = rotate(&chain, 0, &key("new", 0));
        chain.block(vec![(key("holder", 0), body)]);
        chain.reject(key("holder", 0), rotate(&chain, 0, &key("new", 1)))
    }),
    ("SuccessionForged", || {
        let chain = start();
        let mut succession = Succession::new(chain.id, operator(), &key("new", 0));
        succession.key = key("new", 1).address();
        held(Body::RotateKey { succession })
    }),
    ("SuccessionForged", || {
        let other = protocol::ChainId::from_bytes([9; 32]);
        let succession = Succession::new(other, operator(), &key("new", 0));
        held(Body::RotateKey { succession })
    }),
    ("KeyRetired", || {
        let mut chain = start();
        let body = rotate(&chain, 0, &key("new", 0));
        chain.block(vec![(key("holder", 0), body)]);
        chain.wait(7);
        chain.reject(key("miner", 0), evidence(&chain, &key("operator", 0), 6))
    }),
    ("NotJailed", || {
        held(Body::Unjail {
            operator: operator(),
        })
    }),
    ("JailedStill", || {
        let until = Height::new(9);
        let chain = with(Standing::Jailed { until });
        chain.reject(
            key("holder", 0),
            Body::Unjail {
                operator: operator(),
            },
        )
    }),
    ("EvidenceOld", || {
        let chain = start();
        chain.reject(key("miner", 0), evidence(&chain, &key("operator", 0), 2))
    }),
    ("EvidenceOld", || {
        let mut chain = start();
        chain.wait(22);
        chain.reject(key("miner", 0), evidence(&chain, &key("operator", 0), 2))
    }),
    ("EvidenceForgiven", || {
        let mut chain = start();
        chain.wait(3);
        chain.change(|view| {
            let through = Height::new(2);
            view.put(&operator(), &Forgiven { through });
        });
        chain.reject(key("miner", 0), evidence(&chain, &key("operator", 0), 2))
    }),
    ("EvidenceUnproven", unproven),
    ("VerifierUnknown", || {
        of(Body::Leave {
            role: Role::Verifier,
        })
    }),
    ("MinerUnknown", || of(Body::Leave { role: Role::Miner })),
    ("TransferOfNothing", || add_bond(0)),
    ("LeavingAlready", leaving),
    ("NoSlash", no_slash),
];

const FROZEN: Standing = Standing::Frozen {
    slashed_at: Height::new(50),
};

fn operator() -> protocol::Address {
    key("operator", 0).address()
}

fn nobody() -> protocol::Address {
    key("nobody", 0).address()
}

fn of(body: Body) -> Rejection {
    start().reject(key("miner", 0), body)
}

fn held(body: Body) -> Rejection {
    start().reject(key("holder", 0), body)
}

fn commission(commission: u64) -> Body {
    Body::SetCommission {
        operator: operator(),
        commission: Micro::new(commission),
    }
}

fn with(standing: Standing) -> Chain {
    let mut chain = start();
    chain.change(|view| {
        let mut validator: Validator = view.get(&operator()).unwrap();
        validator.standing = standing;
        view.put(&operator(), &validator);
    });
    chain
}

fn standing(standing: Standing, body: Body) -> Rejection {
    with(standing).reject(key("miner", 0), body)
}

fn register(consent: Consent, stake: u64, commission: u64) -> Body {
    Body::RegisterValidator {
        consent,
        stake: Amount::new(stake),
        commission: Micro::new(commission),
    }
}

/// Somebody shows the consent that an operator gave to another.
fn registered(sender: SigningKey, for_whom: &SigningKey) -> Rejection {
    let chain = start();
    let body = registration(&chain, for_whom, &key("new", 0), 20_000);
    chain.reject(sender, body)
}

fn registered_as(operator: &SigningKey) -> Rejection {
    let (chain, holder) = (start(), key("miner", 0));
    let body = registration(&chain, &holder, operator, 20_000);
    chain.reject(holder, body)
}

fn fresh_registration(stake: u64, commission: u64) -> Rejection {
    let (chain, holder) = (start(), key("miner", 0));
    let consent = Consent::new(chain.id, holder.address(), &key("new", 0));
    chain.reject(holder, register(consent, stake, commission))
}

fn crowded() -> Rejection {
    let mut chain = start();
    chain.change(|view| {
        let mut validator: Validator = view.get(&operator()).unwrap();
        validator.stakers_count = STAKERS_COUNT_MAX;
        view.put(&operator(), &validator);
    });
    chain.reject(key("miner", 0), stake(operator(), 1_000))
}

fn bound() -> Rejection {
    let mut chain = start();
    let action = super::super::support::set("whistle-blower", 150_000);
    let id = propose(&mut chain, vec![action], Height::ZERO);
    vote(&mut chain, id, 0, Choice::Yes);
    chain.reject(key("holder", 0), unstake(operator(), 1_000))
}

fn moved_before() -> Rejection {
    let mut chain = start();
    let (holder, to) = (key("holder", 0), key("operator", 1).address());
    chain.block(vec![(holder.clone(), restake(operator(), to, 5_000))]);
    chain.reject(holder, restake(to, operator(), 5_000))
}

fn unproven() -> Rejection {
    let mut chain = start();
    chain.wait(3);
    let Body::ReportDoubleSign { mut evidence } = evidence(&chain, &key("operator", 0), 2) else {
        unreachable!()
    };
    if let protocol::vote::DoubleSign::Vote { first, second } = evidence.as_mut() {
        second.vote = first.vote;
    }
    chain.reject(key("miner", 0), Body::ReportDoubleSign { evidence })
}

fn add_bond(amount: u64) -> Rejection {
    let mut chain = Chain::start(&Setup::default());
    chain.register_miner(0);
    let (role, amount) = (Role::Miner, Amount::new(amount));
    chain.reject(key("miner", 0), Body::AddBond { role, amount })
}

fn leaving() -> Rejection {
    let mut chain = start();
    chain.register_miner(0);
    let body = Body::Leave { role: Role::Miner };
    chain.block(vec![(key("miner", 0), body.clone())]);
    chain.reject(key("miner", 0), body)
}

fn no_slash() -> Rejection {
    let chain = start();
    let actions = vec![Action::CancelSlash {
        operator: operator(),
    }];
    let payload = crate::support::payload(actions);
    let deposit = Amount::new(1_000);
    chain.reject(key("miner", 0), Body::Propose { payload, deposit })
}
