//! The home of a verifier, or of a validator that joins later, made from what one node of the
//! network says.
//!
//! Whoever wants to take part needs a key, the genesis, and the addresses of validators. The key is
//! made here; the rest comes from any node's HTTP interface. What a node says can cost nothing but
//! time: a wrong genesis is another chain, on which no honest validator signs.

use crate::{
    home::{Config, Home},
    rpc::{client::Client, query::AccountAnswer, server::StatusAnswer},
};
use anyhow::{Result, bail};
use governance::parameters::Name;
use protocol::{Amount, genesis::Genesis};
use std::path::Path;

/// How a home is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// A node of the network, such as `http://127.0.0.1:8420`.
    pub node: String,
    /// The first of three ports to listen on: page, consensus, blobs.
    pub port: u16,
    /// The address to listen on.
    pub listen: String,
    /// Compute threads.
    pub threads_count: usize,
}

/// Makes a node's home, unless there is one.
///
/// # Errors
/// When the node does not answer, is on another chain than the home, or names no validator.
pub async fn prepare(path: &Path, options: &Options) -> Result<()> {
    let Options {
        node,
        port,
        listen,
        threads_count,
    } = options;
    let client = Client::new(vec![node.clone()]);
    let genesis: Genesis = client.get("/v1/genesis").await?;
    let status: StatusAnswer = client.get("/v1/status").await?;
    let home = Home::open(path)?;
    home.write_genesis(&genesis)?;
    home.key("operator.key")?;
    if !path.join("config.toml").exists() {
        let host = host_of(node);
        let peers = |addresses: &[String]| -> Vec<String> {
            let mut peers: Vec<_> = addresses.iter().map(|a| reachable(a, host)).collect();
            peers.sort();
            peers.dedup();
            peers
        };
        let (consensus_peers, network_peers) = (
            peers(&status.consensus_addresses),
            peers(&status.network_addresses),
        );
        if consensus_peers.is_empty() {
            bail!("{node} names no validator to follow");
        }
        home.write_config(&Config {
            consensus_peers,
            network_peers,
            ..Config::listening(listen, *port, *threads_count)?
        })?;
    }
    Ok(())
}

/// Says what a verifier's account needs.
///
/// # Errors
/// When the node does not answer.
pub async fn warn_of_bond(path: &Path, options: &Options, bond: Option<Amount>) -> Result<()> {
    let client = Client::new(vec![options.node.clone()]);
    let address = Home::open(path)?.key("operator.key")?.address();
    let account: AccountAnswer = client.get(&format!("/v1/accounts/{address}")).await?;
    let bond = bond.unwrap_or(Amount::new(Name::VerifierBondMin.bounds().default));
    let (balance, locked) = (account.balance, account.verifier_bond);
    if locked == Amount::ZERO && balance < bond {
        tracing::warn!(
            "{address} has {balance}; it registers as soon as it has its bond of {bond}"
        );
    }
    Ok(())
}

/// The host in a node's address, if it is an IPv4 address.
fn host_of(node: &str) -> Option<&str> {
    let authority = node.split("//").nth(1)?.split('/').next()?;
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    host.parse::<std::net::Ipv4Addr>().is_ok().then_some(host)
}

/// The address at which others reach a listener on all addresses of a known host.
fn reachable(address: &str, host: Option<&str>) -> String {
    match host {
        Some(host) => address.replacen("/ip4/0.0.0.0/", &format!("/ip4/{host}/"), 1),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_at_its_nodes_host() {
        let host = host_of("http://10.0.0.7:8420/");
        assert_eq!(host, Some("10.0.0.7"));
        let reached = reachable("/ip4/0.0.0.0/tcp/9000", host);
        assert_eq!(reached, "/ip4/10.0.0.7/tcp/9000");
        let other = "/ip4/10.0.0.8/tcp/9000";
        assert_eq!(reachable(other, host), other);
        assert_eq!(host_of("http://node.example:8420"), None);
    }
}
