//! The view is drawn into memory and read back as text.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Extra, draw, plain_line};
use crate::rpc::overview::{
    EventRow, MinerRow, Overview, ProposalRow, RunOverview, SlashRow, StepPoint, StepUnits,
    UnitCounts,
};
use governance::describe::Change;
use protocol::{
    Amount, ChainId, CheckpointId, Height, Micro, ProposalId, RunId, SigningKey, Step,
    task::{UnitId, UnitKind},
    verdict::Check,
};
use ratatui::{Terminal, backend::TestBackend, style::Color};
use std::time::Duration;

const STEPS: u64 = 40;
const PRETRAIN: u64 = 16;

fn point(step: u64) -> StepPoint {
    let reinforced = step.checked_sub(PRETRAIN);
    StepPoint {
        step: Step::new(step),
        height: Height::new(10 + step * 12),
        loss_micro: (step < PRETRAIN).then(|| 4_000_000 - 150_000 * step.cast_signed()),
        reward_micro: reinforced.map(|step| 300_000 + 30_000 * step),
        exact_micro: reinforced.map(|step| 100_000 + 40_000 * step),
        evaluation_micro: step.is_multiple_of(4).then_some(20_000 * step),
        units: UnitCounts {
            accepted: 10,
            void: 0,
            slashed: u64::from(step == 20),
            missed: 1,
        },
    }
}

fn miner(number: u8) -> MinerRow {
    let slash = (number == 3).then(|| SlashRow {
        unit: UnitId {
            run: RunId::new(0),
            step: Step::new(20),
            kind: UnitKind::Rollout,
            index: 3,
        },
        height: Height::new(261),
        check: Check::Sampling,
        measured: 1117,
        limit: 0,
        reason: String::new(),
        burned: Amount::new(500_000),
        bounty: Amount::new(50_000),
    });
    MinerRow {
        address: SigningKey::from_seed([number; 32]).address(),
        status: if slash.is_some() { "slashed" } else { "active" }.to_owned(),
        bond: Amount::new(if slash.is_some() { 0 } else { 500_000 }),
        earned: Amount::new(1000 * u64::from(number)),
        vesting: Amount::new(100),
        units: UnitCounts {
            accepted: 60 + u64::from(number),
            void: 0,
            slashed: u64::from(slash.is_some()),
            missed: 2,
        },
        quota_micro: 1_000_000,
        audit_rate_micro: 20_000,
        class: "exact".to_owned(),
        evidence: None,
        slash,
    }
}

fn proposal() -> ProposalRow {
    ProposalRow {
        id: ProposalId::from_bytes([9; 32]),
        title: "Audit one unit in four".to_owned(),
        track: "parameter-safe".to_owned(),
        changes: vec![Change {
            what: "audit-rate".to_owned(),
            old: Some("500000".to_owned()),
            new: "250000".to_owned(),
            is_permission: false,
        }],
        yes: Amount::new(2_000_000),
        no: Amount::new(1_000_000),
        abstain: Amount::new(100_000),
        veto: Amount::ZERO,
        support_needed: Micro::new(200_000),
        approval_needed: Micro::new(500_000),
        total: Amount::new(5_500_000),
        status: "voting".to_owned(),
        voting_ends: Height::new(431),
        enact_at: Height::new(451),
    }
}

/// A run in the middle of reinforcement.
fn overview() -> Overview {
    Overview {
        chain: ChainId::from_bytes([1; 32]),
        name: "first-light".to_owned(),
        height: Height::new(401),
        time_ms: 1_700_000_000_000,
        block_interval_ms: 1500,
        mempool_count: 3,
        transfer_fee: Amount::new(2),
        peers_count: 7,
        run: Some(RunOverview {
            phase: "reinforce".to_owned(),
            stage: "settling".to_owned(),
            step: Step::new(30),
            steps_count: STEPS,
            pretrain_steps_count: PRETRAIN,
            checkpoint: Some(CheckpointId::from_bytes([2; 32])),
            parameters_count: 1_300_000,
            environment: "addition".to_owned(),
            step_units: StepUnits {
                assigned: 12,
                committed: 9,
                settled: 5,
            },
            points: (0..30).map(point).collect(),
            escrow: Amount::new(7_000_000),
        }),
        units: UnitCounts {
            accepted: 1300,
            void: 4,
            slashed: 1,
            missed: 31,
        },
        miners: (1..=5).map(miner).collect(),
        validators: vec![],
        proposals: vec![proposal()],
        events: (0..20)
            .map(|number| EventRow {
                height: Height::new(400 - number),
                tone: if number == 1 { "bad" } else { "good" }.to_owned(),
                text: format!("event {number}"),
            })
            .collect(),
    }
}

