//! The hand-over in people's hands: what the steward, the council and the holders may do in stages
//! 0, 2 and 3, each tried at the command line against real nodes. Stage 1, in which a devnet
//! begins unless it is told otherwise, is `governance_commands`'.

use crate::{
    holder::{act, gov, home, parameter, proposal_file, propose, refused, set, told, until_status},
    support::{Devnet, complaint, text},
};
use node::home::{key_file, write_key};
use protocol::{Height, SigningKey};
use std::thread;

/// Holders with three quarters of all stake.
const MOST: [&str; 3] = ["validator-0", "validator-1", "validator-2"];
const MODULES: [&str; 3] = ["runs", "treasury", "upgrades"];
/// Members whose approval makes the council act.
const QUORUM: usize = 9;

async fn devnet_in_stage(stage: &str) -> Devnet {
    let devnet = Devnet::start(&[
        "--fresh",
        "--cheats",
        "none",
        "--miners",
        "1",
        "--stage",
        stage,
        "--day-blocks",
        "8",
    ]);
    devnet
        .until("some blocks", |now| now.height >= Height::new(3))
        .await;
    devnet
}

fn file(devnet: &Devnet, name: &str, toml: &str) -> String {
    let path = proposal_file(devnet, name, toml);
    path.to_str().unwrap().to_owned()
}

fn status(devnet: &Devnet, id: &str) -> String {
    let shown = told(devnet, &["show", id]);
    shown["status"].as_str().unwrap().to_owned()
}

