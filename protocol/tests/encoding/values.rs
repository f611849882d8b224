//! One plain value of each wire type.

use protocol::{
    Amount, BlobId, BlockId, ChainId, CheckpointId, EnvironmentHash, Height, Micro, Nonce,
    ProposalId, RunId, SigningKey, StateRoot, Step,
    block::{Block, Header, validators_hash},
    checkpoint::{Checkpoint, Evaluation},
    class::{Cell, Class, ClassId, ClassTable, Limits, ProjectionLimits},
    codec::{BoundedVec, Bytes, Text},
    genesis::{Account, Genesis, Governance, Parameter, Run, Validator},
    gradient::{self, Moments, OpenedState, State, StateOpening},
    proof::toploc::Thresholds,
    proposal::{Action, Amendment, Artifact, Cohort, Guard, Module, Payload, Track, Weights},
    recipe::{Aggregation, ModelShape, Pay, Pretrain, Recipe, Reinforce, Schedule, UpdateForm},
    reward::Payout,
    rollout::{
        self, Correction, Equivocation, Finish, Group, Opened, Opening, Root, Salts, Sample, Seal,
        Section, Sections, Shown, Totals, plant, plant_seal, sketch_seal,
    },
    staking::{Consent, Role, Succession},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
    transaction::{Body, Commitment, Fee, Lane, Transaction, Unverified},
    verdict::{Check, Finding, Verdict, commitment},
    vote::{DoubleSign, SignedVote, Vote, VoteKind},
};

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

pub(crate) fn chain() -> ChainId {
    ChainId::from_bytes([0x11; 32])
}

pub(crate) fn beacon() -> Beacon {
    Beacon::of_genesis(chain())
}

pub(crate) fn unit(kind: UnitKind) -> UnitId {
    UnitId {
        run: RunId::new(0),
        step: Step::new(12),
        kind,
        index: 3,
    }
}

pub(crate) fn rollout_task() -> RolloutTask {
    RolloutTask {
        chain: chain(),
        checkpoint: CheckpointId::from_bytes([0x33; 32]),
        environment: EnvironmentHash::from_bytes([0x44; 32]),
        beacon: beacon(),
        unit: unit(UnitKind::Rollout),
        miner: key(1).address(),
    }
}

pub(crate) fn verdict() -> Verdict {
    let sampling = Finding::exact(Check::Sampling, 2);
    Verdict::new(vec![Finding::exact(Check::Encoding, 0), sampling]).unwrap()
}

pub(crate) fn checkpoint() -> Checkpoint {
    Checkpoint {
        run: RunId::new(0),
        step: Step::new(13),
        model: CheckpointId::from_bytes([0x55; 32]),
        model_bytes: 1_000_000,
        weights: BlobId::from_bytes([0x77; 32]),
        outer: BlobId::from_bytes([0x66; 32]),
        outer_bytes: 2_000_000,
        evaluation: Some(Evaluation {
            prompts_count: 64,
            exact_count: 40,
        }),
    }
}

pub(crate) fn payout() -> Payout {
    Payout {
        amount: Amount::new(250),
        vests_at: Height::new(1_000),
    }
}

pub(crate) fn rollout_payload() -> rollout::Payload {
    let sample = Sample {
        tokens: BoundedVec::new(vec![49, 50, 0]).unwrap(),
        finish: Finish::EndOfSequence,
        reward_micro: 1_000_000,
        sealed: Seal::from_bytes([0x71; 32]),
    };
    let cut = Sample {
        tokens: BoundedVec::new(vec![57; 4]).unwrap(),
        finish: Finish::Cap,
        reward_micro: 125_000,
        sealed: Seal::from_bytes([0x72; 32]),
    };
    rollout::Payload {
        unit: unit(UnitKind::Rollout),
        miner: key(1).address(),
        plant_seal: plant_seal(
            unit(UnitKind::Rollout),
            key(1).address(),
            salts().plant,
            Some(correction()),
        ),
        sketch_seal: sketch_seal(unit(UnitKind::Rollout), key(1).address(), &opened()),
        groups: BoundedVec::new(vec![Group {
            samples: BoundedVec::new(vec![sample, cut]).unwrap(),
        }])
        .unwrap(),
        sections: None,
    }
}