fn extra() -> Extra {
    Extra {
        elapsed: Duration::from_secs(754),
        page_url: "http://127.0.0.1:8640".to_owned(),
        home: "~/.cairn/devnet".to_owned(),
        processes: vec![
            ("validator-1".to_owned(), Some(4711)),
            ("miner-2".to_owned(), None),
        ],
        rss_mib: 1432,
        notes: vec!["miner-2 ended with status 1".to_owned()],
    }
}

fn terminal(width: u16, height: u16, overview: &Overview) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let draw = |frame: &mut ratatui::Frame<'_>| draw(frame, overview, &extra());
    terminal.draw(draw).unwrap();
    terminal
}

fn screen(width: u16, height: u16, overview: &Overview) -> String {
    let terminal = terminal(width, height, overview);
    let cells = terminal.backend().buffer().content();
    let rows = cells.chunks(usize::from(width));
    let row = |cells: &[ratatui::buffer::Cell]| -> String {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect()
    };
    rows.map(|cells| row(cells).trim_end().to_owned() + "\n")
        .collect()
}

#[track_caller]
fn assert_shows(screen: &str, texts: &[&str]) {
    for text in texts {
        assert!(
            screen.contains(text),
            "{text:?} is not on the screen:\n{screen}"
        );
    }
}

const ALWAYS: [&str; 15] = [
    "first-light",
    "height 401",
    "block every 1.5 s",
    "step 30/40",
    "Reinforcement learning",
    "http://127.0.0.1:8640",
    "Loss 1.750",
    "Reward 69.0 %",
    "exact 62.0 %",
    "held out 56.0 %",
    "1 300 accepted",
    "sampling measured 1 117, limit 0",
    "unit 0.20.rollout.3 · height 261",
    "500 000 → 250 000",
    " q  or  Ctrl-C  ends",
];

#[test]
fn everything_is_on_a_large_screen() {
    let screen = screen(100, 40, &overview());
    assert_shows(&screen, &ALWAYS);
    assert_shows(
        &screen,
        &[
            "settling",
            "12 min 34 s",
            "this step 9 committed, 5 of 12 settled",
            "voting ends at height 431, in 30 blocks (~45 s); in effect at 451 if passed",
            "yes  36.4 %",
            "no  18.2 %",
            "event 0",
            "event 4",
            "● validator-1 4711  ✗ miner-2",
            "miner-2 ended with status 1",
            "~/.cairn/devnet · 1 432 MiB",
        ],
    );
    for number in 1..=5 {
        assert_shows(&screen, &[&miner(number).address.short()]);
    }
}

#[test]
fn what_matters_is_on_a_small_screen() {
    let screen = screen(80, 24, &overview());
    assert_shows(&screen, &ALWAYS);
    assert_shows(
        &screen,
        &["event 0", "5 of 12 settled", "more rows on the page"],
    );
}

