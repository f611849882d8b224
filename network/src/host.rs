//! Limits per network address, since keys are free and addresses are not.
//!
//! A banned peer can come back under a new key at once. What it cannot easily change is where it
//! connects from: a public address may hold a bounded number of connections, and after several
//! bans from it the whole address is refused for an hour. Private and loopback addresses are
//! exempt; behind them are the operator's own machines.

use crate::limits::{HOST_BAN_COUNT_MAX, REPUTATION_COUNT_MAX};
use libp2p::{Multiaddr, multiaddr::Protocol};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Bans are counted, and an address is refused, for this long.
const MEMORY: Duration = Duration::from_secs(3600);

/// A public network address; for IPv6 the network of 64 bits that one customer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host(IpAddr);

impl Host {
    pub(crate) fn of(address: &Multiaddr) -> Option<Self> {
        match address.iter().next()? {
            Protocol::Ip4(ip) => {
                let local = ip.is_loopback() || ip.is_private() || ip.is_link_local();
                (!local).then_some(Self(ip.into()))
            }
            Protocol::Ip6(ip) => {
                let local = ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local();
                let network = u128::from(ip) >> 64 << 64;
                (!local).then_some(Self(Ipv6Addr::from(network).into()))
            }
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Strikes {
    count: u32,
    last_at: Instant,
}

/// Bans per address, bounded; the oldest are forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Hosts(BTreeMap<Host, Strikes>);

impl Hosts {
    /// A peer at this address was banned.
    pub(crate) fn strike(&mut self, host: Host, now: Instant) {
        self.0
            .retain(|_, strikes| now.saturating_duration_since(strikes.last_at) < MEMORY);
        if self.0.len() >= REPUTATION_COUNT_MAX
            && let Some(oldest) = self
                .0
                .iter()
                .min_by_key(|(_, s)| s.last_at)
                .map(|(h, _)| *h)
        {
            self.0.remove(&oldest);
        }
        let strikes = self.0.entry(host).or_insert(Strikes {
            count: 0,
            last_at: now,
        });
        strikes.count = strikes.count.saturating_add(1);
        strikes.last_at = now;
    }

    pub(crate) fn is_refused(&self, host: Host, now: Instant) -> bool {
        self.0.get(&host).is_some_and(|strikes| {
            strikes.count >= HOST_BAN_COUNT_MAX
                && now.saturating_duration_since(strikes.last_at) < MEMORY
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<Host> {
        Host::of(&text.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_limited() {
        assert_eq!(host("/ip4/127.0.0.1/tcp/1"), None);
        assert_eq!(host("/ip4/192.168.1.7/tcp/1"), None);
        assert_eq!(host("/ip6/::1/tcp/1"), None);
        assert_eq!(host("/dns/example.org/tcp/1"), None);
        assert_eq!(host("/ip4/8.8.8.8/tcp/1"), host("/ip4/8.8.8.8/tcp/2"));
        assert!(host("/ip4/8.8.8.8/tcp/1").is_some());
        assert_eq!(
            host("/ip6/2001:db8::1/tcp/1"),
            host("/ip6/2001:db8::ffff/tcp/1")
        );
        assert_ne!(
            host("/ip6/2001:db8::1/tcp/1"),
            host("/ip6/2001:db8:0:1::1/tcp/1")
        );
    }

    #[test]
    fn address_of_many_banned_peers_is_refused_for_a_while() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        let host = host("/ip4/8.8.8.8/tcp/1").unwrap();
        for _ in 0..HOST_BAN_COUNT_MAX {
            assert!(!hosts.is_refused(host, now));
            hosts.strike(host, now);
        }
        assert!(hosts.is_refused(host, now));
        assert!(!hosts.is_refused(host, now + MEMORY));
    }
}