/// The same of a tolerant class: its sections in the open.
pub(crate) fn open_payload() -> rollout::Payload {
    rollout::Payload {
        sections: Some(sections()),
        ..rollout_payload()
    }
}

/// What belongs in the second place of the second sample.
pub(crate) fn correction() -> Correction {
    Correction {
        group: 0,
        slot: 1,
        position: 1,
        token: 49,
        totals: totals(),
    }
}

/// The salts of key 1 for the rollout unit.
pub(crate) fn salts() -> Salts {
    Salts::derive(&key(1), chain(), unit(UnitKind::Rollout))
}

pub(crate) fn opened() -> Opened {
    Opened {
        salt: salts().sketch,
        parts: sections().parts(),
    }
}

/// The hidden part of [`rollout_payload`].
pub(crate) fn sections() -> Sections {
    let section = |proofs: Vec<Vec<u8>>, projections| Section {
        proofs: BoundedVec::new(
            proofs
                .into_iter()
                .map(|proof| Bytes::new(proof).unwrap())
                .collect(),
        )
        .unwrap(),
        projections: Bytes::new(projections).unwrap(),
    };
    let group = vec![
        section(vec![vec![7, 8, 9], vec![10]], vec![0xFF; 16]),
        section(Vec::new(), Vec::new()),
    ];
    Sections {
        groups: BoundedVec::new(vec![BoundedVec::new(group).unwrap()]).unwrap(),
    }
}

/// What key 1 opens of [`rollout_payload`].
pub(crate) fn opening() -> Opening {
    let payload = rollout_payload();
    let (_, proof) = key(1).vrf().prove(&plant::alpha(&beacon(), payload.unit));
    Opening {
        unit: payload.unit,
        leaves_root: payload.tree(&prompts()).unwrap().root(),
        plant: Some(correction()),
        plant_salt: salts().plant,
        proof,
        shown: Shown::Open { opened: opened() },
    }
}

/// The prompt of the group of [`rollout_payload`].
pub(crate) fn prompts() -> Vec<Vec<u32>> {
    vec![vec![57, 56, 61]]
}

pub(crate) fn rollout_root() -> Root {
    rollout_payload().root(&prompts()).unwrap()
}

/// Two signed commitments to one unit.
pub(crate) fn equivocation() -> Equivocation {
    let commit = |nonce, root| {
        let body = Body::CommitRollouts {
            unit: unit(UnitKind::Rollout),
            root,
            blob: BlobId::of(b"rollouts"),
            blob_bytes: 4_096,
            totals: totals(),
        };
        signed(nonce, body)
    };
    let (first, second) = (
        commit(3, rollout_root()),
        commit(4, Root::from_bytes([9; 32])),
    );
    Equivocation::of(
        (first.claimed(), first.signature()),
        (second.claimed(), second.signature()),
    )
    .unwrap()
}

pub(crate) fn gradient_payload() -> gradient::Payload {
    gradient::Payload {
        unit: unit(UnitKind::Gradient),
        miner: key(1).address(),
        tokens_count: 2_048,
        losses_micro: BoundedVec::new(vec![2_000_000, -1]).unwrap(),
        seals: BoundedVec::new(state_seals()).unwrap(),
        update: Bytes::new(vec![0xAB; 5]).unwrap(),
    }
}

fn states() -> [State; 2] {
    let moments = Moments {
        first: BlobId::of(b"first"),
        second: BlobId::of(b"second"),
    };
    [1, 2].map(|steps_count: u32| State {
        steps_count,
        weights: BlobId::of(&steps_count.to_le_bytes()),
        moments: Some(moments),
    })
}

fn state_salts() -> gradient::Salts {
    gradient::Salts::derive(&key(1), chain(), unit(UnitKind::Gradient))
}

fn state_seals() -> Vec<Seal> {
    let (unit, miner) = (unit(UnitKind::Gradient), key(1).address());
    let states = (1..).zip(states());
    let seal = |(boundary, state): (u32, State)| {
        state.seal(unit, miner, boundary, state_salts().at(boundary))
    };
    states.map(seal).collect()
}

/// Both states of a gradient unit, opened.
pub(crate) fn state_opening() -> StateOpening {
    let tree = gradient::tree(&state_seals()).unwrap();
    let states = (1..).zip(states());
    let open = |(boundary, state): (u32, State)| OpenedState {
        state,
        salt: state_salts().at(boundary),
        inclusion: tree.inclusion(boundary - 1).unwrap(),
    };
    StateOpening {
        unit: unit(UnitKind::Gradient),
        states: BoundedVec::new(states.map(open).collect()).unwrap(),
    }
}