/// Proposes as a holder, and most say yes.
fn voted(devnet: &Devnet, who: &str, file: &str) -> String {
    let id = propose(devnet, who, file.as_ref());
    for holder in MOST {
        act(devnet, holder, &["vote", &id, "yes"]);
    }
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_stage_0_the_steward_decrees_and_votes_only_advise() {
    let devnet = devnet_in_stage("0").await;
    let two = file(&devnet, "two.toml", &set("By decree", "newcomer-units", 2));
    let six = file(&devnet, "six.toml", &set("By vote", "newcomer-units", 6));

    // A vote runs its whole course beside all that follows, and binds nobody at its end.
    let advice = voted(&devnet, "validator-0", &six);
    refused(&devnet, "validator-0", 634, &["guard", "decree", &two]);
    refused(&devnet, "steward", 604, &["vote", &advice, "no"]);
    let decreed = act(&devnet, "steward", &["guard", "decree", &two]);
    let decreed = decreed["proposal"].as_str().unwrap().to_owned();
    assert_eq!(status(&devnet, &decreed), "timelocked");

    what_a_decree_must_not(&devnet);
    decrees_are_put_off_and_cancelled(&devnet);
    until_status(&devnet, &decreed, "executed").await;
    assert_eq!(parameter(&devnet, "newcomer-units"), 2);
    pauses_are_counted(&devnet, "steward", 6).await;
    refused(&devnet, "validator-1", 642, &["advance-stage"]);
    until_status(&devnet, &advice, "expired").await;
    assert_eq!(parameter(&devnet, "newcomer-units"), 2);
}

/// It chooses no guardians, moves no dates, and stays within the bounds that bind a vote.
fn what_a_decree_must_not(devnet: &Devnet) {
    let with = |action: &str| format!("title = \"bad\"\n[[actions]]\naction = {action}\n");
    let seats: Vec<String> = (1..=6_u8)
        .map(|seed| SigningKey::from_seed([seed; 32]).address().to_string())
        .collect();
    let elect = format!("\"elect-council\"\ncohort = \"first\"\nmembers = {seats:?}");
    let cases = [
        (638, with(&elect)),
        (638, with("\"extend-steward\"")),
        (602, set("bad", "audit-rate", 9_999)),
    ];
    for (code, toml) in cases {
        let file = file(devnet, "bad.toml", &toml);
        refused(devnet, "steward", code, &["guard", "decree", &file]);
    }
}

fn decrees_are_put_off_and_cancelled(devnet: &Devnet) {
    let toml = set("By decree, too", "newcomer-units", 3);
    let file = file(devnet, "three.toml", &toml);
    let made = act(devnet, "steward", &["guard", "decree", &file]);
    let id = made["proposal"].as_str().unwrap();
    act(devnet, "steward", &["guard", "delay", id]);
    refused(devnet, "steward", 640, &["guard", "delay", id]);
    act(devnet, "steward", &["guard", "cancel", id]);
    assert_eq!(status(devnet, id), "cancelled");
}

/// Pauses every module as often as the year allows; then the next is refused.
async fn pauses_are_counted(devnet: &Devnet, who: &str, count_max: usize) {
    for turn in 0..count_max {
        let module = MODULES[turn % MODULES.len()];
        none_paused(devnet, module).await;
        act(devnet, who, &["guard", "pause", module]);
        refused(devnet, who, 637, &["guard", "pause", module]);
    }
    let module = MODULES[count_max % MODULES.len()];
    none_paused(devnet, module).await;
    refused(devnet, who, 636, &["guard", "pause", module]);
}

/// Waits until a module's pause has ended by itself.
async fn none_paused(devnet: &Devnet, module: &str) {
    let paused = told(devnet, &["stage"]);
    let rows = paused["paused"].as_array().unwrap();
    let row = rows.iter().find(|row| row[0] == module);
    if let Some(until) = row.and_then(|row| row[1].as_u64()) {
        devnet
            .until("the end of a pause", |now| now.height.get() >= until)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_stage_2_nine_of_an_elected_council_act_and_the_steward_cannot() {
    let devnet = devnet_in_stage("2").await;
    let members = future_members(&devnet);
    let words = "title = \"words\"\n[[actions]]\naction = \"signal\"\n";
    let words = file(&devnet, "words.toml", words);
    guards_nothing(&devnet, "steward", &words);
    guards_nothing(&devnet, &members[0], &words);
    elected(&devnet, &members).await;

    eight_approve(&devnet, &members, &["guard", "pause", "runs"]);
    assert_eq!(told(&devnet, &["stage"])["paused"], serde_json::json!([]));
    refused(&devnet, &members[0], 639, &["guard", "pause", "runs"]);
    act(&devnet, &members[8], &["guard", "pause", "runs"]);
    assert_eq!(told(&devnet, &["stage"])["paused"][0][0], "runs");

    refused(&devnet, &members[0], 635, &["guard", "decree", &words]);
    let id = propose(&devnet, "validator-3", words.as_ref());
    refused(&devnet, &members[0], 635, &["guard", "delay", &id]);
    eight_approve(&devnet, &members, &["guard", "cancel", &id]);
    act(&devnet, &members[11], &["guard", "cancel", &id]);
    assert_eq!(status(&devnet, &id), "cancelled");

    eight_approve(&devnet, &members, &["guard", "pause", "treasury"]);
    act(&devnet, &members[9], &["guard", "pause", "treasury"]);
    eight_approve(&devnet, &members, &["guard", "pause", "upgrades"]);
    refused(&devnet, &members[9], 636, &["guard", "pause", "upgrades"]);
    guards_nothing(&devnet, "steward", &words);
}

/// Every power of a guardian is refused to who has none.
fn guards_nothing(devnet: &Devnet, who: &str, words: &str) {
    let id = &"01".repeat(32);
    for power in [
        ["decree", words],
        ["cancel", id],
        ["delay", id],
        ["pause", "runs"],
    ] {
        refused(devnet, who, 634, &["guard", power[0], power[1]]);
    }
}

/// Twelve accounts that can pay their fees: every holder, and others with keys of their own.
fn future_members(devnet: &Devnet) -> Vec<String> {
    let faucet = home(devnet, "faucet");
    let node = format!("http://127.0.0.1:{}", devnet.port);
    let others = (0..8_u8).map(|seed| {
        let name = format!("guardian-{seed}");
        let key = SigningKey::from_seed([200 + seed; 32]);
        let folder = devnet.home().join(&name);
        std::fs::create_dir(&folder).unwrap();
        write_key(&folder.join("holder.key"), &key).unwrap();
        let to = key.address().to_string();
        let signer = ["transfer", "--home", &faucet, "--node", &node];
        let sent = devnet.command(&[&signer[..], &["--to", &to, "--amount", "1000"]].concat());
        assert!(sent.status.success(), "{}", complaint(&sent));
        name
    });
    let holders = (0..4).map(|index| format!("validator-{index}"));
    holders.chain(others).collect()
}

/// Elects each half by a vote of its own, as one vote must not replace both.
async fn elected(devnet: &Devnet, members: &[String]) {
    let halves = members.chunks(6).zip(["first", "second"]);
    let votes = halves.zip(MOST).map(|((half, cohort), proposer)| {
        let seats: Vec<String> = half.iter().map(|name| address(devnet, name)).collect();
        let toml = format!(
            "title = \"The {cohort} half\"\n[[actions]]\naction = \"elect-council\"\n\
             cohort = {cohort:?}\nmembers = {seats:?}\n"
        );
        voted(
            devnet,
            proposer,
            &file(devnet, &format!("{cohort}.toml"), &toml),
        )
    });
    for id in votes.collect::<Vec<_>>() {
        until_status(devnet, &id, "executed").await;
    }
}

fn address(devnet: &Devnet, name: &str) -> String {
    let path = devnet.home().join(name).join("holder.key");
    key_file(&path).unwrap().address().to_string()
}

/// One member too few approves, all at once: approvals are void after a week of blocks.
fn eight_approve(devnet: &Devnet, members: &[String], arguments: &[&str]) {
    thread::scope(|scope| {
        for member in &members[..QUORUM - 1] {
            scope.spawn(|| act(devnet, member, arguments));
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_stage_3_nobody_stops_what_a_vote_decides() {
    let devnet = devnet_in_stage("3").await;
    let six = file(&devnet, "six.toml", &set("By vote", "newcomer-units", 6));
    let id = voted(&devnet, "validator-0", &six);
    for who in ["steward", "validator-3"] {
        guards_nothing(&devnet, who, &six);
        refused(&devnet, who, 634, &["guard", "cancel", &id]);
    }
    refused(&devnet, "validator-1", 641, &["advance-stage"]);
    let words = text(&gov(&devnet, &["stage"]));
    assert!(words.contains("the steward may still: nothing"), "{words}");
    until_status(&devnet, &id, "executed").await;
    assert_eq!(parameter(&devnet, "newcomer-units"), 6);
}
