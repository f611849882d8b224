//! Four operators with four homes and nothing shared but files make a network: a draft, a
//! statement each, one genesis, and blocks.

use crate::support::{Ended, PATIENCE, cairn, complaint, free_ports, run, text};
use node::rpc::{client::Client, overview::Overview};
use protocol::genesis::Genesis;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const NAMES: [&str; 4] = ["ann", "bo", "cy", "di"];
const STAKES: [&str; 4] = ["400000", "300000", "300000", "300000"];

/// A folder in which each operator has a home, and files pass from one to another.
struct Ceremony {
    folder: TempDir,
    port: u16,
}

impl Ceremony {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
    fn says(&self, arguments: &[&str]) -> String {
        let output = run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            complaint(&output)
        );
        text(&output)
    }
    fn refuses(&self, arguments: &[&str], why: &str) {
        let output = run(arguments);
        assert!(!output.status.success(), "{arguments:?} was not refused");
        let complaint = complaint(&output);
        assert!(complaint.contains(why), "{arguments:?}: {complaint}");
    }
    /// The home's ports are three of its own.
    fn port_of(&self, index: usize) -> u16 {
        self.port + 3 * u16::try_from(index).unwrap()
    }
    fn init(&self, index: usize) -> String {
        let port = self.port_of(index).to_string();
        let home = self.path(NAMES[index]);
        self.says(&[
            "init",
            "--home",
            &home,
            "--port",
            &port,
            "--listen",
            "127.0.0.1",
        ])
    }
    /// Signs `draft` for a home; where the statement lies.
    fn sign(&self, draft: &str, index: usize, stake: &str, out: &str) -> Vec<String> {
        let (home, out) = (self.path(NAMES[index]), self.path(out));
        let words = [
            "genesis",
            "add-validator",
            draft,
            "--home",
            &home,
            "--stake",
            stake,
        ];
        let rest = ["--address", "127.0.0.1", "--out", &out];
        words
            .iter()
            .chain(&rest)
            .map(|word| (*word).to_owned())
            .collect()
    }
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The address after a word, as `cairn init` prints it.
fn address(told: &str, word: &str) -> String {
    let line = told.lines().find(|line| line.contains(word)).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

/// A draft in which each holder gets half a million tokens.
fn drafted(ceremony: &Ceremony, holders: &[String]) -> String {
    let draft = ceremony.path("draft.json");
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios/recipes/tiny.json");
    let new = [
        "genesis",
        "new",
        "--out",
        &draft,
        "--name",
        "four",
        "--supply-cap",
        "20000000",
    ];
    let run = ["--recipe", recipe.to_str().unwrap(), "--escrow", "100000"];
    let rest = ["--treasury", "1000000", "--parameter", "epoch-blocks=40"];
    ceremony.says(&[&new[..], &run, &rest].concat());
    for holder in holders {
        let arguments = ["genesis", "add-account", &draft, "--address", holder];
        ceremony.says(&[&arguments[..], &["--balance", "500000"]].concat());
    }
    let again = ["genesis", "add-account", &draft, "--address", &holders[0]];
    ceremony.refuses(
        &[&again[..], &["--balance", "1"]].concat(),
        "has 500000 already",
    );
    let other = address(
        &ceremony.says(&["init", "--home", &ceremony.path("eve")]),
        "holder",
    );
    let much = ["genesis", "add-account", &draft, "--address", &other];
    ceremony.refuses(
        &[&much[..], &["--balance", "99000000"]].concat(),
        "supply_cap is 20000000",
    );
    draft
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_operators_with_separate_homes_make_a_network() {
    let ceremony = Ceremony {
        folder: TempDir::new().unwrap(),
        port: free_ports(),
    };
    let holders: Vec<String> = (0..4)
        .map(|index| address(&ceremony.init(index), "holder"))
        .collect();
    let draft = drafted(&ceremony, &holders);
    ceremony.refuses(
        &["genesis", "validate", &draft],
        "genesis has no validators",
    );

    let much = ceremony.sign(&draft, 0, "500001", "much.json");
    ceremony.refuses(&words(&much), "500000 is left");
    let statements: Vec<String> = NAMES.iter().map(|name| format!("{name}.json")).collect();
    for (index, statement) in statements.iter().enumerate() {
        ceremony.says(&words(&ceremony.sign(
            &draft,
            index,
            STAKES[index],
            statement,
        )));
    }
    what_was_tampered_with_is_refused(&ceremony, &draft);

    // Two who collect in different orders make one genesis.
    let collected = |order: [usize; 4], out: &str, peers: &str| {
        let files = order.map(|index| ceremony.path(&statements[index]));
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let (out, peers) = (ceremony.path(out), ceremony.path(peers));
        let rest = ["--out", &out, "--peers", &peers];
        ceremony.says(&[&["genesis", "collect", &draft][..], &files, &rest].concat());
        fs::read(out).unwrap()
    };
    let genesis = collected([0, 1, 2, 3], "genesis.json", "peers.toml");
    assert_eq!(genesis, collected([3, 1, 0, 2], "again.json", "again.toml"));
    started_from(&ceremony).await;
}

fn what_was_tampered_with_is_refused(ceremony: &Ceremony, draft: &str) {
    let text = fs::read_to_string(ceremony.path("bo.json")).unwrap();
    let cases = [
        (
            "\"stake\": 300000",
            "\"stake\": 300001",
            "signature does not hold",
        ),
        (
            "/ip4/127.0.0.1/",
            "/ip4/127.0.0.2/",
            "signature does not hold",
        ),
    ];
    for (was, becomes, why) in cases {
        let file = ceremony.path("tampered.json");
        assert!(text.contains(was), "{text}");
        fs::write(&file, text.replacen(was, becomes, 1)).unwrap();
        let (out, peers) = (ceremony.path("no.json"), ceremony.path("no.toml"));
        let rest = ["--out", &out, "--peers", &peers];
        ceremony.refuses(
            &[&["genesis", "collect", draft, &file][..], &rest].concat(),
            why,
        );
        assert!(!PathBuf::from(&out).exists(), "nothing is written");
    }
    // Another draft is another chain, even if only its name differs.
    let other = ceremony.path("other.json");
    let text = fs::read_to_string(draft).unwrap();
    fs::write(&other, text.replacen("\"four\"", "\"five\"", 1)).unwrap();
    let bo = ceremony.path("bo.json");
    let (out, peers) = (ceremony.path("no.json"), ceremony.path("no.toml"));
    let rest = ["--out", &out, "--peers", &peers];
    ceremony.refuses(
        &[&["genesis", "collect", &other, &bo][..], &rest].concat(),
        "it was signed for draft",
    );
}

/// Every operator looks at the genesis, takes it into its home, and starts.
async fn started_from(ceremony: &Ceremony) {
    let (genesis, peers) = (ceremony.path("genesis.json"), ceremony.path("peers.toml"));
    let mut processes = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let home = ceremony.path(name);
        let told = ceremony.says(&["genesis", "validate", &genesis, "--home", &home]);
        assert!(
            told.contains("30.7 %") && told.contains(STAKES[index]),
            "{told}"
        );
        fs::remove_file(Path::new(&home).join("holder.key")).unwrap();
        let files = ["--genesis", &genesis, "--peers", &peers];
        ceremony.says(&[&["init", "--home", &home][..], &files].concat());
        assert!(
            !Path::new(&home).join("holder.key").exists(),
            "it is not made anew"
        );
        let log = fs::File::create(ceremony.path(&format!("{name}.log"))).unwrap();
        let child = Command::new(cairn())
            .args(["validator", "--home", &home])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        processes.push(Ended(child.unwrap()));
    }
    let eve = ceremony.path("eve");
    ceremony.refuses(
        &["genesis", "validate", &genesis, "--home", &eve],
        "is no validator of it",
    );
    let made: Genesis = serde_json::from_slice(&fs::read(&genesis).unwrap()).unwrap();
    let left: u64 = made
        .accounts
        .iter()
        .map(|account| account.balance.get())
        .sum();
    assert_eq!(
        left,
        4 * 500_000 - 1_300_000,
        "stakes come out of what was given"
    );
    for index in 0..4 {
        blocks_are_made(ceremony, index).await;
    }
}

async fn blocks_are_made(ceremony: &Ceremony, index: usize) {
    let node = format!("http://127.0.0.1:{}", ceremony.port_of(index));
    let client = Client::new(vec![node]);
    let started = Instant::now();
    loop {
        let now = client.get::<Overview>("/v1/overview").await;
        if now.is_ok_and(|now| now.height.get() >= 3) {
            return;
        }
        let log = fs::read_to_string(ceremony.path(&format!("{}.log", NAMES[index])));
        assert!(started.elapsed() < PATIENCE, "no blocks: {log:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