fn totals() -> Totals {
    Totals {
        samples_count: 2,
        tokens_count: 7,
        reward_micro: 1_125_000,
        exact_count: 1,
    }
}

/// Every kind of body, in the order of the wire.
pub(crate) fn bodies() -> Vec<Body> {
    let rollout = unit(UnitKind::Rollout);
    let salt = [0x77; 32];
    let hidden = commitment(
        key(2).address(),
        rollout,
        (&verdict(), Some(sections().sketch())),
        &salt,
    );
    let mut bodies = vec![
        Body::Transfer {
            to: key(2).address(),
            amount: Amount::new(5),
        },
        Body::RegisterMiner {
            bond: Amount::new(1_000),
            vrf: key(1).vrf().public(),
            class: ClassId::new(1),
        },
        Body::Resume,
        Body::CommitRollouts {
            unit: rollout,
            root: rollout_root(),
            blob: BlobId::of(b"rollouts"),
            blob_bytes: 4_096,
            totals: totals(),
        },
        Body::CommitGradient {
            unit: unit(UnitKind::Gradient),
            root: gradient::root(&state_seals()).unwrap(),
            blob: BlobId::of(b"gradient"),
            blob_bytes: 8_192,
            tokens_count: 2_048,
            loss_micro: -7,
            feedback: Some(BlobId::of(b"feedback")),
        },
        Body::AttestBlobs {
            units: BoundedVec::new(vec![rollout, unit(UnitKind::Gradient)]).unwrap(),
        },
        Body::RegisterVerifier {
            bond: Amount::new(2_000),
            vrf: key(2).vrf().public(),
        },
        Body::AuditCommit {
            unit: rollout,
            sortition: Some(key(2).vrf().prove(b"a unit").1),
            commitment: Commitment::from_bytes(hidden),
        },
        Body::AuditReveal {
            unit: rollout,
            verdict: verdict(),
            sketch: Some(sections().sketch()),
            salt: Commitment::from_bytes(salt),
        },
        Body::Appeal { unit: rollout },
        Body::Dispute {
            unit: unit(UnitKind::Gradient),
            play: Bytes::new(vec![2, 1, 0, 0, 0]).unwrap(),
        },
        Body::AttestCheckpoint {
            checkpoint: checkpoint(),
        },
    ];
    bodies.extend(governing());
    bodies.extend(openings_and_reports());
    bodies.extend(staking());
    bodies
}

fn staking() -> Vec<Body> {
    let chain = ChainId::from_bytes([0x55; 32]);
    let (operator, other) = (key(3).address(), key(5).address());
    let amount = Amount::new(700);
    let role = Role::Verifier;
    vec![
        Body::RegisterValidator {
            consent: Consent::new(chain, key(4).address(), &key(3)),
            stake: Amount::new(20_000),
            commission: Micro::new(50_000),
        },
        Body::Stake { operator, amount },
        Body::Unstake { operator, amount },
        Body::Restake {
            from: operator,
            to: other,
            amount,
        },
        Body::ClaimRewards { operator },
        Body::SetCommission {
            operator,
            commission: Micro::new(60_000),
        },
        Body::Unjail { operator },
        Body::ReportDoubleSign {
            evidence: Box::new(double_sign(chain)),
        },
        Body::AddBond { role, amount },
        Body::Leave { role },
        Body::RotateKey {
            succession: Succession::new(chain, operator, &key(6)),
        },
    ]
}

fn double_sign(chain: ChainId) -> DoubleSign {
    let vote = |block_id| Vote {
        kind: VoteKind::Precommit,
        height: Height::new(9),
        round: 1,
        block_id,
    };
    DoubleSign::Vote {
        first: SignedVote::new(chain, vote(None), &key(3)),
        second: SignedVote::new(chain, vote(Some(BlockId::from_bytes([7; 32]))), &key(3)),
    }
}