/// The screen's words, whatever line they are on.
fn words(screen: &str) -> String {
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_rule_of_a_verdict_is_whole_at_any_width() {
    let mut now = overview();
    let text = "miner 3b6a27bc slashed for unit 0.20.rollout.3: check sampling measured 1117, \
                limit 0: every token is the seeded draw under the assigned checkpoint \
                (02-rollout §1); 500000 burned, 50000 to its auditors";
    now.events.insert(
        0,
        EventRow {
            height: Height::new(401),
            tone: "bad".to_owned(),
            text: text.to_owned(),
        },
    );
    for width in [60, 80, 120, 200] {
        let screen = screen(width, 44, &now);
        let words = words(&screen);
        assert!(words.contains(text), "{width} columns:\n{screen}");
        let reason = "sampling measured 1 117, limit 0 · unit 0.20.rollout.3 · height 261 · \
                      burned 500 000";
        assert!(words.contains(reason), "{width} columns:\n{screen}");
    }
}

#[test]
fn curves_are_drawn_with_braille() {
    let terminal = terminal(100, 40, &overview());
    let cells = terminal.backend().buffer().content();
    for colour in [Color::Blue, Color::Green, Color::Magenta, Color::Yellow] {
        let dots = cells.iter().filter(|cell| {
            let braille = cell
                .symbol()
                .chars()
                .any(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
            braille && cell.fg == colour
        });
        assert!(dots.count() > 5, "{colour}");
    }
}

#[test]
fn slash_is_red() {
    let terminal = terminal(100, 40, &overview());
    let cells = terminal.backend().buffer().content();
    let red: String = cells
        .iter()
        .filter(|cell| cell.fg == Color::Red)
        .map(ratatui::buffer::Cell::symbol)
        .collect();
    assert_shows(&red, &["sampling measured 1 117, limit 0", "event 1"]);
}

#[test]
fn beginning_says_what_is_missing() {
    let mut early = overview();
    early.miners.clear();
    early.proposals.clear();
    early.events.clear();
    early.block_interval_ms = 0;
    if let Some(run) = &mut early.run {
        run.phase = "pretrain".to_owned();
        run.step = Step::ZERO;
        run.points.clear();
    }
    let texts = [
        "nothing measured yet",
        "no miner has joined yet",
        "Pre-training",
        "step 0/40",
    ];
    assert_shows(&screen(100, 40, &early), &texts);
    early.run = None;
    assert_shows(&screen(80, 24, &early), &["waiting for a run"]);
}

#[test]
fn every_size_can_be_drawn() {
    let mut crowded = overview();
    crowded.miners = (0..60).map(miner).collect();
    crowded.name = "n".repeat(64);
    let sizes = [
        (1, 1),
        (5, 40),
        (59, 20),
        (60, 15),
        (60, 16),
        (61, 17),
        (90, 36),
        (160, 9),
    ];
    for (width, height) in sizes {
        screen(width, height, &overview());
        screen(width, height, &crowded);
    }
}

#[test]
fn slashed_miner_comes_first_in_a_crowd() {
    let mut crowded = overview();
    crowded.miners = (0..60).map(miner).collect();
    for height in [18, 24, 40] {
        let screen = screen(80, height, &crowded);
        assert_shows(&screen, &["sampling measured 1 117, limit 0"]);
    }
}

#[test]
fn extreme_numbers_do_not_panic() {
    let mut extreme = overview();
    extreme.height = Height::new(u64::MAX);
    extreme.block_interval_ms = u64::MAX;
    if let Some(run) = &mut extreme.run {
        run.step = Step::new(u64::MAX);
        run.steps_count = 0;
        run.pretrain_steps_count = u64::MAX;
        for point in &mut run.points {
            point.loss_micro = Some(i64::MIN);
            point.reward_micro = Some(u64::MAX);
            point.units.accepted = u64::MAX;
        }
    }
    for proposal in &mut extreme.proposals {
        proposal.yes = Amount::new(u64::MAX);
        proposal.no = Amount::new(u64::MAX);
        proposal.abstain = Amount::new(u64::MAX);
        proposal.voting_ends = Height::new(u64::MAX);
        proposal.total = Amount::ZERO;
    }
    for (width, height) in [(80, 24), (100, 40), (200, 70)] {
        screen(width, height, &extreme);
    }
    assert!(plain_line(&extreme).contains("step"));
}

#[test]
fn plain_line_says_the_same_in_one_line() {
    assert_eq!(
        plain_line(&overview()),
        "step 30/40 reinforce | loss 1.750 | reward 69.0 % | exact 62.0 % | held out 56.0 % \
         | units 300 accepted, 0 void, 1 slashed, 30 missed \
         | miner ed4928c6 slashed: sampling measured 1 117, limit 0 · unit 0.20.rollout.3 \
         · height 261 · burned 500 000 \
         | vote audit-rate 500000 → 250000: voting, yes 36.4 %, no 18.2 %"
    );
}

#[test]
fn plain_line_changes_with_steps_and_not_with_blocks() {
    let before = overview();
    let mut after = overview();
    after.height = after.height.next();
    after.units.accepted += 1;
    assert_eq!(plain_line(&before), plain_line(&after));
    if let Some(run) = &mut after.run {
        run.points.push(point(30));
    }
    assert_ne!(plain_line(&before), plain_line(&after));
}
