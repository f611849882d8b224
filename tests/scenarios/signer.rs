//! A validator whose key is with a signer in a process of its own: it makes blocks, says when the
//! signer is away while the others go on, signs again when it is back, and nobody else gets the
//! signer to sign meanwhile.

use crate::support::{Devnet, Ended, PATIENCE, cairn, free_ports};
use node::{
    home::{Config, key_file, read_config, write_atomically},
    rpc::{client::Client, metrics::Health, overview::Overview, staking::ValidatorAnswer},
};
use protocol::{Address, Height};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const NAMES: [&str; 4] = ["validator-0", "validator-1", "validator-2", "validator-3"];

fn write_config(home: &Path, config: &Config) {
    let text = toml::to_string_pretty(config).unwrap();
    write_atomically(&home.join("config.toml"), text.as_bytes()).unwrap();
}

fn start(arguments: &[&str], log: &Path) -> Ended {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    let child = Command::new(cairn())
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    Ended(child.unwrap())
}

/// Validators of a devnet that was ended, the second one's key with a signer.
struct World {
    devnet: Devnet,
    operator: Address,
}

impl World {
    async fn made() -> Self {
        let mut devnet = Devnet::start(&["--fresh", "--cheats", "none", "--miners", "1"]);
        devnet
            .until("some blocks", |now| now.height >= Height::new(6))
            .await;
        assert!(devnet.interrupt().await, "{}", devnet.log());
        let home = devnet.home().join(NAMES[1]);
        let operator = key_file(&home.join("operator.key")).unwrap().address();
        let world = Self { devnet, operator };
        let folder = world.path("signer");
        fs::create_dir_all(folder.join("consensus")).unwrap();
        fs::copy(home.join("genesis.json"), folder.join("genesis.json")).unwrap();
        for file in ["operator.key", "consensus/signing-history"] {
            fs::rename(home.join(file), folder.join(file)).unwrap();
        }
        let mut config = read_config(&home).unwrap();
        config.signer = format!("unix:{}", world.socket());
        write_config(&home, &config);
        world
    }
    fn path(&self, name: &str) -> PathBuf {
        self.devnet.folder.path().join(name)
    }
    fn socket(&self) -> String {
        self.path("signer.sock").to_str().unwrap().to_owned()
    }
    fn signer(&self) -> Ended {
        let home = self.path("signer");
        let arguments = [
            "signer",
            "--home",
            home.to_str().unwrap(),
            "--socket",
            &self.socket(),
        ];
        start(&arguments, &self.path("signer.log"))
    }
    fn validator(&self, home: &Path, log: &str) -> Ended {
        start(
            &["validator", "--home", home.to_str().unwrap()],
            &self.path(log),
        )
    }
    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
    fn client(&self, index: usize) -> Client {
        let config = read_config(&self.devnet.home().join(NAMES[index])).unwrap();
        Client::new(vec![format!("http://{}", config.http)])
    }
    async fn own(&self, client: &Client) -> Option<ValidatorAnswer> {
        let all: Vec<ValidatorAnswer> = client.get("/v1/validators").await.ok()?;
        all.into_iter().find(|row| row.operator == self.operator)
    }
    /// Waits for something, and shows what the validator with the signer said if it never comes.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !holds().await {
            let said = || format!("{}\n{}", self.log("1.log"), self.log("signer.log"));
            assert!(
                started.elapsed() < PATIENCE,
                "{what} never happened:\n{}",
                said()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    async fn height(&self, client: &Client) -> Option<Height> {
        let overview: Overview = client.get("/v1/overview").await.ok()?;
        Some(overview.height)
    }
    /// Waits for so many more blocks at a node.
    async fn more(&self, client: &Client, count: u64) {
        let mut from = None;
        self.until("blocks", async || {
            let now = self.height(client).await;
            from = from.or(now);
            now > from.map(|from: Height| from.saturating_add(count))
        })
        .await;
    }
    /// Whether a validator is ready, and why not.
    async fn health(&self, index: usize) -> Option<Health> {
        let config = read_config(&self.devnet.home().join(NAMES[index])).unwrap();
        let url = format!("http://{}/v1/health/ready", config.http);
        reqwest::get(url).await.ok()?.json().await.ok()
    }
    async fn figure(&self, line: &str) -> bool {
        let config = read_config(&self.devnet.home().join(NAMES[1])).unwrap();
        let Ok(answer) = reqwest::get(format!("http://{}/metrics", config.http)).await else {
            return false;
        };
        let text = answer.text().await.unwrap_or_default();
        text.lines().any(|found| found == line)
    }
    /// Waits until the validator has proposed since it was asked.
    async fn proposes(&self, client: &Client) {
        let mut before = None;
        self.until("a block of the validator with the signer", async || {
            let Some(row) = self.own(client).await else {
                return false;
            };
            // The count begins anew with an epoch.
            let before = before.get_or_insert(row.turns_made);
            *before = row.turns_made.min(*before);
            row.turns_made > *before
        })
        .await;
    }
    /// Waits until the validator answers, and says that it has no signer.
    async fn answers_without_a_signer(&self) {
        self.until("a word about the signer", async || {
            let health = self.health(1).await;
            health.is_some_and(|health| {
                let reason = health.reason.unwrap_or_default();
                let words = "the signer is away: it has not answered for";
                !health.ready && reason.contains(words)
            })
        })
        .await;
        let says = self.figure("cairn_signer_here 0.0").await;
        assert!(says, "{}", self.log("1.log"));
    }
    /// A copy of the validator's home without the key, at other ports, that asks the same signer.
    fn copy(&self) -> PathBuf {
        let (from, to) = (self.devnet.home().join(NAMES[1]), self.path("copy"));
        fs::create_dir_all(&to).unwrap();
        fs::copy(from.join("genesis.json"), to.join("genesis.json")).unwrap();
        let mut config = read_config(&from).unwrap();
        let port = free_ports();
        config.http = format!("127.0.0.1:{port}");
        config.consensus = format!("/ip4/127.0.0.1/tcp/{}", port + 1);
        config.network = format!("/ip4/127.0.0.1/tcp/{}", port + 2);
        write_config(&to, &config);
        to
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validators_key_lives_with_a_signer_of_its_own() {
    let world = World::made().await;
    let homes = NAMES.map(|name| world.devnet.home().join(name));
    let _validators: Vec<Ended> = (0..4)
        .map(|index| world.validator(&homes[index], &format!("{index}.log")))
        .collect();
    let (first, second) = (world.client(0), world.client(1));
    world.answers_without_a_signer().await;
    world.more(&second, 3).await;
    let signer = world.signer();
    world.proposes(&first).await;
    assert!(world.figure("cairn_signer_away_seconds 0.0").await);
    assert!(
        !homes[1].join("operator.key").exists(),
        "the key stays away"
    );
    assert!(homes[1].join("network.key").exists());
    assert!(
        world.figure("cairn_signer_here 1.0").await,
        "{}",
        world.log("1.log")
    );

    // A second validator process that asks the same signer gets nothing.
    let mut other = world.validator(&world.copy(), "copy.log");
    world
        .until("the end of the copy", async || {
            other.0.try_wait().unwrap().is_some()
        })
        .await;
    assert!(!other.0.wait().unwrap().success());
    let said = world.log("copy.log");
    assert!(said.contains("another validator has this signer"), "{said}");

    // The signer is killed: the validator says so and follows, and the others go on.
    drop(signer);
    world.answers_without_a_signer().await;
    world
        .until("the end of its signing", async || {
            world
                .log("1.log")
                .contains("does not sign until its signer is back")
        })
        .await;
    world.more(&first, 3).await;
    world.more(&second, 3).await;

    // It is started again: the validator signs again, and nobody was hurt.
    let _signer = world.signer();
    world
        .until("the validator's return", async || {
            world.log("1.log").contains("this validator signs again")
        })
        .await;
    world.proposes(&first).await;
    world
        .until("readiness", async || {
            world.health(1).await.is_some_and(|health| health.ready)
        })
        .await;
    let row = world.own(&first).await.unwrap();
    assert_eq!(row.standing, "bonded", "{row:?}\n{}", world.log("1.log"));
    let refusals = world.log("signer.log");
    assert!(!refusals.contains("was signed before"), "{refusals}");
}