fn governing() -> Vec<Body> {
    let proposal = ProposalId::from_bytes([0x88; 32]);
    vec![
        Body::Propose {
            payload: payload(),
            deposit: Amount::new(1_000),
        },
        Body::Deposit {
            proposal,
            amount: Amount::new(50),
        },
        Body::Vote {
            proposal,
            weights: Weights {
                yes: Micro::new(600_000),
                abstain: Micro::new(400_000),
                ..Weights::default()
            },
        },
        Body::Delegate {
            track: Track::Upgrade,
            to: Some(key(5).address()),
        },
        Body::Object { proposal },
        Body::AdvanceStage,
        Body::SignalReadiness { version: 2 },
        Body::Guard {
            guard: Guard::Pause {
                module: Module::Treasury,
            },
        },
    ]
}

fn openings_and_reports() -> Vec<Body> {
    vec![
        Body::Open {
            openings: BoundedVec::new(vec![opening(), opening().sealed(key(1).address())]).unwrap(),
        },
        Body::OpenStates {
            opening: state_opening(),
        },
        Body::ReportEquivocation {
            proof: Box::new(equivocation()),
        },
    ]
}

/// One action of every kind.
fn payload() -> Payload {
    let hash = BlobId::of(b"program");
    let amount = Amount::new(7);
    let artifact = Artifact {
        target: Text::new("x86_64-linux").unwrap(),
        hash,
    };
    let actions = vec![
        Action::Signal,
        Action::SetParameter {
            parameter: Text::new("audit-rate").unwrap(),
            value: 200_000,
        },
        Action::Spend {
            to: key(2).address(),
            amount,
        },
        Action::CreateRun {
            recipe: Box::new(recipe()),
            budget: amount,
            start_at: Height::new(500),
        },
        Action::ElectCouncil {
            cohort: Cohort::Second,
            members: BoundedVec::new(vec![key(2).address()]).unwrap(),
        },
        Action::ExtendSteward,
        Action::Upgrade {
            version: 2,
            artifacts: BoundedVec::new(vec![artifact]).unwrap(),
            height: Height::new(9_000),
        },
        Action::AmendTrack {
            track: Track::Text,
            rule: Amendment {
                deposit_multiple: 2,
                voting_days: 8,
                timelock_days: 0,
                support: Micro::new(200_000),
                approval: Micro::new(600_000),
            },
        },
        Action::CancelSlash {
            operator: key(3).address(),
        },
        Action::SetClass {
            class: Box::new(classes().classes.as_slice()[0].clone()),
        },
    ];
    Payload {
        title: Text::new("Audit more").unwrap(),
        summary: Text::new("Because.").unwrap(),
        actions: BoundedVec::new(actions).unwrap(),
        not_before: Height::new(500),
    }
}

/// A body signed by key 1.
pub(crate) fn signed(nonce: u64, body: Body) -> Unverified {
    unsigned(nonce, body).sign(&key(1))
}

/// A body of key 1, with a fee where it needs one.
pub(crate) fn unsigned(nonce: u64, body: Body) -> Transaction {
    let fee = match body.lane() {
        Lane::Duty => Fee::NONE,
        Lane::Paid => Fee {
            max: Amount::new(9),
            tip: Amount::new(2),
        },
    };
    Transaction::new(chain(), key(1).address(), Nonce::new(nonce), body).with_fee(fee)
}

pub(crate) fn block() -> Block {
    let transactions: Vec<Unverified> = bodies()
        .into_iter()
        .zip(0..)
        .map(|(body, nonce)| signed(nonce, body))
        .take(3)
        .collect();
    Block {
        header: Header {
            version: 0,
            chain: chain(),
            height: Height::new(9),
            round: 1,
            parent: BlockId::from_bytes([0x99; 32]),
            time_ms: 1_700_000_000_000,
            proposer: key(3).address(),
            state_root: StateRoot::from_bytes([0xAA; 32]),
            transactions_root: Block::root_of(&transactions),
            validators: validators_hash(&[(key(3).address(), 5)]),
            next_validators: validators_hash(&[(key(3).address(), 4), (key(4).address(), 1)]),
            beacon_proof: key(3).vrf().prove(b"vector").1,
        },
        transactions: BoundedVec::new(transactions).unwrap(),
    }
}

