//! Files: a proposal as people write it, and a signed transaction on its way.

use crate::workbench::name_weights;
use anyhow::{Context as _, Result, bail};
use protocol::{
    codec::BoundedVec,
    proposal::{Action, Payload},
    transaction::Unverified,
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};
use toml::Value;

/// What an action may name by the path of a file, in JSON or TOML, relative to the proposal's.
const IN_FILES: [&str; 2] = ["recipe", "class"];

/// Reads a proposal. An action's `recipe` or `class` may be the path of a file.
///
/// # Errors
/// When the file is not a proposal, with the line that is not.
pub(super) fn payload(path: &Path) -> Result<Payload> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let mut value: Value = toml::from_str(&text).with_context(|| format!("{name} is not TOML"))?;
    let actions = value.get_mut("actions").and_then(Value::as_array_mut);
    for action in actions.into_iter().flatten() {
        for field in IN_FILES {
            if let Some(value) = action.get_mut(field)
                && let Some(file) = value.as_str()
            {
                *value = read_value(&path.with_file_name(file), field)?;
            }
        }
    }
    let payload: Payload = value
        .clone()
        .try_into()
        .with_context(|| format!("{name} is not a proposal"))?;
    no_more_than(&value, &payload).with_context(|| format!("{name} is not a proposal"))?;
    let mut actions = payload.actions.into_vec();
    for action in &mut actions {
        if let Action::CreateRun { recipe, .. } = action {
            name_weights(recipe);
        }
    }
    Ok(Payload {
        actions: BoundedVec::new(actions)?,
        ..payload
    })
}

/// Refuses fields that would be passed over: who wrote them expects them to count.
fn no_more_than(written: &Value, payload: &Payload) -> Result<()> {
    let read = Value::try_from(payload).context("cannot encode a proposal")?;
    let actions = |value: &Value| {
        let actions = value.get("actions").and_then(Value::as_array);
        actions.cloned().unwrap_or_default()
    };
    for (written, read) in actions(written).iter().zip(actions(&read)) {
        for field in written
            .as_table()
            .into_iter()
            .flat_map(|table| table.keys())
        {
            if read.get(field).is_none() {
                bail!("an action has the field {field:?}, which its kind does not have");
            }
        }
    }
    Ok(())
}

fn read_value(path: &Path, what: &str) -> Result<Value> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {what} {name}"))?;
    let parsed = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(&text).map_err(anyhow::Error::from),
        _ => serde_json::from_str(&text).map_err(anyhow::Error::from),
    };
    parsed.with_context(|| format!("{name} is not a {what}"))
}

/// A signed transaction in a file: bytes in hexadecimal digits, and nothing else that counts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    transaction: String,
}

/// Writes a signed transaction to a new file.
///
/// # Errors
/// When there is such a file, or it cannot be written.
pub(super) fn write(path: &Path, signed: &Unverified) -> Result<()> {
    if path.exists() {
        bail!("{} exists and is left as it is", path.display());
    }
    let envelope = Envelope {
        transaction: hex::encode(signed.encode()),
    };
    let text = serde_json::to_vec_pretty(&envelope).context("cannot encode a transaction")?;
    crate::home::write_atomically(path, &text)
}

/// Reads a signed transaction; its signature is not checked here.
///
/// # Errors
/// When the file holds no canonical transaction.
pub(super) fn read(path: &Path) -> Result<Unverified> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let envelope: Envelope = serde_json::from_slice(&text)
        .with_context(|| format!("{name} holds no signed transaction"))?;
    let bytes = hex::decode(&envelope.transaction)
        .with_context(|| format!("{name}: not hexadecimal digits"))?;
    Unverified::decode(&bytes).with_context(|| format!("{name}"))
}
