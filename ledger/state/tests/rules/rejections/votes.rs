//! Governance: that its refusals reach blocks. Every one is produced in the tests of `governance`.

use super::Row;
use crate::support::{Chain, Setup, key, payload, propose, set};
use ledger_state::Rejection;
use protocol::{
    Amount, Height, Micro, ProposalId,
    codec::Text,
    proposal::{Choice, Guard, Module, Payload, Track, Weights},
    transaction::Body,
};

pub(super) const ROWS: &[Row] = &[
    ("ParameterUnknown", || proposed("no-such-thing", 5)),
    ("ParameterOutOfBounds", || proposed("audit-rate", 9_999)),
    ("TitleEmpty", || {
        let payload = Payload {
            title: Text::default(),
            ..change()
        };
        fresh(
            "miner",
            Body::Propose {
                payload,
                deposit: Amount::new(100),
            },
        )
    }),
    ("DepositTooLow", || {
        fresh(
            "miner",
            Body::Propose {
                payload: change(),
                deposit: Amount::new(9),
            },
        )
    }),
    ("DepositUnfunded", || {
        fresh(
            "stranger",
            Body::Propose {
                payload: change(),
                deposit: Amount::new(100),
            },
        )
    }),
    ("ProposalDuplicate", || {
        let chain = Chain::start(&Setup::default());
        let body = || Body::Propose {
            payload: change(),
            deposit: Amount::new(100),
        };
        let first = vec![(key("miner", 0), body())];
        chain.reject_after(first, key("miner", 0), body())
    }),
    ("NoVotingPower", || voted("operator", yes())),
    ("NoVotingPower", || {
        fresh(
            "miner",
            Body::Delegate {
                track: Track::Text,
                to: None,
            },
        )
    }),
    ("WeightsNotOne", || {
        voted(
            "holder",
            Weights {
                yes: Micro::new(999_999),
                ..Weights::default()
            },
        )
    }),
    ("ProposalUnknown", || {
        let proposal = ProposalId::from_bytes([1; 32]);
        fresh(
            "holder",
            Body::Vote {
                proposal,
                weights: yes(),
            },
        )
    }),
    ("VotingClosed", || {
        let (mut chain, proposal) = voting();
        chain.wait(8);
        let weights = yes();
        chain.reject(key("holder", 0), Body::Vote { proposal, weights })
    }),
    ("DepositClosed", || {
        let (chain, proposal) = voting();
        chain.reject(
            key("miner", 1),
            Body::Deposit {
                proposal,
                amount: Amount::new(5),
            },
        )
    }),
    ("NotContributor", || {
        let (chain, proposal) = voting();
        chain.reject(key("miner", 1), Body::Object { proposal })
    }),
    ("GateClosed", || fresh("miner", Body::AdvanceStage)),
    ("NoUpgrade", || {
        fresh("operator", Body::SignalReadiness { version: 1 })
    }),
    ("NotGuardian", || {
        fresh(
            "holder",
            Body::Guard {
                guard: Guard::Pause {
                    module: Module::Runs,
                },
            },
        )
    }),
    ("PowerEnded", || {
        fresh(
            "steward",
            Body::Guard {
                guard: Guard::Decree { payload: change() },
            },
        )
    }),
];

fn yes() -> Weights {
    Weights::all(Choice::Yes)
}

fn change() -> Payload {
    payload(vec![set("audit-rate", 50_000)])
}

fn fresh(role: &str, body: Body) -> Rejection {
    Chain::start(&Setup::default()).reject(key(role, 0), body)
}

fn proposed(parameter: &str, value: u64) -> Rejection {
    let payload = payload(vec![set(parameter, value)]);
    fresh(
        "miner",
        Body::Propose {
            payload,
            deposit: Amount::new(300),
        },
    )
}

/// A chain with an open vote.
fn voting() -> (Chain, ProposalId) {
    let mut chain = Chain::start(&Setup::default());
    let change = vec![set("audit-rate", 50_000)];
    let id = propose(&mut chain, change, Height::ZERO);
    (chain, id)
}

fn voted(role: &str, weights: Weights) -> Rejection {
    let (chain, proposal) = voting();
    chain.reject(key(role, 0), Body::Vote { proposal, weights })
}
