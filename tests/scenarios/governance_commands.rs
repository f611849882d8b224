//! Holders propose, fill, delegate, vote, look and preview at the command line; what is wrong is
//! refused with its code before anyone has to read it; what was signed offline is submitted later.

use crate::{
    holder::{act, gov, home, parameter, proposal_file, propose, refused, set, told, until_status},
    support::{Devnet, complaint, run, text},
};
use protocol::Height;

const SOME_ID: &str = "0000000000000000000000000000000000000000000000000000000000000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_decide_at_the_command_line() {
    let devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "2"]);
    devnet
        .until("some blocks", |now| now.height >= Height::new(3))
        .await;
    let file = proposal_file(
        &devnet,
        "audits.toml",
        &set(
            "Audit fewer units of those who are known",
            "newcomer-units",
            2,
        ),
    );
    let file = file.to_str().unwrap();
    nothing_is_signed_unseen(&devnet, file);
    bad_proposals_are_refused_with_their_codes(&devnet);
    a_class_is_proposed_from_its_file(&devnet);

    // One puts down a tenth, another fills it, and voting begins.
    act(
        &devnet,
        "validator-2",
        &["delegate", "parameter-critical", &address(&devnet, 3)],
    );
    let made = act(
        &devnet,
        "validator-0",
        &["propose", file, "--deposit", "300"],
    );
    let id = made["proposal"].as_str().unwrap().to_owned();
    assert_eq!(told(&devnet, &["show", &id])["status"], "deposit");
    refused(&devnet, "validator-0", 613, &["propose", file]);
    refused(&devnet, "validator-1", 606, &["vote", &id, "yes"]);
    act(&devnet, "validator-1", &["deposit", &id, "5000"]);
    let shown = told(&devnet, &["show", &id]);
    assert_eq!(
        (&shown["status"], &shown["deposited"]),
        (&"voting".into(), &3_000.into())
    );

    votes_are_counted(&devnet, &id);
    until_status(&devnet, &id, "executed").await;
    assert_eq!(parameter(&devnet, "newcomer-units"), 2);
    refused(&devnet, "validator-1", 606, &["vote", &id, "no"]);
    previewed(&devnet, &id).await;
    guardians_do_what_their_stage_allows(&devnet);
}

fn address(devnet: &Devnet, validator: usize) -> String {
    let path = devnet
        .home()
        .join(format!("validator-{validator}/holder.key"));
    node::home::key_file(&path).unwrap().address().to_string()
}

