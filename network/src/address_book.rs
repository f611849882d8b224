//! Who was met and where, kept in `<home>/peers` so that a restart finds the network again.
//!
//! One multiaddress with its peer id per line, most recently met first. Lines that cannot be
//! read are skipped: the file is a hint, not a record.

use crate::limits::{ADDRESS_COUNT_MAX, BOOK_COUNT_MAX};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
struct Entry {
    addresses: Vec<Multiaddr>,
    /// Counts meetings across the book; a higher number was met later.
    met: u64,
    retry: Retry,
}

/// When to dial next: at once, then ever more rarely while it fails.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failure_count: u32,
    next_at: Option<Instant>,
}

impl Retry {
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_at.is_none_or(|next| now >= next)
    }

    /// Counts a dial as failed until [`Retry::succeeded`] says otherwise.
    pub(crate) fn tried(&mut self, now: Instant, pause_max: Duration) {
        let pause = RETRY_FIRST
            .saturating_mul(1 << self.failure_count.min(12))
            .min(pause_max);
        self.failure_count = self.failure_count.saturating_add(1);
        self.next_at = now.checked_add(pause);
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

/// Known peers and their addresses, bounded.
#[derive(Debug)]
pub(crate) struct AddressBook {
    path: PathBuf,
    entries: BTreeMap<PeerId, Entry>,
    met: u64,
    changed: bool,
}

impl AddressBook {
    /// Reads the file, or starts empty when there is none.
    pub(crate) fn load(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut book = Self {
            path,
            entries: BTreeMap::new(),
            met: 0,
            changed: false,
        };
        let lines: Vec<&str> = text
            .lines()
            .take(BOOK_COUNT_MAX * ADDRESS_COUNT_MAX)
            .collect();
        for line in lines.into_iter().rev() {
            if let Some((peer, address)) = parse(line) {
                book.learn(peer, [address]);
            }
        }
        book.changed = false;
        Ok(book)
    }

    /// Remembers addresses; newer ones push out older ones, newer peers push out older peers.
    pub(crate) fn learn(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        self.met += 1;
        let met = self.met;
        for address in addresses {
            let entry = self.entries.entry(peer).or_default();
            entry.met = met;
            let address = without_peer(address);
            if entry.addresses.first() == Some(&address) {
                continue;
            }
            entry.addresses.retain(|known| *known != address);
            entry.addresses.insert(0, address);
            entry.addresses.truncate(ADDRESS_COUNT_MAX);
            self.changed = true;
        }
        if self.entries.len() > BOOK_COUNT_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.met);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.entries.remove(&oldest);
            }
        }
    }

    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.entries
            .get(peer)
            .map(|entry| entry.addresses.clone())
            .unwrap_or_default()
    }

    /// The best peer to dial now among those not excluded; counts it as tried.
    pub(crate) fn next_to_dial(
        &mut self,
        now: Instant,
        excluded: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        let due = self
            .entries
            .iter_mut()
            .filter(|(p, e)| e.retry.is_due(now) && !excluded(p));
        let (peer, entry) = due.max_by_key(|(_, entry)| entry.met)?;
        entry.retry.tried(now, RETRY_MAX);
        Some(*peer)
    }

    pub(crate) fn connected(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.retry.succeeded();
        }
    }

    /// What to write to the file, if anything changed since the last time.
    pub(crate) fn take_changes(&mut self) -> Option<Snapshot> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.met));
        let mut text = String::new();
        for (peer, entry) in entries {
            for address in &entry.addresses {
                text.push_str(&address.clone().with(Protocol::P2p(*peer)).to_string());
                text.push('\n');
            }
        }
        Some(Snapshot {
            path: self.path.clone(),
            text,
        })
    }
}

/// A book ready to be written by a thread that may block.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    text: String,
}

impl Snapshot {
    pub(crate) fn write(&self) {
        if let Err(error) = replace(&self.path, &self.text) {
            tracing::warn!(path = %self.path.display(), %error, "known peers were not saved");
        }
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

fn parse(line: &str) -> Option<(PeerId, Multiaddr)> {
    let address = line.trim().parse::<Multiaddr>().ok()?;
    Some((peer_in(&address)?, address))
}

/// The peer id an address ends in, if it names one.
pub(crate) fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// The address without the peer id it ends in.
pub(crate) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if peer_in(&address).is_some() {
        address.pop();
    }
    address
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn peers_survive_a_restart_and_bad_lines_are_skipped() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("peers");
        let (first, second) = (PeerId::random(), PeerId::random());
        let mut book = AddressBook::load(path.clone()).unwrap();
        book.learn(first, [address(1), address(2)]);
        book.learn(second, [address(3)]);
        book.take_changes().unwrap().write();
        assert!(book.take_changes().is_none());
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"\xff\xfenot an address\n/ip4/127.0.0.1/tcp/9\n");
        fs::write(&path, text).unwrap();
        let mut again = AddressBook::load(path).unwrap();
        assert_eq!(again.addresses(&first), book.addresses(&first));
        assert_eq!(again.next_to_dial(Instant::now(), |_| false), Some(second));
    }

    #[test]
    fn book_is_bounded() {
        let mut book = AddressBook::load(PathBuf::from("no-such-folder/peers")).unwrap();
        for _ in 0..BOOK_COUNT_MAX * 2 {
            book.learn(PeerId::random(), (0..20).map(address));
        }
        assert_eq!(book.entries.len(), BOOK_COUNT_MAX);
        assert!(
            book.entries
                .values()
                .all(|entry| entry.addresses.len() == ADDRESS_COUNT_MAX)
        );
    }

    #[test]
    fn failing_peers_are_dialled_ever_more_rarely() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        assert!(retry.is_due(now));
        retry.tried(now, RETRY_MAX);
        retry.tried(now, RETRY_MAX);
        assert!(!retry.is_due(now + RETRY_FIRST));
        assert!(retry.is_due(now + RETRY_FIRST * 2));
        retry.succeeded();
        assert!(retry.is_due(now));
    }
}
