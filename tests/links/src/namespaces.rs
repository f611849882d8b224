//! A network namespace for each node, with a device as its only way out.

use crate::tun;
use anyhow::{Context as _, Result, ensure};
use std::{fs::File, process::Command};

/// The network of all nodes; node i is at i + 1.
const NETWORK: [u8; 3] = [10, 77, 0];
/// Where the machine itself is.
const OUTSIDE: u8 = 254;
/// Largest packet.
const PACKET_BYTES_MAX: usize = 1_500;

/// Which of `nodes_count` nodes has an address; the last position is the machine itself.
pub(crate) fn position(address: [u8; 4], nodes_count: usize) -> Option<usize> {
    let [a, b, c, last] = address;
    if [a, b, c] != NETWORK {
        return None;
    }
    if last == OUTSIDE {
        return Some(nodes_count);
    }
    let position = usize::from(last).checked_sub(1)?;
    (position < nodes_count).then_some(position)
}

/// Namespaces, gone when dropped.
#[derive(Debug)]
pub(crate) struct Namespaces(Vec<String>);

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            // What is gone already need not be removed.
            drop(ip(&["netns", "del", name]));
        }
    }
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) namespaces: Namespaces,
    /// Devices of the nodes, and at last that of the machine itself.
    pub(crate) devices: Vec<File>,
}

/// Makes the namespaces and devices of some nodes.
///
/// # Errors
/// When one cannot be made, such as without the right to.
pub(crate) fn make(prefix: &str, nodes_count: u8) -> Result<Made> {
    let mut made = Made {
        namespaces: Namespaces(Vec::new()),
        devices: Vec::new(),
    };
    for index in 0..nodes_count {
        let name = format!("{prefix}{index}");
        // An earlier run that was killed may have left it; one that goes on still needs it.
        let pids = ip(&["netns", "pids", &name]).unwrap_or_default();
        ensure!(
            pids.trim().is_empty(),
            "processes run in the namespace {name}; --prefix chooses others"
        );
        drop(ip(&["netns", "del", &name]));
        ip(&["netns", "add", &name])?;
        made.namespaces.0.push(name.clone());
        made.devices.push(tun::make(&name)?);
        ip(&["link", "set", &name, "netns", &name])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        bring_up(&["-n", &name], &name, index + 1)?;
    }
    let name = format!("{prefix}out");
    made.devices.push(tun::make(&name)?);
    bring_up(&[], &name, OUTSIDE)?;
    Ok(made)
}

fn bring_up(place: &[&str], device: &str, last: u8) -> Result<()> {
    let [a, b, c] = NETWORK;
    let address = format!("{a}.{b}.{c}.{last}/24");
    let bytes = PACKET_BYTES_MAX.to_string();
    let add = ["addr", "add", &address, "dev", device];
    let set = ["link", "set", device, "mtu", &bytes, "up"];
    ip(&[place, add.as_slice()].concat())?;
    ip(&[place, set.as_slice()].concat())?;
    Ok(())
}

/// What `ip` says.
fn ip(arguments: &[&str]) -> Result<String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("cannot run ip")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        complaint.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_positions() {
        assert_eq!(position([10, 77, 0, 1], 3), Some(0));
        assert_eq!(position([10, 77, 0, 3], 3), Some(2));
        assert_eq!(position([10, 77, 0, 4], 3), None);
        assert_eq!(position([10, 77, 0, 0], 3), None);
        assert_eq!(position([10, 77, 0, 254], 3), Some(3));
        assert_eq!(position([224, 0, 0, 1], 3), None);
    }
}
