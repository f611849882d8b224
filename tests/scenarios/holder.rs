//! A holder at the command line: `cairn gov` as a process, against a devnet's nodes.

use crate::support::{Devnet, PATIENCE, complaint, run, text};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

/// A devnet's folder for one of its participants.
pub(crate) fn home(devnet: &Devnet, name: &str) -> String {
    devnet.home().join(name).to_str().unwrap().to_owned()
}

/// Runs `cairn gov` against the devnet's first node.
pub(crate) fn gov(devnet: &Devnet, arguments: &[&str]) -> Output {
    let node = format!("http://127.0.0.1:{}", devnet.port);
    run(&[&["gov"], arguments, &["--node", &node]].concat())
}

/// What a command answers in JSON; it must succeed.
pub(crate) fn told(devnet: &Devnet, arguments: &[&str]) -> Value {
    let output = gov(devnet, &[arguments, &["--json"]].concat());
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        complaint(&output),
        devnet.log()
    );
    serde_json::from_str(&text(&output)).unwrap()
}

/// Signs as a participant, agreed to beforehand.
pub(crate) fn act(devnet: &Devnet, who: &str, arguments: &[&str]) -> Value {
    let home = home(devnet, who);
    told(devnet, &[arguments, &["--home", &home, "--yes"]].concat())
}

/// The complaint of a command that must be refused with this code.
pub(crate) fn refused(devnet: &Devnet, who: &str, code: u16, arguments: &[&str]) -> String {
    let home = home(devnet, who);
    let output = gov(devnet, &[arguments, &["--home", &home, "--yes"]].concat());
    let complaint = complaint(&output);
    assert!(!output.status.success(), "{arguments:?} was not refused");
    let expected = format!("rejection {code}: ");
    assert!(complaint.contains(&expected), "{arguments:?}: {complaint}");
    complaint
}

/// Writes a proposal into a file of the devnet's folder.
pub(crate) fn proposal_file(devnet: &Devnet, name: &str, toml: &str) -> PathBuf {
    let path = devnet.folder.path().join(name);
    std::fs::write(&path, toml).unwrap();
    path
}

/// A proposal that sets a parameter.
pub(crate) fn set(title: &str, parameter: &str, value: u64) -> String {
    format!(
        "title = {title:?}\n[[actions]]\naction = \"set-parameter\"\n\
         parameter = {parameter:?}\nvalue = {value}\n"
    )
}

/// Proposes with the whole deposit; the identifier.
pub(crate) fn propose(devnet: &Devnet, who: &str, file: &Path) -> String {
    let made = act(devnet, who, &["propose", file.to_str().unwrap()]);
    made["proposal"].as_str().unwrap().to_owned()
}

/// Waits until a proposal has a status; its height of execution, or zero.
pub(crate) async fn until_status(devnet: &Devnet, id: &str, status: &str) -> Value {
    let started = Instant::now();
    loop {
        let shown = told(devnet, &["show", id]);
        if shown["status"] == status {
            return shown;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{id} never became {status}: {shown}\n{}",
            devnet.log()
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The value in force of a parameter.
pub(crate) fn parameter(devnet: &Devnet, name: &str) -> u64 {
    let answer = told(devnet, &["parameters"]);
    let rows = answer["parameters"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name).unwrap();
    row["value"].as_u64().unwrap()
}