fn recipe() -> Recipe {
    Recipe {
        model: ModelShape {
            vocab_size: 256,
            hidden_size: 64,
            intermediate_size: 192,
            layers_count: 2,
            heads_count: 4,
            key_value_heads_count: 2,
            head_dim: 16,
            rope_theta: 10_000,
            positions_max: 128,
        },
        seed: EnvironmentHash::from_bytes([1; 32]),
        initial_weights: Some(BlobId::from_bytes([4; 32])),
        environment: EnvironmentHash::from_bytes([2; 32]),
        corpus: EnvironmentHash::from_bytes([3; 32]),
        pretrain: pretrain(),
        reinforce: reinforce(),
        aggregation: Aggregation::DEFAULT,
        schedule: Schedule {
            miners_at_start_count: 3,
            deadline_blocks: 30,
            availability_blocks: 20,
            gradient_units_min: 1,
            evaluation_every_steps: 5,
            evaluation_prompts_count: 64,
        },
        pay: Pay {
            gradient_unit: Amount::new(100),
            rollout_unit: Amount::new(50),
            audit: Amount::new(10),
        },
    }
}

fn pretrain() -> Pretrain {
    Pretrain {
        steps_count: 10,
        units_count: 4,
        inner_steps_count: 8,
        segment_steps_count: 4,
        corpus_rows_count: 4,
        corpus_row_tokens: 64,
        demonstration_rows_count: 12,
        learning_rate: Micro::new(3_000),
        warmup_steps_count: 2,
        beta2: Micro::new(950_000),
        epsilon_nano: 10,
        weight_decay: Micro::new(100_000),
        gradient_norm_max: Micro::ONE,
        outer_learning_rate: Micro::new(700_000),
        outer_momentum: Micro::new(900_000),
        update: UpdateForm::Sparse {
            feedback_decay: Micro::new(950_000),
        },
    }
}

fn reinforce() -> Reinforce {
    Reinforce {
        steps_count: 20,
        rollout_units_count: 4,
        groups_per_unit_count: 2,
        samples_per_group_count: 8,
        temperature: Micro::ONE,
        gradient_units_count: 2,
        segments_count: 2,
        clip_low: Micro::new(200_000),
        clip_high: Micro::new(280_000),
        ratio_max: Micro::new(4_000_000),
        advantage_floor: Micro::new(1_000),
        learning_rate: Micro::new(100),
        warmup_steps_count: 3,
        final_rate: Micro::new(100_000),
        beta2: Micro::new(950_000),
        gradient_norm_max: Micro::ONE,
    }
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        name: Text::new("vector").unwrap(),
        time_ms: 1_700_000_000_000,
        validators: vec![Validator {
            operator: key(3).address(),
            holder: key(4).address(),
            stake: Amount::new(1_000_000),
            vrf: key(3).vrf().public(),
        }],
        accounts: vec![Account {
            address: key(1).address(),
            balance: Amount::new(5_000),
        }],
        runs: vec![Run {
            recipe: recipe(),
            escrow: Amount::new(9_000),
        }],
        parameters: vec![Parameter {
            name: Text::new("audit_rate_micro").unwrap(),
            value: 250_000,
        }],
        governance: Governance {
            day_blocks: 43_200,
            deposit_base: Amount::new(1_000),
            steward: Some(key(6).address()),
            stage: 1,
            treasury: Amount::new(100_000),
        },
        supply_cap: Amount::new(2_000_000),
        classes: classes(),
    }
}

fn classes() -> ClassTable {
    let limits = |void, slash| Limits { void, slash };
    let cell = Cell {
        tokens_log2: 8,
        entropy_bin: 2,
        units_count: 4_000,
        clipped_sum_micro: limits(13_500, 500_000),
        mismatches_count: limits(3, 8),
    };
    let class = Class {
        id: ClassId::new(1),
        name: Text::new("another engine").unwrap(),
        units_count: 4_000,
        tokens_count: 1_024_000,
        margin_micro: limits(13_500, 100_000),
        clip_micro: 500_000,
        cells: BoundedVec::new(vec![cell]).unwrap(),
        evidence_micro: BoundedVec::new(vec![-20_000, 300_000]).unwrap(),
        lifetime_micro: limits(9_210_341, 20_723_266),
        toploc: Thresholds::PAPER,
        projections: ProjectionLimits {
            largest_max: 60,
            bulk_max: 12,
        },
    };
    ClassTable {
        version: 1,
        classes: BoundedVec::new(vec![class]).unwrap(),
    }
}