fn nothing_is_signed_unseen(devnet: &Devnet, file: &str) {
    let holder = home(devnet, "validator-0");
    let output = gov(devnet, &["propose", file, "--home", &holder, "--dry-run"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let words = text(&output);
    for part in [
        "newcomer-units: 50 → 2",
        "33 % support",
        "the signature covers",
    ] {
        assert!(words.contains(part), "{part:?} is missing: {words}");
    }
    // Nobody sits at a test's terminal, so nothing is signed without --yes.
    let output = gov(devnet, &["propose", file, "--home", &holder]);
    assert!(!output.status.success());
    assert!(
        complaint(&output).contains("--yes"),
        "{}",
        complaint(&output)
    );
    assert_eq!(told(devnet, &["list"])["count"], 0);
    // A change of who may do what is marked.
    let delegate = address(devnet, 3);
    let arguments = [
        "delegate",
        "upgrade",
        &delegate,
        "--home",
        &holder,
        "--dry-run",
    ];
    let words = text(&gov(devnet, &arguments));
    assert!(words.contains("!! PERMISSION"), "{words}");
}

/// What `cairn calibrate` writes stands beside the proposal; nobody copies its hundred limits.
fn a_class_is_proposed_from_its_file(devnet: &Devnet) {
    let limits = include_str!("classes/bf16-weights.json");
    proposal_file(devnet, "bf16-weights.json", limits);
    let action = "action = \"set-class\"\nclass = \"bf16-weights.json\"\n";
    let toml = format!("title = \"List bf16\"\n[[actions]]\n{action}");
    let file = proposal_file(devnet, "class.toml", &toml);
    let (file, holder) = (file.to_str().unwrap(), home(devnet, "validator-0"));
    let output = gov(devnet, &["propose", file, "--home", &holder, "--dry-run"]);
    let words = text(&output);
    assert!(words.contains("exact engine, bf16 weights"), "{words}");
    let broken = limits.replace("\"units_count\": 15675", "\"units_count\": -1");
    proposal_file(devnet, "bf16-weights.json", &broken);
    let output = gov(devnet, &["propose", file, "--home", &holder, "--dry-run"]);
    assert!(
        complaint(&output).contains("is not a proposal"),
        "{}",
        complaint(&output)
    );
}

fn bad_proposals_are_refused_with_their_codes(devnet: &Devnet) {
    let with = |actions: &str| format!("title = \"bad\"\n[[actions]]\n{actions}");
    let cases = [
        (601, set("bad", "gravity", 1)),
        (602, set("bad", "audit-rate", 9_999)),
        (609, "title = \"bad\"\nactions = []\n".to_owned()),
        (
            608,
            "title = \" \"\n[[actions]]\naction = \"signal\"\n".to_owned(),
        ),
        (
            616,
            format!("not_before = 99999999\n{}", with("action = \"signal\"\n")),
        ),
        (617, with(&upgrade(50))),
        (
            621,
            with(&format!(
                "action = \"spend\"\nto = \"{}\"\namount = 9000000\n",
                address(devnet, 0)
            )),
        ),
        (624, with("action = \"pause-run\"\nrun = 7\n")),
        (
            605,
            with(&format!("action = \"cancel\"\nproposal = \"{SOME_ID}\"\n")),
        ),
    ];
    for (code, toml) in cases {
        let file = proposal_file(devnet, "bad.toml", &toml);
        refused(
            devnet,
            "validator-0",
            code,
            &["propose", file.to_str().unwrap()],
        );
    }
    let own = address(devnet, 0);
    refused(devnet, "validator-0", 605, &["deposit", SOME_ID, "5"]);
    refused(devnet, "validator-0", 633, &["delegate", "text", &own]);
    refused(devnet, "validator-0", 642, &["advance-stage"]);
    what_is_no_payload_is_not_read(devnet);
    assert_eq!(told(devnet, &["list"])["count"], 0);
}

/// No transaction can hold these.
fn what_is_no_payload_is_not_read(devnet: &Devnet) {
    let with = |actions: &str| format!("title = \"bad\"\n[[actions]]\n{actions}");
    let nested = "action = \"propose\"\n";
    let unknown = "action = \"mint\"\namount = 5\n";
    let more = "action = \"signal\"\nbody = \"transfer\"\n";
    let bidirectional = "title = \"pay \\u202E eciffo\"\n[[actions]]\naction = \"signal\"\n";
    let many = format!(
        "title = \"x\"\n{}",
        "[[actions]]\naction = \"signal\"\n".repeat(11)
    );
    let long = format!(
        "title = \"{}\"\n[[actions]]\naction = \"signal\"\n",
        "x".repeat(201)
    );
    let cases = [
        (with(nested), "propose"),
        (with(unknown), "mint"),
        (with(more), "body"),
        (bidirectional.to_owned(), "is not a proposal"),
        (many, "is not a proposal"),
        (long, "200"),
    ];
    for (toml, part) in cases {
        let file = proposal_file(devnet, "bad.toml", &toml);
        let holder = home(devnet, "validator-0");
        let arguments = [
            "propose",
            file.to_str().unwrap(),
            "--home",
            &holder,
            "--yes",
        ];
        let output = gov(devnet, &arguments);
        assert!(!output.status.success(), "{toml}");
        let complaint = complaint(&output);
        assert!(complaint.contains(part), "{part:?} is missing: {complaint}");
    }
}

fn upgrade(height: u64) -> String {
    format!(
        "action = \"upgrade\"\nversion = 2\nheight = {height}\n\
         artifacts = [{{ target = \"x86_64-linux\", hash = \"{SOME_ID}\" }}]\n"
    )
}

/// Whole, split, delegated, and signed on a machine without a network.
fn votes_are_counted(devnet: &Devnet, id: &str) {
    refused(devnet, "steward", 604, &["vote", id, "no"]);
    refused(
        devnet,
        "validator-0",
        615,
        &["vote", id, "yes=600000,no=300000"],
    );
    act(
        devnet,
        "validator-0",
        &["vote", id, "yes=750000,abstain=250000"],
    );

    let status = told(
        devnet,
        &[
            "vote",
            id,
            "yes",
            "--home",
            &home(devnet, "validator-1"),
            "--dry-run",
        ],
    );
    let (chain, nonce) = (
        status["chain"].as_str().unwrap(),
        status["nonce"].to_string(),
    );
    let signed = devnet.folder.path().join("signed.json");
    let signed = signed.to_str().unwrap();
    let holder = home(devnet, "validator-1");
    let alone = [
        "gov",
        "vote",
        id,
        "yes",
        "--home",
        &holder,
        "--yes",
        "--out",
        signed,
        "--chain",
        chain,
        "--nonce",
        &nonce,
        "--node",
        "http://127.0.0.1:1",
    ];
    // Nobody was asked what it costs, so somebody has to say.
    let priceless = run(&alone);
    assert!(complaint(&priceless).contains("--fee-max is needed"));
    let offline = run(&[&alone[..], &["--fee-max", "20", "--tip", "3"]].concat());
    assert!(offline.status.success(), "{}", complaint(&offline));
    assert_eq!(told(devnet, &["tally", id])["yes"], 750_000);
    let submitted = told(devnet, &["submit", signed, "--yes"]);
    assert!(submitted["height"].as_u64().is_some(), "{submitted}");
    // What was applied once is not applied again.
    let again = gov(devnet, &["submit", signed, "--yes"]);
    assert!(!again.status.success());

    delegates_are_overridden(devnet, id);
}

fn delegates_are_overridden(devnet: &Devnet, id: &str) {
    act(devnet, "validator-3", &["vote", id, "no"]);
    let tally = told(devnet, &["tally", id]);
    let counts =
        ["yes", "no", "abstain", "veto", "total"].map(|side| tally[side].as_u64().unwrap());
    assert_eq!(
        counts,
        [1_750_000, 2_000_000, 250_000, 0, 4_000_000],
        "delegated stake too"
    );
    // Whoever delegated may still vote itself.
    act(devnet, "validator-2", &["vote", id, "yes"]);
    let shown = told(devnet, &["show", id]);
    assert_eq!(
        (&shown["yes"], &shown["no"]),
        (&2_750_000.into(), &1_000_000.into())
    );
    assert_eq!(shown["votes_count"], 4);
    assert_eq!(
        shown["curve"].as_array().unwrap().last().unwrap()["approval"],
        733_333
    );
    let words = text(&gov(devnet, &["tally", id]));
    assert!(
        words.contains("approval 73.33 %; 66.66 % is needed"),
        "{words}"
    );
}

async fn previewed(devnet: &Devnet, id: &str) {
    devnet
        .until("audits to replay", |now| now.units.accepted >= 20)
        .await;
    let preview = told(devnet, &["preview", id]);
    let count = |name: &str| preview[name].as_u64().unwrap();
    assert!(count("draws_count") >= 20, "{preview}");
    assert!(
        count("repeated_count") * 10 >= count("draws_count") * 9,
        "{preview}"
    );
    assert_eq!(
        count("changed_count"),
        count("verdicts_lost_count") + count("verdicts_gained_count"),
        "{preview}"
    );
    assert!(
        count("verdicts_lost_count") > 0,
        "fewer newcomers, fewer audits: {preview}"
    );
    assert_eq!(
        count("convictions_lost_count"),
        0,
        "nobody cheated: {preview}"
    );
    let words = text(&gov(devnet, &["preview", id]));
    assert!(words.contains("verdicts that would change"), "{words}");
}

/// In stage 1 the steward may cancel and pause, and no more.
fn guardians_do_what_their_stage_allows(devnet: &Devnet) {
    let signal = "title = \"words\"\n[[actions]]\naction = \"signal\"\n";
    let file = proposal_file(devnet, "words.toml", signal);
    let file = file.to_str().unwrap();
    let id = propose(devnet, "validator-2", file.as_ref());
    refused(devnet, "validator-2", 634, &["guard", "cancel", &id]);
    refused(devnet, "steward", 635, &["guard", "decree", file]);
    refused(devnet, "steward", 640, &["guard", "delay", &id]);
    act(devnet, "steward", &["guard", "cancel", &id]);
    assert_eq!(told(devnet, &["show", &id])["status"], "cancelled");
    act(devnet, "steward", &["guard", "pause", "treasury"]);
    refused(devnet, "steward", 637, &["guard", "pause", "treasury"]);
    let stage = told(devnet, &["stage"]);
    assert_eq!(stage["stage"], 1);
    assert_eq!(stage["paused"][0][0], "treasury");
    assert_eq!(stage["gates"].as_array().unwrap().len(), 7);
    let words = text(&gov(devnet, &["stage"]));
    assert!(
        words.contains("gate CLOSED holders of validators: 4; at least 32"),
        "{words}"
    );
}
