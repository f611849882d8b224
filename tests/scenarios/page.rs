//! The page in a real headless browser, until its curve has points and the cheat's reason shows.

use crate::support::{Devnet, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A browser driven over the `WebDriver` protocol (W3C).
struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
    profile: PathBuf,
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
        kill_browsers_of(&self.profile);
    }
}

/// The driver's own children outlive it when it is killed, and a page that has lost its node keeps
/// asking for it; they are known by the profile in their arguments.
fn kill_browsers_of(profile: &Path) {
    let profile = profile.as_os_str().as_encoded_bytes();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let is_ours = arguments.windows(profile.len()).any(|part| part == profile);
        let id = process.file_name().to_str().and_then(|id| id.parse().ok());
        if let Some(id) = id.and_then(Pid::from_raw).filter(|_| is_ours) {
            kill_process(id, Signal::KILL).ok();
        }
    }
}

fn is_installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

impl Browser {
    #[expect(clippy::zombie_processes, reason = "dropping the browser waits for it")]
    async fn open(profile: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1400,1800",
            format!("--user-data-dir={}", profile.display()),
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments } } } });
        let started = Instant::now();
        loop {
            let answer = http
                .post(format!("{base}/session"))
                .json(&wanted)
                .send()
                .await;
            if let Ok(answer) = answer {
                let answer: Value = answer.json().await.unwrap();
                let id = answer["value"]["sessionId"].as_str();
                let id = id.unwrap_or_else(|| panic!("no session: {answer}"));
                let session = format!("{base}/session/{id}");
                return Self {
                    driver,
                    http,
                    session,
                    profile: profile.to_owned(),
                };
            }
            assert!(started.elapsed() < PATIENCE, "chromedriver never answered");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    async fn command(&self, path: &str, body: Value) -> Value {
        let answer = self
            .http
            .post(format!("{}/{path}", self.session))
            .json(&body)
            .send()
            .await;
        answer.unwrap().json::<Value>().await.unwrap()["value"].clone()
    }
    async fn script(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] }))
            .await
    }
    async fn until(&self, script: &str, log: impl Fn() -> String) -> Value {
        let started = Instant::now();
        loop {
            let value = self.script(&format!("return {script}")).await;
            if !matches!(value, Value::Null | Value::Bool(false)) && value["error"].is_null() {
                return value;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "never true: {script}\n{value}\n{}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[test]
fn the_page_has_words_for_every_check() {
    for check in protocol::verdict::Check::ALL {
        let name = check.as_str();
        let is_named = [format!("  {name}: \""), format!("\"{name}\": \"")]
            .iter()
            .chain([&format!("{{ {name}: \"")])
            .any(|key| explorer::PAGE.contains(key));
        assert!(is_named, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_draws_the_curve_and_says_why_a_miner_was_slashed() {
    if !(is_installed("chromium") && is_installed("chromedriver")) {
        assert!(
            std::env::var_os("CI").is_none(),
            "chromium and chromedriver are needed in CI"
        );
        eprintln!("skipped: chromium and chromedriver are not installed");
        return;
    }
    let devnet = Devnet::start(&["--fresh", "--cheats", "random-gradient"]);
    devnet
        .until("a first block", |now| now.height.get() >= 1)
        .await;
    let profile = tempfile::tempdir().unwrap();
    let browser = Browser::open(profile.path()).await;
    let url = format!("http://127.0.0.1:{}/", devnet.port);
    browser.command("url", json!({ "url": url })).await;
    let log = || devnet.log();

    let height = "Number(document.querySelector('#height').textContent.replace(/\\D/g, ''))";
    let first = browser.until(height, log).await.as_u64().unwrap();
    browser.until(&format!("{height} > {first}"), log).await;
    let points = "document.querySelectorAll('[data-curve=loss] [data-point]').length >= 2";
    browser.until(points, log).await;
    let reason = "document.querySelector('[data-slash-reason]')?.textContent";
    let reason = browser
        .until(reason, log)
        .await
        .as_str()
        .unwrap()
        .to_owned();
    let now = devnet
        .until("the slash", |now| {
            now.miners.iter().any(|m| m.slash.is_some())
        })
        .await;
    let slash = now
        .miners
        .iter()
        .find_map(|miner| miner.slash.clone())
        .unwrap();
    assert!(reason.contains(slash.check.as_str()), "{reason}");
    let digits: String = reason.chars().filter(char::is_ascii_digit).collect();
    assert!(
        digits.contains(&slash.measured.to_string()),
        "{reason} has {slash:?}"
    );
    // The devnet's holders vote from step 3 on: their votes, the curves and the gates are drawn.
    browser
        .until("document.querySelectorAll('[data-voter]').length >= 4", log)
        .await;
    let approval = "document.querySelector('[data-vote-curve=approval]')?.dataset.value";
    let approval = browser.until(approval, log).await;
    let approval: u64 = approval.as_str().unwrap().parse().unwrap();
    // Three of four said yes; on a slow machine one of them may have been fined a little before.
    assert!((745_000..=755_000).contains(&approval), "{approval}");
    let gates = "document.querySelectorAll('[data-gate][data-holds=false]').length >= 1";
    browser.until(gates, log).await;
    let outside = "performance.getEntriesByType('resource')
        .filter(entry => !entry.name.startsWith(location.origin)).length";
    assert_eq!(
        browser.script(&format!("return {outside}")).await,
        0,
        "no external asset"
    );
}
